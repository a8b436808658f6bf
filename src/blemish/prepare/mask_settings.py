"""The settings of masks from scribbles."""

from __future__ import annotations

from dataclasses import dataclass

from blemish.errors import BlemishError

KEEP = ("touching", "largest", "all")


@dataclass(frozen=True)
class MaskSettings:
    """How masks are made; lengths in pixels, areas in square pixels.

    `scales` are the sigmas of the features. `elsewhere` pixels far from any defect stroke of a
    scribbled image are learnt as background although nobody drew them; 0 learns strokes alone.
    `smooth` is the sigma by which the probability is blurred before `threshold`. `erode` and
    `dilate` are radii, holes of up to `fill_holes` are filled, regions below `min_area` dropped.
    `keep` of a scribbled image the regions that are "touching" a defect stroke, the "largest" or
    "all"; of an image without scribbles "touching" keeps all.
    Raises BlemishError for values that make no sense.
    """

    scales: tuple[float, ...] = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
    trees: int = 100
    elsewhere: int = 300
    threshold: float = 0.5
    smooth: float = 1.0
    erode: int = 0
    dilate: int = 0
    fill_holes: int = 10_000
    min_area: int = 0
    keep: str = "touching"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        sound = {
            "scales": all(0.3 <= scale <= 50 for scale in self.scales)
            and 0 < len(self.scales) < 17,
            "trees": 1 <= self.trees <= 1000,
            "elsewhere": 0 <= self.elsewhere <= 100_000,
            "threshold": 0 < self.threshold < 1,
            "smooth": 0 <= self.smooth <= 100,
            "erode": 0 <= self.erode <= 100,
            "dilate": 0 <= self.dilate <= 100,
            "fill_holes": self.fill_holes >= 0,
            "min_area": self.min_area >= 0,
            "keep": self.keep in KEEP,
            "seed": 0 <= self.seed < 2**32,
        }
        for name, holds in sound.items():
            if not holds:
                raise BlemishError(
                    f"{name} of the masks cannot be {getattr(self, name)}: {_RANGES[name]}"
                )


_RANGES = {
    "scales": "give 1 to 16 sigmas from 0.3 to 50",
    "trees": "give 1 to 1000",
    "elsewhere": "give 0 to 100000",
    "threshold": "give a value between 0 and 1",
    "smooth": "give 0 to 100",
    "erode": "give a radius from 0 to 100",
    "dilate": "give a radius from 0 to 100",
    "fill_holes": "give 0 or more",
    "min_area": "give 0 or more",
    "keep": "choose " + ", ".join(KEEP),
    "seed": "give 0 or more, below 2**32",
}
