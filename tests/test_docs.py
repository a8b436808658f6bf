"""The pages lead somewhere: their links, and the folders and files that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "blemish"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*)\)")
WITHIN = re.compile(r"`([a-z][a-z_/]*(?:/|\.py))`")  # `dataset/`, `calibration/views.py`
WHOLE = re.compile(r"`((?:src|tests|docs|benchmarks)/[\w./]*)`")
MADE_UP = "NAME"  # stands for the name that a contributor gives


def anchors(page: Path) -> set[str]:
    """What `#...` may say of a page: its headings, as GitHub writes them, and ids in it."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = (re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings)
    return {*slugs, *re.findall(r'\b(?:id|name)="([^"]+)"', text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_and_its_heading(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_the_glossary_names_folders_and_files_that_are_there() -> None:
    named = WITHIN.findall((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert {"images/", "dataset/splits/"} <= set(named)
    assert [
        name for name in named if not any((above / name).exists() for above in (PACKAGE, ROOT))
    ] == []


def test_contributing_names_folders_and_files_that_are_there() -> None:
    named = WHOLE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert "tests/test_detectors.py" in named
    places = [name.rpartition("/")[0] if MADE_UP in name else name for name in named]
    assert [place for place in places if not (ROOT / place).exists()] == []
