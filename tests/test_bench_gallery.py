"""Which maps a run keeps, the file that it keeps them in, and the gallery of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from running import Cli
from test_bench_figures import parsed, protocol, said, save_result

from blemish.benchmark.figures.gallery import gallery
from blemish.benchmark.maps import (
    ImageChoice,
    KeptMap,
    Why,
    choose_images,
    maps_of,
    read_maps,
    write_maps,
)
from blemish.dataset import open_dataset
from blemish.errors import DatasetError
from blemish.evaluation import Evaluation, ImageResult, evaluate
from blemish.inspector import Inspector
from blemish.report.thumbnails import Thumbnail

SVG = "{http://www.w3.org/2000/svg}"


def images(kinds: dict[str, int], *, category: str = "bolt", seed: int = 0) -> list[ImageResult]:
    """So many images of each kind, "good" among them, with scores that a seed draws."""
    scores = np.random.default_rng(seed).random(sum(kinds.values())).tolist()
    return [
        ImageResult(
            *(Path(f"{kind}/{number}.png"), None, category),
            "good" if kind == "good" else "defective",
            *(None if kind == "good" else kind, f"{kind}{number}", None, scores.pop()),
        )
        for kind, count in kinds.items()
        for number in range(count)
    ]


def kinds_of(chosen: list[ImageChoice], those: list[ImageResult], why: Why) -> Counter[str]:
    return Counter(those[c.index].defect or "good" for c in chosen if c.why == why)


def test_defects_of_each_kind_good_images_and_the_closest_calls() -> None:
    those = images({"good": 30, "crack": 20, "scratch": 1, "stain": 9})
    chosen = choose_images(those, 0.5)
    assert len(chosen) == 8
    of_kinds = kinds_of(chosen, those, "defect")
    assert set(of_kinds) == {"crack", "scratch", "stain"}
    assert of_kinds.total() == 4
    assert of_kinds["scratch"] == 1
    assert kinds_of(chosen, those, "good") == {"good": 2}
    for label in ("good", "defective"):
        nearest = min(
            (image for image in those if image.label == label),
            key=lambda image: abs(image.score - 0.5),
        )
        assert nearest in [those[c.index] for c in chosen if c.why == "closest"]


def test_every_detector_keeps_the_same_but_for_its_closest_calls() -> None:
    kinds = {"good": 30, "crack": 20, "stain": 9}
    one, other = (choose_images(images(kinds, seed=seed), 0.5) for seed in (1, 2))
    assert [c for c in one if c.why != "closest"] == [c for c in other if c.why != "closest"]
    assert one != other
    again = choose_images(images(kinds, seed=1), 0.5)
    assert again == one
    differently = choose_images(images(kinds, seed=1), 0.5, seed=7)
    assert [c for c in differently if c.why != "closest"] != [c for c in one if c.why != "closest"]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"good": 5}, {"good": 2, "closest": 1}),
        ({"crack": 5}, {"defect": 4, "closest": 1}),
        ({"good": 1, "crack": 1}, {"defect": 1, "good": 1, "closest": 2}),
        ({}, {}),
    ],
)
def test_few_images_are_all_there_is(kinds: dict[str, int], expected: dict[str, int]) -> None:
    assert Counter(c.why for c in choose_images(images(kinds), 0.5)) == expected


def test_each_category_has_its_own() -> None:
    those = images({"good": 9, "crack": 9}) + images({"good": 9, "crack": 9}, category="nut")
    chosen = choose_images(those, 0.5)
    assert Counter(those[c.index].category for c in chosen) == {"bolt": 8, "nut": 8}


# The file.


@pytest.fixture(scope="module")
def evaluation(model: Path, plates: Path) -> Evaluation:
    return evaluate(Inspector.open(model), open_dataset(plates))


@pytest.fixture(scope="module")
def kept(evaluation: Evaluation) -> list[KeptMap]:
    return maps_of(evaluation, choose_images(evaluation.images, evaluation.inspector.threshold))


def test_maps_are_in_units_of_their_detector(evaluation: Evaluation, kept: list[KeptMap]) -> None:
    good = [one.picture for one in kept if one.label == "good"]
    assert np.median([picture.median for picture in good]) == pytest.approx(0, abs=1e-6)
    level = evaluation.card.calibration.map_threshold
    chosen = choose_images(evaluation.images, evaluation.inspector.threshold)
    maps = [evaluation.look(choice.index)[1] for choice in chosen]
    low = np.median(
        [
            np.median(map_)
            for map_, choice in zip(maps, chosen, strict=True)
            if evaluation.images[choice.index].label == "good"
        ]
    )
    for map_, one in zip(maps, kept, strict=True):
        np.testing.assert_allclose(one.picture.map, (map_ - low) / (level - low), atol=1e-4)
        assert one.rejected == (one.score > evaluation.inspector.threshold)
        assert bool(one.picture.truth) == (one.label == "defective")


def test_what_is_written_is_read(kept: list[KeptMap], tmp_path: Path) -> None:
    path = tmp_path / "0123.maps.npz"
    write_maps(path, kept)
    back = read_maps(path)
    assert len(back) == len(kept) == 8
    for one, other in zip(kept, back, strict=True):
        for name in ("image", "label", "defect", "why", "score", "rejected"):
            assert getattr(one, name) == getattr(other, name)
        assert one.picture.truth == other.picture.truth
        np.testing.assert_allclose(one.picture.map, other.picture.map, atol=0.01, rtol=1e-3)
        difference = one.picture.rgb.astype(float) - other.picture.rgb
        assert np.abs(difference).mean() < 6
    assert path.stat().st_size < 300_000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_huge_and_flat_maps_are_kept_as_numbers(evaluation: Evaluation, tmp_path: Path) -> None:
    def look(index: int) -> Any:
        rgb, map_, mask = evaluation.look(index)
        return rgb, np.full_like(map_, 1e34 if index else -1e34), mask

    for level in (1e30, -1e30, float("inf")):
        inspector = SimpleNamespace(calibration=SimpleNamespace(map_threshold=level, threshold=0.0))
        huge: Any = SimpleNamespace(images=evaluation.images, inspector=inspector, look=look)
        write_maps(
            tmp_path / "m.npz", maps_of(huge, [ImageChoice(0, "good"), ImageChoice(7, "defect")])
        )
        for one in read_maps(tmp_path / "m.npz"):
            assert np.isfinite(one.picture.map).all()


def test_a_file_that_holds_no_maps_is_named(kept: list[KeptMap], tmp_path: Path) -> None:
    path = tmp_path / "0123.maps.npz"
    write_maps(path, kept)
    whole = path.read_bytes()
    for data in (b"", b"no archive", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"0123\.maps\.npz is no file of maps"):
            read_maps(path)
    np.savez(path, schema=np.array(1))
    with pytest.raises(DatasetError, match=r"0123\.maps\.npz is no file of maps"):
        read_maps(path)
    np.savez(path, schema=np.array(9))
    with pytest.raises(DatasetError, match=r"0123\.maps\.npz has schema 9"):
        read_maps(path)


# The picture.


def flat(
    image: str, label: str, why: Why, value: float = 0.0, *, rejected: bool = False
) -> KeptMap:
    picture = Thumbnail(
        np.full((20, 30, 3), 90, np.uint8),
        np.full((20, 30), value, np.float32),
        "M1 1L5 5Z" if label == "defective" else "",
        *("", value, value, None),
    )
    defect = "crack" if label == "defective" else ""
    return KeptMap(image, label, defect, why, value, rejected, picture)


def test_a_row_per_image_and_a_column_per_detector() -> None:
    svg = gallery(
        {
            "padim": [
                flat("a/bad.png", "defective", "defect", 1.5, rejected=True),
                flat("a/good.png", "good", "good", rejected=True),
                flat("a/near.png", "good", "closest"),
            ],
            "<new> & co": [flat("a/bad.png", "defective", "defect", 0.5)],
        },
        "parts bolt",
    )
    words = said(svg)
    assert words[0] == "parts bolt"
    assert {"picture", "padim", "<new> & co", "crack", "good", "closest call"} <= set(words)
    assert Counter(words)["not kept"] == 2
    decisions = [
        (text.text, text.attrib["class"])
        for text in parsed(svg).iter(f"{SVG}text")
        if text.text in ("rejected", "passed")
    ]
    assert decisions == [
        ("rejected", "soft"),  # the crack, found by padim
        ("passed", "wrong"),  # and missed by the other
        ("rejected", "wrong"),  # a good image that padim rejects
        ("passed", "soft"),
    ]
    # Two rows with the plain picture; a map over a picture in each of four cells.
    assert len(list(parsed(svg).iter(f"{SVG}image"))) == 2 + 2 * 4
    outlines = [path for path in parsed(svg).iter(f"{SVG}path") if path.attrib["class"] == "truth"]
    assert len(outlines) == 3


def test_one_scale_shows_the_same_value_alike() -> None:
    def heat(value: float) -> str:
        svg = gallery({"padim": [flat("a.png", "good", "good", value)]}, "parts")
        return [each.attrib["href"] for each in parsed(svg).iter(f"{SVG}image")][-1]

    assert heat(2.0) == heat(50.0)
    assert heat(0.0) == heat(-3.0)
    assert len({heat(value) for value in (0.0, 0.5, 1.0, 2.0)}) == 4


def test_the_command_draws_a_gallery_of_the_lowest_seed(
    cli: Cli, kept: list[KeptMap], tmp_path: Path
) -> None:
    for seed in (1, 0):
        for detector in ("padim", "patchcore"):
            key = save_result(tmp_path, 0.9, detector=detector, seed=seed)
            if seed == 0:
                write_maps(tmp_path / f"{key}.maps.npz", kept)
            elif detector == "padim":
                (tmp_path / f"{key}.maps.npz").write_bytes(b"never opened")
    file = protocol(tmp_path)
    run = cli("bench", "figures", file, "--out", tmp_path)
    assert run.code == 0, run.err
    [drawn] = run.out.splitlines()
    assert Path(drawn).name == "gallery-parts-bolt.svg"
    words = said(Path(drawn).read_text(encoding="utf-8"))
    assert Counter(words)["padim"] == Counter(words)["patchcore"] == 1
    assert "not kept" not in words
