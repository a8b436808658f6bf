"""The supervised stream: patches at random places of plates, half with a synthetic defect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from blemish.discovery import is_path
from blemish.errors import DatasetError
from blemish.prepare.known_defects import read_known_defects
from blemish.prepare.patch_augmentation import cut, draw_spot, draw_turn, lit
from blemish.prepare.patch_recipe import Augmentation, GeneratorSettings, PatchRecipe
from blemish.prepare.plate_opener import attributes, image_paths, inputs_of, open_plates
from blemish.prepare.plates import (
    UNPACKED,
    Plate,
    file_sha256,
    plate_files,
)
from blemish.prepare.region_of_interest import count_of
from blemish.prepare.stream_file import Item, Names, write_stream
from blemish.prepare.work_folder import work_folder
from blemish.synthesis import GENERATORS, Generator, open_generator
from blemish.util.progress import ShowProgress

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class StreamSummary:
    """What was written to `path`; `before` patches were there from an earlier call."""

    path: Path
    patches: int
    synthetic: int
    turned: int
    plates: int
    before: int


@dataclass(frozen=True, eq=False)
class SupervisedPatches:
    """Makes the items of a stream, each from the seed and its own number alone."""

    plates: Sequence[Plate]
    size: int
    augmentation: Augmentation
    generator: GeneratorSettings
    sources: Sequence[Path]
    seed: int
    shape: tuple[int, ...]
    dtype: str

    @cached_property
    def _ends(self) -> Any:
        """Up to which number the places of each plate count, all plates in a row."""
        return np.cumsum([count_of(plate.places) for plate in self.plates])

    @cached_property
    def _draw_defect(self) -> Generator:
        settings = self.generator
        return open_generator(
            settings.name, settings.settings, preset=settings.preset, sources=self.sources
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the open generator: another process has not run a file from outside."""
        return {name: value for name, value in vars(self).items() if name != "_draw_defect"}

    def __call__(self, number: int) -> Item:
        """A patch of a plate, each place being as likely as any other."""
        rng = np.random.default_rng([self.seed, number])
        index = int(self._ends.searchsorted(rng.integers(self._ends[-1]), side="right"))
        plate = self.plates[index]
        turn = draw_turn(self.augmentation, rng)
        spot = draw_spot(plate.region, plate.places, self.size, turn, rng)
        image = lit(cut(plate.pixels(), spot, self.size), self.augmentation, plate.top, rng)
        mask = np.zeros((self.size, self.size), bool)
        if rng.random() < self.generator.share:
            synthetic = self._draw_defect(image, rng)
            image, mask = synthetic.image, synthetic.mask
        defect = 0 if mask.any() else None
        return Item(image, mask, index, spot.transform, defect)


def prepare_stream(
    recipe: PatchRecipe,
    out: Path,
    *,
    count: int | None = None,
    workers: int = 1,
    budget: float | None = None,
    progress: ShowProgress | None = None,
) -> StreamSummary:
    """Write the stream of a recipe's training plates to an HDF5 file, whole or not at all.

    It goes on where an earlier call stopped, and gives the same file then. Raises DatasetError for
    plates that cannot be used, and as `write_stream` does.
    """
    number = recipe.stream.count if count is None else count
    if number < 1:
        raise DatasetError(f"a stream of {number} patches is none; give a count of 1 or more.")
    files = plate_files(recipe)
    known = read_known_defects(recipe, files)
    train = files["train"]
    sources = [path for name in recipe.generator.sources for path in image_paths(recipe.path(name))]
    facts = inputs_of("stream", recipe, train)
    facts["sources"] = [file_sha256(path) for path in sources]
    generator, told = recipe.generator, attributes(recipe)
    if is_path(generator.name):
        generator = replace(generator, name=str(recipe.path(generator.name).absolute()))
    if (outside := GENERATORS.record(generator.name)) is not None:
        facts["outside"] = outside
        told["outside"] = json.dumps(outside)
    with work_folder(out, facts) as folder:
        plates = open_plates(train, recipe, known, folder / UNPACKED, progress)
        pixels = plates[0].pixels()
        size = recipe.patches.size
        maker = SupervisedPatches(
            plates,
            size,
            recipe.augmentation,
            generator,
            sources,
            recipe.seed,
            (size, size, *pixels.shape[2:]),
            pixels.dtype.name,
        )
        maker._draw_defect  # noqa: B018 (a wrong setting is told before the work begins)
        names = Names([plate.name for plate in plates], [SYNTHETIC])
        before = write_stream(
            *(maker, number, out, folder, names, told),
            workers=workers,
            budget=budget,
            progress=progress,
        )
        return _summary(out, len(plates), before)


def _summary(out: Path, plates: int, before: int) -> StreamSummary:
    """What the finished file holds."""
    import h5py

    with h5py.File(out, "r") as content:
        label, transform = content["label"][()], content["origin/transform"][()]
    turned = np.any(transform[:, :, :2] != np.eye(2), axis=(1, 2))
    return StreamSummary(out, len(label), int(label.sum()), int(turned.sum()), plates, before)
