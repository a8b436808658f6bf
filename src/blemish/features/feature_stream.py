"""The backbone's features of many images, batch by batch, computed once and cached."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from blemish.errors import ArtifactError, ImageError
from blemish.features import cache
from blemish.features.backbone import Backbone
from blemish.features.device import check_device
from blemish.features.session import open_session
from blemish.images import Crop, Recipe, crop_boxes, crops, read_eight_bit

log = logging.getLogger("blemish")

Floats = npt.NDArray[np.float32]
Half = npt.NDArray[np.float16]
Run = Callable[[npt.NDArray[np.uint8]], Sequence[Floats]]


@dataclass(frozen=True)
class Batch:
    """Features of a few crops.

    `layers`: float32 [n, c, h, w] per layer name; `valid`: float32 [n, 4], the box (top, left,
    bottom, right) that the picture fills, in model pixels; `image`: int [n], which image of the
    list each crop is from.
    """

    layers: dict[str, Floats]
    valid: Floats
    image: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Reading:
    """One image file: its key, and its cached crops or, where there are none, its pixels."""

    path: Path
    key: bytes
    cached: int
    image: npt.NDArray[np.uint8] | None


class FeatureStream:
    """One backbone, some of its layers and one recipe, over any list of images.

    Every pass yields the same float16-rounded values, whether computed now or read back, so that
    a fit does not depend on what was in the cache. Without a folder nothing is kept. `device` is
    "cpu", ONNX Runtime, or "cuda", torch on a GPU; the two agree to about 1e-4 of a layer's
    largest value.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Sequence[str],
        recipe: Recipe,
        *,
        folder: Path | None = None,
        limit: int = cache.DEFAULT_LIMIT,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.backbone = backbone
        self.recipe = recipe
        self.layers = tuple(backbone.layer(name) for name in layers)
        self.shapes = {
            layer.name: (
                layer.channels,
                -(-recipe.height // layer.stride),
                -(-recipe.width // layer.stride),
            )
            for layer in self.layers
        }
        self._sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self._threads = threads
        check_device(device)
        self.device = device
        self._run: Run | None = None
        self._shelf: cache.Shelf | None = None
        if folder is not None:
            try:
                cache.trim(folder, limit, keep=folder / self.key)
                # Four numbers more than the features: each row also keeps its valid box.
                self._shelf = cache.Shelf(folder / self.key, self.width)
            except OSError as error:
                log.warning(
                    "features are not kept: the cache folder %s cannot be written (%s); "
                    "name another with BLEMISH_CACHE",
                    folder,
                    error.strerror,
                )

    @property
    def key(self) -> str:
        """What the features depend on, hashed: recipe, backbone, layers and runtime version."""
        parts = [
            self.recipe.to_json(),
            self.backbone.sha256,
            list(self.shapes),
            *self._runtime(),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _runtime(self) -> list[str]:
        """What computes the features: program, version, device."""
        if self.device == "cpu":
            return [onnxruntime.__version__]
        return ["torch", version("torch"), self.device]

    def batches(self, images: Sequence[Path], size: int = 16) -> Iterator[Batch]:
        """The features of these images in their order, at most `size` crops at a time."""
        rows: list[Half] = []
        owners: list[int] = []
        for index, row, _ in self.rows(images):
            rows.append(row)
            owners.append(index)
            if len(rows) == size:
                yield self.batch(rows, owners)
                rows, owners = [], []
        if rows:
            yield self.batch(rows, owners)

    @property
    def width(self) -> int:
        """Numbers in a row: the features of one crop and its valid box."""
        return sum(self._sizes) + 4

    def batch(self, rows: Sequence[Half], owners: Sequence[int]) -> Batch:
        """Rows of crops, and which image each is from, as a batch."""
        values = np.stack(rows).astype(np.float32)
        *layers, valid = np.split(values, np.cumsum(self._sizes), axis=1)
        shaped = {
            name: layer.reshape(len(rows), *shape)
            for (name, shape), layer in zip(self.shapes.items(), layers, strict=True)
        }
        return Batch(shaped, valid, np.array(owners))

    def rows(self, images: Sequence[Path]) -> Iterator[tuple[int, Half, cache.Entry | None]]:
        """Which image, the row of one of its crops, and where that is kept, if it is.

        Prefetches: files are read two images ahead.
        """
        ahead: deque[Future[_Reading]] = deque()
        with ThreadPoolExecutor(2) as readers:
            try:
                for index in range(len(images)):
                    for next_image in images[index + len(ahead) : index + 3]:
                        ahead.append(readers.submit(self._read, next_image))
                    for row, entry in self._features(ahead.popleft().result()):
                        yield index, row, entry
            finally:
                readers.shutdown(cancel_futures=True)
                if self._shelf is not None:
                    self._shelf.close()

    def _read(self, path: Path) -> _Reading:
        key, cached = b"", 0
        if self._shelf is not None:
            key = cache.image_key(path)
            cached = self._shelf.crops(key)
        image = None if cached else read_eight_bit(path, self.recipe.window)
        return _Reading(path, key, cached, image)

    def _features(self, reading: _Reading) -> Iterator[tuple[Half, cache.Entry | None]]:
        if reading.image is None:
            assert self._shelf is not None
            for number in range(reading.cached):
                row = _finite(self._shelf.get(reading.key, number), reading.path)
                yield row, self._shelf.entry(reading.key, number)
            return
        total = len(crop_boxes(reading.image.shape, self.recipe))
        for number, crop in enumerate(crops(reading.image, self.recipe)):
            row, entry = _finite(self._compute(crop), reading.path), None
            if self._shelf is not None:
                try:
                    entry = self._shelf.put(reading.key, number, total, row)
                except OSError as error:
                    log.warning(
                        "features are no longer kept in %s (%s); training goes on without it",
                        self._shelf.folder,
                        error.strerror,
                    )
                    self._shelf = None
            yield row, entry

    def _compute(self, crop: Crop) -> Half:
        # One crop at a time, so that the values do not depend on which crops share a batch.
        if self._run is None:
            self._run = self._open()
        outputs = self._run(crop.tensor[None])
        return np.concatenate([*(output.ravel() for output in outputs), crop.valid]).astype(
            np.float16
        )

    def _checked(self, outputs: list[Floats]) -> list[Floats]:
        """The layers of one image; ArtifactError where they are none that the card describes."""
        shapes = [output.shape[1:] for output in outputs]
        if shapes != list(self.shapes.values()):
            raise ArtifactError(
                f"{self.backbone.path} gives layers {shapes}, and its card describes "
                f"{list(self.shapes.values())}; delete it and import it again"
            )
        return outputs

    def _open(self) -> Run:
        """What turns uint8 [1, height, width, 3] into the layers."""
        if self.device == "cpu":
            session = open_session(self.backbone.path, threads=self._threads)
            return lambda image: self._checked(session.run(list(self.shapes), {"image": image}))
        from blemish.features.torch_backbone import TorchSession

        return TorchSession(self.backbone.path, list(self.shapes), self.device).run


def _finite(row: Half, path: Path) -> Half:
    """The row; ImageError where a feature is NaN, or beyond what 16 bits hold."""
    if not np.isfinite(row).all():
        raise ImageError(
            f"{path} has features that are not finite; leave it out, or take another backbone"
        )
    return row
