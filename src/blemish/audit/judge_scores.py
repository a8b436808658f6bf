"""Out-of-fold scores of every judge for every image, cached on disk by a key of their inputs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import blemish
from blemish.audit.embeddings import open_features, pooled_features, principal_components
from blemish.audit.judges import JUDGES, Floats, Groups, cross_fitted
from blemish.dataset import Dataset, folds
from blemish.detectors import open_detector, usual_size
from blemish.detectors.base import FitContext
from blemish.errors import DatasetError
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe, find_window
from blemish.inspector import Inspector
from blemish.util.array_files import read_arrays
from blemish.util.files import replacing
from blemish.util.progress import Progress, ShowProgress


@dataclass(frozen=True)
class JudgeSettings:
    """Settings of the judges: the number of groups (folds), and a detector as one more judge.

    `cache` is the folder of cached features.
    """

    groups: int = 3
    seed: int = 0
    detector: str | None = None
    cache: Path | None = None


def image_groups(data: Dataset, judges: JudgeSettings) -> Groups:
    """The group (fold) of each image [n], by whole parts. DatasetError for too few parts."""
    parts = len(data.parts)
    if not 2 <= judges.groups <= parts:
        raise DatasetError(
            f"{data.root} has {parts} part(s), which cannot be dealt into {judges.groups} groups; "
            "an audit needs at least 3 parts, better 100, and 2 groups or more"
        )
    group_of: dict[str, int] = {}
    for number, (_, held) in enumerate(folds(data, judges.groups, judges.seed)):
        group_of.update(dict.fromkeys(held.table["image"], number))
    return np.array([group_of[image] for image in data.table["image"]], np.int64)


def judge_scores(
    data: Dataset, folder: Path, judges: JudgeSettings, progress: ShowProgress | None = None
) -> dict[str, Floats]:
    """Out-of-fold scores [n] of each judge, by its name; from the cache where they are known.

    `folder` keeps a file for each set of labels, and one for each group that a detector scored.
    """
    groups = image_groups(data, judges)
    defective = (data.table["label"] == "defective").to_numpy()
    key = _key(data, judges)
    path = folder / f"{key}.npz"
    said = _read(path, [*JUDGES, *([judges.detector] if judges.detector else [])], len(data))
    if said is not None:
        return said
    embeddings = principal_components(
        pooled_features(open_features(data, folder=judges.cache), data, progress)
    )
    said = {
        name: cross_fitted(judge, embeddings, defective, groups) for name, judge in JUDGES.items()
    }
    if judges.detector is not None:
        said[judges.detector] = _by_detector(data, groups, folder / key, judges, progress)
    _write(path, said)
    return said


def _by_detector(
    data: Dataset, groups: Groups, start: Path, judges: JudgeSettings, progress: ShowProgress | None
) -> Floats:
    """Logarithms of a detector's out-of-fold scores; it learns from images labelled good."""
    name = str(judges.detector)
    detector, size = open_detector(name), usual_size(name)
    recipe = Recipe(size, size, "squash", find_window(data.images))
    backbone = open_backbone(detector.backbone)
    features = FeatureStream(backbone, detector.layers, recipe, folder=judges.cache)
    good = (data.table["label"] == "good").to_numpy()
    scores = np.zeros(len(data))
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        path = start.with_name(f"{start.name}-{group}.npz")
        known = _read(path, [name], len(inside))
        if known is None:
            learnt = data.take(np.flatnonzero((groups != group) & good))
            context = FitContext(features, judges.seed, progress=progress)
            fitted = detector.fit(learnt, context)
            inspector = Inspector(fitted.graph, recipe)
            said = np.empty(len(inside))
            for number, image in enumerate(data.take(inside).images):
                said[number] = inspector.look(image).score
                if progress:
                    progress(Progress(f"judging group {group + 1}", number + 1, len(inside)))
            known = {name: said}
            _write(path, known)
        scores[inside] = np.log(np.maximum(known[name], 1e-12))
    return scores


def _key(data: Dataset, judges: JudgeSettings) -> str:
    values = [
        blemish.__version__,
        data.fingerprint(),
        [judges.groups, judges.seed, judges.detector],
        open_backbone().sha256,
    ]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]


def _read(path: Path, names: list[str], count: int) -> dict[str, Floats] | None:
    """The arrays of a file; None where it is absent, damaged or of another shape."""
    try:
        held = read_arrays(path, "file of scores", "remove it", names=names)
    except DatasetError:
        return None
    if any(v.shape != (count,) or v.dtype.kind not in "fiu" for v in held.values()):
        return None
    said = {name: values.astype(np.float64) for name, values in held.items()}
    return said if all(np.isfinite(values).all() for values in said.values()) else None


def _write(path: Path, said: Mapping[str, npt.NDArray[np.float64]]) -> None:
    held = io.BytesIO()
    np.savez(held, **dict(said))  # type: ignore[arg-type]
    with replacing(path) as file:
        file.write(held.getvalue())
