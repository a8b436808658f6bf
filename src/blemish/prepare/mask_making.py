"""Masks for a folder of images from scribbles on some of them; a mask that is done stays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from blemish.errors import ImageError
from blemish.files import replacing
from blemish.images import read_image, read_mask
from blemish.prepare.mask_cleaning import clean_mask
from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.mask_sheet import MOST_PICTURES, Masked, cell, contact_sheet
from blemish.prepare.pixel_classifier import (
    PixelClassifier,
    Samples,
    require_sklearn,
    samples,
    train,
)
from blemish.prepare.scribbles import DEFECT, Labels, read_scribbles, refuse_one_label
from blemish.prepare.scribbles_matching import Matched
from blemish.progress import Progress, ShowProgress

SUFFIX = "_mask.png"
SHEET = "contact_sheet.png"
_MADE_BY = "blemish label masks"  # the PNG text that says from what a mask was made
_VERSION = 1  # raised when the same settings and scribbles give other masks


@dataclass(frozen=True)
class MasksMade:
    """Masks by the images' names: `made` now, `kept` from before, `changed` by hand or foreign.

    A mask that was changed by hand is never written over. `empty` are those without a defect;
    `sheet` is the picture to look at.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    changed: tuple[str, ...]
    empty: tuple[str, ...]
    sheet: Path


def make_masks(
    matched: Matched,
    out: Path,
    settings: MaskSettings,
    *,
    every: bool = False,
    progress: ShowProgress | None = None,
) -> MasksMade:
    """Train on all scribbles, and write `out/NAME_mask.png`, 0 and 255, for each scribbled image.

    With `every`, for each image of the folder. What is there from the same scribbles, images and
    settings is kept, so that a stopped command goes on where it was.
    Raises BlemishError for scribbles of one label only and where scikit-learn is not installed, and
    ImageError for images of several kinds or files that cannot be read.
    """
    require_sklearn()
    show = progress or (lambda _: None)
    learnt = _learn(matched, settings, show)
    names = matched.images if every else tuple(n for n in matched.images if n in matched.scribbles)
    outcome: dict[str, list[str]] = {"made": [], "kept": [], "changed": [], "empty": []}
    cells: list[tuple[str, NDArray[np.uint8]]] = []
    for number, name in enumerate(names, 1):
        image = learnt.kind.read(matched.folder / name)
        labels = _labels(matched.scribbles.get(name), image)
        target = mask_path(out, name, names)
        recipe = _digest(learnt.recipe, image.tobytes())
        state = _state(target, recipe)
        if state == "made":
            probability = learnt.classifier.probability(image)
            defect = None if labels is None else labels == DEFECT
            mask = clean_mask(probability, image, settings, defect)
            _write(target, mask, recipe)
        else:
            mask = read_mask(target, (image.shape[0], image.shape[1]))
        outcome[state].append(name)
        if not mask.any():
            outcome["empty"].append(name)
        if len(cells) < MOST_PICTURES:
            cells.append((name, cell(Masked(image, mask, labels))))
        show(Progress("making masks", number, len(names)))
    _write_png(out / SHEET, contact_sheet(cells))
    return MasksMade(**{k: tuple(v) for k, v in outcome.items()}, sheet=out / SHEET)


def mask_path(out: Path, name: str, names: tuple[str, ...]) -> Path:
    """Where the mask of an image belongs; two images of one stem keep their endings."""
    stem, _, ending = name.rpartition(".")
    alone = sum(other.rpartition(".")[0] == stem for other in names) < 2
    return out / f"{stem if alone else f'{stem}_{ending}'}{SUFFIX}"


@dataclass
class _Kind:
    """The depth and number of channels that all images must have: those of the first."""

    first: Path | None = None
    words: str = ""

    def read(self, path: Path) -> NDArray[Any]:
        """Read an image of this kind; ImageError for one of another."""
        image = read_image(path)
        words = f"{image.dtype.name} {'grey' if image.ndim == 2 else 'RGB'}"
        if self.first is None:
            self.first, self.words = path, words
        elif words != self.words:
            raise ImageError(
                f"{path} is {words} but {self.first} is {self.words}; one classifier needs images "
                "of one kind, so save them alike or make their masks apart"
            )
        return image


@dataclass(frozen=True, eq=False)
class _Learnt:
    """What was learnt from, a digest of it, and the kind that every image must be of."""

    samples: list[Samples]
    settings: MaskSettings
    recipe: str
    kind: _Kind

    @cached_property
    def classifier(self) -> PixelClassifier:
        """Trained when the first mask is made: not at all where all masks are there."""
        return train(self.samples, self.settings)


def _learn(matched: Matched, settings: MaskSettings, show: ShowProgress) -> _Learnt:
    kind, found = _Kind(), []
    drawn = np.zeros(0, np.uint8)
    recipe = _digest(str(_VERSION), json.dumps(asdict(settings)).encode())
    for number, (name, scribbles) in enumerate(sorted(matched.scribbles.items()), 1):
        image = kind.read(matched.folder / name)
        labels = read_scribbles(scribbles, (image.shape[0], image.shape[1]))
        drawn = np.union1d(drawn, labels)
        rng = np.random.default_rng([settings.seed, number])
        found.append(samples(image, labels, settings, rng))
        recipe = _digest(recipe, image.tobytes(), labels.tobytes())
        show(Progress("reading scribbles", number, len(matched.scribbles)))
    refuse_one_label(drawn)
    return _Learnt(found, settings, recipe, kind)


def _labels(scribbles: Path | None, image: NDArray[Any]) -> Labels | None:
    return None if scribbles is None else read_scribbles(scribbles, image.shape[:2])


def _state(target: Path, recipe: str) -> str:
    """What to do about a mask: "made" (make it), "kept", or "changed" (leave it)."""
    if not target.exists():
        return "made"
    try:
        with target.open("rb") as file, PngImageFile(file) as image:
            before, _, drawn = str(image.text.get(_MADE_BY, "")).partition(" ")
    except SyntaxError:  # Pillow's word for a file that is no PNG
        return "changed"
    if drawn != _digest("", read_image(target).tobytes()):
        return "changed"
    return "kept" if before == recipe else "made"


def _write(target: Path, mask: NDArray[np.bool_], recipe: str) -> None:
    pixels = mask.astype(np.uint8) * np.uint8(255)
    said = PngInfo()
    said.add_text(_MADE_BY, f"{recipe} {_digest('', pixels.tobytes())}")
    _write_png(target, pixels, pnginfo=said)


def _write_png(target: Path, pixels: NDArray[np.uint8], **options: Any) -> None:
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", **options)
    with replacing(target) as file:
        file.write(encoded.getvalue())


def _digest(before: str, *contents: bytes) -> str:
    digest = hashlib.sha256(before.encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]
