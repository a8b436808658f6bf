"""Splits by part: the images of one part never lie on both sides.

A split protocol is one module here, known by the module's name; adding one touches no list. It
holds one frozen dataclass of settings, all with defaults, and a method

    assign(parts: DataFrame) -> DataFrame

from the parts of one category to the side of each part that is used. The parts come with the
columns of `parts_of`, in an order that the seed decides: the first few are a seeded random sample,
and smaller samples are nested subsets of larger ones. The answer has the columns part and side,
which is train, validation, test, clean (training with the part's good images alone) or noise
(training with the label hidden). `assign` raises DatasetError with the reason ("has 3 good parts,
fewer than ...") for a category that it cannot split. Where some settings choose the defects that
train, and nothing else, the class says so by `teaching: ClassVar[Mapping[str, str]]`: these
settings, with the values that let none train. `divide` does the rest, for every protocol alike: it
splits each category, drops unused rows, sets `split` and hides labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import polars as pl

from blemish.dataset.splits._part_division import folds, hold_out
from blemish.dataset.splits._parts import parts_of, ranked
from blemish.dataset.table import SPLITS, Dataset
from blemish.discovery import Kind
from blemish.errors import DatasetError
from blemish.util.settings import with_settings

__all__ = [
    "Split",
    "SplitProtocol",
    "defect_free_settings",
    "divide",
    "folds",
    "hold_out",
    "open_protocol",
]

NOISE, CLEAN = "noise", "clean"
PROTOCOLS = Kind(__name__, "split protocol", "blemish.splits", method="assign")


class SplitProtocol(Protocol):
    """What the dataclass in a protocol's module offers."""

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Part and side, from the parts of one category in their seeded order."""


@dataclass(frozen=True, eq=False)
class Split:
    """What a protocol made of a data set.

    `data` holds the rows that are used; `parts` tells category, part, side and label of each part,
    `hidden` the images whose labels training must not see, and `not_valid` why a category is left
    out. A `protocol` from outside is called by its file and the start of its hash; `outside` tells
    the whole hash.
    """

    protocol: str
    settings: dict[str, Any]
    seed: int
    data: Dataset
    parts: pl.DataFrame
    hidden: list[str]
    not_valid: dict[str, str]
    outside: dict[str, str] | None = None

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Parts by category, split and label; noise counts as a label of the training split."""
        noise, clean = pl.col("side") == NOISE, pl.col("side") == CLEAN
        named = pl.when(clean).then(pl.lit("good")).otherwise(pl.col("label").fill_null("unknown"))
        label = pl.when(noise).then(pl.lit(NOISE)).otherwise(named)
        keys = self.parts.select("category", split=_split_of("side"), label=label)
        found: dict[str, dict[str, dict[str, int]]] = {}
        for category, side, kind, number in (
            keys.group_by(pl.all()).len().sort("category", "split", "label").iter_rows()
        ):
            found.setdefault(category, {}).setdefault(side, {})[kind] = number
        return found


def protocol_names() -> list[str]:
    """Every split protocol there is a file for, then those of entry points."""
    return PROTOCOLS.names()


def open_protocol(name: str, settings: Mapping[str, str] | None = None) -> SplitProtocol:
    """The protocol of that name, with `settings` as `KEY=VALUE` texts.

    A name may be the path of a file from outside, wherever one is asked for in this package.
    Raises BlemishError for a name, a setting or a value that does not exist.
    """
    protocol = PROTOCOLS.settings_class(name)()
    return cast(SplitProtocol, with_settings(f"protocol {name}", protocol, settings or {}))


def defect_free_settings(name: str | None, settings: Mapping[str, str]) -> dict[str, str] | None:
    """The settings with which no known defect trains, while test and good parts are as with these.

    Defective parts that leave the training take their good views with them. None for a protocol
    that cannot separate the two, and for one that there is no file for.
    """
    if name is None or not PROTOCOLS.has(name):
        return None
    teaching: Mapping[str, str] | None = getattr(open_protocol(name), "teaching", None)
    return None if teaching is None else {**settings, **teaching}


def divide(
    data: Dataset, name: str, seed: int = 0, settings: Mapping[str, str] | None = None
) -> Split:
    """Split a data set by the protocol called `name`, category by category.

    The same seed gives the same split whatever the order of the rows. Raises DatasetError when the
    protocol can split no category.
    """
    protocol = open_protocol(name, settings)
    # Not the order in which a training with this seed holds parts out: noise parts, which come
    # first here, would be held out before all others there.
    parts = ranked(parts_of(data), f"split {seed}")
    assigned: list[pl.DataFrame] = []
    not_valid: dict[str, str] = {}
    for group in parts.partition_by("category", maintain_order=True):
        category = group["category"][0]
        try:
            side = protocol.assign(group)
        except DatasetError as reason:
            not_valid[category] = str(reason)
        else:
            _check(side, group, name)
            assigned.append(group.join(side, on="part", maintain_order="left"))
    if not assigned:
        why = next((f"{c} {reason}" for c, reason in not_valid.items()), "it holds no image")
        raise DatasetError(f"{data.root} cannot be split by {name}: {why}.")
    parts = pl.concat(assigned).select("category", "part", "side", "label")
    side_of = parts.select("category", "part", "side")
    rows = data.table.join(side_of, on=["category", "part"], maintain_order="left")
    return Split(
        protocol=PROTOCOLS.label(name),
        settings=dataclasses.asdict(cast(Any, protocol)),
        seed=seed,
        data=data.with_table(_with_sides(rows)),
        parts=parts,
        hidden=rows.filter(pl.col("side") == NOISE)["image"].sort().to_list(),
        not_valid=not_valid,
        outside=PROTOCOLS.record(name),
    )


def _check(side: object, parts: pl.DataFrame, name: str) -> None:
    """Refuse what no protocol may answer: a part twice, one that is not there, another side."""
    what = f"the split protocol {name}"
    if not isinstance(side, pl.DataFrame) or set(side.columns) != {"part", "side"}:
        raise DatasetError(f"{what} must answer with a DataFrame of the columns part and side.")
    if strange := sorted(set(side["side"].to_list()) - {*SPLITS, NOISE, CLEAN}, key=str):
        known = ", ".join((*SPLITS, NOISE, CLEAN))
        raise DatasetError(f"{what} answers with the side {strange[0]!r}; there are: {known}.")
    if side["part"].is_duplicated().any():
        raise DatasetError(f"{what} puts a part on two sides.")
    if not set(side["part"].to_list()) <= set(parts["part"].to_list()):
        raise DatasetError(f"{what} answers with a part that it was not given.")


def _with_sides(rows: pl.DataFrame) -> pl.DataFrame:
    kept = rows.filter((pl.col("side") != CLEAN) | (pl.col("label") == "good"))
    noise = pl.col("side") == NOISE
    return hide_labels(kept.with_columns(split=_split_of("side")), noise).drop("side")


def _split_of(side: str) -> pl.Expr:
    return pl.col(side).replace({NOISE: "train", CLEAN: "train"})


def hide_labels(table: pl.DataFrame, which: pl.Expr) -> pl.DataFrame:
    """The rows called good, without defect and mask, where `which` holds."""
    return table.with_columns(
        label=pl.when(which).then(pl.lit("good")).otherwise("label"),
        defect=pl.when(~which).then("defect"),
        mask=pl.when(~which).then("mask"),
    )
