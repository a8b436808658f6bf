"""Real-IAD, as it is unpacked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from trees import link, tree

from blemish.dataset import Finding, findings, open_dataset
from blemish.errors import DatasetError

Entry = dict[str, Any]


def shot(kind: str, number: int, view: int, category: str = "audiojack") -> str:
    """The published name of an image, relative to its category's folder."""
    folder, code = ("OK", "OK") if kind == "OK" else (f"NG/{kind}", f"NG_{kind}")
    name = f"{category}_{number:04}_{code}_C{view}_20230921102345.jpg"
    return f"{folder}/S{number:04}/{name}"


def entry(kind: str, number: int, view: int, *, clean: bool = False, **other: Any) -> Entry:
    """An image of a part; `clean` where the view of a defective part shows none."""
    image = shot(kind, number, view)
    normal = clean or kind == "OK"
    return {
        "category": "audiojack",
        "anomaly_class": "OK" if normal else kind,
        "image_path": image,
        "mask_path": None if normal else image.replace(".jpg", ".png"),
    } | other


def write(
    root: Path, train: list[Entry], test: list[Entry], name: str = "realiad_jsons", **meta: Any
) -> Path:
    """A JSON file in its folder, and the files that it names in 1024 pixels."""
    head = {"prefix": "audiojack/", "normal_class": "OK"} | meta
    file = tree(root, f"{name}/audiojack.json") / name / "audiojack.json"
    file.write_text(json.dumps({"meta": head, "train": train, "test": test}), encoding="utf-8")
    names = [e[key] for e in train + test for key in ("image_path", "mask_path") if e.get(key)]
    tree(root / "realiad_1024" / "audiojack", *names)
    return root


def hidden(part: str) -> str:
    """The name of a training part, which does not tell its kind."""
    category, number = part.split("_")[:2]
    return f"{category}_{number}_{hashlib.sha256(part.encode()).hexdigest()[:8]}"


def test_the_set_becomes_the_whole_table(tmp_path: Path) -> None:
    test = [entry("OK", 2, 1), entry("AK", 1, 1), entry("AK", 1, 2, clean=True), entry("XY", 1, 5)]
    root = write(tmp_path / "Real-IAD", [entry("OK", 1, 1), entry("OK", 1, 2)], test)

    dataset = open_dataset(root)

    def row(name: str, *rest: str | None, mask: bool = False) -> tuple[str | None, ...]:
        image = f"realiad_1024/audiojack/{name}"
        return (image, image.replace(".jpg", ".png") if mask else None, "audiojack", *rest)

    train, ng = hidden("audiojack_0001_OK"), "audiojack_0001_NG_AK"
    assert dataset.table.rows() == [
        row(shot("OK", 1, 1), "train", "good", None, train, "C1"),
        row(shot("OK", 1, 2), "train", "good", None, train, "C2"),
        row(shot("OK", 2, 1), "test", "good", None, "audiojack_0002_OK", "C1"),
        row(shot("AK", 1, 1), "test", "defective", "pit", ng, "C1", mask=True),
        row(shot("AK", 1, 2), "test", "good", None, ng, "C2"),
        row(shot("XY", 1, 5), "test", "defective", "XY", "audiojack_0001_NG_XY", "C5", mask=True),
    ]
    assert (dataset.root, dataset.name, dataset.layout) == (root, "realiad_jsons", "real_iad")
    assert dataset.terms == "CC BY-NC-SA 4.0, for non-commercial use only"


def test_defective_parts_in_the_training_are_invisible(tmp_path: Path) -> None:
    train = [entry("OK", 1, 1), entry("AK", 1, 1), entry("AK", 1, 2, clean=True), entry("BX", 1, 1)]
    root = write(tmp_path, train, [entry("OK", 7, 1)], "realiad_jsons_fuiad_0.1")
    rows = open_dataset(root).split("train").table
    assert rows.select("label", "defect", "mask").unique().rows() == [("good", None, None)]
    ok, ak, again, bx = rows["part"].to_list()
    assert ak == again
    assert len({ok, ak, bx}) == 3
    assert all(part.startswith("audiojack_0001_") for part in (ok, ak, bx))
    assert not any(word in part for part in (ok, ak, bx) for word in ("NG", "OK", "AK", "BX"))


def test_a_part_in_both_splits_is_found(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1), entry("OK", 2, 1)], [entry("OK", 1, 2)])
    part, image = "audiojack_0001_OK", f"realiad_1024/audiojack/{shot('OK', 1, 1)}"
    assert [f for f in findings(open_dataset(root)) if f.severity == "error"] == [
        Finding(
            "error",
            f"part {part} ({image}) is in train and in test; move all of its images to one side.",
            image,
        )
    ]


@pytest.mark.parametrize(
    "data",
    [
        "realiad_jsons/realiad_jsons_sv",
        "realiad_jsons/realiad_jsons_sv/audiojack.json",
        "realiad_jsons",
        "realiad_1024",
        ".",
    ],
)
def test_every_way_to_name_it(tmp_path: Path, data: str) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [], "realiad_jsons/realiad_jsons_sv")
    dataset = open_dataset(root / data)
    assert dataset.root == root
    assert [path.is_file() for path in dataset.images] == [True]
    assert dataset.name == ("audiojack" if data.endswith("json") else "realiad_jsons_sv")


def test_several_protocols_must_be_chosen_from(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1), entry("OK", 1, 2)], [])
    write(root, [entry("OK", 1, 1)], [], "realiad_jsons_sv")
    message = r"several protocols: \S*realiad_jsons, \S*realiad_jsons_sv; open one of these folders"
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)
    assert len(open_dataset(root / "realiad_jsons")) == 2
    assert len(open_dataset(root / "realiad_jsons_sv")) == 1


def test_several_sizes_must_be_chosen_from(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [])
    tree(root / "realiad_256" / "audiojack", shot("OK", 1, 1))
    message = "in several sizes: realiad_1024, realiad_256; copy realiad_jsons into the folder of"
    for data in (root, root / "realiad_jsons"):
        with pytest.raises(DatasetError, match=message):
            open_dataset(data)
    assert open_dataset(root / "realiad_256").table["image"][0].startswith("realiad_256/")
    (root / "realiad_256" / "realiad_jsons").mkdir()
    copy = root / "realiad_256" / "realiad_jsons" / "audiojack.json"
    copy.write_bytes((root / "realiad_jsons" / "audiojack.json").read_bytes())
    dataset = open_dataset(copy.parent)
    assert dataset.table["image"].to_list() == [f"audiojack/{shot('OK', 1, 1)}"]
    assert dataset.root == root / "realiad_256"


def test_images_beside_the_json_files_in_no_folder_of_a_size(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [])
    (root / "realiad_1024" / "audiojack").rename(root / "audiojack")
    (root / "realiad_1024").rmdir()
    assert open_dataset(root).table["image"].to_list() == [f"audiojack/{shot('OK', 1, 1)}"]


def test_a_category_that_is_misspelt(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [])
    message = "no category 'audio_jack'; it has audiojack. Did you mean 'audiojack'?"
    with pytest.raises(DatasetError, match=message):
        open_dataset(root, category="audio_jack")


def test_missing_files_are_counted_and_the_first_ten_named(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", n, 1) for n in range(1, 15)], [entry("AK", 1, 1)])
    for number in range(2, 14):
        (root / "realiad_1024" / "audiojack" / shot("OK", number, 1)).unlink()
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    message = str(caught.value)
    assert "realiad_jsons names files that do not exist (12): realiad_1024/audiojack/OK" in message
    assert message.count(".jpg") == 10
    assert " and 2 more; " in message


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [entry("AK", 1, 1)])
    mask = root / "realiad_1024" / "audiojack" / shot("AK", 1, 1).replace(".jpg", ".png")
    mask.unlink()
    with pytest.raises(DatasetError, match=r"do not exist \(1\): .*NG_AK_C1_\d+\.png; put them"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("kind", "told"), [("OK", "AK"), ("AK", "BX")], ids=["defect in OK", "another defect"]
)
def test_a_class_that_contradicts_the_path(tmp_path: Path, kind: str, told: str) -> None:
    odd = entry(kind, 3, 1, anomaly_class=told)
    root = write(tmp_path, [entry("OK", 1, 1)], [odd])
    message = (
        rf"audiojack\.json contradicts the paths of images \(1\): .*_0003_.* is '{told}' there"
    )
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


def test_a_name_that_contradicts_its_folder(tmp_path: Path) -> None:
    image = shot("AK", 1, 1).replace("NG/AK", "NG/BX")
    root = write(tmp_path, [entry("AK", 1, 1, image_path=image, anomaly_class="BX")], [])
    with pytest.raises(DatasetError, match=r"contradicts the paths of images \(1\): .*NG/BX"):
        open_dataset(root)


@pytest.mark.parametrize("key", ["category", "anomaly_class", "image_path", "mask_path"])
@pytest.mark.parametrize("value", [None, 7])
def test_a_key_that_is_absent_or_no_text(tmp_path: Path, key: str, value: int | None) -> None:
    second = entry("OK", 2, 1)
    root = write(tmp_path, [entry("OK", 1, 1), second], [])
    file = root / "realiad_jsons" / "audiojack.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["train"][1][key]
    if value is not None:
        document["train"][1][key] = value
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"audiojack\.json: entry 1 of 'train' .*'{key}'"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"audiojack\.json is no JSON \("),
        ('{"meta": {', r"audiojack\.json is no JSON \("),
        ("[" * 100_000, r"audiojack\.json is no JSON \("),
        ("[]", r"audiojack\.json is no file of Real-IAD: it lacks the key 'meta'"),
        ('{"meta": {"prefix": "a"}}', "it lacks the key 'normal_class'"),
        ('{"meta": {"prefix": "a", "normal_class": "OK"}, "train": {}}', "the key 'train'"),
        ('{"meta": {"prefix": "a", "normal_class": "OK"}, "train": []}', "the key 'test'"),
        (
            '{"meta": {"prefix": "a", "normal_class": "OK"}, "train": ["b"], "test": []}',
            "entry 0 of 'train' has no text as 'category'",
        ),
    ],
)
def test_json_of_another_form(tmp_path: Path, text: str, message: str) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [])
    (root / "realiad_jsons" / "audiojack.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


@pytest.mark.parametrize("prefix", ["../../", "/etc", "audiojack/../../.."])
def test_a_prefix_that_leads_outside(tmp_path: Path, prefix: str) -> None:
    root = write(tmp_path / "set", [entry("OK", 1, 1)], [], prefix=prefix)
    with pytest.raises(DatasetError, match=r"realiad_jsons names files outside .*set: "):
        open_dataset(root)


def test_a_mask_that_lies_outside(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [], [entry("AK", 1, 1)])
    file = root / "realiad_jsons" / "audiojack.json"
    text = file.read_text(encoding="utf-8").replace('mask_path": "', 'mask_path": "../../../x/')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"names files outside .*\.\./x/NG"):
        open_dataset(root)


def test_a_name_of_another_form(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1, image_path="OK/S0001/front.jpg")], [])
    with pytest.raises(DatasetError, match=r"names images otherwise than .*OK/S0001/front\.jpg"):
        open_dataset(root)


def test_json_files_without_images(tmp_path: Path) -> None:
    root = write(tmp_path, [entry("OK", 1, 1)], [])
    (root / "realiad_1024").rename(root / "pictures")
    with pytest.raises(DatasetError, match=r"no images beside it; unpack them into .*realiad_1024"):
        open_dataset(root)


def test_a_folder_that_is_a_link_out_of_the_set(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [entry("OK", 1, 1)], [])
    (root / "realiad_1024").rename(tmp_path / "elsewhere")
    link(root / "realiad_1024", tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"realiad_1024 is a link that leads out of"):
        open_dataset(root)


def test_asked_for_by_name_it_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has not the layout real_iad, which is realiad_jsons"):
        open_dataset(tree(tmp_path, "train/good/1.png"), layout="real_iad")
