"""What a training is asked for, and the preprocessing that follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from blemish.calibration.promise import Method, Promise
from blemish.detectors import usual_resize, usual_size, usual_tile
from blemish.errors import BlemishError
from blemish.features.cache import default_folder
from blemish.images import Recipe, find_window
from blemish.util.names import path_of, type_of
from blemish.util.settings import check_settings, setting

DEFAULT_DETECTOR = "duet"
SMALLEST_TILE = 16  # pixels: of smaller ones nothing is told, at the cost of thousands


@dataclass(frozen=True)
class Plan:
    """What a training is asked for.

    `size` is the side of the model's square input in pixels (None: the detector's usual one);
    `crop` the side of the centre that is cut out of such a square, and is then the model's input;
    `tile` the side of a tile in original pixels (None: the detector's usual one, if it has any; 0:
    whole pictures);
    `hold_out` the share of good parts kept for the threshold (None: as many as the promise needs,
    if that is at most half of them, and never less than a fifth); `cross_fit` the number of folds
    for an estimated threshold instead, or 0; `view_scales` asks for the scale of each view's
    scores, at the cost of two fits to a half of the parts; `cache` the folder for features. Raises
    BlemishError for a value that cannot be.
    """

    detector: str = DEFAULT_DETECTOR
    preset: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    resize: str | None = None
    crop: int | None = None
    tile: int | None = None
    promise: Promise = field(default_factory=Promise)
    hold_out: float | None = setting(None, above=0, below=1)
    cross_fit: int = setting(0, least=0)
    view_scales: bool = False
    seed: int = setting(0, least=0)
    cache: Path | None = field(default_factory=default_folder)

    def __post_init__(self) -> None:
        """Refuse values of another type or out of their limits, with a BlemishError."""
        for each in dataclasses.fields(self):
            if isinstance(value := getattr(self, each.name), np.generic):
                object.__setattr__(self, each.name, value.item())
        if self.cache is not None:
            object.__setattr__(self, "cache", path_of(self.cache, "the cache of a plan"))
        if not isinstance(self.promise, Promise):
            raise BlemishError(
                f"the promise of a plan must be a Promise, not {type_of(self.promise)}"
            )
        if not isinstance(self.settings, Mapping) or not all(
            isinstance(text, str) for item in self.settings.items() for text in item
        ):
            raise BlemishError(
                "the settings of a plan must be texts by the names of the settings, such as "
                '{"bank": "500"}'
            )
        check_settings("a plan", self)

    @property
    def method(self) -> Method:
        """How the threshold is found."""
        return "cross-fitted estimate" if self.cross_fit else "held-out"

    @property
    def fits(self) -> int:
        """How many fits the training takes: the model's own, and those to some of the parts."""
        return 1 + self.cross_fit + 2 * self.view_scales


def make_recipe(plan: Plan, images: Sequence[Path]) -> Recipe:
    """The preprocessing that the plan asks for, with one window for all `images` of 16 bits.

    Raises BlemishError for a size, a crop or a tile that cannot be.
    """
    multiple = 32
    size = usual_size(plan.detector) if plan.size is None else plan.size
    if size < multiple or size % multiple or size > 2048:
        raise BlemishError(f"--size {size} must be a multiple of {multiple}, at most 2048")
    side = size if plan.crop is None else plan.crop
    if side < multiple or side % multiple or side > size:
        raise BlemishError(
            f"--crop {side} must be a multiple of {multiple}, at most the size, {size}"
        )
    if plan.tile and plan.tile < SMALLEST_TILE:
        raise BlemishError(
            f"--tile {plan.tile} is too small to tell anything of; give {SMALLEST_TILE} pixels or "
            "more, or 0 for whole pictures"
        )
    margin = (size - side) // 2
    tile = plan.tile or None
    if plan.tile is None and not margin:
        tile = usual_tile(plan.detector, side)
    resize = plan.resize or ("squash" if plan.tile == 0 else usual_resize(plan.detector))
    recipe = Recipe(side, side, resize, tile=tile, margin=margin)
    return dataclasses.replace(recipe, window=find_window(images))
