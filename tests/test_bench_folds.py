"""Folds: their runs are made one by one, and a table shows figures of all of them together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_results import leave, planted
from running import Cli
from trees import tree

from blemish.benchmark.protocol import (
    DataSource,
    DetectorConfig,
    Metric,
    Protocol,
    SplitChoice,
    pairs,
)
from blemish.benchmark.reference_comparison import (
    ReferenceComparison,
    columns_named,
    compare_with_references,
)
from blemish.benchmark.result_table import TableCell
from blemish.benchmark.runs import expand
from blemish.benchmark.seed_result import SeedResult
from blemish.benchmark.selection import select
from blemish.benchmark.store import Result, read_results
from blemish.benchmark.table_spec import TableSpec, table_spec_of
from blemish.benchmark.tabulation import tabulate
from blemish.errors import BlemishError
from blemish.metrics.decision import Confusion

METRICS = (
    Metric("image.auroc", "I-AUROC"),
    Metric("decision.mcc", "MCC"),
    Metric("decision.tp", "TP", count=True),
)
NONE, FIVE = (
    SplitChoice(f"{n} taught", "k_fold", {"defects": "true", "taught": str(n)}, folds=3)
    for n in (0, 5)
)
SMALL = Protocol(
    name="dev",
    title="small",
    source="no paper",
    data=(DataSource("tire", ("tire",), categories=("tire",)),),
    detectors=(DetectorConfig("mixed", "Mixed"), DetectorConfig("padim", "PaDiM")),
    metrics=METRICS,
    splits=(NONE, FIVE),
)
SHARED = {"defects": "no", "taught": "none", "group": "none"}


def leave_folds(
    folder: Path, detector: str, split: SplitChoice, strength: float, folds: tuple[int, ...]
) -> list[Result]:
    """Results as `bench run` leaves them: of PaDiM those that all splits share."""
    left = []
    for fold in folds:
        settings = split.each_fold()[fold - 1] | (SHARED if detector == "padim" else {})
        left.append(
            leave(
                folder / f"fold{fold} {split.name}",
                detector,
                planted(strength, fold, 0.3) + 10 * fold,
                variant="" if detector == "padim" else split.name,
                split="k_fold",
                split_settings=pairs(settings),
                threshold=10.0 * fold + 1.5,
            )
        )
    return left


def results_below(folder: Path) -> list[Result]:
    """Of the folds; each with images and parts of its own, and a key of its own."""
    found = []
    for place in sorted(folder.iterdir()):
        for result in read_results(place):
            fold = dict(result.run.split_settings)["fold"]
            found.append(_OfFold(**{**vars(result), "key": f"{result.key}-{fold}"}))
    return found


class _OfFold(Result):
    """A planted result whose images bear the number of the fold in their names."""

    def scores(self):  # type: ignore[no-untyped-def]
        fold = self.key.rpartition("-")[2]
        scores = Result.scores(replace(self, key=self.key[: -len(fold) - 1]))
        return replace(
            scores,
            image=np.char.add(f"{fold} ", scores.image),
            part=np.char.add(f"{fold} ", scores.part),
        )


@pytest.fixture
def three_folds(tmp_path: Path) -> Path:
    for split, strength in ((NONE, 1.0), (FIVE, 3.0)):
        leave_folds(tmp_path, "mixed", split, strength, (1, 2, 3))
    leave_folds(tmp_path, "padim", NONE, 1.2, (1, 2, 3))
    return tmp_path


def cells(folder: Path, spec: TableSpec | None = None) -> dict[tuple[str, str, str], TableCell]:
    table = tabulate(results_below(folder), spec or table_spec_of(SMALL))
    return {
        (row.variant, row.metric.name, cell.detector): cell
        for row in table.rows
        for cell in row.cells
    }


# Figures of several folds.


def test_counts_are_summed_and_rankings_averaged(three_folds: Path) -> None:
    results = [r for r in results_below(three_folds) if r.run.variant == "5 taught"]
    assert len(results) == 3
    seed_result = SeedResult(tuple(results))
    figures = [result.figures or {} for result in results]
    counts = {n: sum(f["decision"][n] for f in figures) for n in ("tn", "fp", "fn", "tp")}
    assert {n: seed_result.figures["decision"][n] for n in counts} == counts
    assert sum(counts.values()) == 3 * 80
    assert seed_result.figures["decision"]["mcc"] == Confusion(**counts).mcc
    low, high = seed_result.interval("decision.mcc") or (0.0, 0.0)
    assert low < Confusion(**counts).mcc < high
    # Each fold has scores of its own scale: pooled, they would be ranked by fold.
    areas = [f["image"]["auroc"] for f in figures]
    assert seed_result.figures["image"]["auroc"] == pytest.approx(np.mean(areas))
    low, high = seed_result.interval("image.auroc") or (0.0, 0.0)
    ends = [f["image"]["auroc_interval"] for f in figures]
    below = np.sqrt(sum((a - e[0]) ** 2 for a, e in zip(areas, ends, strict=True))) / 3
    assert low == pytest.approx(np.mean(areas) - below)
    assert high < np.mean([end[1] for end in ends])
    assert seed_result.figures["sample"] is None
    assert seed_result.keys == tuple(result.key for result in results)


def test_a_trial_of_one_run_has_its_figures(three_folds: Path) -> None:
    [result, *_] = results_below(three_folds)
    seed_result = SeedResult((result,))
    assert seed_result.figures == result.figures
    assert result.figures is not None
    assert seed_result.interval("image.auroc") == tuple(result.figures["image"]["auroc_interval"])
    assert seed_result.interval("decision.mcc") is None


def test_a_figure_that_one_fold_lacks_is_none_of_all(three_folds: Path) -> None:
    first, *others = results_below(three_folds)
    image = {**(first.figures or {})["image"], "auroc": None}
    lacking = replace(first, figures={**(first.figures or {}), "image": image, "oracle_f1": None})
    seed_result = SeedResult((lacking, *others))
    assert "auroc" not in seed_result.figures["image"]
    assert seed_result.figures["oracle_f1"] is None


# The table.


def test_a_row_is_of_all_folds_and_what_splits_share_stands_in_each(three_folds: Path) -> None:
    found = cells(three_folds)
    assert {variant for variant, *_ in found} == {"0 taught", "5 taught"}
    few, many = (found[name, "TP", "Mixed"] for name in ("0 taught", "5 taught"))
    assert few.value is not None
    assert many.value is not None
    assert few.value < many.value <= 120
    assert (few.seeds, few.spread, len(few.runs)) == (1, None, 3)
    one, other = (found[name, "I-AUROC", "PaDiM"] for name in ("0 taught", "5 taught"))
    assert (one.value, one.runs) == (other.value, other.runs)
    # The test against the best of a row is made within each fold.
    assert found["5 taught", "I-AUROC", "PaDiM"].separable
    assert found["5 taught", "MCC", "PaDiM"].separable


def test_a_run_that_splits_share_costs_once(three_folds: Path) -> None:
    table = tabulate(results_below(three_folds), table_spec_of(SMALL))
    assert {cost.detector: cost.runs for cost in table.costs} == {"Mixed": 6, "PaDiM": 3}
    by_data = replace(table_spec_of(SMALL), cost_by_data=True)
    costs = tabulate(results_below(three_folds), by_data).costs
    runs = {(cost.detector, cost.data): cost.runs for cost in costs}
    assert set(runs.values()) == {3}
    assert len(runs) == 4


def test_as_long_as_a_fold_is_missing_there_is_no_figure(tmp_path: Path) -> None:
    leave_folds(tmp_path, "mixed", NONE, 1.0, (1, 3))
    leave_folds(tmp_path, "padim", NONE, 1.0, (1, 2, 3))
    found = cells(tmp_path)
    cell = found["0 taught", "I-AUROC", "Mixed"]
    assert (cell.value, cell.missing) == (None, "2 of 3 folds")
    assert found["5 taught", "I-AUROC", "Mixed"].missing == "no result"


def test_counts_have_no_digits_after_the_point(three_folds: Path) -> None:
    from blemish.benchmark.formats import render

    shown = render(tabulate(results_below(three_folds), table_spec_of(SMALL)), "csv")
    assert "TP" in shown
    shown = render(tabulate(results_below(three_folds), table_spec_of(SMALL)), "terminal")
    [line] = [line for line in shown.splitlines() if " TP " in line and "5 taught" in line]
    assert "." not in line.partition(" TP ")[2]


# Comparing.


@pytest.mark.parametrize("path", ["image.auroc", "image.recall_at_fpr_5", "decision.mcc"])
def test_more_defects_are_above_a_detector_without_any(three_folds: Path, path: str) -> None:
    results = [_with_recall(result) for result in results_below(three_folds)]
    selection = select(results, table_spec_of(SMALL))
    found = compare_with_references(selection, columns_named(selection, ["padim"]), path, draws=300)
    by_split: dict[str, ReferenceComparison] = {one.variant: one for one in found}
    many = by_split["5 taught"]
    assert many.verdict == "separably above"
    assert many.difference is not None
    assert many.value is not None
    assert many.reference_value is not None
    assert many.difference.value == pytest.approx(many.value - many.reference_value)
    assert by_split["0 taught"].verdict != "separably above"


def _with_recall(result: Result) -> Result:
    from blemish.metrics.image import recall_at_fpr

    scores = result.scores()
    image = (result.figures or {})["image"]
    image = image | {"recall_at_fpr_5": recall_at_fpr(scores.score, scores.label, 0.05)}
    return replace(result, figures={**(result.figures or {}), "image": image})


# The runs.


def test_runs_are_made_for_each_fold_and_once_for_what_splits_share(tmp_path: Path) -> None:
    names = ("train/good/0.png", "test/good/2.png", "test/dent/3.png")
    tree(tmp_path, *(f"tire/{name}" for name in names))
    only_five = DetectorConfig("mixed", "Five", settings={"synthetic": "0"}, splits=("5 taught",))
    jobs = expand(replace(SMALL, detectors=(*SMALL.detectors, only_five)), tmp_path).jobs
    told = [
        (r.detector, r.variant, dict(r.split_settings)["fold"], len(r.settings))
        for r in (job.run for job in jobs)
    ]
    folds = ("1", "2", "3")
    assert sorted(told) == sorted(
        [
            *(
                ("mixed", variant, fold, 0)
                for variant in ("0 taught", "5 taught")
                for fold in folds
            ),
            *(("mixed", "5 taught", fold, 1) for fold in folds),
            *(("padim", "", fold, 0) for fold in folds),
        ]
    )
    assert len({job.run.key for job in jobs}) == len(jobs) == 12
    settings = {pairs(dict(j.run.split_settings)) for j in jobs if j.run.detector == "padim"}
    assert {dict(one)["taught"] for one in settings} == {"none"}
    assert {dict(one)["k"] for one in settings} == {"3"}
    assert jobs[0].run.words() == "mixed, tire, 0 taught, fold 1, seed 0"


@pytest.mark.parametrize(("own", "expected"), [(None, 128), (0, 0), (64, 64)])
def test_a_detector_may_see_other_tiles_than_those_of_the_data(
    tmp_path: Path, own: int | None, expected: int
) -> None:
    tree(tmp_path, "tire/train/good/0.png", "tire/test/good/2.png", "tire/test/dent/3.png")
    tiled = tuple(replace(data, tile=128) for data in SMALL.data)
    protocol = replace(SMALL, data=tiled, detectors=(DetectorConfig("mixed", tile=own),))
    assert {job.run.tile for job in expand(protocol, tmp_path).jobs} == {expected}


def test_the_shipped_protocol_makes_sixty_runs(cli: Cli) -> None:
    data = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the development images are absent")
    run = cli("bench", "run", "dev-mixed", "--data", data, "--dry-run", "--json", "-")
    assert json.loads(run.out)["runs"] == 5 * 5 + 4 * 5 + 3 * 5


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('folds = 1\nprotocol = "k_fold"', "mine.toml: folds must be 2 or more"),
        ('name = "all"', r"mine.toml: padim takes part in \['some'\], which is no split"),
    ],
)
def test_a_protocol_that_cannot_be(tmp_path: Path, entry: str, message: str) -> None:
    from blemish.benchmark.protocol import open_protocol

    file = tmp_path / "mine.toml"
    named = 'splits = ["some"]\n' if "all" in entry else ""
    file.write_text(
        'title = "small"\nsource = "no paper"\n[[data]]\nname = "parts"\nfolders = ["parts"]\n'
        f'[[splits]]\n{entry}\n[[detectors]]\nname = "padim"\n{named}'
        '[[metrics]]\npath = "image.auroc"\nname = "I-AUROC"\n',
        encoding="utf-8",
    )
    with pytest.raises(BlemishError, match=message):
        open_protocol(str(file))
