"""Results as files: KEY.json holds the figures of a run, KEY.npz the scores of its images."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from blemish.benchmark.code import Code
from blemish.benchmark.runs import Run
from blemish.errors import BlemishError, DatasetError
from blemish.util import typed_json
from blemish.util.array_files import read_arrays
from blemish.util.disk_space import need_room
from blemish.util.files import inside, replacing
from blemish.util.library_errors import reason_of
from blemish.util.text_files import read_json

SCHEMA = 3
_RESULT_BYTES = 1 << 16  # of a run with its scores, and now and then its maps
_WITHOUT_FIT = 2  # results that have neither `fit` nor a budget
ARRAYS = ("image", "part", "view", "label", "score", "localised")
COUNTS = ("tn", "fp", "fn", "tp")
_GROUPS = ("image", "pixel", "sample", "decision", "oracle_f1", "localised")
_FIELDS = (
    *("key", "run", "status", "reason", "code", "figures", "cost", "machine", "finished"),
    "fit",
)

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ImageScores:
    """The scores of the test images, in the data set's order.

    `image`, `part` and `view` are names; `label` is True for defective; `score` float64;
    `localised` int8: 1 where the map's peak lies on the mask, 0 where not, -1 without a mask.
    """

    image: npt.NDArray[np.str_]
    part: npt.NDArray[np.str_]
    view: npt.NDArray[np.str_]
    label: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]
    localised: npt.NDArray[np.int8]


@dataclass(frozen=True)
class CarryOver:
    """The record that a result was carried over to other code, after a run with it agreed.

    `agreed_with` is the key of that run, `on` the date in ISO format. `processor` is set where it
    agreed with the earlier code's run on that processor, since the kept result is of another.
    """

    from_key: str
    from_code: Code
    agreed_with: str
    on: str
    processor: str | None = None


@dataclass(frozen=True)
class Result:
    """The result of a run; a failed one has a `reason` and no figures.

    `finished` is the time in ISO format; `folder` is where its files lie; `fit` are the numbers
    that the detector tells of its fit, such as `steps` and `steps_planned`; `carried` says of which
    code it was made, the first first, where that is not `code`.
    """

    key: str
    run: Run
    status: Literal["done", "failed"]
    reason: str | None
    code: Code
    figures: dict[str, Any] | None
    cost: dict[str, float | None] | None
    machine: dict[str, Any]
    finished: str
    folder: Path
    fit: dict[str, float] | None = None
    carried: tuple[CarryOver, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Training and evaluation together; None for a run that failed."""
        if self.cost is None:
            return None
        return (self.cost.get("train_seconds") or 0.0) + (self.cost.get("evaluate_seconds") or 0.0)

    def scores(self) -> ImageScores:
        """The scores of the test images. Raises DatasetError for a file that is not whole."""
        path = self.folder / f"{self.key}.npz"
        what, way_out = "file of scores", f"delete it and {self.key}.json, and run the bench again"
        arrays = read_arrays(path, what, way_out, names=ARRAYS)
        count = arrays["image"].size
        for name, kinds in zip(ARRAYS, ("U", "U", "U", "b", "f", "i"), strict=True):
            if arrays[name].dtype.kind not in kinds or arrays[name].shape != (count,):
                raise DatasetError(f"{path} is no {what}: {name} is of another kind; {way_out}")
        return ImageScores(**arrays)


def ensure_room(folder: Path, runs: int) -> None:
    """Make a folder for the results of so many runs, before the first of them is made.

    Raises BlemishError where nothing can be written there, or too little.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BlemishError(
            f"{folder} cannot hold results ({error.strerror}); name another folder with --out"
        ) from error
    need_room(folder, runs * _RESULT_BYTES, f"the results of {runs} runs")


def write_result(result: Result, arrays: Arrays | None) -> None:
    """Write a result; its JSON comes last, so that what has one is whole."""
    if arrays is not None:
        with replacing(inside(result.folder, f"{result.key}.npz")) as file:
            np.savez_compressed(file, **{name: arrays[name] for name in ARRAYS})  # type: ignore[arg-type]
    content = {"schema": SCHEMA} | {
        field.name: getattr(result, field.name)
        for field in dataclasses.fields(result)
        if field.name not in ("folder", "carried")
    }
    content["run"] = dataclasses.asdict(result.run)
    content["code"] = dataclasses.asdict(result.code)
    if result.carried:
        content["carried"] = [dataclasses.asdict(step) for step in result.carried]
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(inside(result.folder, f"{result.key}.json")) as file:
        file.write(text.encode("utf-8") + b"\n")


def read_results(folder: Path) -> list[Result]:
    """Every result in a folder, sorted by key; none where there is no folder.

    Raises DatasetError for a file that is not whole, of another schema, or without its scores.
    """
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}") from error
    results = []
    for name in sorted(names):
        if not name.endswith(".json") or name.startswith("."):
            continue
        result = _read(folder / name)
        if result.status == "done" and f"{result.key}.npz" not in names:
            raise DatasetError(
                f"{folder / name} has lost its scores, {result.key}.npz; delete it and run the "
                "bench again"
            )
        results.append(result)
    return results


def _read(path: Path) -> Result:
    way_out = "move it out of the folder of results, or name another folder with --out"
    content = read_json(path, "result, or cut off", way_out)
    if not isinstance(content, dict) or "schema" not in content:
        raise DatasetError(f"{path} is no result; {way_out}")
    if content["schema"] not in (_WITHOUT_FIT, SCHEMA):
        raise DatasetError(
            f"{path} has schema {content['schema']}, and this version of blemish reads "
            f"{_WITHOUT_FIT} and {SCHEMA}; update blemish, or name another folder with --out"
        )
    if content["schema"] == _WITHOUT_FIT:
        content["fit"] = None
    try:
        values = {name: content[name] for name in _FIELDS}
        values["run"] = _run(content["run"])
        values["code"] = Code(**content["code"])
        values["carried"] = tuple(map(_carried, content.get("carried", [])))
        result = Result(**values, folder=path.parent)
        _check_types(result, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path} is no result of this bench ({reason_of(error)}); {way_out}"
        ) from error
    if result.key != path.stem or result.status not in ("done", "failed"):
        raise DatasetError(f"{path} is not what its name says; {way_out}")
    return result


def _check_types(result: Result, content: dict[str, Any]) -> None:
    """Raise ValueError for what tables and pages could not show."""
    typed_json.read(Run, content["run"])
    typed_json.read(Code, content["code"])
    done = result.status == "done"
    for values in (result.cost or {}, result.fit or {}):
        typed_json.read(dict[str, float | None], values)
    texts = isinstance(result.finished, str) and isinstance(result.reason, str | None)
    tables = isinstance(result.machine, dict) and (isinstance(result.figures, dict) or not done)
    if not (texts and tables):
        raise ValueError("a value is of another type")
    for group in _GROUPS:
        _check_group(group, (result.figures or {}).get(group) or {})


def _check_group(name: str, figures: object) -> None:
    """Raise ValueError where tables could not calculate with the figures of a group."""
    if not isinstance(figures, dict):
        raise ValueError(f"{name} is no table of figures")
    kinds: dict[str, Any] = {"threshold": float | None} | dict.fromkeys(COUNTS, int)
    for key, value in figures.items():
        kind: Any = tuple[float, float] | None if key.endswith("_interval") else kinds.get(key)
        if kind is not None:
            typed_json.read(kind, value)


def _carried(values: dict[str, Any]) -> CarryOver:
    return CarryOver(**{**values, "from_code": Code(**values["from_code"])})


def _run(values: dict[str, Any]) -> Run:
    settings = ("settings", "split_settings")
    pairs: dict[str, Any] = {name: tuple(map(tuple, values[name])) for name in settings}
    return Run(**{**values, **pairs})
