"""Every detector against the better of some references, from planted results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_results import OTHER_CODE, leave, planted
from running import Cli

from blemish.benchmark.reference_comparison import (
    ReferenceComparison,
    columns_named,
    compare_with_references,
)
from blemish.benchmark.selection import Selection, select
from blemish.benchmark.store import read_results
from blemish.benchmark.table_spec import ColumnSpec, RowBlock, TableSpec
from blemish.cli.bench._name_list import split_names
from blemish.errors import BlemishError

TIRE = RowBlock("tire", split="pooled", categories=("tire",))


def selected(folder: Path, spec: TableSpec | None = None) -> Selection:
    return select(read_results(folder), spec or TableSpec("Tires", (), blocks=(TIRE,)))


def compared(
    folder: Path, *references: str, path: str = "image.auroc"
) -> list[ReferenceComparison]:
    selection = selected(folder)
    return list(
        compare_with_references(selection, columns_named(selection, references), path, draws=200)
    )


def test_the_better_reference_is_the_one_of_that_data_set(tmp_path: Path) -> None:
    strengths = {"tire": (1.0, 2.0), "tile": (2.0, 1.0)}
    for data, (padim, patchcore) in strengths.items():
        leave(tmp_path, "padim", planted(padim), data=data, category=data)
        leave(tmp_path, "patchcore", planted(patchcore), data=data, category=data)
        leave(tmp_path, "duet", planted(0.0, 1, 0.5), data=data, category=data)
    found = {one.data: one for one in compared(tmp_path, "padim", "patchcore")}
    assert {data: one.reference for data, one in found.items()} == {
        "tire": "patchcore",
        "tile": "padim",
    }
    one = found["tire"]
    assert one.detector == "duet"
    assert one.value is not None
    assert one.reference_value is not None
    assert one.difference is not None
    assert one.difference.value == pytest.approx(one.value - one.reference_value)
    assert one.verdict == "separably below"


def test_the_seeds_that_all_have_are_compared(tmp_path: Path) -> None:
    for seed in range(3):
        leave(tmp_path, "padim", planted(1.0, seed, 0.5), seed=seed)
    for seed in (1, 2, 3):
        leave(tmp_path, "duet", planted(1.05, 10 + seed, 0.5), seed=seed)
    [one] = compared(tmp_path, "padim")
    assert (one.seeds, one.verdict) == ((1, 2), "not separable")
    leave(tmp_path, "patchcore", planted(1.0), seed=7)
    [one] = compared(tmp_path, "padim", "patchcore")
    assert one.verdict == "no seed in common with a reference"


def test_seeds_may_test_other_parts(tmp_path: Path) -> None:
    """As in FUIAD, where each seed deals the test out anew."""
    for seed, images in enumerate((slice(0, None), slice(10, -10))):
        leave(tmp_path, "padim", planted(2.0)[images], seed=seed)
        leave(tmp_path, "duet", planted(0.2, 1, 1.0)[images], seed=seed)
    [one] = compared(tmp_path, "padim")
    assert (one.seeds, one.verdict) == ((0, 1), "separably below")


def test_why_there_is_no_comparison(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(2.0))
    leave(tmp_path, "duet", planted(1.0)[10:-10])
    leave(tmp_path, "broken", planted(1.0), failed="it was to fail")
    verdicts = {one.detector: one.verdict for one in compared(tmp_path, "padim")}
    assert verdicts == {"duet": "other test images", "broken": "failed"}
    samples = compared(tmp_path, "padim", path="sample.auroc")
    assert {one.verdict for one in samples} == {"no figure", "failed"}


def test_a_reference_that_lacks_a_data_set_is_said(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(2.0))
    leave(tmp_path, "patchcore", planted(2.0), data="tile", category="tile")
    leave(tmp_path, "duet", planted(2.0))
    [one] = (one for one in compared(tmp_path, "padim", "patchcore") if one.data == "tire")
    assert (one.reference, one.absent) == ("padim", ("patchcore",))


def test_parts_are_compared_by_their_views(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(2.5), views=4)
    leave(tmp_path, "duet", planted(0.0, 1, 1.0), views=4)
    [one] = compared(tmp_path, "padim", path="sample.auroc")
    assert one.verdict == "separably below"


def test_a_reference_is_a_detector_or_a_label(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0))
    leave(tmp_path, "padim", planted(2.0), settings=(("channels", "50"),), seed=1)
    columns = (ColumnSpec("PaDiM, all", "padim"), ColumnSpec("PaDiM, 50", "padim"))
    [first, second] = columns
    spec = TableSpec(
        "Tires",
        (),
        columns=(
            ColumnSpec(first.label, "padim", settings=()),
            ColumnSpec(second.label, "padim", settings=(("channels", "50"),)),
        ),
        blocks=(TIRE,),
    )
    selection = selected(tmp_path, spec)
    assert len(columns_named(selection, ["padim"])) == 2
    [column] = columns_named(selection, ["PaDiM, 50"])
    assert column.settings == (("channels", "50"),)
    with pytest.raises(BlemishError, match=r"no results of cflow; there are some of: PaDiM, all"):
        columns_named(selection, ["cflow"])


def test_a_list_knows_labels_with_commas() -> None:
    labels = ["CFlow, 10 min", "CFlow"]
    assert split_names("padim, CFlow,10 min ,duet", labels) == ["padim", "CFlow, 10 min", "duet"]
    assert split_names("CFlow,duet,", labels) == ["CFlow", "duet"]
    assert split_names("CFlow, 10 min") == ["CFlow", "10 min"]
    assert split_names("") == []


def test_the_command(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    leave(folder, "padim", planted(1.0))
    leave(folder, "patchcore", planted(2.5))
    leave(folder, "duet", planted(0.0, 1, 0.5))
    command = ("bench", "compare", "dev", "--out", folder, "--against", "padim,PatchCore")
    run = cli(*command)
    assert (run.code, run.err) == (0, [OTHER_CODE])
    head, _, heads, line = run.out.splitlines()
    assert head.startswith("image.auroc less that of the better of PaDiM, PatchCore, 95 %")
    assert heads.split()[:2] == ["data", "detector"]  # no category has a name of its own
    assert "PatchCore 0." in line
    assert line.split()[-3:] == ["separably", "below", "1"]
    assert cli(*command).out == run.out
    shown = json.loads(cli(*command, "--json", "-").out)
    [one] = shown["comparisons"]
    assert (one["detector"], one["separable"], one["seeds"]) == ("Duet", True, [0])
    assert one["difference"]["high"] < 0
    cli(*command, "--metric", "pixel.aupro").refusal("pixel.aupro", "image.auroc, image.recall")
    cli(*command[:-1], "cflow").refusal("no results of cflow", "PaDiM")
    cli(*command[:-1], "padim,patchcore,duet").refusal("holds no results but those of padim")
