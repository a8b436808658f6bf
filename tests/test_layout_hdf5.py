"""A stream in one HDF5 file becomes one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from plates import dent_mask, dented, plate
from running import Cli
from streams import cut, masks, noise, write

from blemish.dataset import open_dataset
from blemish.dataset.hdf5_stream import has_foreground
from blemish.errors import BlemishError, DatasetError, ImageError

QUICK = ("--size", 64, "--detector", "patchcore", "--set", "bank=50", "--quiet")


def test_a_stream_becomes_the_whole_table(tmp_path: Path) -> None:
    file = write(
        tmp_path / "Prüfling 7.h5",
        {
            "image": noise(4, 8, 6, 3),
            "mask": masks(0, 2, 0, 0)[:, :, :],
            "label": np.array([0, 1, 0, 1], np.uint8),
            "split": ["train", "test", "val", "test"],
            "defect": ["", "große Kratzer", "good", ""],
            "part": np.array([7, 7, 8, 9]),
            "view": ["top", "side", "", ""],
            "note": ["not a column"] * 4,
        },
    )
    (tmp_path / "license.txt").write_text("Free for tests.\n", encoding="utf-8")
    data = open_dataset(file)
    image, mask, name = "Prüfling 7.h5/image/00000", "Prüfling 7.h5/mask/00000", "Prüfling 7"
    assert data.table.rows() == [
        (image + "0", None, name, "train", "good", None, "7", "top"),
        (image + "1", mask + "1", name, "test", "defective", "große Kratzer", "7", "side"),
        (image + "2", None, name, "validation", "good", None, "8", None),
        (image + "3", mask + "3", name, "test", "defective", None, "9", None),
    ]
    assert (data.root, data.name, data.layout, data.terms) == (
        *(tmp_path, name, "hdf5"),
        "Free for tests.",
    )


def test_categories_qualify_parts(tmp_path: Path) -> None:
    values = {"image": noise(2, 4, 4), "category": ["nut", "bolt"], "part": ["1", "1"]}
    data = open_dataset(write(tmp_path / "a.hdf5", values))
    assert data.categories == ["bolt", "nut"]
    assert data.parts == ["nut/1", "bolt/1"]


def test_images_alone_are_good_and_train(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path / "a.h5", {"image": noise(2, 4, 4, kind=np.uint16)}))
    assert data.table.select("mask", "split", "label").rows() == [(None, "train", "good")] * 2


@pytest.mark.parametrize(
    ("name", "split"), [("Test", "test"), ("nut_val-1", "validation"), ("contest", "train")]
)
def test_the_name_of_the_file_tells_the_split(name: str, split: str, tmp_path: Path) -> None:
    values = {"image": noise(1, 4, 4), "label": [True]}
    data = open_dataset(write(tmp_path / f"{name}.h5", values))
    assert data.table.select("split", "label").rows() == [(split, "defective")]


def test_images_of_a_test_without_labels_have_none(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path / "test.h5", {"image": noise(1, 4, 4)}))
    assert data.table["label"].to_list() == [None]


def layouts_of(stack: Any) -> list[dict[str, Any]]:
    """Ways to store the same masks."""
    return [
        {},
        {"chunks": (1, *stack.shape[1:])},
        {"chunks": (1, *stack.shape[1:]), "compression": "gzip", "shuffle": True},
        {"chunks": (1, *stack.shape[1:]), "compression": "lzf", "fletcher32": True},
        {"chunks": (3, 2, 3), "compression": "gzip"},
        {"chunks": (7, *stack.shape[1:])},
    ]


@pytest.mark.parametrize("number", range(6))
def test_labels_come_from_masks_however_they_are_stored(number: int, tmp_path: Path) -> None:
    foreground = [0, 1, 0, 0, 16, 0, 3, 0, 0, 1]
    stack = masks(*foreground)
    stack[9] = stack[9, ::-1, ::-1] // 255  # a class index, in the last pixel
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = noise(10, 4, 4)
        file.create_dataset("mask", data=stack, **layouts_of(stack)[number])
    data = open_dataset(tmp_path / "a.h5")
    defective = [bool(count) for count in foreground]
    assert (data.table["label"] == "defective").to_list() == defective
    assert data.table["mask"].is_not_null().to_list() == defective


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.bool_])
def test_labels_of_many_distinct_masks(kind: Any, tmp_path: Path) -> None:
    stack = noise(1200, 8, 8, kind=kind, seed=3)
    stack[::7] = 0
    write(tmp_path / "a.h5", {"image": noise(1200, 4, 4), "mask": stack}, compression="gzip")
    np.testing.assert_array_equal(has_foreground(tmp_path / "a.h5", "mask"), stack.any(axis=(1, 2)))


def test_masks_that_were_never_written_hold_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in {"blank": 0, "full": 255}.items():
            stack = file.create_dataset(
                name, (3, 4, 4), np.uint8, chunks=(1, 4, 4), fillvalue=value
            )
            stack[1] = 255 - value
    assert has_foreground(tmp_path / "a.h5", "blank").tolist() == [False, True, False]
    assert has_foreground(tmp_path / "a.h5", "full").tolist() == [True, False, True]


# What is refused.

IMAGES = {"image": noise(3, 4, 4)}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no images": (
        {"pictures": noise(3, 4, 4)},
        r"no images under the name image or syn_stream, on",
    ),
    "nothing": ({}, "only nothing"),
    "no pixels": ({"image": noise(3, 4, 4).astype(float)}, "image is float64 of the shape"),
    "fewer masks": (IMAGES | {"mask": masks(0, 1)}, "3 images in image but 2 masks in mask"),
    "masks of floats": (IMAGES | {"mask": noise(3, 4, 4) / 2}, "mask is float64"),
    "fewer labels": (IMAGES | {"label": [0, 1]}, r"label is int64 of the shape \(2,\), not one n"),
    "labels of another kind": (IMAGES | {"label": [0, 1, 2]}, "labels that are not known: 2"),
    "words that are no label": (IMAGES | {"label": ["ok", "", "so-so"]}, "not known: so-so"),
    "splits": (IMAGES | {"split": ["train", "tset", "test"]}, "splits that are not known: tset"),
    "a split left out": (IMAGES | {"split": ["train", "", "test"]}, r"not known: \(empty\)"),
    "a good defect": (
        IMAGES | {"label": [0, 0, 1], "defect": ["", "dent", "dent"]},
        r"calls images good that have a kind of defect: a\.h5/image/000001",
    ),
    "a column of pairs": (IMAGES | {"view": noise(3, 2)}, r"view is uint8 of the shape \(3, 2\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stream_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    values, message = REFUSED[name]
    file = write(tmp_path / "a.h5", values)
    with pytest.raises(BlemishError, match=message) as refusal:
        open_dataset(file)
    assert str(file) in str(refusal.value)


def test_a_stream_cut_off_in_the_middle(tmp_path: Path, cli: Cli) -> None:
    file = cut(write(tmp_path / "a.h5", {"image": noise(90, 16, 16), "mask": masks(*range(90))}))
    with pytest.raises(ImageError, match=r"a\.h5 is cut off"):
        open_dataset(file)
    cli("data", "show", file).refusal(file, "is cut off", "copy it again")
    file.write_bytes(b"")
    cli("train", file, "-o", tmp_path / "m").refusal(file, "is empty (0 bytes)")


def test_words_in_another_encoding(tmp_path: Path) -> None:
    values = IMAGES | {"defect": np.array([b"", "groß".encode("latin-1"), b""])}
    with pytest.raises(ImageError, match=r"a\.h5 is damaged \(.*can't decode"):
        open_dataset(write(tmp_path / "a.h5", values))


def test_a_folder_is_no_stream(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is no stream; name a \.h5 file"):
        open_dataset(tmp_path, layout="hdf5")


# The whole way.


def plates_stream(path: Path, **more: Any) -> Path:
    """Twenty good plates to learn from, and six good and six dented ones to test."""
    good = [*range(20), *range(100, 106)]
    dents = range(200, 206)
    blank = np.zeros((len(good), 80, 100), np.uint8)
    return write(
        path,
        {
            "image": np.stack([*map(plate, good), *map(dented, dents)]),
            "mask": np.concatenate([blank, np.stack([dent_mask(seed) for seed in dents])]),
            "split": ["train"] * 20 + ["test"] * 12,
            "defect": [""] * 26 + ["dent"] * 6,
            **more,
        },
        compression="gzip",
    )


def test_a_model_is_trained_on_a_stream_and_evaluated(cli: Cli, tmp_path: Path) -> None:
    file = plates_stream(tmp_path / "plates.h5")
    assert cli("data", "check", file, "--strict").code == 0
    model = tmp_path / "m.blemish"
    run = cli("train", file, "-o", model, *QUICK)
    assert (run.code, run.err) == (0, [])
    assert "learnt from 16 images of 16 good parts" in run.out
    run = cli("evaluate", model, file, "--json", "-", "--report", tmp_path / "report")
    figures = json.loads(run.out)
    assert figures["image"]["auroc"] == 1.0
    assert figures["pixel"]["auroc"] > 0.9
    assert figures["defects"].keys() == {"dent"}
    assert (tmp_path / "report" / "report.html").exists()


def test_a_stream_gives_the_model_that_its_pictures_give(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    # Which parts are held out depends on their names: the parts are named like the pictures.
    images = open_dataset(plates).split("train").table["image"].to_list()
    file = plates_stream(tmp_path / "plates.h5", part=[*images, *map(str, range(12))])
    cards = []
    for data, out in ((file, "a"), (plates, "b")):
        run = cli("train", data, "-o", tmp_path / out, *QUICK, "--json", "-")
        cards.append(json.loads(run.out))
    assert len(cards[0]["calibration"]["scores"]) == 4
    assert cards[0]["calibration"] == cards[1]["calibration"]
