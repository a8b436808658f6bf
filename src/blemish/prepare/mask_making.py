"""Masks for a folder of images from scribbles on some of them; a mask that is done stays."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from blemish.errors import ImageError
from blemish.images import read_image, read_mask
from blemish.prepare.mask_cleaning import clean_mask
from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.mask_sheet import MOST_PICTURES, MaskedImage, cell, contact_sheet
from blemish.prepare.pixel_classifier import (
    PixelClassifier,
    Samples,
    require_sklearn,
    samples,
    train,
)
from blemish.prepare.scribbles import BACKGROUND, DEFECT, Labels, read_scribbles, refuse_one_label
from blemish.prepare.scribbles_matching import ScribbleMatches
from blemish.util.files import inside, open_regular, replacing
from blemish.util.progress import Progress, ShowProgress

SUFFIX = "_mask.png"
SHEET = "contact_sheet.png"
_MADE_BY = "blemish label masks"  # the PNG text that says from what a mask was made
_VERSION = 1  # raised when the same settings and scribbles give other masks


@dataclass(frozen=True)
class MaskSummary:
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
    matched: ScribbleMatches,
    out: Path,
    settings: MaskSettings,
    *,
    every: bool = False,
    progress: ShowProgress | None = None,
) -> MaskSummary:
    """Write `out/NAME_mask.png`, 0 and 255, for each scribbled image, by a classifier of pixels.

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
    masks = mask_names(matched.images)
    cells: list[tuple[str, NDArray[np.uint8]]] = []
    for number, name in enumerate(names, 1):
        image = learnt.kind.read(matched.folder / name)
        labels = _labels(matched.scribbles.get(name), image)
        target = inside(out, masks[name])
        recipe = learnt.recipe(name, image)
        state = _state(target, recipe)
        if state == "made":
            probability = learnt.classifier(name).probability(image)
            defect = None if labels is None else labels == DEFECT
            mask = clean_mask(probability, image, settings, defect)
            _write(target, mask, recipe)
        else:
            mask = read_mask(target, (image.shape[0], image.shape[1]))
        outcome[state].append(name)
        if not mask.any():
            outcome["empty"].append(name)
        if len(cells) < MOST_PICTURES:
            cells.append((name, cell(MaskedImage(image, mask, labels))))
        show(Progress("making masks", number, len(names)))
    _write_png(out / SHEET, contact_sheet(cells))
    return MaskSummary(**{k: tuple(v) for k, v in outcome.items()}, sheet=out / SHEET)


def mask_names(images: Sequence[str]) -> dict[str, str]:
    """The mask's name for each image's; where two differ in their endings alone, it keeps them."""
    stems = Counter(name.rpartition(".")[0] for name in images)
    masks = {}
    for name in images:
        stem, _, ending = name.rpartition(".")
        masks[name] = f"{stem}{SUFFIX}" if stems[stem] < 2 else f"{stem}_{ending}{SUFFIX}"
    return masks


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
class _TrainingSamples:
    """What was learnt from each scribbled image, digests of it, and the kind of all images.

    `complete` are the images on which both labels are drawn.
    """

    settings: MaskSettings
    kind: _Kind = field(default_factory=_Kind)
    samples: dict[str, Samples] = field(default_factory=dict)
    recipes: dict[str, str] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)

    def recipe(self, name: str, image: NDArray[Any]) -> str:
        """A digest of all that the mask of an image depends on."""
        used = (self.recipes[name],) if self._alone(name) else tuple(self.recipes.values())
        settings = json.dumps([_VERSION, asdict(self.settings)])
        return _digest(settings.encode(), image.tobytes(), *(text.encode() for text in used))

    def classifier(self, name: str) -> PixelClassifier:
        """The classifier trained on an image's own strokes, or else that of all strokes."""
        return train([self.samples[name]], self.settings) if self._alone(name) else self.common

    @cached_property
    def common(self) -> PixelClassifier:
        """Trained on all strokes, when it is first asked for."""
        return train(list(self.samples.values()), self.settings)

    def _alone(self, name: str) -> bool:
        return self.settings.own and name in self.complete


def _learn(
    matched: ScribbleMatches, settings: MaskSettings, show: ShowProgress
) -> _TrainingSamples:
    learnt = _TrainingSamples(settings)
    drawn = np.zeros(0, np.uint8)
    for number, (name, scribbles) in enumerate(sorted(matched.scribbles.items()), 1):
        image = learnt.kind.read(matched.folder / name)
        labels = read_scribbles(scribbles, image.shape[:2])
        here = np.unique(labels)
        drawn = np.union1d(drawn, here)
        if np.isin((BACKGROUND, DEFECT), here).all():
            learnt.complete.add(name)
        rng = np.random.default_rng([settings.seed, zlib.crc32(name.encode())])
        learnt.samples[name] = samples(image, labels, settings, rng)
        learnt.recipes[name] = _digest(name.encode(), image.tobytes(), labels.tobytes())
        show(Progress("reading scribbles", number, len(matched.scribbles)))
    refuse_one_label(drawn)
    return learnt


def _labels(scribbles: Path | None, image: NDArray[Any]) -> Labels | None:
    return None if scribbles is None else read_scribbles(scribbles, image.shape[:2])


def _state(target: Path, recipe: str) -> str:
    """What to do about a mask: "made" (make it), "kept", or "changed" (leave it)."""
    if not target.exists():
        return "made"
    try:
        with open_regular(target) as file, PngImageFile(file) as image:
            before, _, drawn = str(image.text.get(_MADE_BY, "")).partition(" ")
    except Exception:  # Pillow's words for a file that is no PNG, or a damaged one
        return "changed"
    if drawn != _digest(read_image(target).tobytes()):
        return "changed"
    return "kept" if before == recipe else "made"


def _write(target: Path, mask: NDArray[np.bool_], recipe: str) -> None:
    pixels = mask.astype(np.uint8) * np.uint8(255)
    said = PngInfo()
    said.add_text(_MADE_BY, f"{recipe} {_digest(pixels.tobytes())}")
    _write_png(target, pixels, pnginfo=said)


def _write_png(target: Path, pixels: NDArray[np.uint8], **options: Any) -> None:
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", **options)
    with replacing(target) as file:
        file.write(encoded.getvalue())


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]
