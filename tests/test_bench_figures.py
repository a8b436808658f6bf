"""Figures of a bench: from planted results to curves, ranks and the words beside them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from running import Cli

from blemish.benchmark.figures import METRICS, draw_figures, figure_names
from blemish.benchmark.figures._svg import spread, ticks
from blemish.benchmark.figures.critical_difference import Ranking, critical_difference, rank
from blemish.benchmark.figures.curves import TAUGHT, Curve, CurvePoint, curves, svg_curves
from blemish.benchmark.protocol import Metric
from blemish.benchmark.selection import Selection, select
from blemish.benchmark.store import SCHEMA, read_results
from blemish.benchmark.table_spec import RowBlock, TableSpec

SVG = "{http://www.w3.org/2000/svg}"
AUROC = Metric("image.auroc", "I-AUROC")


def save_result(
    folder: Path,
    auroc: float | None,
    *,
    detector: str = "padim",
    category: str = "bolt",
    alpha: float | None = None,
    seed: int = 0,
    finished: str = "2026-01-01T00:00:00Z",
    code: str = "1.0",
    **more: Any,
) -> str:
    """Write the JSON of a finished run; returns its key."""
    run = {
        **{"protocol": "noisy", "data": "parts", "category": category},
        **{"variant": "" if alpha is None else f"alpha {alpha}", "split": "fuiad"},
        "split_settings": [] if alpha is None else [["alpha", str(alpha)]],
        **{"detector": detector, "preset": None, "settings": [], "size": 256, "resize": "pad"},
        **{"tile": None, "seed": seed, "fingerprint": ""},
        **more.pop("run", {}),
    }
    key = hashlib.sha256(json.dumps([run, code]).encode()).hexdigest()[:16]
    result = {
        **{"schema": SCHEMA, "key": key, "run": run, "status": "done", "reason": None},
        **{"code": {"version": code, "source": code, "method": ""}, "cost": {}, "machine": {}},
        **{"figures": {"image": {"auroc": auroc}}, "finished": finished, "fit": None, **more},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key}.npz").write_bytes(b"scores, which no figure needs")
    (folder / f"{key}.json").write_text(json.dumps(result), encoding="utf-8")
    return key


NOISY = """
title = "noisy"
source = "no paper"
[[data]]
name = "parts"
folders = ["parts"]
[[detectors]]
name = "padim"
[[metrics]]
path = "image.auroc"
name = "I-AUROC"
[[metrics]]
path = "oracle_f1.fpr"
name = "FPR"
lower_is_better = true
"""


def protocol(folder: Path) -> Path:
    """A protocol of that name, as a file."""
    file = folder / "noisy.toml"
    file.write_text(NOISY, encoding="utf-8")
    return file


def selected(folder: Path, code: str | None = None) -> Selection:
    """What a table without a spec would show of the results."""
    return select(read_results(folder), TableSpec("noisy", ()), code)


def figures(folder: Path, *metrics: Metric) -> dict[str, str]:
    """What is drawn of them, by name."""
    plain = [Metric(path, path) for path in METRICS]
    return dict(draw_figures(selected(folder), metrics or plain))


def parsed(svg: str) -> ElementTree.Element:
    """The root of a figure: well-formed, and sound in what it claims to be."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert "nan" not in svg
    return root


def said(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in parsed(svg).iter(f"{SVG}text")]


def prose(svg: str) -> str:
    return " ".join(said(svg))


# Noise curves.


def noisy(folder: Path) -> Path:
    """Two detectors, two categories, three shares of noise, two seeds."""
    for detector, fall in (("padim", 0.5), ("patchcore", 0.1)):
        for alpha in (0.0, 0.1, 0.4):
            for seed in (0, 1):
                for category, easy in (("bolt", 0.04), ("nut", -0.04)):
                    auroc = 0.9 - fall * alpha + 0.01 * seed + easy
                    save_result(
                        *(folder, auroc),
                        **{"detector": detector, "category": category},
                        **{"alpha": alpha, "seed": seed},
                    )
    return folder


def test_a_point_is_the_mean_over_categories_of_each_seed(tmp_path: Path) -> None:
    lines, missing = curves(selected(noisy(tmp_path)), "parts", AUROC)
    assert missing == []
    assert [curve.detector for curve in lines] == ["padim", "patchcore"]
    values = {(curve.detector, point.at): point.values for curve in lines for point in curve.points}
    assert {place: pytest.approx(v) for place, v in values.items()} == {
        ("padim", 0.0): (0.9, 0.91),
        ("padim", 0.1): (0.85, 0.86),
        ("padim", 0.4): (0.7, 0.71),
        ("patchcore", 0.0): (0.9, 0.91),
        ("patchcore", 0.1): (0.89, 0.9),
        ("patchcore", 0.4): (0.86, 0.87),
    }


def test_a_missing_category_withholds_the_mean_and_is_named(tmp_path: Path) -> None:
    noisy(tmp_path)
    key = save_result(tmp_path, None, category="nut", alpha=0.4, seed=1)
    (tmp_path / f"{key}.json").unlink()
    lines, missing = curves(selected(tmp_path), "parts", AUROC)
    assert missing == ["padim at 0.4, seed 1"]
    assert lines[0].points[-1] == CurvePoint(0.4, (pytest.approx(0.7),))
    drawn = figures(tmp_path)["noise-parts-image.auroc"]
    assert "Withheld, because a category is missing: padim at 0.4, seed 1." in prose(drawn)
    assert "Mean over 1 to 2 seeds" in prose(drawn)


def test_a_better_value_is_drawn_higher_and_more_noise_further_right() -> None:
    svg = svg_curves(
        [
            Curve("low", (CurvePoint(0, (0.6, 0.7)), CurvePoint(0.4, (0.5,)))),
            Curve("high", (CurvePoint(0, (0.9,)), CurvePoint(0.4, (0.8,)))),
        ],
        *("parts", "image AUROC"),
    )
    (left, low), (right, lower), _, (_, high), (_, higher), _ = marks(svg)
    assert left < right
    assert lower > low > higher > high
    assert "parts: image AUROC" in said(svg)
    assert {"low", "high", "0", "0.4"} <= set(said(svg))
    bands = [polygon.attrib["points"].split() for polygon in parsed(svg).iter(f"{SVG}polygon")]
    # The band at 0 reaches 0.05 to either side of the mean, 0.65; 0.15 lie between low and lower.
    upper, lowest = (float(bands[0][place].split(",")[1]) for place in (0, -1))
    assert lowest - upper == pytest.approx((lower - low) / 0.15 * 0.1, abs=0.2)


def test_a_curve_over_taught_parts_says_so_and_may_begin_later() -> None:
    both = [
        Curve("Mixed", (CurvePoint(0, (0.6,)), CurvePoint(40, (0.9,)))),
        Curve("Real defects only", (CurvePoint(5, (0.5,)), CurvePoint(40, (0.8,)))),
    ]
    svg = svg_curves(both, "parts", "recall", axis=TAUGHT)
    first, last, _, later, end, _ = marks(svg)
    assert first[0] < later[0] < last[0] == end[0]
    assert {"0", "5", "40", "real defective parts that are learnt from"} <= set(said(svg))


def marks(svg: str) -> list[tuple[float, float]]:
    """Where the marks stand: those of each curve, and then the one of its label."""
    drawn = [path for path in parsed(svg).iter(f"{SVG}path") if path.get("class") == "mark"]
    at = [re.findall(r"[\d.]+", path.attrib["transform"]) for path in drawn]
    return [(float(x), float(y)) for x, y in at]


def test_nine_curves_are_told_apart_by_marks_and_colours_and_their_labels_do_not_meet() -> None:
    nine = [
        Curve(f"detector {n}", (CurvePoint(0, (0.9, 0.91)), CurvePoint(0.4, (0.8,))))
        for n in range(9)
    ]
    svg = svg_curves(nine, "parts", "image AUROC")
    looks = {
        (path.attrib["d"], path.attrib["fill"])
        for path in parsed(svg).iter(f"{SVG}path")
        if path.get("class") == "mark"
    }
    assert len(looks) == 9
    heights = [
        float(text.attrib["y"])
        for text in parsed(svg).iter(f"{SVG}text")
        if "detector" in (text.text or "")
    ]
    assert len(heights) == 9
    assert (np.diff(sorted(heights)) >= 16.9).all()
    assert "bands" not in prose(svg)
    assert not list(parsed(svg).iter(f"{SVG}polygon"))


def test_one_seed_claims_no_spread_and_names_are_escaped() -> None:
    curve = Curve("<best> & co", (CurvePoint(0, (0.9,)), CurvePoint(0.1, (0.9,))))
    svg = svg_curves([curve], "a\x0bb", "image AUROC")
    assert "<best> & co" in said(svg)
    assert "One seed: no spread is known." in prose(svg)


def test_many_labels_at_one_height_stay_apart() -> None:
    places = spread([100.0] * 5 + [40.0], 17, 40, 120)
    assert sorted(places) == pytest.approx([40 + 17 * n for n in range(6)], abs=17)
    gaps = np.diff(sorted(places))
    assert (gaps >= 17 - 1e-9).all()
    assert spread([50.0, 90.0], 17, 40, 120) == [50.0, 90.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.71, 0.93, [0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.9, 0.9, [0.9, 0.92]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


# Critical differences.


def test_a_clear_order_of_many_categories_leaves_no_group() -> None:
    values = np.array([0.5, 0.9, 0.7]) + np.random.default_rng(0).normal(0, 0.01, (20, 3))
    ranking = rank(["worst", "best", "middle"], values)
    assert ranking.detectors == ("best", "middle", "worst")
    assert ranking.mean_ranks == (1.0, 2.0, 3.0)
    assert ranking.groups == ()
    assert ranking.friedman < 1e-6
    assert ranking.separable
    assert "tell every detector apart" in prose(critical_difference(ranking, "image AUROC"))


def test_equals_are_joined_and_one_that_is_worse_is_not() -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.normal(0.9, 0.01, (15, 2)), rng.normal(0.5, 0.01, 15)])
    ranking = rank(["a", "b", "c"], values)
    assert ranking.detectors[2] == "c"
    assert ranking.groups == ((0, 1),)
    drawn = critical_difference(ranking, "image AUROC")
    assert "A bar joins detectors" in prose(drawn)
    bars = [line for line in parsed(drawn).iter(f"{SVG}line") if line.attrib["stroke-width"] == "4"]
    assert len(bars) == 1


def test_without_friedmans_leave_all_are_one_group() -> None:
    values = np.random.default_rng(2).normal(0.9, 0.01, (8, 4))
    ranking = rank(list("abcd"), values)
    assert ranking.friedman > 0.05
    assert ranking.groups == ((0, 1, 2, 3),)
    assert "cannot be told apart" in prose(critical_difference(ranking, "image AUROC"))


def test_few_categories_say_that_they_prove_nothing() -> None:
    values = np.tile([0.9, 0.8, 0.7], (4, 1)) + np.arange(4)[:, None] / 100
    ranking = rank(["a", "b", "c"], values)
    assert ranking.friedman < 0.05
    assert ranking.groups == ((0, 1, 2),)
    assert not ranking.separable
    drawn = critical_difference(ranking, "image AUROC")
    assert "So few categories could not tell any two detectors apart" in prose(drawn)


def test_every_detector_stands_at_its_rank() -> None:
    ranking = Ranking(("a", "b", "c"), (1.25, 1.75, 3.0), 8, 0.0004, ((0, 1),), True, incomplete=2)
    svg = critical_difference(ranking, "AUPRO", "alpha 0.4")
    assert {"a  1.25", "b  1.75", "3.00  c", "Mean rank by AUPRO, alpha 0.4"} <= set(said(svg))
    assert "p < 0.001" in prose(svg)
    assert "Left out, because a detector is missing: 2 categories." in prose(svg)


def test_shares_of_noise_are_not_independent(tmp_path: Path) -> None:
    drawn = figures(noisy(tmp_path))
    diagrams = sorted(name for name in drawn if name.startswith("critical"))
    assert diagrams == [
        f"critical-difference-image.auroc-alpha_{alpha}" for alpha in (0.0, 0.1, 0.4)
    ]
    assert "Mean over 2 categories" in prose(drawn[diagrams[-1]])
    assert "patchcore  1.00" in said(drawn[diagrams[-1]])


def test_where_less_is_better_the_least_is_first(tmp_path: Path) -> None:
    for category in ("bolt", "nut"):
        for detector, rate in (("padim", 0.3), ("patchcore", 0.1)):
            rates = {"figures": {"oracle_f1": {"fpr": rate}}}
            save_result(tmp_path, None, category=category, detector=detector, **rates)
    rate = Metric("oracle_f1.fpr", "FPR", lower_is_better=True)
    words = said(figures(tmp_path, rate)["critical-difference-oracle_f1.fpr"])
    assert {"Mean rank by FPR", "patchcore  1.00", "2.00  padim"} <= set(words)


def test_a_curve_over_some_categories_of_a_protocol_says_so(tmp_path: Path) -> None:
    noisy(tmp_path)
    blocks = tuple(
        RowBlock("parts", f"alpha {a}", "fuiad", (("alpha", a),), ("bolt", "nut", "washer"))
        for a in ("0.0", "0.1", "0.4")
    )
    selection = select(read_results(tmp_path), TableSpec("noisy", (AUROC,), blocks=blocks))
    drawn = dict(draw_figures(selection, [AUROC]))["noise-parts-image.auroc"]
    assert "No mean of the protocol's: nothing is there of washer." in prose(drawn)


# From results.


def test_figures_are_found_by_their_files() -> None:
    assert figure_names() == ["critical_difference", "curves", "gallery"]


def one_alpha(folder: Path, **changed: Any) -> Sequence[str]:
    for category in ("bolt", "nut"):
        save_result(folder, 0.9, category=category)
        save_result(folder, 0.8, category=category, **changed)
    drawn = figures(folder)
    return said(drawn["critical-difference-image.auroc"])


def test_settings_are_told_apart_where_a_detector_comes_with_several(tmp_path: Path) -> None:
    words = one_alpha(tmp_path, run={"settings": [["bank", "50"]], "size": 128})
    assert "padim (size 256, pad)  1.00" in words
    assert "2.00  padim (bank=50, size 128, pad)" in words


def test_only_the_newest_code_counts_and_what_is_left_out_is_said(cli: Cli, tmp_path: Path) -> None:
    one_alpha(tmp_path, detector="patchcore")
    for category, auroc in (("bolt", 0.2), ("nut", 0.2)):
        newer = {"category": category, "code": "2.0", "finished": "2026-02-01T00:00:00Z"}
        save_result(tmp_path, auroc, **newer)
        save_result(tmp_path, 0.3, detector="duet", **newer)
    drawn = figures(tmp_path)
    words = said(drawn["critical-difference-image.auroc"])
    assert "duet  1.00" in words
    assert "2.00  padim" in words
    command = ("bench", "figures", protocol(tmp_path), "--out", tmp_path)
    run = cli(*command)
    said_so = "Results of other code versions are left out (4); these are of 2.0."
    other_code = "note: results shown are of other code than is installed: blemish 2.0 (2.0)"
    assert run.err == [f"WARNING: {said_so}", other_code]
    # As with `bench table`, an older one can be asked for.
    run = cli(*command, "--code", "1.0")
    [file] = run.out.splitlines()
    words = said(Path(file).read_text("utf-8"))
    assert "patchcore" in " ".join(words)
    assert "duet" not in " ".join(words)
    cli(*command, "--code", "3").refusal("code '3' fits 0 code versions", "1.0, 2.0")


def test_an_experiment_run_again_counts_once(tmp_path: Path) -> None:
    save_result(tmp_path, 0.1, run={"fingerprint": "before an image was replaced"})
    later = {"finished": "2026-02-01T00:00:00Z"}
    save_result(tmp_path, 0.9, **later)
    save_result(tmp_path, 0.8, detector="duet", **later)
    save_result(tmp_path, 0.9, category="nut", **later)
    save_result(tmp_path, 0.8, category="nut", detector="duet", **later)
    drawn = figures(tmp_path)
    assert "padim  1.00" in said(drawn["critical-difference-image.auroc"])


def test_the_command_writes_and_names_the_figures(cli: Cli, tmp_path: Path) -> None:
    noisy(tmp_path / "results")
    save_result(tmp_path / "results", 0.1, detector="other", run={"protocol": "another"})
    own = protocol(tmp_path)
    run = cli("bench", "figures", own, "--out", tmp_path / "results")
    assert run.code == 0, run.err
    files = [Path(line) for line in run.out.splitlines()]
    assert [file.name for file in files] == [
        "critical-difference-image.auroc-alpha_0.0.svg",
        "critical-difference-image.auroc-alpha_0.1.svg",
        "critical-difference-image.auroc-alpha_0.4.svg",
        "noise-parts-image.auroc.svg",
    ]
    assert {file.parent for file in files} == {tmp_path / "results/figures"}
    for file in files:
        assert "other" not in prose(file.read_text(encoding="utf-8"))
    run = cli(
        *("bench", "figures", own, "--out", tmp_path / "results"),
        *("-o", tmp_path / "elsewhere", "--metric", "image.auroc", "--json", "-"),
    )
    assert len(json.loads(run.out)["figures"]) == 4
    assert len(list((tmp_path / "elsewhere").iterdir())) == 4


def test_results_that_do_not_suffice_are_refused_with_a_reason(cli: Cli, tmp_path: Path) -> None:
    file, folder = protocol(tmp_path), tmp_path / "results"
    arguments = ("bench", "figures", file, "--out", folder)
    cli(*arguments).refusal(folder, "no results of noisy", f"blemish bench run {file}")
    save_result(folder, 0.9)
    cli(*arguments).refusal("nothing to draw yet", "image.auroc")
    noisy(folder)
    for wrong in ("image.arouc", "image"):
        cli(*arguments, "--metric", wrong).refusal("nothing to draw yet", wrong)
    (folder / "0123456789abcdef.json").write_text("{", encoding="utf-8")
    cli(*arguments).refusal("0123456789abcdef.json")


def test_a_failed_run_is_not_drawn(tmp_path: Path) -> None:
    noisy(tmp_path)
    save_result(tmp_path, None, detector="broken", status="failed", figures=None, alpha=0.0)
    for drawn in figures(tmp_path).values():
        assert not re.search("broken", drawn)
