"""The report as a file: what it says, what it shows, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_examples import Example, example

from blemish.calibration.promise import Promise, calibrate
from blemish.errors import ArtifactError
from blemish.evaluation import Evaluation, PartResult
from blemish.metrics.decision import Confusion
from blemish.report import write_report
from blemish.report.gallery import groups
from blemish.report.tables import settings_tables
from blemish.report.thumbnails import SIDE, ColourScale, colour_scale, heat_uri, thumbnail
from blemish.report.words import agreement, percentage, rates_sentence


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.data: Any = None
        self.open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag

    def handle_data(self, data: str) -> None:
        if self.open == "script" and self.elements[-1][1].get("id") == "data":
            self.data = self.data or json.loads(data)
        elif self.open not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(what: Example, folder: Path) -> str:
    return write_report(cast(Evaluation, what), folder).read_text(encoding="utf-8")


def page_of(what: Example, folder: Path) -> Page:
    return Page(written(what, folder))


def small(**options: Any) -> Example:
    return example([1.5, 2.0, 3.5], {"crack": [2.5, 4.0], "dent": [5.0]}, **options)


def test_the_report_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    html = written(small(), tmp_path / "new" / "folder")
    for tag, attributes in Page(html).elements:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["report.html"]


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\u00fc\u00df \u00c4\"'&.png"
    kind = "</script><script>alert(2)</script>"
    hostile = example([1.5, 3.5], {kind: [2.5, 4.0]}, file_name=name, name="<i>$title</i>")
    page = page_of(hostile, tmp_path)
    assert page.data["kinds"] == [kind]
    assert "img" not in {tag for tag, _ in page.elements}
    assert len(page.all("script")) == 4
    assert name in page.text
    assert kind in page.text
    assert "<i>$title</i>" in page.text
    assert name in {str(svg["aria-label"]) for svg in page.all("svg")}


def test_a_very_long_file_name_is_there_in_full(tmp_path: Path) -> None:
    long = small(file_name="a" * 240 + "{:03d}.png")
    titles = {span.get("title") for span in page_of(long, tmp_path).all("span")}
    assert str(long.images[2].image) in titles


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (
            Confusion(tn=24, fp=1, fn=35, tp=52),
            "Of 25 good parts 1 was rejected (4 %, 95 % interval 0.1 to 20 %); "
            "of 87 defective parts 52 were caught (60 %, 95 % interval 49 to 70 %).",
        ),
        (
            Confusion(tn=20, fp=0, fn=0, tp=3),
            "Of 20 good parts none was rejected (95 % interval 0 to 17 %); "
            "all 3 defective parts were caught (95 % interval 29 to 100 %).",
        ),
        (
            Confusion(tn=1, fp=0, fn=0, tp=0),
            "The one good part was not rejected; the test set holds no defective parts.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(counts: Confusion, sentence: str) -> None:
    assert rates_sentence(counts) == sentence


def test_the_page_opens_with_the_verdict_and_the_promise(tmp_path: Path) -> None:
    page = page_of(small(), tmp_path)
    assert "Of 3 good parts 1 was rejected (33 %" in page.text
    assert "To promise at most 1 % takes at least 299 good parts" in page.text
    assert "exchangeable" in page.text
    assert "40 good parts whole parts that it did not learn from (seeded hold-out)" in page.text


@given(st.floats(0, 1))
def test_only_none_and_all_are_written_as_0_and_100_percent(share: float) -> None:
    shown = float(percentage(share))
    value = 100 * share
    assert (shown == 0) == (value == 0)
    assert (shown == 100) == (value == 100) or value > 100 - 1e-9
    assert shown == pytest.approx(value, abs=max(0.5, 0.05 * value))


def test_false_rejects_beyond_the_promise_are_called_a_contradiction() -> None:
    calibration = calibrate(np.linspace(1, 2, 400), Promise(0.01, 0.95))
    kept = agreement(calibration, Confusion(tn=98, fp=2, fn=0, tp=0))
    broken = agreement(calibration, Confusion(tn=90, fp=10, fn=0, tp=0))
    assert kept is not None
    assert "do not contradict" in kept
    assert broken is not None
    assert "contradicts it: 10 of 100 good parts rejected (4.9 to 18 %)" in broken
    assert agreement(calibration, Confusion(0, 0, 3, 4)) is None


scored_parts = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["good", "defective"]), st.booleans()),
    max_size=60,
)


@given(scored_parts)
def test_the_gallery_shows_a_part_once_and_every_kind_of_mistake(
    rows: list[tuple[int, str, bool]],
) -> None:
    threshold = 6.0
    parts = [
        PartResult(
            str(place),
            label,
            (),
            float(score),
            "reject" if score > threshold else "incomplete" if lacks else "pass",
            (place,),
        )
        for place, (score, label, lacks) in enumerate(rows)
    ]
    misses, rejects, close, finds = groups(parts, threshold)
    shown = [*misses.parts, *rejects.parts, *close.parts, *finds.parts]
    assert len(shown) == len(set(shown))
    assert all(len(group.parts) <= min(12, group.total) for group in (misses, rejects, finds))
    wrong = [p for p in parts if (p.label, p.decision) == ("defective", "pass")]
    assert misses.total == len(wrong)
    assert [parts[i].score for i in misses.parts] == sorted(p.score for p in wrong)[:12]
    false = [parts[i].score for i in rejects.parts]
    assert false == sorted(false, reverse=True)
    assert all(parts[i].label == "good" for i in rejects.parts)
    assert all(parts[i].decision == "reject" for i in finds.parts)
    right = [p for i, p in enumerate(parts) if i not in (*misses.parts, *rejects.parts)]
    nearest = sorted(p.score for p in right if p.score > threshold)[:6]
    assert sorted(parts[i].score for i in close.parts if parts[i].score > threshold) == nearest


def test_of_several_views_the_one_with_the_highest_score_is_shown(tmp_path: Path) -> None:
    several = small(views=("top", "left", "right"))
    page = page_of(several, tmp_path)
    assert {several.images[index].view for index in several.looked} == {"right"}
    assert len(several.looked) == len(set(several.looked)) == 6
    assert "part P0002 \u00b7 view right \u00b7 the highest of 3 images" in page.text


def test_a_set_without_parts_shows_where_in_it_the_image_lies(tmp_path: Path) -> None:
    plain = small()
    plain.parts[:] = [
        replace(part, part=f"test/hole/{plain.images[part.images[0]].image.name}")
        for part in plain.parts
    ]
    page = page_of(plain, tmp_path)
    assert "test/hole/plate 0002.png" in page.text
    assert "part test" not in page.text


def test_incomplete_parts_are_said_and_not_counted(tmp_path: Path) -> None:
    page = page_of(small(incomplete=[1]), tmp_path)
    assert "1 part lacks a view" in page.text
    assert page.data["good"] == [1.5, 3.5]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (example([1.0, 2.0], {}), "The test set holds no defective parts."),
        (example([], {"crack": [1.0, 4.0]}), "The test set holds no good parts."),
        (example([2.0], {}), "1 image; the threshold was fixed before"),
        (example([], {"crack": [4.0]}), "the one defective part was caught"),
        (example([2.0] * 4, {"crack": [2.0] * 3}, held_out=[2.0] * 5), "none was rejected"),
        (small(masks=False), "marked by a person"),
    ],
)
def test_a_poor_test_set_still_gives_a_page(case: Example, says: str, tmp_path: Path) -> None:
    assert says in page_of(case, tmp_path).text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"report\.html could not be written"):
        written(small(), tmp_path / "taken")


def test_thousands_of_parts_and_a_full_gallery_stay_below_8_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (500, 500, 3), dtype=np.uint8)
    map_ = cv2.GaussianBlur(rng.normal(2, 2, (500, 500)).astype(np.float32), (0, 0), 6)
    big = example(rng.normal(2, 0.5, 4000).tolist(), {"crack": rng.normal(3, 1, 1000).tolist()})
    big = replace(big, picture=lambda image: (cv2.GaussianBlur(noise, (0, 0), 1), map_, None))
    path = write_report(cast(Evaluation, big), tmp_path)
    assert len(big.looked) >= 48
    assert path.stat().st_size < 8e6


def test_a_long_image_is_cut_out_around_its_defect() -> None:
    mask = np.zeros((64, 1000), bool)
    mask[30:34, 800:804] = True
    map_ = np.ones((64, 1000), np.float32)
    map_[10, 50] = 9  # the peak lies elsewhere: the person should still see what was missed
    rgb = np.repeat(np.where(mask, 255, 40).astype(np.uint8)[..., None], 3, axis=2)
    picture = thumbnail(rgb, map_, mask, 5.0)
    assert picture.rgb.shape == (64, 160, 3)
    assert picture.rgb.max() == 255
    assert picture.peak == 9
    assert picture.truth
    assert not picture.found
    assert picture.cut is not None
    first, last = map(int, re.findall(r"\d+", picture.cut)[:2])
    assert first <= 800 < 804 <= last


def test_outlines_follow_the_picture_when_it_shrinks() -> None:
    mask = np.zeros((840, 840), bool)
    mask[200:400, 100:500] = True
    picture = thumbnail(
        np.zeros((840, 840, 3), np.uint8), np.zeros((840, 840), np.float32), mask, 1.0
    )
    assert picture.rgb.shape == (SIDE, SIDE, 3)
    points = np.array(re.findall(r"([\d.]+) ([\d.]+)", picture.truth), dtype=float)
    assert points.min(0) == pytest.approx([50, 100], abs=1)
    assert points.max(0) == pytest.approx([250, 200], abs=1)


def test_one_scale_from_good_medians_to_defective_peaks() -> None:
    def flat(value: float, peak: float) -> Any:
        map_ = np.full((20, 20), value, np.float32)
        map_[3, 3] = peak
        return thumbnail(np.zeros((20, 20, 3), np.uint8), map_, None, None)

    good, bad = [flat(1, 2), flat(2, 2), flat(3, 4)], [flat(2, 8), flat(2, 9), flat(2, 30)]
    assert colour_scale(good, bad, 3.0) == ColourScale(2, 9)
    assert colour_scale(good, bad, 7.0) == ColourScale(2, 12)
    assert colour_scale([], [], None).high > 0
    same = colour_scale([flat(5, 5)], [flat(5, 5)], None)
    assert same.low == 5 < same.high


def test_the_heat_is_transparent_at_the_low_end_and_brighter_towards_the_high_one() -> None:
    map_ = np.repeat(np.linspace(0, 12, 64, dtype=np.float32)[None], 32, axis=0)
    picture = thumbnail(np.zeros((32, 64, 3), np.uint8), map_, None, None)
    uri = heat_uri(picture, ColourScale(2, 10))
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert image is not None
    alpha = image[..., 3].mean(0)
    assert alpha[:8].max() == 0
    assert (np.diff(alpha) >= 0).all()
    assert alpha[-1] == pytest.approx(0.85 * 255, abs=2)
    lightness = cv2.cvtColor(image[..., :3].astype(np.uint8), cv2.COLOR_BGR2GRAY).mean(0)
    assert lightness[30] < lightness[42] < lightness[60]


def test_the_card_is_shown_whole_but_long_lists_by_their_length() -> None:
    html = settings_tables(
        {"data": {"terms": "<b>", "trained_parts": ["p"] * 300, "window": None}, "seed": [1, 2]}
    )
    page = Page(html)
    assert "300 entries, in the model file" in page.text
    assert "<b>" in page.text
    assert "1, 2" in page.text
