"""The audit tells of every fault that takes decoding, each planted here by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_bytes import png16
from pictured import dataset, save, surface

from blemish.dataset import Dataset, Finding, open_dataset
from blemish.dataset import near_duplicates as module
from blemish.dataset.near_duplicates import near_duplicates
from blemish.dataset.pixel_checks import audit
from blemish.dataset.survey import survey

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MASK = np.zeros((96, 128), np.uint8)
MASK[40:60, 50:80] = 255


def sound(root: Path) -> Dataset:
    """Six good training parts; three good and two defective ones to test."""
    rows: list[dict[str, str | None]] = []
    for seed in range(11):
        defective = seed > 8
        split = "train" if seed < 6 else "test"
        save(root / f"{seed}.png", surface(seed))
        if defective:
            save(root / f"{seed}_mask.png", MASK)
        rows.append(
            {
                "image": f"{seed}.png",
                "split": split,
                "label": "defective" if defective else "good",
                "mask": f"{seed}_mask.png" if defective else None,
            }
        )
    return dataset(root, rows)


def found(data: Dataset) -> list[tuple[str, str, str | None]]:
    seen = audit(data, survey(data))
    return [(finding.severity, finding.kind, finding.file) for finding in seen.findings]


def message(data: Dataset) -> str:
    [finding] = audit(data, survey(data)).findings
    return finding.message


def test_a_sound_data_set_has_no_findings(tmp_path: Path) -> None:
    assert found(sound(tmp_path)) == []


def test_a_truncated_image_is_told_once(tmp_path: Path) -> None:
    data = sound(tmp_path)
    file = tmp_path / "9.png"  # it has a mask, so that its header is looked at as well
    file.write_bytes(file.read_bytes()[:-200])
    assert found(data) == [("error", "unreadable", "9.png")]
    file.write_bytes(b"")
    assert found(data) == [("error", "unreadable", "9.png")]
    assert "empty (0 bytes)" in message(data)


def test_a_truncated_mask_is_told_once(tmp_path: Path) -> None:
    data = sound(tmp_path)
    (tmp_path / "9_mask.png").write_bytes((tmp_path / "9_mask.png").read_bytes()[:-20])
    assert found(data) == [("error", "unreadable", "9_mask.png")]


def test_a_mask_of_another_size_is_told_once(tmp_path: Path) -> None:
    data = sound(tmp_path)
    save(tmp_path / "9_mask.png", MASK[:90])
    assert found(data) == [("error", "unreadable", "9_mask.png")]
    assert "128 x 90 pixels but its image is 128 x 96" in message(data)


def test_16_bit_beside_8_bit(tmp_path: Path) -> None:
    data = sound(tmp_path)
    (tmp_path / "3.png").write_bytes(png16(surface(3).astype(np.uint16) * 200, 0))
    assert found(data) == [("error", "mixed depth", "3.png")]
    assert message(data) == (
        "3.png holds uint16 pixels, most images of plate uint8; save all of them in one depth."
    )


def test_colour_beside_grey(tmp_path: Path) -> None:
    data = sound(tmp_path)
    save(tmp_path / "3.png", np.dstack([surface(3)] * 3))
    assert found(data) == [("note", "mixed channels", "3.png")]


def test_another_size_than_the_usual_one(tmp_path: Path) -> None:
    data = sound(tmp_path)
    save(tmp_path / "3.png", surface(3, width=140))
    assert found(data) == [("warning", "unusual sizes", "3.png")]
    assert message(data) == "3.png has 140 x 96 pixels, 91 % of plate have 128 x 96."


def test_where_no_size_is_usual_only_a_very_different_one_is_told(tmp_path: Path) -> None:
    rows: list[dict[str, str | None]] = []
    for seed in range(8):
        save(tmp_path / f"{seed}.png", surface(seed, width=100 + 5 * seed))
        rows.append({"image": f"{seed}.png", "split": "train"})
    data = dataset(tmp_path, rows)
    assert found(data) == []
    save(tmp_path / "4.png", surface(4, width=700))
    assert found(data) == [("note", "unusual sizes", "4.png")]


def test_a_blank_image(tmp_path: Path) -> None:
    data = sound(tmp_path)
    for name in ("3.png", "4.png"):  # two blank ones are no near duplicates
        save(tmp_path / name, np.full((96, 128), 255 - int(name[0]), np.uint8))
    assert found(data) == [("warning", "blank images", n) for n in ("3.png", "4.png")]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (MASK * 0, ("warning", "empty masks")),
        (255 - MASK * 0, ("warning", "masks of everything")),
        (np.where(np.roll(MASK, 1, 0) & ~MASK, 90, MASK), ("note", "grey masks")),
        (MASK // 255 * 3, None),
    ],
    ids=["empty", "everything", "grey", "a class index"],
)
def test_masks(tmp_path: Path, mask: np.ndarray, expected: tuple[str, str] | None) -> None:
    data = sound(tmp_path)
    save(tmp_path / "9_mask.png", mask.astype(np.uint8))
    assert found(data) == ([] if expected is None else [(*expected, "9_mask.png")])


# The same picture saved again.

AGAIN = {
    "as a JPEG": lambda pixels: (pixels, {"format": "JPEG", "quality": 80}),
    "one grey brighter": lambda pixels: (pixels + np.uint8(1), {"format": "PNG"}),
    "as a PNG of another effort": lambda pixels: (pixels, {"format": "PNG", "compress_level": 1}),
    "with more contrast": lambda pixels: ((pixels * 1.1).astype(np.uint8), {"format": "PNG"}),
}


@pytest.mark.parametrize("how", AGAIN)
def test_the_same_picture_saved_again(tmp_path: Path, how: str) -> None:
    data = sound(tmp_path)
    pixels, options = AGAIN[how](surface(2))
    save(tmp_path / "7.png", pixels, **options)
    assert audit(data, survey(data)).findings == [
        Finding(
            "warning",
            "2.png, 7.png are nearly the same picture, in test and in train; keep one.",
            "2.png",
        )
    ]
    save(tmp_path / "7.png", surface(7))
    save(tmp_path / "3.png", pixels, **options)
    assert found(data) == [("note", "near duplicates", "2.png")]


def test_a_picture_with_two_labels(tmp_path: Path) -> None:
    data = sound(tmp_path)
    save(tmp_path / "9.png", surface(7), format="JPEG", quality=90)
    assert "in test, labelled defective and good; keep one" in message(data)


def test_parts_of_one_product_that_look_alike_are_no_duplicates(tmp_path: Path) -> None:
    """The same shape under the same light; the grain of the surface differs."""
    shape = 60 * (np.hypot(*np.mgrid[-48:48, -64:64]) < 30)
    rows: list[dict[str, str | None]] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        pixels = 90 + shape + rng.normal(0, 4, shape.shape)
        save(tmp_path / f"{seed}.png", np.rint(pixels).astype(np.uint8))
        rows.append({"image": f"{seed}.png", "split": "train" if seed < 20 else "test"})
    data = dataset(tmp_path, rows)
    assert found(data) == []
    save(tmp_path / "30.png", np.rint(pixels).astype(np.uint8) + np.uint8(2))
    assert found(data) == [("note", "near duplicates", "30.png")]


def test_byte_for_byte_copies_are_told_once(tmp_path: Path) -> None:
    data = sound(tmp_path)
    (tmp_path / "7.png").write_bytes((tmp_path / "2.png").read_bytes())
    assert found(data) == [("warning", "same pictures", "2.png")]


def test_views_of_one_part_may_look_alike(tmp_path: Path) -> None:
    save(tmp_path / "a.png", surface(1))
    save(tmp_path / "b.png", surface(1), format="JPEG", quality=90)
    rows = [
        {"image": "a.png", "part": "1", "view": "x"},
        {"image": "b.png", "part": "1", "view": "y"},
    ]
    data = dataset(tmp_path, rows)
    assert near_duplicates(data, survey(data)).groups == []
    apart = dataset(tmp_path, [{**row, "part": str(n)} for n, row in enumerate(rows)])
    assert near_duplicates(apart, survey(apart)).groups == [[0, 1]]


def test_a_crowd_of_look_alikes_is_cut_short_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"image": f"{n}.png"} for n in range(12)]
    for n, row in enumerate(rows):
        save(tmp_path / str(row["image"]), surface(1) + np.uint8(n))
    data = dataset(tmp_path, rows)
    assert near_duplicates(data, survey(data)) == module.NearDuplicates([list(range(12))], 0)
    monkeypatch.setattr(module, "NEIGHBOURS", 2)
    assert near_duplicates(data, survey(data)).not_compared > 0
    monkeypatch.setattr(module, "MOST_DECODED", 3)
    seen = audit(data, survey(data), training=False)
    assert any("further near duplicates" in finding.message for finding in seen.findings)


@pytest.mark.skipif(not DATA.is_dir(), reason="the development images are absent")
@pytest.mark.parametrize("name", ["tire", "fabric_04"])
def test_real_parts_that_look_alike_are_no_duplicates(name: str) -> None:
    data = open_dataset(DATA / name)
    assert near_duplicates(data, survey(data)).groups == []
