"""The contract of a generator as code: `check_generator(name)` raises where it is broken.

Whoever adds a file under `synthesis/` runs it on its name; the tests run it for every generator
there is. Each clause is a function of a `GeneratorCase` and can be run alone:

    from blemish.synthesis.conformance import (
        GeneratorCase,
        check_changes_inside_the_mask,
        check_generator,
    )

    check_generator("mine")
    check_changes_inside_the_mask(GeneratorCase("mine"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from blemish.errors import ImageError
from blemish.synthesis import describe, open_generator, preset_names, settings_of
from blemish.synthesis.base import Generator, Pixels, Synthetic
from blemish.synthesis.visible import noise_of

GRAIN = 3.0  # the noise of the pictures, in grey levels
LEAST_PIXELS = 6
LEAST_CONTRAST = 6.0  # grey levels
LEAST_FOUND = 0.5  # of the pictures, that get a visible defect
SHAPES = ((8, 8), (8, 61), (33, 9), (64, 48), (131, 257))
KINDS = ("grey", "colour", "deep", "deep colour")


@dataclass(frozen=True)
class GeneratorCase:
    """A generator with its own defaults, and what is drawn for it."""

    name: str

    @property
    def generator(self) -> Generator:
        """As a user opens it."""
        return open_generator(self.name)

    def drawn(self, image: Pixels, seed: int = 0) -> Synthetic:
        """Its defect on that image."""
        return self.generator(image, np.random.default_rng(seed))

    def pairs(self, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[Pixels, Synthetic]]:
        """Pictures of each kind and shape, with what becomes of each."""
        for kind in kinds:
            for seed, shape in enumerate(SHAPES):
                image = picture(shape, kind, seed)
                yield image, self.drawn(image, seed)


def picture(shape: tuple[int, int], kind: str = "grey", seed: int = 0) -> Pixels:
    """A print of discs and stripes with grain: 8 bits, or 12 bits in 16 for the deep kinds."""
    rng = np.random.default_rng(seed)
    canvas = np.full(shape, 120, np.float32)
    for _ in range(1 + shape[0] * shape[1] // 600):
        centre = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        cv2.circle(canvas, centre, int(rng.integers(3, 15)), float(rng.uniform(40, 220)), -1)
    canvas[:, :: max(4, shape[1] // 5)] = 60
    if "colour" in kind:
        canvas = canvas[..., None] * np.array([1, 0.9, 0.7], np.float32)
    levels = np.clip(canvas + rng.normal(0, GRAIN, canvas.shape), 0, 255)
    return (levels * 16).astype(np.uint16) if "deep" in kind else levels.astype(np.uint8)


def check_generator(name: str) -> None:
    """Check every clause of the contract, in the order of `CLAUSES`.

    Raises AssertionError with a sentence for the first clause that the generator breaks.
    """
    case = GeneratorCase(name)
    for clause in CLAUSES:
        clause(case)


def check_is_described_settings(case: GeneratorCase) -> None:
    """A described frozen dataclass, whose presets are settings."""
    generator: Any = case.generator
    assert dataclasses.is_dataclass(generator), f"{case.name} is no dataclass of settings"
    kind: Any = type(generator)
    assert kind.__dataclass_params__.frozen, f"{case.name}: its settings can be changed"
    assert describe(case.name), f"{case.name}: the first line of its file says nothing about it"
    for preset in preset_names(case.name):
        assert settings_of(open_generator(case.name, preset=preset)), f"{case.name}: {preset}"


def check_keeps_shape_and_type(case: GeneratorCase) -> None:
    """The image has the given one's shape and type, the mask is bool; both are arrays of its own.

    An empty mask means an unchanged image.
    """
    for image, after in case.pairs():
        before = image.copy()
        what = f"{case.name}, {image.dtype} {list(image.shape)}"
        assert (after.image.shape, after.image.dtype) == (image.shape, image.dtype), what
        assert (after.mask.shape, after.mask.dtype.kind) == (image.shape[:2], "b"), what
        assert after.image.flags.c_contiguous, f"{what}: the image is not contiguous"
        assert not np.shares_memory(after.image, image), f"{what}: not an image of its own"
        if not after.mask.any():
            assert np.array_equal(after.image, image), f"{what}: changed, but no mask"
        after.image[...] = 0
        assert np.array_equal(image, before), f"{what}: the given image was changed"


def check_same_seed_same_pixels(case: GeneratorCase) -> None:
    """The same seed gives the same pixels and mask, another seed others."""
    image = picture((131, 257))
    first, again, other = (case.drawn(image, seed) for seed in (5, 5, 6))
    same = np.array_equal(first.image, again.image) and np.array_equal(first.mask, again.mask)
    assert same, f"{case.name}: the same seed draws otherwise"
    assert not np.array_equal(first.image, other.image), f"{case.name}: all seeds draw the same"


def check_mostly_draws(case: GeneratorCase) -> None:
    """Most pictures get a visible defect."""
    found = [case.drawn(picture((128, 128), seed=seed), seed).mask.any() for seed in range(20)]
    assert np.mean(found) >= LEAST_FOUND, f"{case.name} draws on {np.mean(found):.0%} of pictures"


def check_changes_inside_the_mask(case: GeneratorCase) -> None:
    """Outside the mask no pixel changes by more than the larger of three levels and the noise.

    The noise is that of a window that the generator chose; hence twice that of the whole picture.
    """
    for image, after in case.pairs():
        level = 16 if image.dtype == np.uint16 else 1
        beyond = _step(image, after)[~after.mask]
        largest, most = float(beyond.max(initial=0)) / level, 2 * noise_of(image) / level
        told = f"{case.name}: {largest:.1f} levels outside the mask, in noise of {most / 2:.1f}"
        assert largest <= max(most, 3.0), told


def check_mask_can_be_seen(case: GeneratorCase) -> None:
    """Every spot of the mask has at least six pixels, and changes by six grey levels or more."""
    for image, after in case.pairs():
        level = 16 if image.dtype == np.uint16 else 1
        step = _step(image, after) / level
        count, labels = cv2.connectedComponents(after.mask.astype(np.uint8), connectivity=8)
        for spot in range(1, count):
            inside = step[labels == spot]
            assert inside.size >= LEAST_PIXELS, f"{case.name}: a spot of {inside.size} pixels"
            mean = float(inside.mean())
            assert mean >= LEAST_CONTRAST, f"{case.name}: a spot that changes by {mean:.1f} levels"


def check_stays_in_the_depth(case: GeneratorCase) -> None:
    """12 bits in 16 stay 12 bits."""
    for _, after in case.pairs(("deep", "deep colour")):
        assert int(after.image.max()) <= 4095, (
            f"{case.name}: 12-bit pixels reach {after.image.max()}"
        )


def check_takes_any_pixels(case: GeneratorCase) -> None:
    """Flat, black, white, read-only and non-contiguous images are taken."""
    wide = picture((96, 128))
    for value, kind in ((0, np.uint8), (255, np.uint8), (0, np.uint16), (65535, np.uint16)):
        case.drawn(np.full((40, 50), value, kind))
    wide.setflags(write=False)
    flat = wide[::-2, ::2]
    for image in (flat, wide.T, np.dstack([wide] * 3)[:, :, ::-1]):
        apart, close = case.drawn(image), case.drawn(np.ascontiguousarray(image))
        same = np.array_equal(apart.image, close.image)
        assert same, f"{case.name} draws otherwise on a non-contiguous image"


def check_refuses_other_arrays(case: GeneratorCase) -> None:
    """Float pixels, four channels and no pixels at all are refused, with what is wrong."""
    others: dict[str, Pixels] = {
        "float32": np.zeros((16, 16), np.float32),
        "int32": np.zeros((16, 16), np.int32),
        "[16, 16, 4]": np.zeros((16, 16, 4), np.uint8),
        "[0, 16]": np.zeros((0, 16), np.uint8),
        "[16]": np.zeros(16, np.uint8),
    }
    for word, image in others.items():
        refusal = ""
        try:
            case.drawn(image)
        except ImageError as error:
            refusal = str(error)
        assert refusal, f"{case.name} takes an array that it must refuse: {word}"
        assert word in refusal, f"{case.name} refuses, but does not say {word}: {refusal}"


CLAUSES: tuple[Callable[[GeneratorCase], None], ...] = (
    check_is_described_settings,
    check_keeps_shape_and_type,
    check_same_seed_same_pixels,
    check_mostly_draws,
    check_changes_inside_the_mask,
    check_mask_can_be_seen,
    check_stays_in_the_depth,
    check_takes_any_pixels,
    check_refuses_other_arrays,
)


def _step(image: Pixels, after: Synthetic) -> Any:
    """How much each pixel changed, in the channel that changed most."""
    step = np.abs(after.image.astype(np.float64) - image)
    return step.max(axis=2) if step.ndim == 3 else step
