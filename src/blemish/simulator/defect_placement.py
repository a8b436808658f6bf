"""Put defects on a print where they can be seen, and mark where they are seen.

Whether a defect shows depends on the modality and on what is printed there. One that does not is
drawn anew elsewhere, so that no mask claims what no eye could find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from blemish.errors import BlemishError
from blemish.simulator import defects
from blemish.simulator.modalities import Scanner
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import Floats, Mask, PlateWindow, blurred
from blemish.simulator.scan import WIDEST, scan_window
from blemish.simulator.surface import Damage

VISIBLE = 4.0  # grey levels: what changes by less is not part of a mask
CONTRAST = 1.6  # of the local noise: what stands out by less counts as invisible
SMALLEST = 12  # pixels: a mask smaller than this is none
APART = 40  # pixels between the boxes of two defects
NEAR = 16  # pixels around a mask within which a defect may change grey values by more than BOUND
BOUND = 6  # grey levels: what is not visible, before the smoothing and rounded
_TRIES = 200
_CLOSED = {"points": 5, "area": 41}  # pixels: gaps in a mask that are closed


@dataclass(frozen=True, eq=False)
class PlacedDefect:
    """A defect on a plate: its kind and group, and its mask bool [h, w] in the box `window`."""

    kind: str
    group: str
    window: PlateWindow
    mask: Mask

    @property
    def area(self) -> int:
        """The number of pixels of the mask."""
        return int(self.mask.sum())

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the mask's box, row and column."""
        return (
            self.window.top + (self.window.height - 1) / 2,
            self.window.left + (self.window.width - 1) / 2,
        )


def place_defects(
    print_: Print, scanner: Scanner, kinds: Sequence[str], rng: np.random.Generator
) -> tuple[list[Damage], list[PlacedDefect]]:
    """Defects of these kinds on a print, apart from each other, and what they do to it.

    Raises BlemishError where a plate has no place left on which a defect could be seen.
    """
    damages: list[Damage] = []
    placed: list[PlacedDefect] = []
    for kind in kinds:
        for _ in range(_TRIES):
            found = _attempt(print_, scanner, kind, damages, rng)
            if found is not None:
                damages.append(found[0])
                placed.append(found[1])
                break
        else:
            height, width = print_.whole.shape
            raise BlemishError(
                f"a plate of {width} x {height} has no place left where a {kind} could be seen; "
                "ask for fewer defects or larger plates"
            )
    return damages, placed


def drawn_kinds(count: int, rng: np.random.Generator) -> list[str]:
    """Kinds for that many defects: about seven of ten are points; within a group all are alike."""
    groups: dict[str, list[str]] = {"points": [], "area": []}
    for kind in defects.names():
        groups[defects.group(kind)].append(kind)
    drawn = (groups["points" if rng.random() < 0.7 else "area"] for _ in range(count))
    return [str(rng.choice(kinds)) for kinds in drawn]


def _attempt(
    print_: Print,
    scanner: Scanner,
    kind: str,
    others: list[Damage],
    rng: np.random.Generator,
) -> tuple[Damage, PlacedDefect] | None:
    whole = print_.whole
    place = int(rng.integers(16, whole.height - 16)), int(rng.integers(16, whole.width - 16))
    room = min(int(0.6 * min(whole.shape)), 640)
    drawing = np.random.default_rng(int(rng.integers(2**63)))
    damage = defects.defect(kind).draw(print_, place, room, drawing)
    if damage is None or whole.shared(damage.window) != damage.window:
        return None
    if max(damage.window.shape) > WIDEST or any(
        damage.window.grown(APART).shared(other.window) for other in others
    ):
        return None
    mask = visible(print_, scanner, damage, defects.group(kind), drawing)
    if mask is None:
        return None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = PlateWindow(
        damage.window.top + int(rows[0]),
        damage.window.left + int(columns[0]),
        int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )
    cut = mask[box.inside(damage.window)].copy()
    return damage, PlacedDefect(kind, defects.group(kind), box, cut)


def visible(
    print_: Print, scanner: Scanner, damage: Damage, group: str, rng: np.random.Generator
) -> Mask | None:
    """Where a defect can be seen in a scan, bool of its window's shape; None where it cannot."""
    window = damage.window
    hidden = scanner.hidden(window)
    if hidden is not None and hidden.any():
        return None
    before = scan_window(print_, scanner, window, [])
    change = scan_window(print_, scanner, window, [damage]) - before
    return marked(change, damage.extent, group, local_noise(scanner.noisy(before, window, rng)))


def marked(change: Floats, extent: Floats, group: str, noise: float) -> Mask | None:
    """The mask of a change of grey values [h, w] within a defect's extent; None for none.

    The mask is where the change, a little smoothed, is VISIBLE or more, its gaps closed. There must
    be such pixels, and the strongest tenth of them must stand out from the noise.
    """
    strength = np.abs(blurred(change, 0.8))
    strength[extent <= 0.02] = 0
    shown = strength >= VISIBLE
    if shown.sum() < SMALLEST:
        return None
    strongest = np.sort(strength[shown])[-max(SMALLEST, int(0.1 * shown.sum())) :]
    if float(strongest.mean()) < max(CONTRAST * noise, 1.5 * VISIBLE):
        return None
    size = _CLOSED[group]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0)


def local_noise(grey: Floats) -> float:
    """The deviation of what is finer than a few pixels, by the median: edges do not count."""
    fine = grey - blurred(grey, 2.0)
    return float(1.4826 * np.median(np.abs(fine)))
