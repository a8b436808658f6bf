"""The errors that a user can cause; each message names the file and the way out."""

from __future__ import annotations


class BlemishError(Exception):
    """Anything a caller may want to catch; the command line prints it as one sentence."""


class ImageError(BlemishError):
    """An image or mask that cannot be read, or does not fit what it is used for."""


class DatasetError(BlemishError):
    """A data set whose layout, labels, parts or views cannot be what they say."""


class ArtifactError(BlemishError):
    """A model file that is damaged, foreign, newer than this program, or cannot be written."""


class CalibrationError(BlemishError):
    """A promise that the held-out good parts cannot support."""


class BudgetExceeded(BlemishError):  # noqa: N818 - the contract's name
    """The time budget ran out before the work was done; what was done is kept for `--resume`."""


class MissingExtraError(BlemishError):
    """What was asked for needs a library that this installation lacks."""
