"""ISP-AD (Krassnig and Gruber, 2025): screen-printed surfaces in three modalities.

Of a modality there are an unsupervised setting, folders like those of MVTec AD, a supervised one,
HDF5 files with `syn_stream` and `ground_truth`, and good patches that were not augmented. They are
settings of their own, which are never mixed. The names of folders and files are matched loosely.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from blemish.dataset import hdf5_stream
from blemish.dataset.label_words import SPLIT_WORDS, name_some
from blemish.dataset.layouts import folder, hdf5, mvtec
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform, qualify_parts
from blemish.errors import BlemishError, DatasetError
from blemish.images.hdf5 import SUFFIXES as STREAM_SUFFIXES
from blemish.images.hdf5_file import open_file
from blemish.images.listing import SUFFIXES, is_system_folder, refuse_leaving
from blemish.util.names import escaped

EXPECTS = "folders LSM-1, LSM-2, ASM with the layout mvtec, or a .h5 file with syn_stream"
SPECIALISES = ("mvtec", "hdf5")

UNSUPERVISED, SUPERVISED, PATCHES = "unsupervised", "supervised", "good patches"
MODALITIES = {
    "LSM-1": re.compile(r"(?<![a-z])lsm[\s_-]*1(?!\d)", re.IGNORECASE),
    "LSM-2": re.compile(r"(?<![a-z])lsm[\s_-]*2(?!\d)", re.IGNORECASE),
    "ASM": re.compile(r"(?<![a-z])asm(?![a-z])", re.IGNORECASE),
}
REAL = ("area", "points")
_SETTING_WORDS = frozenset(["unsupervised", "supervised", "unaugmented", "good", "patches"])
_DEPTH = 3

Settings = dict[str, list[Path]]


@dataclass(frozen=True)
class _Seen:
    """What lies in a folder: its folders, its HDF5 files, and whether there are images."""

    folders: list[Path]
    streams: list[Path]
    has_images: bool


def recognises(path: Path) -> bool:
    """True for a stream of ISP-AD, and for a folder that names a modality and has a setting."""
    if path.is_file():
        return hdf5.recognises(path) and _is_stream(path)
    return _names_modality(path) and bool(_settings(path))


def read(path: Path) -> Dataset:
    """The only setting of one modality or of all; the category is the modality.

    A synthetic defect is of the kind "synthetic", a real one of the kind that its folder names.
    Raises DatasetError where several settings are there, and says which, and for a link out of
    `path`.
    """
    if path.is_file():
        table = _placed(_read_stream(path), path.parent, path)
        return Dataset(path.parent, path.stem, "isp_ad", qualify_parts(table))
    settings = _settings(path)
    if not settings:
        raise DatasetError(f"{path} has not the layout isp_ad, which is {EXPECTS}.")
    if len(settings) > 1:
        raise DatasetError(_which(path, settings))
    sources = [source for some in settings.values() for source in some]
    for source in sources:
        refuse_leaving(source, os.path.realpath(path))
    tables = [_placed(_read_source(source), path, source) for source in sources]
    return Dataset(path, path.name, "isp_ad", qualify_parts(pl.concat(tables)))


def _read_source(source: Path) -> Dataset:
    if source.is_file():
        return _read_stream(source)
    return mvtec.read(source) if _is_unsupervised(source) else folder.read(source)


def _read_stream(path: Path) -> Dataset:
    """A stream with its synthetic defects, and the stacks of real ones beside it."""
    data = hdf5.read(path)
    synthetic = (pl.col("label") == "defective") & (pl.col("split") == "train")
    kind = pl.when(synthetic).then(pl.coalesce("defect", pl.lit("synthetic")))
    tables = [data.table.with_columns(defect=kind.otherwise("defect"))]
    for name in REAL:
        if name in open_file(path).content:
            images = relative_paths(hdf5_stream.images(path, name), path.parent)
            rows = pl.DataFrame({"image": images}, schema={"image": pl.String}).with_columns(
                split=pl.lit("train"), label=pl.lit("defective"), defect=pl.lit(name)
            )
            tables.append(conform(rows))
    return data.with_table(pl.concat(tables))


def _placed(data: Dataset, root: Path, source: Path) -> pl.DataFrame:
    """The table with paths relative to `root`, and the modality as the category."""
    category = pl.lit(_modality(source) or escaped(data.name))
    return data.rows_below(root).with_columns(category=category)


def _modality(path: Path) -> str | None:
    """The modality that the path names: its last step, or one before words for a setting."""
    for step in (path, *path.parents[:2]):
        if named := _named(step.name):
            return named
        if step.is_dir() and _SETTING_WORDS.isdisjoint(hdf5_stream.words(step.name)):
            return None
    return None


def _named(name: str) -> str | None:
    return next((m for m, pattern in MODALITIES.items() if pattern.search(name)), None)


def _names_modality(path: Path) -> bool:
    if _modality(path):
        return True
    here = _look(path)
    below = [_look(inner) for inner in here.folders]
    return any(_named(p.name) for seen in (here, *below) for p in (*seen.folders, *seen.streams))


def _settings(path: Path, depth: int = _DEPTH) -> Settings:
    """The settings that lie at `path` or below, each with its folders or files."""
    seen = _look(path)
    inner = seen.folders
    found: Settings = {}
    if _is_unsupervised(path):
        found[UNSUPERVISED] = [path]
        inner = [f for f in inner if f.name.lower() not in (*SPLIT_WORDS, mvtec.MASKS)]
    elif seen.has_images and not hdf5_stream.GOOD.isdisjoint(hdf5_stream.words(path.name)):
        found[PATCHES] = [path]
    for file in seen.streams:
        found.setdefault(PATCHES if _holds_patches(file) else SUPERVISED, []).append(file)
    for deeper in inner if depth else ():
        for setting, sources in _settings(deeper, depth - 1).items():
            found.setdefault(setting, []).extend(sources)
    return found


def _which(path: Path, settings: Settings) -> str:
    """Which settings there are, and how to choose one."""
    places = []
    for setting, sources in settings.items():
        names = [source.relative_to(path).as_posix() for source in sources if source != path]
        here = [] if len(names) == len(sources) else ["this folder itself (say --layout mvtec)"]
        places.append(f"{setting} in {name_some(here + names)}")
    return (
        f"{path} holds {len(settings)} settings of ISP-AD, which must not be mixed: "
        f"{'; '.join(places)}. Open a folder or file that holds one."
    )


def _is_unsupervised(path: Path) -> bool:
    names = {folder_.name.lower() for folder_ in _look(path).folders}
    return not names.isdisjoint(SPLIT_WORDS) and mvtec.recognises(path)


def _is_stream(path: Path) -> bool:
    try:
        return hdf5_stream.image_name(path) == "syn_stream" or _holds_patches(path)
    except BlemishError:
        return False  # what is wrong with it is told by the layout hdf5


def _holds_patches(path: Path) -> bool:
    """True for a file of good images only, of which the modality is known."""
    try:
        return (
            hdf5_stream.image_name(path) not in hdf5_stream.IMAGES and _modality(path) is not None
        )
    except BlemishError:
        return False


def _look(path: Path) -> _Seen:
    """One look into a folder; hidden files and folders of the system do not count."""
    if not path.is_dir():
        return _Seen([], [], False)
    folders, streams, has_images = [], [], False
    with os.scandir(path) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - text, for speed
            if is_system_folder(entry.name):
                continue
            if entry.is_dir():
                folders.append(Path(entry.path))
            elif suffix in STREAM_SUFFIXES:
                streams.append(Path(entry.path))
            has_images = has_images or suffix in SUFFIXES
    return _Seen(sorted(folders), sorted(streams), has_images)
