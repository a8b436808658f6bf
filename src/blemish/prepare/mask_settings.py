"""The settings of masks from scribbles."""

from __future__ import annotations

from dataclasses import dataclass

from blemish.errors import BlemishError

KEEP = ("touching", "largest", "all")


@dataclass(frozen=True)
class MaskSettings:
    """How masks are made; lengths in pixels, areas in square pixels.

    `scales` are the sigmas of the features. `elsewhere` pixels far from any defect stroke of a
    scribbled image train as background although nobody drew them; with 0 strokes alone train.
    `refine` is the radius in which the probability is led by the image's edges, `smooth` the sigma
    by which it is blurred, before `threshold`, which is lower by `near` at a defect stroke and as
    much higher where a defect is not expected to reach. `erode` and `dilate` are radii, holes of up
    to `fill_holes` are filled, regions below `min_area` dropped. `keep` of a scribbled image the
    regions that are "touching" a defect stroke, the "largest" or "all"; of an image without
    scribbles "touching" keeps all. `own`: an image on which both labels are drawn has a classifier
    of its own; the others, and without `own` all of them, have one trained on all scribbles.
    Raises BlemishError for values that make no sense.
    """

    scales: tuple[float, ...] = (0.7, 1.0, 1.6, 3.5)
    trees: int = 50
    elsewhere: int = 100
    refine: int = 4
    smooth: float = 0.0
    threshold: float = 0.5
    near: float = 0.2
    erode: int = 0
    dilate: int = 0
    fill_holes: int = 10_000
    min_area: int = 0
    keep: str = "touching"
    own: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        if not (0 < len(self.scales) <= 16 and all(0.3 <= scale <= 50 for scale in self.scales)):
            raise _refusal("scales", self.scales, "give 1 to 16 sigmas from 0.3 to 50")
        if not 0 < self.threshold < 1:
            raise _refusal("threshold", self.threshold, "give a value between 0 and 1")
        if not 0 <= self.near < 0.5:
            raise _refusal("near", self.near, "give a value from 0 to below 0.5")
        if self.keep not in KEEP:
            raise _refusal("keep", self.keep, "choose " + ", ".join(KEEP))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise _refusal(name, value, f"give {low} to {high}")


_RANGES = {
    "trees": (1, 1000),
    "elsewhere": (0, 20_000),
    "refine": (0, 100),
    "smooth": (0, 100),
    "erode": (0, 100),
    "dilate": (0, 100),
    "fill_holes": (0, 1 << 31),
    "min_area": (0, 1 << 31),
    "seed": (0, 2**32 - 1),
}


def _refusal(name: str, value: object, way_out: str) -> BlemishError:
    return BlemishError(f"setting {name} of label masks cannot be {value}; {way_out}")
