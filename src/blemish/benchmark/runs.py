"""Expands a protocol into its runs on the data below a root, and lists what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import blemish
from blemish.benchmark.code import Code, this_code
from blemish.benchmark.protocol import DataSource, DetectorConfig, Protocol, SplitChoice, pairs
from blemish.benchmark.sources import DataLocation, find_location, open_category, open_location
from blemish.dataset.label_words import name_some
from blemish.dataset.splits import defect_free_settings
from blemish.detectors import DETECTORS, learns_from_defects
from blemish.discovery import files_seen
from blemish.errors import BlemishError, DatasetError
from blemish.util.durations import in_words

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Run:
    """One detector on one category with one seed: all that decides its result but the code.

    `variant` is the protocol's name of the split, or nothing where several differ in their known
    defects and the detector learns from none; `split` None is the one on disk; `fingerprint` is
    that of the category's images; `size` None is the detector's usual one, `crop` None no crop;
    `budget` is what the training may take, in seconds.
    """

    protocol: str
    data: str
    category: str
    variant: str
    split: str | None
    split_settings: Pairs
    detector: str
    preset: str | None
    settings: Pairs
    size: int | None
    resize: str
    tile: int | None
    seed: int
    fingerprint: str
    crop: int | None = None
    budget: float | None = None

    @property
    def code(self) -> Code:
        """The code that would make it now."""
        return this_code(self.detector, self.split)

    @cached_property
    def key(self) -> str:
        """The first 16 hex digits of a hash of the run and of the code."""
        code = {"source": self.code.source, "method": self.code.method}
        values = [dataclasses.asdict(self), code]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def words(self) -> str:
        """The run in a few words, for a person."""
        alike = self.category in self.data
        data = self.data if alike else f"{self.data} {self.category}"
        budget = "" if self.budget is None else in_words(self.budget)
        fold = dict(self.split_settings).get("fold")
        part = "" if fold is None else f"fold {fold}"
        words = [self.detector, budget, data, self.variant, part, f"seed {self.seed}"]
        return ", ".join(filter(None, words))


@dataclass(frozen=True)
class Job:
    """A run, where its images lie on this machine, and its `files` from outside, by label."""

    run: Run
    location: DataLocation
    files: Pairs = ()

    @classmethod
    def of(cls, run: Run, location: DataLocation) -> Job:
        """The job of a run; this process has seen its files."""
        labels = [run.detector, run.split or "", *dict(run.settings).values()]
        return cls(run, location, pairs(files_seen(labels)))


@dataclass(frozen=True)
class MissingItem:
    """Something that the protocol names and that is not there: "data", "category" or "detector"."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class RunMatrix:
    """The runs of a protocol, in the order in which features are best shared."""

    jobs: tuple[Job, ...]
    missing: tuple[MissingItem, ...]


def expand(
    protocol: Protocol,
    root: Path,
    *,
    detectors: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    seeds: int | None = None,
) -> RunMatrix:
    """Every run of a protocol on what lies below `root`, and what is missing.

    `detectors` are names or labels, and may name some that the protocol does not; `categories` may
    name data sets; `seeds` is a number of seeds, from 0. Raises BlemishError for a name that is
    nowhere.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder; name the one that holds the data sets")
    configs, missing = _configs(protocol, detectors)
    numbers = range(protocol.seeds if seeds is None else seeds)
    asked = None if categories is None else set(categories)
    jobs: list[Job] = []
    known: set[str] = set()
    for data in protocol.data:
        names = {data.name, *data.categories}
        known |= names
        if asked is not None and data.categories and not asked & names:
            continue
        found, lacking = _on_data(protocol, data, root, configs, numbers, asked)
        known |= {job.run.category for job in found}
        # A run that several splits share is one. By category, so that the features of one serve
        # all of its runs before they give way.
        jobs += sorted(dict.fromkeys(found), key=lambda job: job.run.category)
        missing += lacking
    if asked is not None and (strange := sorted(asked - known)):
        raise BlemishError(
            f"there is no category or data set {name_some(strange)} in {protocol.name}; there are: "
            f"{name_some(sorted(known), 50)}"
        )
    return RunMatrix(tuple(jobs), tuple(dict.fromkeys(missing)))


def _on_data(
    protocol: Protocol,
    data: DataSource,
    root: Path,
    configs: Sequence[DetectorConfig],
    seeds: Sequence[int],
    asked: set[str] | None,
) -> tuple[list[Job], list[MissingItem]]:
    jobs: list[Job] = []
    missing: list[MissingItem] = []
    for split in protocol.splits:
        try:
            location = find_location(data, split, root)
            there = open_location(location).categories
        except BlemishError as reason:
            name = " ".join(filter(None, [data.name, split.name]))
            missing.append(MissingItem("data", name, str(reason).rstrip(".")))
            continue
        chosen = data.categories or tuple(there)
        if asked is not None and data.name not in asked:
            chosen = tuple(category for category in chosen if category in asked)
        for category in chosen:
            if category not in there:
                missing.append(MissingItem("category", category, f"not in {location.path}"))
                continue
            fingerprint = open_category(location, category)[1]
            for detector in configs:
                if detector.splits and split.name not in detector.splits:
                    continue
                for run in _runs(protocol, data, split, category, detector, fingerprint):
                    jobs += [
                        Job.of(dataclasses.replace(run, seed=seed), location) for seed in seeds
                    ]
    return jobs, missing


def _runs(
    protocol: Protocol,
    data: DataSource,
    split: SplitChoice,
    category: str,
    detector: DetectorConfig,
    fingerprint: str,
) -> list[Run]:
    """The runs of one seed: one, or one for each fold."""
    whole = Run(
        protocol=protocol.name,
        data=data.name,
        category=category,
        variant=split.name,
        split=split.protocol,
        split_settings=(),
        detector=detector.name,
        preset=detector.preset,
        settings=pairs(detector.settings),
        size=detector.size,
        resize=detector.resize,
        tile=data.tile if detector.tile is None else detector.tile,
        seed=0,
        fingerprint=fingerprint,
        crop=detector.crop,
        budget=detector.budget,
    )
    runs = [
        dataclasses.replace(whole, split_settings=pairs(settings)) for settings in split.each_fold()
    ]
    if split.train_folders or defect_free_settings(split.protocol, {}) is None:
        return runs
    return runs if learns_from_defects(detector.name) else [_defect_free(run) for run in runs]


def _defect_free(run: Run) -> Run:
    """The run that those splits share which differ in the known defects that train alone."""
    settings = defect_free_settings(run.split, dict(run.split_settings)) or {}
    return dataclasses.replace(run, variant="", split_settings=pairs(settings))


def _configs(
    protocol: Protocol, asked: Collection[str] | None
) -> tuple[list[DetectorConfig], list[MissingItem]]:
    """The detectors that take part, and those that there is no file for.

    A detector's name stands for all that the protocol makes of it, a label for one.
    """
    every = list(protocol.detectors)
    if asked is not None:
        known = {name for one in every for name in (one.name, one.label)}
        more = [name for name in asked if name not in known and DETECTORS.has(name)]
        every += [DetectorConfig(DETECTORS.label(name), name) for name in more]
        every = [one for one in every if one.name in asked or one.label in asked]
        known |= {name for one in every for name in (one.name, one.label)}
        if strange := sorted(set(asked) - known):
            raise BlemishError(
                f"there is no detector {name_some(strange)}; there are: "
                f"{', '.join(DETECTORS.names())}"
            )
    absent = [one for one in every if not DETECTORS.has(one.name)]
    missing = [
        MissingItem("detector", one.label, f"not available in blemish {blemish.__version__}")
        for one in absent
    ]
    return [one for one in every if DETECTORS.has(one.name)], missing
