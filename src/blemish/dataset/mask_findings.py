"""What is odd about masks, told by the masks alone, wherever they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from blemish.dataset.check import Finding
from blemish.dataset.label_words import name_some
from blemish.dataset.table import Dataset
from blemish.images import MaskReading, look_at_mask
from blemish.images.mask_meaning import FEW_LEVELS
from blemish.util.threads import default_threads, in_order

WHOLE = 0.95  # share of the image above which a mask marks nearly everything
MOST, RIM = 0.5, 0.9  # shares of the image and of its border above which a mask may be inverted
EMPTY, EVERYTHING = "empty masks", "masks of everything"
INVERTED, GREY = "inverted masks", "grey masks"
MOST_DRAWN = 1000  # masks of synthetic defects that `findings_of` looks at

_WORDS = {
    EMPTY: ("marks nothing", "mark nothing", "draw {them} or remove {them}"),
    EVERYTHING: (
        "marks nearly everything",
        "mark nearly everything",
        "0, or of a palette the index 0, is the background: invert {them} if it is not",
    ),
    INVERTED: (
        "marks most of its image and its border",
        "mark most of their images and their borders",
        "0, or of a palette the index 0, is the background: invert {them} if it is not",
    ),
    GREY: (
        f"has more than {FEW_LEVELS} grey values, of which those above half the range count",
        f"have more than {FEW_LEVELS} grey values, of which those above half the range count",
        "if others are defects too, save {them} with all defects as 255",
    ),
}


@dataclass(eq=False)
class MaskFindings:
    """Collects the names of masks of each odd kind while they are read."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, mask: MaskReading) -> None:
        """Take one mask of a defective image into account."""
        for kind in odd_kinds(mask):
            self.names.setdefault(kind, []).append(name)

    def findings(self) -> list[Finding]:
        """One finding, a warning, for each kind that was met: how many masks, and the first."""
        return [
            Finding("warning", _sentence(kind, self.names[kind]), self.names[kind][0], kind)
            for kind in _WORDS
            if kind in self.names
        ]


def odd_kinds(mask: MaskReading) -> Iterator[str]:
    """The kinds of finding that a mask of a defective image is one of."""
    share = mask.share
    if not share:
        yield EMPTY
    elif share > WHOLE:
        yield EVERYTHING
    elif is_inverted(share, mask.border):
        yield INVERTED
    if mask.soft:
        yield GREY


def is_inverted(share: float, border: float) -> bool:
    """Whether a mask that marks these shares of its image and border may be inverted."""
    return MOST < share <= WHOLE and border > RIM


def findings_of(data: Dataset) -> list[Finding]:
    """The findings on the masks to learn from: of real defects all, of synthetic ones some.

    Reads them. Raises ImageError for the first that cannot be read.
    """
    real, drawn = (_masks(rows) for rows in (data.real(), data.synthetic()))
    if len(drawn) > MOST_DRAWN:
        drawn = [drawn[i] for i in np.linspace(0, len(drawn) - 1, MOST_DRAWN).astype(int)]
    found = MaskFindings()
    found, masks = MaskFindings(), [*real, *drawn]
    readings = in_order(lambda mask: look_at_mask(data.root / mask), masks, default_threads())
    for name, reading in zip(masks, readings, strict=True):
        found.add(name, reading)
    return found.findings()


def _masks(data: Dataset) -> list[str]:
    return data.table["mask"].drop_nulls().unique(maintain_order=True).to_list()


def _sentence(kind: str, names: Sequence[str]) -> str:
    one, several, way_out = _WORDS[kind]
    what, them = (f"mask {one}", "it") if len(names) == 1 else (f"masks {several}", "them")
    return f"{len(names)} {what} ({name_some(names)}); {way_out.format(them=them)}."
