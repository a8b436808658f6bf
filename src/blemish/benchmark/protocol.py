"""A protocol: which detectors run on which data, how, and what was published of it.

One TOML file each in `protocols/`, known by the file's name. `[[data]]`, `[[splits]]`,
`[[detectors]]` and `[[metrics]]` are what the runs and the table consist of. Each of them may say
where its published figures stand: `where`, the cells that their row holds (a text, or a text for
each data set), and `column`, the column they are in.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from blemish.benchmark.outside_files import label_in, place_in, settings_in
from blemish.dataset.splits import PROTOCOLS
from blemish.detectors import DETECTORS
from blemish.errors import BlemishError
from blemish.published import published
from blemish.util import typed_json
from blemish.util.durations import in_words, seconds_of
from blemish.util.library_errors import shortened
from blemish.util.text_files import read_toml

Entry = TypeVar("Entry")
Texts = Mapping[str, str]
Where = Mapping[str, str | Texts]


@dataclass(frozen=True)
class DataSource:
    """A data set: the first of `folders` below the root, or in the installed `package`.

    `categories` are those that belong to it (none named: those that it has); `tile` is in pixels.
    """

    name: str
    folders: tuple[str, ...]
    package: str | None = None
    layout: str | None = None
    categories: tuple[str, ...] = ()
    tile: int | None = None
    where: Where = field(default_factory=dict)
    column: str | None = None


@dataclass(frozen=True)
class SplitChoice:
    """A split protocol with settings; None keeps the splits on disk.

    Good images come from the first of `train_folders` where there are any, `{data}` being the name
    of the data set; the test stays. With `folds` a run is made for each of so many folds, with the
    settings `k` and `fold`, and figures are of all of them.
    """

    name: str = ""
    protocol: str | None = None
    settings: Texts = field(default_factory=dict)
    train_folders: tuple[str, ...] = ()
    folds: int | None = None
    where: Where = field(default_factory=dict)
    column: str | None = None

    def each_fold(self) -> list[Texts]:
        """The settings of each of its runs."""
        return settings_by_fold(self.settings, self.folds)


@dataclass(frozen=True)
class DetectorConfig:
    """A detector with its settings in a protocol; `label` is its name in the table.

    `size` None is the detector's usual one, `tile` None that of the data, 0 whole pictures; `crop`
    is the centre that a paper cuts out, in pixels.
    `budget` is what a training may take, in seconds ("2m" in the file), None without an end.
    `splits` are the names of those that it takes part in (none named: all of them). Without
    `published` no figure of the paper is its.
    """

    name: str
    label: str = ""
    preset: str | None = None
    settings: Texts = field(default_factory=dict)
    size: int | None = None
    resize: str = "squash"
    crop: int | None = None
    tile: int | None = None
    budget: float | None = None
    splits: tuple[str, ...] = ()
    published: bool = True
    where: Where = field(default_factory=dict)
    column: str | None = None

    def departures(self) -> list[str]:
        """What sets its figures apart from those of the detectors beside it."""
        found = []
        if self.crop is not None:
            size = "its usual size" if self.size is None else f"{self.size} px"
            found.append(
                f"{self.label} sees the centre crop of {self.crop} px of {size}, and its pixel "
                "figures are of the cropped maps and masks"
            )
        if self.budget is not None:
            found.append(f"each training of {self.label} has {in_words(self.budget)}, features too")
        return found


@dataclass(frozen=True)
class Metric:
    """A figure by its dotted path in what `evaluate --json` writes.

    `honest` is the path of the same figure at the threshold from held-out good parts, where `path`
    is one at the threshold that is best on the test. A `count` is shown without digits.
    """

    path: str
    name: str
    honest: str | None = None
    percent: bool = False
    count: bool = False
    lower_is_better: bool = False
    where: Where = field(default_factory=dict)
    column: str | None = None

    def of(self, figures: Mapping[str, Any], *, honest: bool = False) -> float | None:
        """The figure, or None where it was not to be had; by its `honest` path if asked for."""
        path = (self.honest or self.path) if honest else self.path
        value: Any = figures
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None


@dataclass(frozen=True)
class Protocol:
    """What a table is made of. `mean` is "categories" where a row of means closes each data set."""

    name: str
    title: str
    source: str
    data: tuple[DataSource, ...]
    detectors: tuple[DetectorConfig, ...]
    metrics: tuple[Metric, ...]
    splits: tuple[SplitChoice, ...] = (SplitChoice(),)
    categories: tuple[str, ...] = ()
    seeds: int = 1
    mean: str | None = None
    published: str | None = None
    notes: tuple[str, ...] = ()

    def published_figure(
        self, data: DataSource, split: SplitChoice, detector: DetectorConfig, metric: Metric
    ) -> float | None:
        """What the paper's table holds for these four, in its own unit; None where it has none."""
        if self.published is None or not detector.published:
            return None
        if detector.splits and split.name not in detector.splits:
            return None
        sayings = (data, split, detector, metric)
        columns = [saying.column for saying in sayings if saying.column is not None]
        where = [(key, _text(value, data.name)) for s in sayings for key, value in s.where.items()]
        if len(columns) != 1 or not where:
            return None
        rows = [
            row for row in published(self.published) if all(row[key] == cell for key, cell in where)
        ]
        return float(rows[0][columns[0]]) if len(rows) == 1 and rows[0][columns[0]] else None


def protocol_names() -> list[str]:
    """Every protocol there is a file for."""
    entries = files("blemish.benchmark").joinpath("protocols").iterdir()
    return sorted(e.name.removesuffix(".toml") for e in entries if e.name.endswith(".toml"))


def open_protocol(name: str) -> Protocol:
    """The protocol of that name, or in that `.toml` file, which may name files from outside.

    Raises BlemishError for a name that there is no file for, and for a file of another form.
    """
    if name.endswith(".toml"):
        file = Path(name)
        content = read_toml(file, "protocol", "name a protocol's .toml file", BlemishError)
        return _with_labels(_parsed(file.stem, content, name), file.parent)
    if name not in protocol_names():
        known = ", ".join(protocol_names())
        raise BlemishError(f"there is no protocol {name!r}; there are: {known}, or name a .toml")
    file_ = files("blemish.benchmark").joinpath("protocols", f"{name}.toml")
    parsed = _parsed(name, tomllib.loads(file_.read_text(encoding="utf-8")), f"{name}.toml")
    return _with_labels(parsed, Path())


def _with_labels(protocol: Protocol, folder: Path) -> Protocol:
    """What comes from outside, called as runs call it; paths are relative to `folder`."""
    data = [
        dataclasses.replace(one, layout=one.layout and place_in(one.layout, folder))
        for one in protocol.data
    ]
    splits = [
        dataclasses.replace(
            one, protocol=one.protocol and label_in(PROTOCOLS, one.protocol, folder)
        )
        for one in protocol.splits
    ]
    detectors = [
        dataclasses.replace(
            one,
            name=label_in(DETECTORS, one.name, folder),
            settings=settings_in(one.settings, folder),
        )
        for one in protocol.detectors
    ]
    return dataclasses.replace(
        protocol, data=tuple(data), splits=tuple(splits), detectors=tuple(detectors)
    )


def pairs(settings: Texts) -> tuple[tuple[str, str], ...]:
    """Settings as sorted pairs."""
    return tuple(sorted(settings.items()))


def settings_by_fold(settings: Texts, folds: int | None) -> list[Texts]:
    """The settings of a split for each of so many folds; as they are without any."""
    if folds is None:
        return [settings]
    return [{**settings, "k": str(folds), "fold": str(1 + fold)} for fold in range(folds)]


def _parsed(name: str, content: dict[str, Any], file: str) -> Protocol:
    for key, kind in (
        *(("data", DataSource), ("splits", SplitChoice)),
        *(("detectors", DetectorConfig), ("metrics", Metric)),
    ):
        if key in content:
            if not isinstance(content[key], list):
                raise BlemishError(f"{file}: {key} holds something that is no table")
            content[key] = tuple(_entry(kind, table, f"{file}: {key}") for table in content[key])
    protocol = _entry(Protocol, {**content, "name": name}, file)
    if not (protocol.data and protocol.detectors and protocol.metrics and protocol.seeds >= 1):
        raise BlemishError(f"{file} needs data, detectors, metrics, and 1 seed or more")
    if protocol.published is not None:
        try:
            published(protocol.published)
        except KeyError:
            raise BlemishError(f"{file}: there is no table {protocol.published!r}") from None
    splits = {split.name for split in protocol.splits}
    for one in protocol.detectors:
        if strange := sorted(set(one.splits) - splits):
            raise BlemishError(f"{file}: {one.name} takes part in {strange}, which is no split")
    if any(split.folds is not None and split.folds < 2 for split in protocol.splits):
        raise BlemishError(f"{file}: folds must be 2 or more")
    common = protocol.categories
    data = tuple(dataclasses.replace(d, categories=d.categories or common) for d in protocol.data)
    named = tuple(dataclasses.replace(d, label=d.label or _name(d)) for d in protocol.detectors)
    return dataclasses.replace(protocol, data=data, detectors=named)


def _entry(kind: type[Entry], table: Any, place: str) -> Entry:
    """A dataclass from a table of the file; arrays become tuples, settings texts."""
    if not isinstance(table, dict):
        raise BlemishError(f"{place} holds something that is no table")
    known = {entry.name: entry for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]
    missing, default = [], dataclasses.MISSING
    for name, entry in known.items():
        if name not in table and entry.default is default and entry.default_factory is default:
            missing.append(name)
    unknown = sorted(table.keys() - known.keys())
    shown = [shortened(key) for key in unknown[:6]]
    if unknown or missing:
        raise BlemishError(f"{place} has unknown entries {shown} or lacks {missing}")
    values = dict(table)
    if "budget" in values:
        values["budget"] = seconds_of(str(values["budget"]), f"{place}: budget")
    if isinstance(settings := values.get("settings"), dict):
        values["settings"] = {key: _setting(value) for key, value in settings.items()}
    read = [key for key, value in values.items() if isinstance(value, tuple)]
    try:
        typed_json.read(kind, {**values, **{key: [] for key in read}})
    except ValueError as error:
        raise BlemishError(f"{place}: {error}") from error
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


def _name(one: DetectorConfig) -> str:
    """The label of a detector that has none: its name, and its budget if it has one."""
    return one.name if one.budget is None else f"{one.name}, {in_words(one.budget)}"


def _setting(value: Any) -> str:
    """A value of the file as a setting's text."""
    if isinstance(value, list):
        return ",".join(map(_setting, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str | Texts, data: str) -> str | None:
    return value if isinstance(value, str) else value.get(data)
