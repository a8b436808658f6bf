"""The errors that a user can cause; each message names the file and the way out."""

from __future__ import annotations

import re

# Control characters, and what stands for bytes that are no UTF-8.
COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def escape(match: re.Match[str]) -> str:
    r"""One character as \n, \x1b or \u2028; the byte itself where it stands for no UTF-8: \xff."""
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


class BlemishError(Exception):
    """Anything a caller may want to catch; the command line prints it as one sentence."""

    def __str__(self) -> str:
        """The sentence, in which no name and no other text of a user breaks the line."""
        return COMMANDS.sub(escape, super().__str__())


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
