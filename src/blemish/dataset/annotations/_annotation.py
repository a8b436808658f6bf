"""What was drawn on one picture, as a file of annotations says it."""

from __future__ import annotations

from dataclasses import dataclass

from blemish.dataset.shapes import Shape


@dataclass(frozen=True, eq=False)
class Annotation:
    """The shapes on one picture, which may be none, and how its file names the picture.

    `file` is that of the annotation, relative to the data set's root. `picture` is the name as it
    is written there; `stem` that of a file whose picture has the same name but for its suffix, and
    counts where there is no picture of the name. `size` is the height and width that the file
    declares, `kinds` are those that it lists, used or not. With `in_shares` coordinates are shares
    of the picture's width and height.
    """

    file: str
    shapes: tuple[Shape, ...]
    picture: str | None = None
    stem: str | None = None
    size: tuple[int, int] | None = None
    kinds: frozenset[str] = frozenset()
    in_shares: bool = False


class Unfit(Exception):  # noqa: N818 - it is an annotation's, which becomes a finding
    """What is wrong with an annotation, and the way out, to follow the name of its file."""
