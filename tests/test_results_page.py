"""The page of results says what the kept results of the bench say, and nothing else."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from running import Cli

DOCS = Path(__file__).resolve().parents[1] / "docs"
BENCHMARKS = DOCS.parent / "benchmarks"

PROTOCOLS = ["dev", "dev-long", "dev-mixed", "dev-noise"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_table_is_the_one_of_the_kept_results(cli: Cli, tmp_path: Path, protocol: str) -> None:
    """`bench table` with the command that the page names leaves the page as it is."""
    page = tmp_path / "results.md"
    shutil.copy(DOCS / "results.md", page)
    (tmp_path / "results").symlink_to(DOCS / "results")
    folder = tmp_path / "results" / protocol
    cost = ["--cost"] * (protocol in {"dev", "dev-long"})
    run = cli("bench", "table", protocol, *cost, "--out", folder, "--into", page)
    assert run.code == 0, run.err
    assert page.read_text(encoding="utf-8") == (DOCS / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_run_that_the_page_leads_to_is_there(protocol: str) -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    links = {part.partition(")")[0] for part in page.split(f"](results/{protocol}/")[1:]}
    assert len(links) >= 10
    for link in links:
        assert (DOCS / "results" / protocol / link).is_file(), link


def test_the_comparison_is_the_one_of_the_kept_results(cli: Cli) -> None:
    """The page quotes what `bench compare` prints, line by line."""
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    folder = DOCS / "results" / "dev"
    run = cli("bench", "compare", "dev", "--out", folder, "--against", "padim,patchcore")
    assert run.code == 0, run.err
    assert f"```\n{run.out.strip()}\n```" in page


def test_the_table_of_plates_is_the_one_of_the_kept_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)
    table = importlib.import_module("mixed_plates").table
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    assert "\n".join(table(DOCS / "results" / "mixed-plates")) in page
