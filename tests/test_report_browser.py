"""The report in a browser: the line can be dragged, and every count follows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from report_examples import Example, example

from blemish.evaluation import Evaluation
from blemish.metrics.bounds import clopper_pearson
from blemish.metrics.decision import Confusion, confusion
from blemish.report import write_report
from blemish.report.words import interval, percentage

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plates() -> Example:
    rng = np.random.default_rng(1)
    return example(
        rng.normal(2, 0.4, 200).round(2).tolist(),
        {"crack": rng.normal(4, 1, 60).round(2).tolist(), "dent": [2.5, 2.8, 3.0, 3.0, 6.0]},
    )


@pytest.fixture(scope="module")
def report(plates: Example, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(cast(Evaluation, plates), tmp_path_factory.mktemp("report")).as_uri()


@pytest.fixture
def page(browser: sync_api.Browser, report: str) -> Iterator[sync_api.Page]:
    """The report at the size of a laptop; fails if it asked for a file or raised an error."""
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(report)
    yield page
    assert [url for url in asked if not url.startswith("data:")] == [report]
    assert errors == []
    page.close()


def threshold(page: sync_api.Page) -> float:
    return float(page.get_by_role("slider").get_attribute("aria-valuenow") or "nan")


def shown_counts(page: sync_api.Page) -> Confusion:
    return Confusion(
        **{name: int(page.inner_text(f"#{name}")) for name in ("tn", "fp", "fn", "tp")}
    )


def expected_counts(plates: Example, at: float) -> Confusion:
    labels = [part.label == "defective" for part in plates.parts]
    return confusion([part.score for part in plates.parts], labels, at)


def rate_row(page: sync_api.Page, name: str) -> list[str]:
    cells = page.locator(".rates tr", has=page.get_by_role("rowheader", name=name, exact=True))
    return [text.replace("\u00a0", " ") for text in cells.locator("td.n").all_inner_texts()]


def drag_line(page: sync_api.Page, by: float) -> None:
    """Take the line by its head and pull it so many pixels to the right."""
    box = page.locator("#line .pill").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by / 2, y + 30)
    page.mouse.move(x + by, y + 60)
    page.mouse.up()
    page.mouse.move(x + by + 90, y)  # after the release nothing moves any more


def test_the_page_starts_at_the_calibrated_threshold(page: sync_api.Page, plates: Example) -> None:
    calibrated = plates.card.calibration.threshold
    assert threshold(page) == calibrated
    assert shown_counts(page) == expected_counts(plates, calibrated)
    assert page.get_by_role("button", name="Calibrated threshold").is_disabled()


@pytest.mark.parametrize("by", [-150, -37, 55, 240])
def test_counts_rates_and_intervals_follow_the_dragged_line(
    page: sync_api.Page, plates: Example, by: float
) -> None:
    before = threshold(page)
    drag_line(page, by)
    now = threshold(page)
    assert (now > before) == (by > 0)
    assert float(page.inner_text("#threshold")) == now
    assert float(page.locator("#line .pill-text").text_content() or "nan") == now
    counts = expected_counts(plates, now)
    assert shown_counts(page) == counts
    assert counts != expected_counts(plates, before)
    tn, fp, fn, tp = counts.tn, counts.fp, counts.fn, counts.tp
    for name, k, n in (
        ("Recall", tp, tp + fn),
        ("False rejects", fp, fp + tn),
        ("Precision", tp, tp + fp),
    ):
        assert rate_row(page, name) == [f"{percentage(k / n)} %", f"{k} of {n}", interval(k, n)]
    assert float(page.inner_text("#mcc")) == pytest.approx(counts.mcc, abs=5e-4)
    for kind in ("crack", "dent"):
        scores = np.array([part.score for part in plates.parts if kind in part.defects])
        k, n = int((scores > now).sum()), len(scores)
        assert rate_row(page, kind) == [f"{percentage(k / n)} %", f"{k} of {n}", interval(k, n)]
    assert "nothing is promised" in page.inner_text("#status")


def test_arrow_keys_move_the_line_and_a_button_brings_it_back(
    page: sync_api.Page, plates: Example
) -> None:
    calibrated = threshold(page)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    right = threshold(page)
    assert right > calibrated
    page.keyboard.press("PageDown")
    low = threshold(page)
    assert low < calibrated
    assert shown_counts(page) == expected_counts(plates, low)
    assert f"{expected_counts(plates, low).tp} of 65" in (
        slider.get_attribute("aria-valuetext") or ""
    )
    page.keyboard.press("End")
    assert threshold(page) >= max(part.score for part in plates.parts)
    assert shown_counts(page).tp == 0
    page.keyboard.press("Home")
    assert shown_counts(page).tn == 0
    page.get_by_role("button", name="Calibrated threshold").click()
    assert threshold(page) == calibrated
    assert shown_counts(page) == expected_counts(plates, calibrated)


def test_the_oracle_is_marked_as_fitted_on_this_test_set(
    page: sync_api.Page, plates: Example
) -> None:
    assert page.get_by_text("oracle, fitted on this test set").is_visible()
    page.get_by_role("button", name="Oracle threshold").click()
    figures = plates.figures["oracle_f1"]
    assert threshold(page) == figures["threshold"]
    assert shown_counts(page) == Confusion(*(figures[name] for name in ("tn", "fp", "fn", "tp")))
    assert "fitted on this test set" in page.inner_text("#status")


def test_every_part_is_drawn_on_its_side_of_the_line(page: sync_api.Page, plates: Example) -> None:
    counts = expected_counts(plates, threshold(page))
    drawn = page.evaluate(
        """() => {
          const line = document.querySelector("#line").getCTM().e;
          const sum = { good: [0, 0], defective: [0, 0] };
          for (const bar of document.querySelectorAll("#chart rect:has(title)")) {
            const half = bar.classList.contains("good") ? "good" : "defective";
            const middle = bar.getCTM().e + bar.x.baseVal.value + bar.width.baseVal.value / 2;
            const blocks = bar.getAttribute("height") > 4.0 ? 1 : parseInt(bar.textContent);
            sum[half][middle > line ? 1 : 0] += blocks;
          }
          return sum;
        }"""
    )
    assert drawn == {"good": [counts.tn, counts.fp], "defective": [counts.fn, counts.tp]}


def test_a_finger_drags_the_line_and_scrolls_elsewhere(
    browser: sync_api.Browser, report: str, plates: Example
) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(report)
    line = page.locator("#line .pill")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 10
    before = threshold(page)
    session = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": px, "y": py} for px, py in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    touch("touchStart", (x + 60, y + 80))
    touch("touchEnd")
    assert threshold(page) == before
    touch("touchStart", (x, y))
    for step in range(1, 6):
        touch("touchMove", (x + 8 * step, y + 12 * step))
    touch("touchEnd")
    assert threshold(page) > before
    assert shown_counts(page) == expected_counts(plates, threshold(page))
    context.close()


@pytest.mark.parametrize("width", [400, 768, 1366])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen(
    browser: sync_api.Browser, report: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (lightness < 150) == (scheme == "dark")
    page.close()


def test_a_picture_can_be_enlarged_with_its_heat_map(page: sync_api.Page) -> None:
    page.locator(".card button").first.click()
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    pictures = dialog.locator("svg")
    assert pictures.count() == 2
    small, large = page.locator(".card svg").first.bounding_box(), pictures.first.bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] > 2 * small["width"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_a_long_tail_offers_a_compressed_axis_that_keeps_the_counts(
    browser: sync_api.Browser, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    tail = example(rng.normal(2, 0.3, 80).tolist(), {"hole": [3.0, 9.0, 80.0, 400.0, 2000.0]})
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(write_report(cast(Evaluation, tail), tmp_path).as_uri())
    counts = expected_counts(tail, tail.card.calibration.threshold)
    places = page.locator("#chart rect.good")
    compressed = places.evaluate_all("bars => new Set(bars.map(bar => bar.getAttribute('x'))).size")
    assert compressed >= 5
    assert shown_counts(page) == counts
    page.get_by_label("linear").check()
    assert shown_counts(page) == counts
    assert places.evaluate_all("b => new Set(b.map(bar => bar.getAttribute('x'))).size") <= 2
    drag_line(page, 100)
    assert shown_counts(page) == expected_counts(tail, threshold(page))
    page.close()


def test_intervals_in_the_page_are_those_of_python(page: sync_api.Page) -> None:
    cases = [
        (k, n) for n in (1, 2, 5, 25, 87, 299) for k in sorted({0, 1, n // 3, n // 2, n - 1, n})
    ]
    cases += [(0, 10**5), (7, 10**5), (50_000, 10**5), (99_999, 10**5), (1, 10**6)]
    shown = page.evaluate("cases => cases.map(([k, n]) => blemish.clopperPearson(k, n))", cases)
    for (k, n), ends in zip(cases, shown, strict=True):
        assert ends == pytest.approx(list(clopper_pearson(k, n)), abs=1e-9), (k, n)


def test_percentages_in_the_page_read_like_those_of_python(page: sync_api.Page) -> None:
    shares = [*np.linspace(0, 1, 101)[1:-1] + 1e-4, 0, 1, 1e-5, 0.00034, 0.0999, 0.90001, 0.9999]
    shown = page.evaluate("shares => shares.map(blemish.percentage)", shares)
    assert shown == [percentage(share) for share in shares]
