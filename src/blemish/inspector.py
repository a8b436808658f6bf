"""Open a model and inspect images and parts; needs numpy, ONNX Runtime and OpenCV, nothing more."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.calibration.a_contrario import Latent, Surprise
from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.views import Decision, ViewScales, decide, missing_views, part_score
from blemish.errors import ArtifactError, BlemishError, CalibrationError, ImageError
from blemish.features.session import open_session
from blemish.images import (
    Box,
    Crop,
    Picture,
    Recipe,
    as_stored,
    centre_box,
    crops,
    picture_name,
    picture_pairs,
    read_picture,
    stitch,
    surround,
    unfit,
)
from blemish.model.artifact import Artifact, open_artifact
from blemish.model.card import Card, Latency
from blemish.model.golden import replay
from blemish.model.graph_contract import check_graph, check_outputs
from blemish.util.names import path_of, text_of, type_of

Feed = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]

# Seconds: other machines are slower, and a card may say anything.
_SHORTEST_LIMIT, _LONGEST_LIMIT = 10.0, 600.0


@dataclass(frozen=True)
class Region:
    """One connected place above the map threshold, in the original image's pixels.

    It is the part of that place above halfway between the threshold and its own peak, because a
    clear defect lifts the map around it as well. `box` is (top, left, bottom, right), the end
    exclusive; `peak` is (row, column) of the largest value, `value`.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: tuple[int, int]
    value: float


@dataclass(frozen=True, eq=False)
class Look:
    """What the model says of one image: its score, and its anomaly map on demand.

    `peak` is the largest value of the model's own map, before it is brought to the image's pixels;
    `seen` is the box of the image that the model looked at: all of it but for a centre crop.
    """

    score: float
    peak: float
    shape: tuple[int, int]
    seen: Box
    _maps: Sequence[Floats]  # of the crops
    _latents: Sequence[Latent]
    _stitch: Callable[[Sequence[Floats]], Floats]

    @cached_property
    def map(self) -> Floats:
        """The anomaly map in the image's pixels, float32 [H, W]; lowest where it was not seen."""
        return self._stitch(self._maps)

    @cached_property
    def surprise(self) -> Surprise | None:
        """What chance alone would make of the image; None for a model without latents to test."""
        return Surprise.of(self._latents) if self._latents else None

    @cached_property
    def surprise_map(self) -> Floats | None:
        """Minus log10 NFA in the image's pixels, float32 [H, W]: above 0 an anomaly is."""
        if self.surprise is None:
            return None
        scales = [self._stitch(maps) for maps in self.surprise.maps]
        most: Floats = np.maximum.reduce(scales)
        return most - np.float32(self.surprise.log_tests)


@dataclass(frozen=True, eq=False)
class ViewResult:
    """One image of a part; one that cannot be read has a `reason`, and neither score nor look."""

    image: str
    view: str | None
    score: float | None
    look: Look | None
    regions: tuple[Region, ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the map; `reason` where there is one."""
        regions = [
            {"box": r.box, "area": r.area, "peak": r.peak, "value": r.value} for r in self.regions
        ]
        surprise = None if self.look is None else self.look.surprise
        return {
            "image": self.image,
            "view": self.view,
            "score": self.score,
            "regions": regions,
            **({} if surprise is None else {"nfa": surprise.to_json()}),
            **({} if self.reason is None else {"reason": self.reason}),
        }


@dataclass(frozen=True, eq=False)
class Verdict:
    """The decision on one part, never a pass where anything is amiss.

    "reject" if a view is above the threshold, else "unreadable" if one cannot be read, else
    "incomplete" if one is missing, else "pass". `score` is that of the views that can be read, None
    without any.
    """

    part: str
    decision: Decision
    score: float | None
    threshold: float
    views: tuple[ViewResult, ...]
    missing: tuple[str, ...]
    model: str

    @property
    def reason(self) -> str | None:
        """Why a view of the part, the first such, cannot be read; None where all can."""
        return next((view.reason for view in self.views if view.reason is not None), None)

    def to_json(self) -> dict[str, Any]:
        """The verdict without maps, ready for JSON; `reason` where there is one."""
        return {
            "part": self.part,
            "decision": self.decision,
            "score": self.score,
            "threshold": self.threshold,
            "views": [view.to_json() for view in self.views],
            "missing_views": list(self.missing),
            "model": self.model,
            **({} if self.reason is None else {"reason": self.reason}),
        }


class Inspector:
    """A model ready to inspect; one that has no card yet scores, and decides nothing."""

    def __init__(
        self,
        model: bytes,
        recipe: Recipe,
        card: Card | None = None,
        name: str = "",
        *,
        threads: int | None = None,
        source: object = "the model",
    ) -> None:
        """Open the graph; `source` is the name of its file in sentences.

        Raises ArtifactError for a graph that ONNX Runtime refuses, and for one that takes or gives
        something else than a model's does.
        """
        if threads is not None and (type(threads) is not int or threads < 1):
            raise BlemishError(f"threads must be a whole number of 1 or more, not {threads!r}")
        self.recipe = recipe
        self.card = card
        self.name = name
        self.graph = ""  # the sha256 of the graph alone, of a model that was opened
        self._latents = {} if card is None else card.latent_channels
        seconds = None if card is None else _longest_run(card.latency_ms)
        self.session = open_session(model, threads=threads, name=source, seconds=seconds)
        check_graph(self.session, recipe, self._latents)
        self._pads = "valid" in self.session.input_names

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Inspector:
        """Open a `.blemish` file. Raises ArtifactError for one that cannot be trusted."""
        return cls.of(open_artifact(path_of(path, "the model", ArtifactError)), threads=threads)

    @classmethod
    def of(cls, artifact: Artifact, *, threads: int | None = None) -> Inspector:
        """An inspector for an artifact that is already open, once it has replayed its picture.

        Raises ArtifactError for a graph that cannot be run, is none of a model, or gives the golden
        picture another score than its card.
        """
        card, named = artifact.card, artifact.path
        own = cls(artifact.model, card.recipe, card, artifact.sha256, threads=threads, source=named)
        own.graph = artifact.graph_sha256
        replay(artifact, lambda pixels: own.look_at(pixels, "its golden picture").score)
        return own

    def of_category(self, name: str) -> Inspector:
        """The same model with the threshold, map threshold and views of one of its categories.

        Raises CalibrationError for a category that has no threshold of its own.
        """
        own = copy.copy(self)
        own.card = self.known.with_calibration(self.calibration.of_category(name))
        return own

    @property
    def calibration(self) -> PartCalibration:
        """The threshold on parts, and all that goes with it; raises as `known` does."""
        return self.known.calibration

    @property
    def known(self) -> Card:
        """The card. Raises CalibrationError for a model that has none yet."""
        if self.card is None:
            raise CalibrationError("The model has no card yet, and decides nothing.")
        return self.card

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that have a threshold of their own; none where the model learnt one."""
        return tuple(self.calibration.categories)

    @property
    def threshold(self) -> float:
        """A part is rejected if and only if its score is larger."""
        return self.calibration.threshold

    @property
    def required_views(self) -> tuple[str, ...]:
        """Views without which no part passes; none for a product with one picture a part."""
        return self.calibration.required_views

    @property
    def view_scales(self) -> ViewScales | None:
        """The scale of each view's scores, where the training learnt it."""
        return None if self.card is None else self.card.views

    def look(self, image: Picture) -> Look:
        """Score one image: a file, or an array [H, W], [H, W, 1] or RGB [H, W, 3].

        An array keeps the rules of files: uint8, or uint16 or float32 for a model that has learnt
        from such images, through whose window it goes; bool becomes 0 and 255. Raises ImageError
        for a file that cannot be read, for an array of another kind, for either in another depth
        than the training, and for an image of which the model computes a number that is not finite.
        """
        named = picture_name(image) or "the array"
        return self.look_at(read_picture(image, self.recipe.window), named)

    def look_at(self, pixels: npt.NDArray[np.uint8], named: str = "the image") -> Look:
        """Score uint8 pixels, [H, W] or RGB [H, W, 3], that have gone through the window already.

        Raises ImageError for other pixels, and where the model computes what is not finite.
        """
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise ImageError(f"{named} must be an array of uint8, not {type_of(pixels)}")
        pixels = as_stored(pixels)
        shape = (pixels.shape[0], pixels.shape[1])
        seen: list[Crop] = []
        maps: list[Floats] = []
        latents = [Latent(channels) for channels in self._latents.values()]
        score = peak = -np.inf
        for crop in crops(pixels, self.recipe):
            # One crop at a time: memory stays bounded, and the score is that of any batch.
            feed: Feed = {"image": crop.tensor[None]}
            if self._pads:
                feed["valid"] = crop.valid[None]
            outputs = self.session.run(["map", "score", *self._latents], feed, named)
            check_outputs(self.session.name, outputs)
            map_, crop_score, *aux = outputs
            score = max(score, float(crop_score[0]))
            cells = _covered(map_[0], crop, self.recipe)
            peak = max(peak, float(cells.max()))
            for latent, energy in zip(latents, aux, strict=True):
                rows, columns = _covered(energy[0], crop, self.recipe).shape
                latent.add(energy[0], rows, columns)
            seen.append(crop)
            maps.append(map_[0])

        def whole(maps: Sequence[Floats]) -> Floats:
            fitted = [
                unfit(map_, crop.valid, self.recipe, crop.shape)
                for crop, map_ in zip(seen, maps, strict=True)
            ]
            boxes = [crop.box for crop in seen]
            if len(fitted) == 1:
                return surround(fitted[0], boxes[0], shape)
            return stitch(fitted, boxes, shape)

        return Look(score, peak, shape, centre_box(shape, self.recipe), maps, latents, whole)

    def inspect(
        self, images: Picture | Sequence[tuple[str | None, Picture]], part: str = ""
    ) -> Verdict:
        """Decide on one part from its image, or from its (view, image) pairs.

        A file that cannot be read makes the part "unreadable", unless another view rejects it.
        Raises ImageError, as `look` does, for an array, for what is neither an array nor a path,
        and where there is no image.
        """
        part = text_of(part, "the name of the part", ImageError) or ""
        views = tuple(self._inspect_view(view, image) for view, image in picture_pairs(images))
        return self._verdict(part or (views[0].image if views else ""), views)

    def unreadable(self, image: str, reason: str) -> Verdict:
        """The verdict on something that was asked for and that no picture can be read from."""
        return self._verdict(image, (ViewResult(image, None, None, None, reason=reason),))

    def _verdict(self, part: str, views: Sequence[ViewResult]) -> Verdict:
        scores: dict[str, float] = {}
        unreadable: list[str] = []
        for result in views:
            key = result.view or ""
            if result.score is None:
                unreadable.append(key)
            else:
                scores[key] = max(result.score, scores.get(key, -np.inf))
        required = self.required_views
        return Verdict(
            part=part,
            decision=decide(scores, self.threshold, required, unreadable=unreadable),
            score=part_score(scores.values()) if scores or not unreadable else None,
            threshold=self.threshold,
            views=tuple(views),
            missing=missing_views({*scores, *unreadable}, required),
            model=self.name,
        )

    def _inspect_view(self, view: str | None, image: Picture) -> ViewResult:
        name = picture_name(image)
        try:
            look = self.look(image)
        except ImageError as error:
            if not name:
                raise
            return ViewResult(name, view, None, None, reason=str(error))
        above = look.score > self.threshold
        level = min(self.calibration.map_threshold, 0.8 * look.peak)
        found = regions(look.map, level) if above else ()
        return ViewResult(name, view, look.score, look, found)


def _longest_run(latency: Latency) -> float:
    """Seconds after which a run is stopped: a hundred times what the card says, within bounds."""
    return min(max(_SHORTEST_LIMIT, 100 * latency.max / 1000), _LONGEST_LIMIT)


def regions(map_: Floats, level: float) -> tuple[Region, ...]:
    """The 8-connected places of a map [H, W] above `level`, the one with the highest peak first."""
    above = (map_ > level).astype(np.uint8)
    first_column, first_row, columns, rows = cv2.boundingRect(above)
    if columns == 0:
        return ()
    # Most of a map lies below the level; labelling that costs far more than looking at it.
    inner = np.s_[first_row : first_row + rows, first_column : first_column + columns]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above[inner])
    found = []
    for label in range(1, count):
        left, top, width, height, _ = (int(value) for value in stats[label])
        box = np.s_[top : top + height, left : left + width]
        values = np.where(labels[box] == label, map_[inner][box], -np.inf)
        found.append(_core(values, level, top + first_row, left + first_column))
    return tuple(sorted(found, key=lambda region: -region.value))


def _core(values: Floats, level: float, top: int, left: int) -> Region:
    """The region of one place: `values` [h, w] lie at (top, left), -inf where it does not reach."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    value = float(values[row, column])
    core = (values > (level + value) / 2).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(core)
    box = (top + y, left + x, top + y + height, left + x + width)
    return Region(box, int(core.sum()), (top + row, left + column), value)


def _covered(map_: Floats, crop: Crop, recipe: Recipe) -> Floats:
    """The cells of a model's map [h, w] that the picture reaches into."""
    rows = int(np.ceil(crop.valid[2] * map_.shape[0] / recipe.height))
    columns = int(np.ceil(crop.valid[3] * map_.shape[1] / recipe.width))
    return map_[:rows, :columns]
