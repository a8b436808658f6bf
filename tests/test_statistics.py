"""What a data set is made of, in numbers and as a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pictured import dataset, save, surface
from running import Cli

from blemish.cli.data.stats import columns
from blemish.dataset import Dataset
from blemish.dataset.statistics import histogram, statistics
from blemish.dataset.survey import survey
from blemish.report.statistics import render, write_statistics


@pytest.fixture
def plates(tmp_path: Path) -> Dataset:
    """Three parts in two views: one trains, one tests good, one has a dent seen from the top."""
    rows: list[dict[str, str | None]] = []
    mask = np.zeros((96, 128), np.uint8)
    mask[40:60, 10:50] = 255
    save(tmp_path / "dent.png", mask)
    for part, split in (("p1", "train"), ("p2", "test"), ("p3", "test")):
        for view in ("top", "side"):
            dented = (part, view) == ("p3", "top")
            save(tmp_path / f"{part}_{view}.png", surface(len(rows)))
            rows.append(
                {
                    "image": f"{part}_{view}.png",
                    "split": split,
                    "part": part,
                    "view": view,
                    "label": "defective" if dented else "good",
                    "defect": "dent" if dented else None,
                    "mask": "dent.png" if dented else None,
                }
            )
    return dataset(tmp_path, rows)


def test_the_numbers(plates: Dataset) -> None:
    figures = statistics(plates, survey(plates))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    histograms = figures.pop("histograms")
    assert figures == {
        "name": plates.name,
        "layout": "table",
        "terms": None,
        "images": 6,
        "parts": 3,
        "unreadable": 0,
        "categories": [
            {
                "category": "plate",
                "images": 6,
                "parts": 3,
                "train_good": 2,
                "train_defective": 0,
                "validation_good": 0,
                "validation_defective": 0,
                "test_good": 3,
                "test_defective": 1,
                "unlabelled": 0,
                "masks": 1,
                "size": "128 x 96",
                "sizes": 1,
                "smallest": 96,
                "largest": 128,
            }
        ],
        "defects": [
            {
                "category": "plate",
                "defect": "dent",
                "images": 1,
                "parts": 1,
                "masks": 1,
                "regions": 1,
                "area_median": 800 / 12288,
                "area_smallest": 800 / 12288,
                "area_largest": 800 / 12288,
                "aspect_median": 2.0,
            }
        ],
        "views": [
            {"category": "plate", "view": "side", "images": 3, "good": 3, "defective": 0},
            {"category": "plate", "view": "top", "images": 3, "good": 2, "defective": 1},
        ],
    }
    filled = {
        name: [(b["low"], b["high"]) for b in bins if b["count"]]
        for name, bins in histograms.items()
    }
    assert filled == {
        "area": [(0.03, 0.1)],
        "regions": [(1, 2)],
        "region_area": [(0.03, 0.1)],
        "region_aspect": [(2, 3)],
    }


def test_a_histogram_counts_every_value_once() -> None:
    bins = histogram(pl.Series([0.0, 0.5, 1.0, 1.0, 7.0, None]), (1, 2), 0)
    assert [(b["low"], b["high"], b["count"]) for b in bins] == [(0, 1, 2), (1, 2, 2), (2, None, 1)]


def test_unreadable_images_and_no_masks(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    data = dataset(tmp_path, [{"image": "a.png"}])
    figures = statistics(data, survey(data))
    assert figures["unreadable"] == 1
    assert figures["categories"][0]["size"] is None
    page = render(figures)
    assert "1 image could not be read" in page
    assert "No image is labelled defective" in page
    assert "<svg" not in page


def test_the_page_holds_every_count_and_loads_nothing(plates: Dataset, tmp_path: Path) -> None:
    path = write_statistics(statistics(plates, survey(plates)), tmp_path / "new" / "folder")
    page = path.read_text(encoding="utf-8")
    assert path.name == "statistics.html"
    assert "6 images of 3 parts, 1 kind of defect." in page
    assert page.count("<svg") == 4
    assert not re.search(r"https?:|@import|url\(|<script|\$\w", page)
    for shown in ("train good", "test defective", "128 x 96", "dent", "side", "6.5\u00a0%"):
        assert shown in page, shown


def test_names_cannot_break_the_page(plates: Dataset) -> None:
    hostile = "<script>alert(1)</script>&$title"
    table = plates.table.with_columns(
        category=pl.lit(hostile),
        view=pl.lit(hostile),
        defect=pl.when(pl.col("label") == "defective").then(pl.lit(hostile)),
    )
    page = render(statistics(plates.with_table(table), survey(plates)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;$title") == 4


def test_columns_are_aligned() -> None:
    rows = [["name", "images"], ["a", 12], ["long name", 3456]]
    assert list(columns(rows)) == ["name       images", "a              12", "long name   3,456"]


def test_the_command(cli: Cli, plates: Dataset, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    plates.table.write_csv(table)
    run = cli("data", "stats", table, "--report", tmp_path / "report")
    assert run.code == 0
    assert run.out.splitlines()[:5] == [
        "category  images  parts  train good  test good  test defective  size in pixels",
        "plate          6      3           2          3               1  128 x 96",
        "",
        "category  defect  images  regions  median area  median aspect ratio",
        "plate     dent         1        1  6.51 %       2",
    ]
    assert (tmp_path / "report" / "statistics.html").is_file()
    figures = json.loads(cli("data", "stats", table, "--json", "-").out)
    assert figures["categories"][0]["test_good"] == 3
