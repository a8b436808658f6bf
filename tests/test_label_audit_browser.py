"""The gallery of a review list in a browser: it loads nothing, and pictures can be enlarged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from plates import dented, save, save_set
from running import Cli
from test_report_browser import ARGUMENTS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def test_every_card_enlarges_and_nothing_is_loaded(cli: Cli, tmp_path: Path) -> None:
    root = save_set(tmp_path / "plates")
    save(root / "train/good/hidden.png", dented(300))
    run = cli("label", "audit", root, "-o", tmp_path / "out", "--looks", 3, "--quiet")
    assert run.code == 0, run.err
    asked: list[str] = []
    errors: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto((tmp_path / "out/round1/review.html").as_uri())
        assert "hidden.png" in page.locator(".card").first.inner_text()
        page.locator(".card button").first.click()
        assert page.locator("dialog").is_visible()
        page.get_by_role("button", name="Close").click()
        page.set_viewport_size({"width": 400, "height": 800})
        width = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert width <= 400  # nothing sticks out on a telephone
    assert [url for url in asked if not url.startswith("data:")] == asked[:1]
    assert errors == []
