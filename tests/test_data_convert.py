"""A data set written anew and opened again is the same table, apart from its paths."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plates import plate, save
from running import Cli
from streams import write

from blemish.dataset import Dataset, open_dataset
from blemish.dataset.convert import to_mvtec, to_table
from blemish.dataset.file_names import folder_names, free_name
from blemish.errors import ArtifactError, BlemishError, DatasetError, ImageError

SHAPE = (8, 10)


def pixels(seed: int) -> np.ndarray:
    return plate(seed, SHAPE)


def listed(root: Path, lines: list[str], name: str = "list.csv") -> Path:
    """A table in `root`, with the images and masks that its lines name; no two are the same."""
    header = ["image", "mask", "category", "split", "label", "defect", "part", "view"]
    for seed, line in enumerate(lines):
        image, mask = line.split(",")[:2]
        save(root / image, pixels(seed))
        if mask:
            drawn = np.zeros(SHAPE, np.uint8)
            drawn[2:4, 3 : 5 + seed % 3] = 200
            save(root / mask, drawn)
    path = root / name
    path.write_text("\n".join([",".join(header), *lines]), encoding="utf-8")
    return path


def contents(data: Dataset) -> list[tuple[object, ...]]:
    """The table with the bytes of each image, and the pixels of its mask, in place of the paths."""
    rows = []
    for row in data.rows():
        mask = None if row.mask is None else cv2.imread(str(row.mask), 0) > 127
        part = None if row.part == row.image.relative_to(data.root).as_posix() else row.part
        shown = None if mask is None else mask.tobytes()
        kept = (row.category, row.split, row.label, row.defect, part, row.view)
        rows.append((row.image.read_bytes(), shown, *kept))
    return sorted(rows, key=repr)


def tree(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


NUTS = [
    "in/1/a.png,,nut,train,good,,N1,top",
    "in/2/a.png,,nut,train,good,,N1,side",
    "in/3/A.PNG,,nut,train,good,,N2,top",
    "in/3/b.bmp,,nut,validation,good,,,",
    "ng/a.png,m/a.png,nut,test,defective,große Kratzer,N3,top",
    "ng/c.png,,nut,test,good,,N3,side",
    "ng/d.png,m/d.tif,nut,test,defective,hole,N4,",
    "ng/e.png,,nut,train,defective,hole,N5,",
]


def test_a_table_becomes_folders(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))
    (tmp_path / "old" / "LICENSE").write_text("For tests.", encoding="utf-8")
    data = open_dataset(data.root / "list.csv")
    written = to_mvtec(data, tmp_path / "nut")
    assert tree(tmp_path / "nut") == [
        "LICENSE",
        "ground_truth/große Kratzer/a_mask.png",
        "ground_truth/hole/d_mask.png",
        "parts.csv",
        "test/good/c.png",
        "test/große Kratzer/a.png",
        "test/hole/d.png",
        "train/good/A_3.PNG",
        "train/good/a.png",
        "train/good/a_2.png",
        "train/hole/e.png",
        "validation/good/b.bmp",
    ]
    assert (written.images, written.masks, written.masks_left_out) == (8, 2, 0)
    again = open_dataset(tmp_path / "nut")
    assert again.layout == "mvtec"
    assert again.terms == "For tests."
    assert contents(again) == contents(data)
    mask = cv2.imread(str(tmp_path / "nut/ground_truth/hole/d_mask.png"), -1)
    assert set(np.unique(mask)) == {0, 255}


def test_categories_become_folders_with_their_own_parts(tmp_path: Path) -> None:
    lines = [
        "a.png,,M8: long,train,good,,1,top",
        "b.png,,M8: long,test,defective,dent,2,top",
        "c.png,,m8_ long,train,good,,1,top",
        "d.png,,test,train,good,,,",
        "e.png,,test,test,defective,a/b,,",
        "f.png,,test,test,defective,,,",
    ]
    data = open_dataset(listed(tmp_path / "old", lines))
    to_mvtec(data, tmp_path / "new")
    assert tree(tmp_path / "new") == [
        "M8_ long/parts.csv",
        "M8_ long/test/dent/b.png",
        "M8_ long/train/good/a.png",
        "m8_ long_2/parts.csv",
        "m8_ long_2/train/good/c.png",
        "test_2/test/a_b/e.png",
        "test_2/test/defect/f.png",
        "test_2/train/good/d.png",
    ]
    again = open_dataset(tmp_path / "new").table.sort("image")
    assert again["part"].to_list() == [
        *("M8: long/2", "M8: long/1", "m8_ long/1"),
        *again["image"].to_list()[3:],
    ]
    assert again["label"].to_list() == ["defective", "good", "good", *["defective"] * 2, "good"]
    alone = open_dataset(tmp_path / "new" / "M8_ long").table
    assert alone.select("part", "view").rows() == [("M8: long/2", "top"), ("M8: long/1", "top")]


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))
    to_mvtec(data, tmp_path / "1" / "nut")
    to_mvtec(data.with_table(data.table.reverse()), tmp_path / "2" / "nut")
    first, second = (open_dataset(tmp_path / n / "nut") for n in ("1", "2"))
    assert first.table.equals(second.table)
    assert [i.read_bytes() for i in first.images] == [i.read_bytes() for i in second.images]


def test_a_name_is_not_taken_for_that_of_a_mask_or_a_hidden_file(tmp_path: Path) -> None:
    lines = [
        "a.png,m/a.png,nut,test,defective,dent,,",
        "a_mask.png,,nut,test,defective,dent,,",
        ".b.png,,nut,train,good,,,",
        "_mask.png,,nut,train,good,,,",
    ]
    data = open_dataset(listed(tmp_path / "old", lines))
    to_mvtec(data, tmp_path / "nut")
    again = open_dataset(tmp_path / "nut")
    assert again.table["image"].to_list() == [
        *("test/dent/a.png", "test/dent/a_2.png", "train/good/b.png", "train/good/image.png"),
    ]
    assert contents(again) == contents(data)


def test_masks_without_a_place_are_counted(cli: Cli, tmp_path: Path) -> None:
    lines = [
        "a.png,m/a.png,nut,train,defective,dent,,",
        "b.png,m/b.png,nut,test,good,,,",
        "c.png,m/c.png,nut,test,defective,dent,,",
        "d.png,,nut,train,good,,,",
    ]
    path = listed(tmp_path / "old", lines)
    run = cli("data", "convert", path, "-o", tmp_path / "nut", "--to", "mvtec", "--copy")
    assert run.out.splitlines() == [
        f"{tmp_path / 'nut'}: 4 images, 1 masks",
        "4 images are copies",
        "2 masks were left out: the layout has masks of defective test images only (a table keeps "
        "all)",
    ]
    assert tree(tmp_path / "nut" / "ground_truth") == ["dent/c_mask.png"]


def test_masks_keep_what_they_mean(tmp_path: Path) -> None:
    """Class indices, as VisA's are, become 255."""
    path = listed(tmp_path / "old", ["a.png,m.png,nut,test,defective,dent,,"])
    indices = np.zeros(SHAPE, np.uint8)
    indices[1, 1:3] = (1, 2)
    save(tmp_path / "old" / "m.png", indices)
    to_mvtec(open_dataset(path), tmp_path / "nut")
    written = cv2.imread(str(tmp_path / "nut/ground_truth/dent/a_mask.png"), -1)
    assert np.array_equal(written, np.where(indices, 255, 0))


# Links and copies


def test_images_are_linked_where_possible_and_never_symbolically(tmp_path: Path) -> None:
    path = listed(tmp_path / "old", NUTS[:3])
    image, real = tmp_path / "old/in/1/a.png", tmp_path / "old/real.png"
    image.rename(real)
    try:
        image.symlink_to(real)
    except OSError:
        pytest.skip("this machine lets us make no symbolic links")
    written = to_mvtec(open_dataset(path), tmp_path / "nut")
    assert (written.linked, written.copied) == (3, 0)
    target = tmp_path / "nut/train/good/a.png"
    assert not target.is_symlink()
    assert target.samefile(real)


def test_images_are_copied_where_links_are_not_possible(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listed(tmp_path / "old", NUTS[:3])

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    command = ("data", "convert", path, "--to", "mvtec", "-o", tmp_path / "nut")
    assert "3 images are hard links" in cli(*command).out
    monkeypatch.setattr(os, "link", refuse)
    copied = cli(*command[:-1], tmp_path / "copied" / "nut")
    assert copied.out.splitlines()[1:] == ["3 images are copies"]
    assert contents(open_dataset(tmp_path / "copied" / "nut")) == contents(
        open_dataset(tmp_path / "nut")
    )
    cli(*command[:-1], tmp_path / "linked", "--link").refusal(
        "a.png", "Invalid cross-device link", "choose a folder on the same disk, or --copy"
    )
    assert not (tmp_path / "linked").exists()


# All or nothing


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "old")


def test_what_is_stopped_half_way_leaves_nothing(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))

    def stop(done: int, total: int) -> None:
        assert total == 8
        if done == 5:
            raise KeyboardInterrupt

    for convert in (
        lambda: to_mvtec(data, tmp_path / "new", progress=stop),
        lambda: to_table(data, tmp_path / "new" / "t.csv", "copy", progress=stop),
    ):
        with pytest.raises(KeyboardInterrupt):
            convert()
        assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", refuse)
    with pytest.raises(ArtifactError, match="new could not be written: the disk is full"):
        to_mvtec(data, tmp_path / "new", "copy")
    assert leftovers(tmp_path) == []


def test_images_that_have_gone_and_masks_of_another_size(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))
    save(tmp_path / "old/m/d.tif", np.zeros((3, 3), np.uint8))
    with pytest.raises(ImageError, match=r"the mask .*d\.tif is 3 x 3 pixels"):
        to_mvtec(data, tmp_path / "new")
    (tmp_path / "old/ng/d.png").unlink()
    for placing in ("copy", "link"):
        with pytest.raises(DatasetError, match=r"d\.png cannot be read: No such file"):
            to_mvtec(data, tmp_path / "new", placing)  # type: ignore[arg-type]
    assert leftovers(tmp_path) == []


def test_a_target_is_new_or_empty_and_outside(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path / "old", NUTS))
    (tmp_path / "empty").mkdir()
    assert to_mvtec(data, tmp_path / "empty").images == 8
    with pytest.raises(DatasetError, match="empty is not empty; name a new folder"):
        to_mvtec(data, tmp_path / "empty")
    with pytest.raises(DatasetError, match=r"list\.csv is not empty"):
        to_mvtec(data, data.root / "list.csv")
    with pytest.raises(DatasetError, match="would double; name a folder outside"):
        to_mvtec(data, data.root / "new")
    with pytest.raises(DatasetError, match="would double"):
        to_table(data, data.root / "new" / "t.csv", "copy")
    assert leftovers(tmp_path) == ["empty"]


def test_images_without_a_label_are_refused(tmp_path: Path) -> None:
    path = listed(tmp_path / "old", [*NUTS, "x.png,,nut,test,,,,"])
    with pytest.raises(DatasetError, match=r"a label \(1\): x\.png; label them in a parts\.csv"):
        to_mvtec(open_dataset(path), tmp_path / "new")


# Tables


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_at_the_root_or_above_names_images_where_they_are(
    tmp_path: Path, kind: str
) -> None:
    data = open_dataset(listed(tmp_path / "old", [*NUTS, "x.png,,nut,test,,,,"]))
    for file in (tmp_path / "old" / f"new.{kind}", tmp_path / f"above.{kind}"):
        written = to_table(data, file)
        assert (written.images, written.masks, written.linked, written.copied) == (9, 2, 0, 0)
        again = open_dataset(file)
        assert contents(again) == contents(data)
        pairs = zip(again.images, data.images, strict=True)
        assert all(image.samefile(other) for image, other in pairs)
    assert open_dataset(tmp_path / "old" / f"new.{kind}").table.equals(data.table)


def test_a_table_elsewhere_needs_its_images(cli: Cli, tmp_path: Path) -> None:
    path = listed(tmp_path / "old", NUTS)
    command = ("data", "convert", path, "--to", "parquet", "-o", tmp_path / "new")
    cli(*command).refusal(
        f"write {tmp_path / 'old' / 'list.parquet'}", "put the images beside the table with --copy"
    )
    assert cli(*command, "--copy").code == 0
    again = open_dataset(tmp_path / "new" / "list.parquet")
    assert contents(again) == contents(open_dataset(path))
    assert again.table.equals(open_dataset(path).table)
    cli(*command, "--copy").refusal("list.parquet exists; name another file")


def test_the_figures_of_a_conversion(cli: Cli, tmp_path: Path) -> None:
    path = listed(tmp_path / "old", NUTS)
    out = tmp_path / "nut"
    run = cli("data", "convert", path, "-o", out, "--to", "mvtec", "--copy", "--json", "-")
    assert json.loads(run.out) == {
        "path": str(out),
        **{"images": 8, "linked": 0, "copied": 8, "decoded": 0, "masks": 2, "masks_left_out": 0},
    }


def test_images_in_an_hdf5_file_become_files(tmp_path: Path) -> None:
    mask = np.zeros((2, *SHAPE), np.uint8)
    mask[1, 2, 2] = 9
    images = np.stack([pixels(1), pixels(2)])
    path = write(tmp_path / "old/nut_test.h5", {"image": images, "mask": mask})
    data = open_dataset(path)
    assert to_mvtec(data, tmp_path / "nut").decoded == 2
    to_table(data, tmp_path / "new" / "t.csv", "copy")
    for opened in (open_dataset(tmp_path / "nut"), open_dataset(tmp_path / "new" / "t.csv")):
        table = opened.table.sort("label", descending=True)
        assert table["label"].to_list() == ["good", "defective"]
        shown = [cv2.imread(str(opened.root / image))[..., ::-1] for image in table["image"]]
        assert np.array_equal(shown, images)
        drawn = cv2.imread(str(opened.root / table["mask"][1]), -1)
        assert np.array_equal(drawn, np.where(mask[1], 255, 0))


def test_a_table_names_images_in_an_hdf5_file(tmp_path: Path) -> None:
    stack = {"image": np.stack([pixels(1), pixels(2)]), "label": np.array([0, 1], np.uint8)}
    data = open_dataset(write(tmp_path / "nut_test.h5", stack))
    to_table(data, tmp_path / "t.parquet")
    columns = ("image", "split", "label")
    again = open_dataset(tmp_path / "t.parquet")
    assert again.table.select(columns).equals(data.table.select(columns))


def test_several_masks_of_one_image_become_one(tmp_path: Path) -> None:
    root = tmp_path / "box"
    save(root / "train/good/000.png", pixels(1))
    save(root / "test/structural_anomalies/000.png", pixels(2))
    union = np.zeros(SHAPE, np.uint8)
    for number, row in enumerate((1, 5)):
        part = np.zeros(SHAPE, np.uint8)
        part[row, 3:6] = union[row, 3:6] = 255
        save(root / f"ground_truth/structural_anomalies/000/00{number}.png", part)
    assert to_mvtec(open_dataset(root), tmp_path / "new").masks == 1
    drawn = tmp_path / "new/ground_truth/structural_anomalies/000_mask.png"
    assert np.array_equal(cv2.imread(str(drawn), -1), union)


# Names


@given(st.lists(st.text("aAb_2.ß", min_size=1, max_size=4), max_size=30))
def test_names_are_free_of_clashes_and_kept_where_they_can_be(names: list[str]) -> None:
    used: dict[str, int] = {}
    free = [free_name(name, used) for name in names]
    assert len({name.casefold() for name in free}) == len(names)
    assert all(new.startswith(name) for new, name in zip(free, names, strict=True))
    assert free[:1] == names[:1]


def test_many_equal_names_take_no_longer_than_others() -> None:
    used: dict[str, int] = {}
    names = [free_name("image", used) for _ in range(100_000)]
    assert names[-1] == "image_100000"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a/b", "a_b"),
        ("a:b?", "a_b_"),
        ("..", "_"),
        (".hidden", "_.hidden"),
        ("end. ", "end"),
        ("Con", "_Con"),
        ("lpt1.x", "_lpt1.x"),
        ("console", "console"),
        ("Good", "Good_2"),
        ("Löcher", "Löcher"),
    ],
)
def test_folders_that_every_system_can_hold(name: str, folder: str) -> None:
    assert folder_names([name], ["good"]) == {name: folder}


def test_a_mistake_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    cli("data", "convert", tmp_path / "none", "-o", tmp_path / "new", "--to", "csv").refusal(
        "none does not exist"
    )


def test_pixels_that_no_png_can_hold(tmp_path: Path) -> None:
    path = listed(tmp_path / "old", ["a.png,,nut,train,good,,,"])
    deep = save(tmp_path / "old" / "b.tiff", np.zeros(SHAPE, np.float32))
    deep.rename(tmp_path / "old" / "b")
    data = open_dataset(path)
    item = data.with_table(data.table.with_columns(image=pl.lit("b")))
    with pytest.raises(BlemishError, match=r"b\.png has float32 pixels, which no PNG"):
        to_mvtec(item, tmp_path / "new")
