"""From planted results to tables: who is best, who is not told from the best, what is withheld."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from bench_results import OTHER_CODE, leave, planted
from running import Cli

from blemish.benchmark.costs import machine_name
from blemish.benchmark.protocol import Metric, open_protocol, protocol_names
from blemish.benchmark.result_table import Cost, MethodsSummary, ResultTable, TableCell, TableRow
from blemish.benchmark.store import read_results
from blemish.benchmark.table_spec import (
    ColumnSpec,
    PublishedFigure,
    RowBlock,
    TableSpec,
    table_spec_of,
)
from blemish.benchmark.tabulation import tabulate
from blemish.errors import DatasetError
from blemish.metrics.image import auroc
from blemish.metrics.paired_test import delong, holm
from blemish.published import published

I_AUROC = Metric("image.auroc", "I-AUROC", percent=True)
TIRE = RowBlock("tire", split="pooled", categories=("tire",))
PLAIN = TableSpec("Tires", (I_AUROC,), blocks=(TIRE,))
LABELS = np.repeat([0, 1], 40)


def table_of(folder: Path, spec: TableSpec = PLAIN) -> ResultTable:
    return tabulate(read_results(folder), spec)


def only(rows: tuple[TableRow, ...]) -> TableRow:
    [row] = rows
    return row


def cells(row: TableRow) -> dict[str, TableCell]:
    return {cell.detector: cell for cell in row.cells}


def test_one_seed_has_a_figure_and_its_interval_but_no_spread(tmp_path: Path) -> None:
    result = leave(tmp_path, "padim", planted(1.5))
    row = only(table_of(tmp_path).rows)
    assert result.figures is not None
    low, high = result.figures["image"]["auroc_interval"]
    assert row == TableRow(
        data="tire",
        variant="",
        category="tire",
        metric=I_AUROC,
        protocol="",
        cells=(
            TableCell(
                "padim",
                value=100 * result.figures["image"]["auroc"],
                seeds=1,
                interval=(100 * low, 100 * high),
                runs=(result.key,),
            ),
        ),
    )


def test_seeds_are_averaged_and_their_deviation_stands_beside(tmp_path: Path) -> None:
    results = [leave(tmp_path, "padim", planted(1.5, seed, 1.0), seed=seed) for seed in range(3)]
    [cell] = only(table_of(tmp_path).rows).cells
    areas = [100 * (auroc(planted(1.5, seed, 1.0), LABELS) or 0) for seed in range(3)]
    assert cell.value == pytest.approx(statistics.fmean(areas))
    assert cell.spread == pytest.approx(statistics.stdev(areas))
    assert cell.seeds == 3
    assert cell.runs == tuple(result.key for result in results)
    lows = [result.figures["image"]["auroc_interval"][0] for result in results if result.figures]
    assert cell.interval is not None
    assert cell.interval[0] == pytest.approx(100 * statistics.fmean(lows))


def test_best_second_and_who_is_not_told_from_the_best(tmp_path: Path) -> None:
    scores = {"duet": planted(2.5), "padim": planted(2.45, 1, 0.1), "patchcore": planted(0.3, 2, 1)}
    for detector, values in scores.items():
        leave(tmp_path, detector, values)
    found = cells(only(table_of(tmp_path).rows))
    assert {name: cell.rank for name, cell in found.items()} == {
        "duet": 1,
        "padim": 2,
        "patchcore": 3,
    }
    tests = [
        delong(scores["duet"], scores[n], LABELS, np.arange(80)) for n in ("padim", "patchcore")
    ]
    expected = holm([test.p for test in tests if test is not None])
    assert [found["padim"].p, found["patchcore"].p] == pytest.approx(expected)
    assert {name: cell.separable for name, cell in found.items()} == {
        "duet": None,
        "padim": False,
        "patchcore": True,
    }


def test_what_is_equal_as_rounded_shares_the_first_place_and_leaves_no_second(
    tmp_path: Path,
) -> None:
    for detector, values in (
        ("duet", planted(2.5)),
        ("padim", planted(2.5)),
        ("patchcore", planted(0.2)),
    ):
        leave(tmp_path, detector, values)
    found = cells(only(table_of(tmp_path).rows))
    assert [found[name].rank for name in ("duet", "padim", "patchcore")] == [1, 1, 3]
    assert found["padim"].p == 1.0
    assert found["padim"].separable is False


def test_lower_is_better_where_the_protocol_says_so(tmp_path: Path) -> None:
    fpr = Metric("oracle_f1.fpr", "FPR", honest="decision.fpr", lower_is_better=True)
    leave(tmp_path, "padim", planted(2.0), threshold=3.0)
    leave(tmp_path, "patchcore", planted(2.0, 3, 0.5), threshold=0.0)
    rows = table_of(tmp_path, dataclasses.replace(PLAIN, metrics=(fpr,))).rows
    assert [(row.protocol, row.metric.path) for row in rows] == [
        ("paper", "oracle_f1.fpr"),
        ("honest", "decision.fpr"),
    ]
    honest = cells(rows[1])
    assert (honest["padim"].rank, honest["patchcore"].rank) == (1, 2)
    assert honest["patchcore"].separable is True


def test_other_test_images_cannot_be_compared(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(2.5))
    leave(tmp_path, "patchcore", planted(0.3)[10:-10])
    found = cells(only(table_of(tmp_path).rows))
    assert [(cell.rank, cell.p) for cell in found.values()] == [(1, None), (2, None)]


def two_categories(folder: Path, missing: bool = False) -> TableSpec:
    for seed in range(2):
        for category, strength in (("a", 2.0), ("b", 1.0)):
            for detector, less in (("padim", 0.0), ("patchcore", 0.8)):
                if not (missing and (detector, category) == ("patchcore", "b")):
                    leave(
                        folder,
                        detector,
                        planted(strength - less, seed, 0.5),
                        data="set",
                        category=category,
                        seed=seed,
                    )
    return TableSpec("Set", (I_AUROC,), blocks=(RowBlock("set", "", "pooled", (), ("a", "b")),))


def test_the_mean_over_categories(tmp_path: Path) -> None:
    table = table_of(tmp_path, two_categories(tmp_path))
    assert [row.category for row in table.rows] == ["a", "b", None]
    a, b, mean = (cells(row)["padim"] for row in table.rows)
    assert a.value is not None
    assert b.value is not None
    assert mean.value == pytest.approx((a.value + b.value) / 2)
    of_seeds = [
        statistics.fmean(100 * (auroc(planted(s, seed, 0.5), LABELS) or 0) for s in (2.0, 1.0))
        for seed in range(2)
    ]
    assert mean.spread == pytest.approx(statistics.stdev(of_seeds))
    assert mean.seeds == 2
    assert mean.interval is not None
    assert a.interval is not None
    assert b.interval is not None
    below = (a.value - a.interval[0], b.value - b.interval[0])
    assert mean.value - mean.interval[0] == pytest.approx(np.hypot(*below) / 2)
    assert mean.runs == a.runs + b.runs
    p = [cells(row)["patchcore"].p for row in table.rows]
    assert p[2] is not None
    assert p[0] is not None
    assert p[1] is not None
    assert p[2] < min(p[0], p[1])  # both categories say the same, so the mean is surer
    only_means = dataclasses.replace(
        two_categories(tmp_path), each_category=False, source="elsewhere"
    )
    assert table_of(tmp_path, only_means).rows == table.rows[2:]


def test_a_missing_category_withholds_the_mean_and_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, two_categories(tmp_path, missing=True))
    mean = cells(table.rows[-1])
    assert mean["padim"].value is not None
    assert (mean["patchcore"].value, mean["patchcore"].missing) == (None, "withheld: b missing")
    assert cells(table.rows[1])["patchcore"].missing == "no result"
    assert mean["padim"].rank is None  # nobody to be better than


def test_a_category_that_nobody_has_withholds_every_mean(tmp_path: Path) -> None:
    spec = two_categories(tmp_path)
    [block] = spec.blocks
    wider = dataclasses.replace(block, categories=("a", "b", "c", "d"))
    table = table_of(tmp_path, dataclasses.replace(spec, blocks=(wider,)))
    assert [row.category for row in table.rows] == ["a", "b", None]
    assert {cell.missing for cell in table.rows[-1].cells} == {"withheld: c, d missing"}


def test_one_category_of_several_is_not_taken_for_the_mean(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0), data="set", category="a")
    spec = TableSpec(
        "Set",
        (I_AUROC,),
        blocks=(RowBlock("set", "", "pooled", (), ("a", "b")),),
        published=(PublishedFigure("set", "padim", "image.auroc", 90.0),),
    )
    rows = table_of(tmp_path, spec).rows
    assert [(row.category, row.cells[0].published) for row in rows] == [("a", None), (None, 90.0)]
    assert rows[1].cells[0].missing == "withheld: b missing"


def test_a_failed_run_says_so_and_why(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(2.0))
    leave(tmp_path, "patchcore", planted(2.0), failed="the disk was full")
    table = table_of(tmp_path)
    assert cells(only(table.rows))["patchcore"].missing == "failed"
    assert table.notes == ("Patchcore failed on tire: the disk was full.",)


def test_published_figures_and_the_difference(tmp_path: Path) -> None:
    result = leave(tmp_path, "padim", planted(1.5))
    spec = dataclasses.replace(
        PLAIN,
        columns=(
            ColumnSpec("CFlow", "cflow"),
            ColumnSpec("PaDiM", "padim"),
            ColumnSpec("RD", "rd"),
        ),
        published=(
            PublishedFigure("tire", "PaDiM", "image.auroc", 92.7),
            PublishedFigure("tire", "CFlow", "image.auroc", 88.8),
            PublishedFigure("tire", "mean", "image.auroc", 90.75),
            PublishedFigure("tire", "std", "image.auroc", 1.95),
        ),
        over_methods=True,
    )
    row = only(table_of(tmp_path, spec).rows)
    assert result.figures is not None
    area = 100 * result.figures["image"]["auroc"]
    assert [cell.detector for cell in row.cells] == ["CFlow", "PaDiM"]  # RD has neither
    assert row.cells[0].missing == "no result"
    assert (row.cells[0].published, row.cells[0].difference) == (88.8, None)
    assert row.cells[1].difference == pytest.approx(area - 92.7)
    assert row.over_methods == MethodsSummary(None, None, 1, 90.75, 1.95)


def test_real_iads_deviation_over_methods_is_that_of_a_population() -> None:
    """Of its own table, but for the multi-view rows, which do not follow from their columns."""
    off = []
    for line in published("real_iad_uiad"):
        methods = [float(v) for k, v in line.items() if k not in ("dataset", "metric", *OVER)]
        mean, std = statistics.fmean(methods), statistics.pstdev(methods)
        if abs(mean - float(line["mean"])) > 0.11 or abs(std - float(line["std"])) > 0.11:
            off.append((line["dataset"], line["metric"], line["mean"], round(mean, 1)))
    assert off == [
        ("Real-IAD multi-view", "S-AUROC", "90.3", 90.8),
        ("Real-IAD multi-view", "I-AUROC", "85.0", 85.4),
        ("Real-IAD multi-view", "P-AUPRO", "86.3", 87.1),
    ]
    # 1.2 is published: the deviation of a sample would be 1.3.
    assert round(statistics.stdev([99.0, 95.5, 97.1, 99.3, 98.4, 98.5, 97.5]), 1) == 1.3


OVER = ("mean", "std")


def test_mean_and_deviation_over_methods(tmp_path: Path) -> None:
    for detector, strength in (("padim", 1.0), ("patchcore", 2.0)):
        leave(tmp_path, detector, planted(strength))
    row = only(table_of(tmp_path, dataclasses.replace(PLAIN, over_methods=True)).rows)
    values = [cell.value for cell in row.cells if cell.value is not None]
    assert row.over_methods == MethodsSummary(
        statistics.fmean(values), statistics.pstdev(values), 2
    )


def test_parts_are_compared_as_parts(tmp_path: Path) -> None:
    s_auroc = Metric("sample.auroc", "S-AUROC")
    scores = {"duet": planted(2.5), "padim": planted(0.5, 1, 1.0)}
    for detector, values in scores.items():
        leave(tmp_path, detector, values, views=4)
    found = cells(only(table_of(tmp_path, dataclasses.replace(PLAIN, metrics=(s_auroc,))).rows))
    parts = {name: values.reshape(20, 4).max(axis=1) for name, values in scores.items()}
    labels = np.repeat([0, 1], 10)
    test = delong(parts["duet"], parts["padim"], labels)
    assert test is not None
    assert found["padim"].p == pytest.approx(test.p)
    assert found["duet"].interval is not None


def test_a_metric_that_nobody_has_makes_no_row(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0))
    metrics = (I_AUROC, Metric("pixel.aupro", "P-AUPRO"), Metric("no.such", "?"))
    assert len(table_of(tmp_path, dataclasses.replace(PLAIN, metrics=metrics)).rows) == 1


def test_variants_of_a_split_stay_apart(tmp_path: Path) -> None:
    blocks = tuple(
        RowBlock("tire", f"alpha {alpha}", "fuiad", (("alpha", alpha),), ("tire",))
        for alpha in ("0", "0.4")
    )
    for block, strength in zip(blocks, (2.0, 1.0), strict=True):
        leave(
            *(tmp_path, "padim", planted(strength)),
            variant=block.variant,
            split="fuiad",
            split_settings=block.split_settings,
        )
    rows = table_of(tmp_path, dataclasses.replace(PLAIN, blocks=blocks)).rows
    assert [(row.variant, row.cells[0].seeds) for row in rows] == [("alpha 0", 1), ("alpha 0.4", 1)]
    assert rows[0].cells[0].value != rows[1].cells[0].value


def test_two_settings_of_one_detector_are_two_columns(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0))
    leave(tmp_path, "padim", planted(2.0), settings=(("channels", "50"),), seed=1)
    assert table_of(tmp_path).detectors == (
        "padim (channels=50, usual size, squash)",
        "padim (usual size, squash)",
    )


def test_two_budgets_of_one_detector_are_two_columns(tmp_path: Path) -> None:
    """Even where the protocol gives both one label."""
    for budget, strength in ((None, 2.0), (120.0, 1.0), (600.0, 1.5)):
        leave(tmp_path, "cflow", planted(strength), budget=budget)
    columns = tuple(
        ColumnSpec(label, "cflow", settings=(), budget=budget)
        for label, budget in (("CFlow", None), ("CFlow, 10 min", 600.0), ("CFlow, 2 min", 120.0))
    )
    table = table_of(tmp_path, dataclasses.replace(PLAIN, columns=columns))
    assert table.detectors == ("CFlow", "CFlow, 10 min", "CFlow, 2 min")
    assert [cell.rank for cell in only(table.rows).cells] == [1, 2, 3]
    assert [cost.detector for cost in table.costs] == list(table.detectors)
    alike = tuple(dataclasses.replace(one, label="CFlow") for one in columns)
    labels = table_of(tmp_path, dataclasses.replace(PLAIN, columns=alike)).detectors
    assert set(labels) == {
        "CFlow (usual size, squash)",
        "CFlow (usual size, squash, budget 10 min)",
        "CFlow (usual size, squash, budget 2 min)",
    }


def test_a_table_is_of_one_code_version(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0), code="aaaa", finished="2026-01-02T00:00:00+00:00")
    leave(tmp_path, "padim", planted(2.0), code="bbbb", finished="2026-01-01T00:00:00+00:00")
    results = read_results(tmp_path)
    newest = tabulate(results, PLAIN)
    assert only(newest.rows).cells[0].runs == ("padim-tire-tire--0-aaaa",)
    assert newest.notes == ("Results of other code versions are left out (1); these are of aaaa.",)
    assert only(tabulate(results, PLAIN, code="b").rows).cells[0].runs[0].endswith("bbbb")
    with pytest.raises(DatasetError, match="'c' fits 0 code versions; there are: aaaa, bbbb"):
        tabulate(results, PLAIN, code="c")


def test_costs_name_the_machine_and_mix_no_two(tmp_path: Path) -> None:
    for seed in range(2):
        leave(tmp_path, "padim", planted(1.0), seed=seed)
    leave(tmp_path, "padim", planted(1.0), seed=2, machine={"processor": "Another", "threads": 8})
    [one, other] = table_of(tmp_path).costs
    assert one == Cost("padim", "A CPU, 2 threads, Linux x86_64", 2, 10.5, 2.0, 501.0, 30.0)
    assert (other.machine, other.runs, other.train_seconds) == ("Another, 8 threads", 1, 12.0)
    assert machine_name({"cores": 2, "gpu": "none"}) == "cores 2, gpu none"


def test_costs_of_each_data_set_have_their_spread_over_seeds(tmp_path: Path) -> None:
    for seed in range(3):
        fit = {"steps": 800.0 + seed, "steps_planned": 2000.0}
        leave(tmp_path, "padim", planted(1.0), seed=seed)
        leave(tmp_path, "cflow", planted(1.0), seed=seed, fit=fit, data="tile", category="tile")
    leave(tmp_path, "padim", planted(1.0), data="tile", category="tile")
    tile, alone, tire = sorted(
        table_of(tmp_path, dataclasses.replace(PLAIN, cost_by_data=True)).costs,
        key=lambda cost: (cost.data, cost.detector),
    )
    assert (tire.data, tire.detector, tire.runs) == ("tire", "padim", 3)
    assert (tire.train_seconds, tire.peak_rss_mb, tire.latency_ms) == (11.0, 501.0, 30.0)
    assert tire.spreads == {
        **{"train_seconds": 1.0, "evaluate_seconds": 0.0},
        **{"peak_rss_mb": 1.0, "latency_ms": 0.0},
    }
    assert (tile.data, tile.detector, tile.steps) == ("tile", "cflow", (801, 2000))
    assert (alone.train_seconds, alone.spreads["train_seconds"], alone.steps) == (10.0, None, None)


def test_costs_of_several_categories_are_those_of_whole_seeds(tmp_path: Path) -> None:
    for category in ("a", "b"):
        for seed in range(2):
            leave(tmp_path, "padim", planted(1.0), data="set", category=category, seed=seed)
    spec = TableSpec("Set", (I_AUROC,), cost_by_data=True)
    [cost] = table_of(tmp_path, spec).costs
    assert (cost.data, cost.runs, cost.train_seconds) == ("set", 4, 10.5)
    assert cost.spreads["train_seconds"] == pytest.approx(0.5**0.5)
    leave(tmp_path, "padim", planted(1.0), data="set", category="a", seed=2)
    [uneven] = table_of(tmp_path, spec).costs
    assert (uneven.train_seconds, uneven.spreads["train_seconds"]) == (11.0, None)


def test_no_results_make_an_empty_table_and_published_ones_a_full_one() -> None:
    assert tabulate([], PLAIN).rows == ()
    table = tabulate([], table_spec_of(open_protocol("real-iad-uiad")))
    lines = [line for line in published("real_iad_uiad") if line["dataset"].startswith("Real")]
    assert len(table.rows) == len(lines)
    shown = sorted([cell.published for cell in row.cells] for row in table.rows)
    methods = [k for k in lines[0] if k not in ("dataset", "metric", *OVER)]
    assert [sorted(filter(None, row)) for row in shown] == [
        sorted(map(float, (line[m] for m in methods)))
        for line in sorted(lines, key=lambda line: [float(line[m]) for m in order(table, methods)])
    ]
    assert {row.over_methods.published_mean for row in table.rows if row.over_methods} == {
        float(line["mean"]) for line in lines
    }


def order(table: ResultTable, methods: list[str]) -> list[str]:
    """The paper's columns in the table's order, by the cells of its first row."""
    first = [cell.published for cell in table.rows[0].cells]
    [line] = [
        line
        for line in published("real_iad_uiad")
        if sorted(float(line[m]) for m in methods) == sorted(filter(None, first))
    ]
    return sorted(methods, key=lambda method: first.index(float(line[method])))


@pytest.mark.parametrize("name", protocol_names())
def test_every_protocol_has_an_outline(name: str) -> None:
    protocol = open_protocol(name)
    spec = table_spec_of(protocol)
    assert len(spec.blocks) == len(protocol.data) * len(protocol.splits)
    assert [column.detector for column in spec.columns] == [d.name for d in protocol.detectors]
    assert bool(spec.published) == (protocol.published is not None)


def test_the_command(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for detector, strength in (("padim", 1.0), ("patchcore", 2.5)):
        leave(folder, detector, planted(strength))
    file = tmp_path / "table.md"
    run = cli("bench", "table", "dev", "--out", folder, "-o", file, "--json", "-")
    assert (run.code, run.err) == (0, [OTHER_CODE])
    shown = json.loads(run.out)
    row = next(row for row in shown["rows"] if row["metric"]["path"] == "image.auroc")
    assert [cell["detector"] for cell in row["cells"]] == ["PaDiM", "PatchCore"]
    assert row["cells"][0]["separable"] is True
    text = file.read_text(encoding="utf-8")
    assert "[padim-tire-tire--0-0123](results/padim-tire-tire--0-0123.json)" in text
    assert cli("bench", "table", "dev", "--out", folder, "--format", "csv").out.startswith("data,")
    assert "*" in cli("bench", "table", "dev", "--out", folder).out
    costs = cli("bench", "table", "dev", "--out", folder, "--cost").out
    assert re.search(r"^data +detector +runs +whole training, s", costs, re.MULTILINE)
    assert re.search(r"^tire +PaDiM +1 +10 ", costs, re.MULTILINE)


def test_a_page_takes_the_table_between_its_marks(cli: Cli, tmp_path: Path) -> None:
    folder, page = tmp_path / "results", tmp_path / "page.md"
    leave(folder, "padim", planted(1.0))
    command = ("bench", "table", "dev", "--out", folder, "--into", page)
    marked = "before\n<!-- dev -->\nstale figures\n<!-- end of dev -->\nafter\n"
    page.write_text(marked, encoding="utf-8")
    assert cli(*command).code == 0
    first = page.read_text(encoding="utf-8")
    assert first.startswith("before\n<!-- dev -->\n\n## Development sets")
    assert first.endswith("\n<!-- end of dev -->\nafter\n")
    assert "stale figures" not in first
    assert "](results/padim-tire-tire--0-0123.json)" in first
    assert cli(*command).code == 0
    assert page.read_text(encoding="utf-8") == first

    cli(*command, "--format", "html").refusal("page.md takes a table in Markdown, and no html")
    page.write_text("no marks", encoding="utf-8")
    cli(*command).refusal("page.md lacks the lines <!-- dev --> and <!-- end of dev -->")
    assert page.read_text(encoding="utf-8") == "no marks"


def test_what_the_command_refuses(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    cli("bench", "table", "dev", "--out", folder).refusal(folder, "no results of dev", "--out")
    leave(folder, "padim", planted(1.0))
    table = ("bench", "table", "dev", "--out", folder)
    cli(*table, "--format", "word").refusal("word", "markdown")
    cli(*table, "-o", tmp_path / "table.docx").refusal("table.docx", ".md", "--format")
    cli("bench", "table", "nothing").refusal("nothing")
    (folder / "padim-tire-tire--0-0123.npz").write_bytes(b"PK")
    leave(folder, "patchcore", planted(2.0))
    cli(*table).refusal("padim-tire-tire--0-0123.npz")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    cli(*table).refusal("broken.json")
