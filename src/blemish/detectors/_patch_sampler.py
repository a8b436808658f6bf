"""The training patches of a patch classifier: good ones, drawn defects, and augmented real ones.

ISP-AD (arXiv 2503.04997, section 4.1): every second good patch gets a synthetic defect, and each
presentation is replaced, with a small probability, by an augmented patch of a real defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.dataset.scaled_images import (
    Mask,
    Pixels,
    ScaledImage,
    ScaledImages,
    refuse_small_patches,
)
from blemish.detectors._epoch_order import epoch_order
from blemish.errors import DatasetError
from blemish.images import Recipe
from blemish.prepare.patch_augmentation import Spot, cut, draw_turn, lit, plain, turned
from blemish.prepare.patch_recipe import Augmentation
from blemish.prepare.region_of_interest import RegionOfInterest
from blemish.synthesis import Generator

Chance = np.random.Generator

MOST_PATCHES = 16  # that show one image whose defect may be anywhere
TRIES = 10


@dataclass(frozen=True, eq=False)
class PatchSample:
    """Patches uint8 [k, size, size, 3] of one label; more than one where any may show the defect.

    `masks` are bool [k, size, size], or None where only the label is known.
    """

    patches: Pixels
    defective: bool
    masks: Mask | None


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Several presentations: `patches` [k, size, size, 3], and which `owner` [k] each belongs to.

    `labels` float32 [n] are 1 for a defective presentation; `masks` bool [k, size, size] count
    where `known`, bool [k].
    """

    patches: Pixels
    owner: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    masks: Mask
    known: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, items: Sequence[PatchSample]) -> PatchBatch:
        """These presentations, in their order."""
        counts = [len(item.patches) for item in items]
        return cls(
            np.concatenate([item.patches for item in items]),
            np.repeat(np.arange(len(items)), counts),
            np.array([item.defective for item in items], np.float32),
            np.concatenate([_mask_of(item) for item in items]),
            np.repeat([item.masks is not None for item in items], counts),
        )

    def without_patches(self) -> PatchBatch:
        """The same without the pixels, where their layers are known."""
        return replace(self, patches=self.patches[:0])


@dataclass(frozen=True, eq=False)
class PatchSampler:
    """The endless stream of presentations; number i depends on the seed and on i alone.

    Each is with probability `real` one of a real defect, else with probability `synthetic` one with
    a synthetic defect: of `data` or drawn by `generator`, equally often where there are both. Every
    defective part is shown as often as any other, however many pictures of it there are; where
    there are few pictures of real defects, `most_each` is the largest share of one. `size` is the
    side of a patch in the model's pixels.
    """

    data: Dataset
    recipe: Recipe
    size: int
    seed: int
    synthetic: float = 0.5
    real: float = 1 / 32
    most_each: float = 1.0
    generator: Generator | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse shares that are none, no good image, and what nobody can learn from."""
        for name in ("synthetic", "real"):
            if not 0 <= getattr(self, name) <= 1:
                raise DatasetError(f"{name}={getattr(self, name):g} is no share from 0 to 1")
        if not len(self._good):
            raise DatasetError(f"{self.data.root} has no good image to learn from; add some")
        refuse_small_patches(self.data, self.recipe)
        for share, pictures in ((self.real, self._real), (self.synthetic, self._drawn)):
            if share == 0:
                continue
            for row in np.flatnonzero(pictures.rows.table["mask"].is_null()).tolist():
                self._refuse_large(pictures, row, pictures.shape(row))

    def refuse_one_label(self) -> None:
        """Refuse what would show nothing but good patches, or none."""
        spoils = self.synthetic > 0 and (self.generator is not None or len(self._drawn) > 0)
        real = self.real if len(self._real) else 0.0
        if real == 0 and not spoils:
            raise DatasetError(
                f"{self.data.root} shows good parts only, and no synthetic defects are asked for: "
                "set synthetic above 0 and name a generator, or give real defects and real above 0"
            )
        if real == 1 or (spoils and self.synthetic == 1):
            raise DatasetError(
                f"with real={self.real:g} and synthetic={self.synthetic:g} only defects are shown, "
                "and nothing good to tell them from; lower one of the two"
            )

    def of(self, data: Dataset, seed: int) -> PatchSampler:
        """The same of other rows, as they are: nothing is turned or lit."""
        return replace(
            self,
            data=data,
            seed=seed,
            real=self.real_share,
            most_each=1.0,
            augmentation=Augmentation(share=0.0),
        )

    @cached_property
    def real_share(self) -> float:
        """The probability that a presentation is of a real defect."""
        return min(self.real, self.most_each * len(self._real))

    @cached_property
    def _good(self) -> ScaledImages:
        return ScaledImages(self.data.good(), self.recipe, self.size)

    @cached_property
    def _drawn(self) -> ScaledImages:
        return ScaledImages(self.data.synthetic(), self.recipe, self.size)

    @cached_property
    def _real(self) -> ScaledImages:
        return ScaledImages(self.data.real(), self.recipe, self.size)

    @cached_property
    def _parts(self) -> list[npt.NDArray[np.int64]]:
        """The rows of each real defective part."""
        names = self._real.rows.table["part"].to_numpy()
        return [np.flatnonzero(names == part) for part in self._real.rows.parts]

    def __getitem__(self, number: int) -> PatchSample:
        """The presentation of that number; ImageError for a picture that cannot be read."""
        rng = np.random.default_rng((self.seed, number))
        if rng.random() < self.real_share:
            return self._real_one(rng)
        spoilt = rng.random() < self.synthetic
        if spoilt and len(self._drawn) and (self.generator is None or rng.random() < 0.5):
            return self._defective(self._drawn, int(rng.integers(len(self._drawn))), rng)
        picture = self._good[_place(len(self._good), number, self.seed)]
        patch, _ = self._cut(picture, self._anywhere(picture, rng), rng)
        mask = np.zeros(patch.shape[:2], bool)
        if spoilt and self.generator is not None:
            made = self.generator(patch, rng)
            patch, mask = made.image, made.mask
        return PatchSample(_rgb([patch]), bool(mask.any()), mask[None])

    def batch(self, first: int, count: int) -> PatchBatch:
        """So many presentations from number `first` on."""
        return PatchBatch.of([self[number] for number in range(first, first + count)])

    def counts(self) -> dict[str, int]:
        """How many images of each kind there are to be shown."""
        kinds = {"good": self._good, "synthetic": self._drawn, "real": self._real}
        return {f"{kind}_images": len(pictures) for kind, pictures in kinds.items()}

    def _real_one(self, rng: Chance) -> PatchSample:
        rows = self._parts[int(rng.integers(len(self._parts)))]
        return self._defective(self._real, int(rows[rng.integers(len(rows))]), rng)

    def _defective(self, pictures: ScaledImages, row: int, rng: Chance) -> PatchSample:
        """A patch around a spot of the defect; patches of the whole picture where none is known."""
        picture = pictures[row]
        if not picture.spots:
            self._refuse_large(pictures, row, _shape(picture))
            corners = _whole(_shape(picture)).windows(self.size, self.size)
            spots = [plain(top, left, self.size) for top, left in corners]
            patches = _rgb([self._cut(picture, spot, rng)[0] for spot in spots])
            return PatchSample(self._flipped(patches, rng), True, None)
        places = picture.spots[int(rng.integers(len(picture.spots)))]
        pixel = places[rng.integers(len(places))]
        patch, mask = self._cut(picture, self._around(picture, pixel, rng), rng)
        # A thin defect may fall between the pixels of a turned mask; its label stays true.
        known = None if mask is None or not mask.any() else mask[None]
        return PatchSample(_rgb([patch]), True, known)

    def _flipped(self, patches: Pixels, rng: Chance) -> Pixels:
        """Patches that together show a picture, all flipped alike."""
        settings = self.augmentation
        if rng.random() >= settings.share:
            return patches
        for axis, may in ((1, settings.vertical_flip), (2, settings.horizontal_flip)):
            if may and rng.random() < 0.5:
                patches = np.flip(patches, axis)
        return np.ascontiguousarray(patches)

    def _anywhere(self, picture: ScaledImage, rng: Chance) -> Spot:
        """A square around any pixel, as often at a border as one around a defect that is there.

        Else a border, which few of all places reach, would be a sign of a defect.
        """
        return self._around(picture, rng.integers(_shape(picture)), rng)

    def _around(self, picture: ScaledImage, pixel: npt.NDArray[np.int64], rng: Chance) -> Spot:
        """A square with the pixel (row, column) in its inner half, moved inwards at a border.

        Turned where a turned one lies in the picture.
        """
        shape, size = _shape(picture), self.size
        turn = draw_turn(self.augmentation, rng)
        for _ in range(TRIES):
            if turn is None:
                break
            shift = turn @ rng.uniform(-size / 4, size / 4, 2)
            spot = turned(turn, (pixel[1] + shift[0], pixel[0] + shift[1]), size)
            if _whole(shape).contains(*spot.box):
                return spot
        top, left = (
            min(max(0, round(place - size / 2)), side - size)
            for place, side in zip(pixel + rng.uniform(-size / 4, size / 4, 2), shape, strict=True)
        )
        return plain(top, left, size)

    def _cut(self, picture: ScaledImage, spot: Spot, rng: Chance) -> tuple[Pixels, Mask | None]:
        patch = lit(cut(picture.pixels, spot, self.size), self.augmentation, 255, rng)
        if picture.mask is None:
            return patch, None
        return patch, cut(picture.mask.view(np.uint8), spot, self.size, nearest=True) > 0

    def _refuse_large(self, pictures: ScaledImages, row: int, shape: tuple[int, int]) -> None:
        """Nobody can learn from a label which of a thousand patches shows the defect."""
        if len(_whole(shape).windows(self.size, self.size)) > MOST_PATCHES:
            side = int(self.size * MOST_PATCHES**0.5)
            raise DatasetError(
                f"{pictures.rows.images[row]} shows a defect somewhere on {shape[1]} x {shape[0]} "
                f"pixels; give a mask, of which a point is enough, or cut out {side} x {side} "
                "pixels that show it"
            )


def _shape(picture: ScaledImage) -> tuple[int, int]:
    return picture.pixels.shape[0], picture.pixels.shape[1]


def _whole(shape: tuple[int, int]) -> RegionOfInterest:
    """All of a picture as one cell, in which places are found at once."""
    return RegionOfInterest(shape, max(shape), np.ones((1, 1), bool))


def _rgb(patches: Sequence[Pixels]) -> Pixels:
    """Patches [size, size] or [size, size, 3] as uint8 [k, size, size, 3]."""
    stacked = np.stack(patches)
    return stacked if stacked.ndim == 4 else np.repeat(stacked[..., None], 3, axis=3)


def _mask_of(item: PatchSample) -> Mask:
    """Its masks, or empty ones that do not count."""
    return np.zeros(item.patches.shape[:3], bool) if item.masks is None else item.masks


def _place(count: int, number: int, seed: int) -> int:
    """Which of so many pictures is shown at that number: each once, then each once in new order."""
    epoch, place = divmod(number, count)
    return int(epoch_order(count, epoch, seed)[place])
