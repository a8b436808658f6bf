"""What the benchmarks share; what they measure is not tested, because times are no tests."""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark by name, as its own script would find it."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(FOLDER)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


def test_a_child_tells_its_time_its_memory_and_what_it_printed(benchmark):
    run_child = benchmark("measuring").run_child
    code = (
        "import os, time; block = bytearray(300 << 20); time.sleep(0.2); print(os.environ['WORD'])"
    )
    child = run_child(["-c", code], {"WORD": "brass"})
    assert child.output.strip() == "brass"
    assert child.seconds > 0.2
    # A child begins as a copy of this process, which may be larger than what it becomes.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert 300 < child.peak_rss_mb < max(600, own + 50)


def test_a_child_that_fails_ends_the_benchmark_with_its_last_words(benchmark):
    with pytest.raises(SystemExit, match="no such part"):
        benchmark("measuring").run_child(["-c", "raise SystemExit('no such part')"], {})


def test_a_page_keeps_what_stands_outside_the_marks(benchmark, tmp_path):
    measuring = benchmark("measuring")
    page = tmp_path / "page.md"
    page.write_text(f"über\n{measuring.START}\nold\n{measuring.END}\nunder\n", encoding="utf-8")
    measuring.write_between_marks(page, ["new"])
    text = page.read_text(encoding="utf-8")
    assert text == f"über\n{measuring.START}\nnew\n{measuring.END}\nunder\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"page\.md lacks"):
        measuring.write_between_marks(page, ["new"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"padim": {"seconds": 1.5}}, ("1.50 s", "held")),
        ({"padim": {"seconds": 2.0}}, ("2.00 s", "held")),
        ({"padim": {"seconds": 2.01}}, ("2.01 s", "missed")),
        ({"padim": {"seconds": {"first": 1.0, "second": 3.0}}}, ("3.00 s", "missed")),
        ({"padim": {"skipped": "no data"}}, ("-", "skipped: no data")),
        ({"failed": "boom"}, ("-", "failed: boom")),
        ({}, ("-", "skipped: not in this run")),
    ],
)
def test_a_figure_is_held_missed_skipped_or_failed(benchmark, line, expected):
    figure = benchmark("figures").Figure("cold start", "first_verdict", "padim/seconds", 2, "s")
    assert figure.verdict(line) == expected


def test_a_figure_with_a_lower_limit_and_one_without_any(benchmark):
    make = benchmark("figures").Figure
    at_least = make("AUROC", "quality", "auroc", 0.85, at_least=True, digits=3)
    assert at_least.verdict({"auroc": 0.849}) == ("0.849", "missed")
    assert at_least.verdict({"auroc": 0.85}) == ("0.850", "held")
    assert make("radius", "covering_radius", "ratio").verdict({"ratio": 9.0}) == ("9.00", "")


def test_every_figure_is_of_a_benchmark_that_is_run(benchmark):
    run, figures = benchmark("run"), benchmark("figures").FIGURES
    assert {figure.benchmark for figure in figures} == set(run.BENCHMARKS)
    assert all((FOLDER / f"{name}.py").exists() for name in run.BENCHMARKS)


def test_the_table_has_a_row_for_every_figure_of_what_was_run(benchmark):
    rows = benchmark("run").table(
        {"pixel_metrics": {"seconds": 2.0, "peak_rss_mb": 80}}, benchmark("figures").FIGURES
    )
    assert len(rows) == 2 + 2
    assert rows[2].endswith("| 2.00 s | at most 1.5 s | **missed** |")
    assert rows[3].endswith("| 80 MB | at most 1000 MB | held |")


def test_a_small_benchmark_prints_one_line_of_json(benchmark):
    child = benchmark("measuring").run_child(
        [FOLDER / "pixel_metrics.py", "--maps", "4", "--size", "64"], {}
    )
    (line,) = child.output.splitlines()
    assert json.loads(line)["benchmark"] == "pixel_metrics"


def test_opening_is_measured_on_a_set_that_opens(benchmark):
    child = benchmark("measuring").run_child(
        [FOLDER / "data_opening.py", "--categories", "2", "--parts", "5"], {}
    )
    line = json.loads(child.output)
    assert line["benchmark"] == "data_opening"
    assert line["real_iad"]["rows"] == 2 * 5 * 5


def test_copies_are_moved_and_noisy_and_no_two_are_alike(benchmark, tmp_path):
    import cv2

    pictures = benchmark("pictures")
    sources = pictures.write_plates(tmp_path / "source", 2)
    pictures.write_copies(tmp_path / "set", sources, 3)
    copies = sorted((tmp_path / "set" / "train" / "good").iterdir())
    assert len({path.read_bytes() for path in copies}) == 6
    source, copy = (cv2.imread(str(path)).astype(float) for path in (sources[0], copies[0]))
    assert source.shape == copy.shape
    assert abs(np.mean(source) - np.mean(copy)) < 1
    assert np.abs(source - copy).mean() > 1
