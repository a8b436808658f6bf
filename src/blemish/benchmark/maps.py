"""The few maps that a run keeps for the gallery: which images, in which unit, in which file.

`KEY.maps.npz` holds `schema`; for k images the arrays [k] of `_COLUMNS`; and of each image, shrunk
to SIDE, its picture as the bytes of a JPEG (`picture_0`, ...) and its map as float16 (`map_0`,
...). Maps are in units of their detector: 0 is the median of the maps of good images, 1 the model's
map threshold. So one colour scale serves all detectors.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from blemish.errors import DatasetError
from blemish.report.thumbnails import Thumbnail, thumbnail
from blemish.util.array_files import read_arrays
from blemish.util.files import replacing
from blemish.util.library_errors import translated

if TYPE_CHECKING:
    from blemish.evaluation import Evaluation, ImageResult

Why = Literal["defect", "good", "closest"]

SCHEMA = 1
SIDE = 160  # longest side of a kept picture and map, in pixels
DEFECTS, GOOD = 4, 2  # drawn by chance; the two closest calls make at most 8 images a category
FARTHEST = 100.0  # units; a map beyond it says no more
_COLUMNS = ("image", "label", "defect", "why", "score", "rejected", "truth", "found", "cut")


@dataclass(frozen=True)
class ImageChoice:
    """An image whose map is kept, by its index in the evaluation, and why."""

    index: int
    why: Why


@dataclass(frozen=True, eq=False)
class KeptMap:
    """One image with its map in units of the detector; `image` is the end of its path."""

    image: str
    label: str
    defect: str
    why: Why
    score: float
    rejected: bool
    picture: Thumbnail


def choose_images(
    images: Sequence[ImageResult], threshold: float, *, seed: int = 0
) -> list[ImageChoice]:
    """The images of each category to keep the maps of: at most 8.

    DEFECTS of them are drawn from each kind of defect in turn, GOOD from the good images: by the
    seed and the order of the data set alone, so that every detector of a bench keeps the same. Then
    come the closest calls of this detector: the good and the defective image whose scores lie
    nearest to the threshold.
    """
    chosen: list[ImageChoice] = []
    for category in sorted({image.category for image in images}):
        rng = np.random.default_rng(seed)
        kinds: dict[tuple[str, str], list[int]] = {}
        for index, image in enumerate(images):
            if image.category == category:
                kinds.setdefault((image.label, image.defect or ""), []).append(index)
        drawn = {kind: rng.permutation(members).tolist() for kind, members in sorted(kinds.items())}
        good = [index for kind, members in drawn.items() if kind[0] == "good" for index in members]
        bad = [members for kind, members in drawn.items() if kind[0] != "good"]
        in_turn = _in_turn([bad[place] for place in rng.permutation(len(bad))])
        chosen += [ImageChoice(index, "defect") for index in in_turn[:DEFECTS]]
        chosen += [ImageChoice(index, "good") for index in good[:GOOD]]
        for those in (good, in_turn):
            nearest = sorted(those, key=lambda i: (abs(images[i].score - threshold), i))
            chosen += [ImageChoice(index, "closest") for index in nearest[:1]]
    return chosen


def _in_turn(lists: Sequence[Sequence[int]]) -> list[int]:
    """The first of each list, then the second of each, and so on."""
    return [index for index in chain(*zip_longest(*lists)) if index is not None]


def maps_of(evaluation: Evaluation, chosen: Sequence[ImageChoice]) -> list[KeptMap]:
    """The chosen images with their maps, computed again."""
    calibration = evaluation.inspector.calibration
    level, threshold = calibration.map_threshold, calibration.threshold
    kept = []
    for choice in chosen:
        result = evaluation.images[choice.index]
        kept.append(
            KeptMap(
                "/".join(result.image.parts[-3:]),
                result.label,
                result.defect or "",
                choice.why,
                result.score,
                result.score > threshold,
                thumbnail(*evaluation.look(choice.index), level, SIDE),
            )
        )
    return [_in_units(one, *_unit(kept, level)) for one in kept]


def _unit(kept: Sequence[KeptMap], level: float) -> tuple[float, float]:
    """The offset and scale of the unit, in the detector's own values."""
    good = [one.picture.median for one in kept if one.label == "good"]
    low = float(np.median(good or [one.picture.median for one in kept]))
    if np.isfinite(level) and level > low:
        return low, level - low
    # Good images as high as the threshold: then 1 is the middle of the peaks.
    peak = float(np.median([one.picture.peak for one in kept]))
    return low, max(peak - low, 1e-6 * max(1.0, abs(low)))


def _in_units(one: KeptMap, low: float, length: float) -> KeptMap:
    def brought(value: Any) -> Any:
        return np.clip((np.asarray(value, np.float64) - low) / length, -FARTHEST, FARTHEST)

    picture = replace(
        one.picture,
        map=brought(one.picture.map).astype(np.float32),
        median=float(brought(one.picture.median)),
        peak=float(brought(one.picture.peak)),
    )
    return replace(one, picture=picture)


def write_maps(path: Path, kept: Sequence[KeptMap]) -> None:
    """Write `KEY.maps.npz`. Raises ArtifactError when it cannot be written."""
    arrays: dict[str, Any] = {"schema": np.array(SCHEMA)}
    for column in _COLUMNS:
        holder = [one.picture if column in ("truth", "found", "cut") else one for one in kept]
        values = [getattr(each, column) for each in holder]
        arrays[column] = np.array(["" if value is None else value for value in values])
    for number, one in enumerate(kept):
        bgr = cv2.cvtColor(one.picture.rgb, cv2.COLOR_RGB2BGR)
        arrays[f"picture_{number}"] = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        arrays[f"map_{number}"] = one.picture.map.astype(np.float16)
    memory = io.BytesIO()
    np.savez_compressed(memory, **arrays)
    with replacing(path) as file:
        file.write(memory.getvalue())


def read_maps(path: Path) -> list[KeptMap]:
    """What `write_maps` wrote. Raises DatasetError for a broken file or another schema."""
    way_out = "remove it, the gallery does without"
    arrays = read_arrays(path, "file of maps", way_out)
    with translated(
        lambda reason: DatasetError(f"{path} is no file of maps ({reason}); {way_out}")
    ):
        if int(arrays["schema"]) != SCHEMA:
            raise DatasetError(
                f"{path} has schema {int(arrays['schema'])} and this program reads {SCHEMA}; "
                "run its bench again"
            )
        return list(_kept(arrays))


def _kept(arrays: dict[str, Any]) -> Iterator[KeptMap]:
    columns = (arrays[column].tolist() for column in _COLUMNS)
    for number, row in enumerate(zip(*columns, strict=True)):
        image, label, defect, why, score, rejected, truth, found, cut = row
        bgr = cv2.imdecode(arrays[f"picture_{number}"], cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"picture {number} is no JPEG")
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)
        map_ = arrays[f"map_{number}"].astype(np.float32)
        median, peak = float(np.median(map_)), float(map_.max())
        picture = Thumbnail(rgb, map_, truth, found, median, peak, cut or None)
        yield KeptMap(image, label, defect, why, score, bool(rejected), picture)
