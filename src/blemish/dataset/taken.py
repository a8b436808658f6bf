"""When a picture was taken, and in which lot: from its name, from a CSV file, or from the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from blemish.dataset.csv_file import read_delimited
from blemish.dataset.parts import named_images, part_expression
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError
from blemish.images import hdf5
from blemish.util.names import escaped

FORMS = "2026-11-30T14:15:30, 20261130_141530, 30.11.2026 14:15, or seconds since 1970"

_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})[-_./]?(?P<month>\d{2})[-_./]?(?P<day>\d{2})"
    r"(?:[T_ -]?(?P<hour>\d{2})[-_:.h]?(?P<minute>\d{2})(?:[-_:.m]?(?P<second>\d{2}))?"
    r"(?:s?[.,_-]?(?P<fraction>\d{1,9}))?)?\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
_DAY_FIRST = re.compile(
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})"
    r"(?:[T_ ,-]+(?P<hour>\d{1,2})[-_:.](?P<minute>\d{2})(?:[-_:.](?P<second>\d{2}))?)?"
)
_EPOCH = re.compile(r"(\d{10})(?:\.\d+|\d{3})?")  # seconds, with or without milliseconds


@dataclass(frozen=True)
class Taken:
    """When a picture was taken, None where nothing says it, and the lot of its part."""

    time: datetime | None = None
    lot: str | None = None


def taken_of(
    data: Dataset, csv: Path | None = None, pattern: str | None = None
) -> Mapping[str, Taken]:
    """By image, what the groups `time` and `lot` of a pattern, or those columns of a CSV, tell.

    Empty where neither has them. Raises DatasetError for a time that is none.
    """
    if pattern is not None:
        return _of_pattern(data, pattern)
    return {} if csv is None else _of_csv(data, csv)


def file_time(image: str | os.PathLike[str]) -> datetime | None:
    """When a file, or the file that an image lies in, was written last, in local time."""
    inside = hdf5.file_and_name(image)
    try:
        return datetime.fromtimestamp(int(os.stat(inside[0] if inside else image).st_mtime))  # noqa: PTH116
    except (OSError, ValueError, OverflowError):
        return None


def read_time(text: str) -> datetime:
    """The time that a text tells, to the second; in local time unless it names a zone.

    A date alone is its midnight. Raises ValueError for another text.
    """
    text = text.strip()
    if epoch := _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(epoch[1]))
    found = _YEAR_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text)
    if found is None:
        raise ValueError("no time")
    given = found.groupdict()
    year, month, day = (int(given[name]) for name in ("year", "month", "day"))
    hour, minute, second = (int(given[name] or 0) for name in ("hour", "minute", "second"))
    time = datetime(year, month, day, hour, minute, second)
    if zone := given.get("zone"):
        return datetime.fromisoformat(time.isoformat() + zone)
    return time


def taken_by_match(match: re.Match[str], image: str) -> Taken:
    """What a match of a part pattern tells. Raises DatasetError for a time that is none."""
    groups = match.groupdict()
    return Taken(_time(groups.get("time"), image), groups.get("lot") or None)


def _of_pattern(data: Dataset, pattern: str) -> dict[str, Taken]:
    expression = part_expression(pattern)
    if not {"time", "lot"} & expression.groupindex.keys():
        return {}
    matches = ((image, expression.search(image)) for image in data.table["image"])
    return {image: taken_by_match(match, image) for image, match in matches if match}


def _of_csv(data: Dataset, csv: Path) -> dict[str, Taken]:
    frame = read_delimited(csv)
    if not {"time", "lot"} & set(frame.columns) or "file" not in frame.columns:
        return {}
    absent = [pl.lit(None, pl.String).alias(c) for c in ("time", "lot") if c not in frame.columns]
    rows = frame.drop_nulls("file").with_columns(absent)
    images = named_images(data, csv, rows["file"].to_list())
    told = zip(images, rows["time"], rows["lot"], strict=True)
    return {image: Taken(_time(time, image), lot) for image, time, lot in told if image}


def _time(text: str | None, image: str) -> datetime | None:
    if not text:
        return None
    try:
        return read_time(text)
    except (ValueError, OverflowError):
        raise DatasetError(
            f"{escaped(image)}: {escaped(text)!r} is no time; write times such as {FORMS}."
        ) from None
