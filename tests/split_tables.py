"""Tables of parts for the tests of splits; no image is on disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset import Dataset
from blemish.dataset.table import conform


def table(category: str = "nut", views: int = 1, **groups: int) -> pl.DataFrame:
    """Rows from counts of parts by split and kind: train_good=3, test_dent=2, test_unknown=1.

    A defective part shows its defect in its first view, and is clean in the others.
    """
    rows = []
    for group, count in groups.items():
        split, _, kind = group.partition("_")
        for part in range(count):
            name = f"{category} {group} {part}"
            for view in range(views):
                bad = kind not in ("good", "unknown") and view == 0
                image = f"{category}/{split}/{kind}/{part}_{view}.png"
                rows.append(
                    {
                        "image": image,
                        "mask": f"masks/{image}" if bad else None,
                        "category": category,
                        "split": split,
                        "label": None if kind == "unknown" else "defective" if bad else "good",
                        "defect": kind if bad else None,
                        "part": name,
                        "view": str(view),
                    }
                )
    return conform(pl.DataFrame(rows, infer_schema_length=None))


def data(*tables: pl.DataFrame) -> Dataset:
    return Dataset(Path("root"), "root", "table", pl.concat(tables))


def parts_by_side(rows: Dataset) -> dict[str, list[str]]:
    """The groups of the parts in each split, such as {"train": ["train_good", "train_good"]}."""
    parts = rows.table.select("split", "part").unique().sort("part")
    found: dict[str, list[str]] = {}
    for split, part in parts.iter_rows():
        found.setdefault(split, []).append(part.split()[1])
    return found


def parts_in(rows: Dataset, split: str, kind: str = "") -> set[str]:
    """The names of the parts in a split, of those whose name holds `kind`."""
    return {part for part in rows.split(split).parts if kind in part}
