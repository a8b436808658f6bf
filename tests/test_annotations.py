"""What labelling tools write becomes masks and kinds, and goes back to them, to the pixel."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from labelling import (
    SIZE,
    SQUARE,
    coco,
    coco_object,
    cvat,
    cvat_image,
    labelme,
    labelme_shape,
    pictures,
    png,
    rectangle,
    square,
    voc,
    voc_object,
    written,
)
from PIL import Image
from pycocotools import mask as oracle
from running import Cli

from blemish.dataset import open_dataset
from blemish.dataset.annotated_set import AnnotatedSet, read_annotated
from blemish.dataset.region_outlines import outlines, regions
from blemish.dataset.run_lengths import column_counts, runs_of, unpacked
from blemish.dataset.shapes import Outline, Shape, draw, pixels


def masks_of(found: AnnotatedSet) -> dict[str, np.ndarray]:
    """The mask of every picture that has one."""
    rows = found.data.table.drop_nulls("mask").select("image", "mask").iter_rows()
    return {image: found.read_mask(image, mask) for image, mask in rows}


def mask_of(root: Path, format_: str) -> np.ndarray:
    """The mask of the only picture."""
    found = read_annotated(root, format_)
    found.ensure_sound()
    [mask] = masks_of(found).values()
    return mask


def kinds_of(found: AnnotatedSet) -> dict[str, tuple[str, str, str | None]]:
    rows = found.data.table.select("image", "split", "label", "defect").iter_rows()
    return {image: tuple(rest) for image, *rest in rows}


def said(found: AnnotatedSet, kind: str) -> list[str]:
    return [finding.message for finding in found.findings if finding.kind == kind]


# Shapes


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_and_runs_of_a_mask_are_the_mask(mask: np.ndarray) -> None:
    height, width = mask.shape
    united = np.zeros_like(mask)
    for region in regions(mask):
        whole = np.zeros_like(mask)
        box = np.s_[region.top :, region.left :]
        whole[box][: region.pixels.shape[0], : region.pixels.shape[1]] = region.pixels
        united |= whole
        runs = column_counts(region.pixels, (region.left, region.top), mask.shape)
        assert (pixels(runs_of(runs, mask.shape, by_column=True)) == whole).all()
        packed = oracle.encode(np.asfortranarray(whole.astype(np.uint8)))["counts"].decode()
        assert unpacked(packed) == runs
        if (rings := outlines(region)) is None:
            continue
        area = Outline(tuple(np.array(ring, float) for ring in rings))
        assert (draw([Shape("a", area)], mask.shape) == whole).all()
        flat = [[float(n) for corner in ring for n in corner] for ring in rings]
        theirs = oracle.decode(oracle.merge(oracle.frPyObjects(flat, height, width)))
        assert (theirs.astype(bool) == whole).all()
    assert (united == mask).all()


@given(st.integers(0, 10**6), st.integers(3, 9))
def test_a_polygon_is_that_of_pycocotools_but_for_its_border(seed: int, corners: int) -> None:
    ring = np.random.default_rng(seed).uniform(-5, 35, (corners, 2))
    ours = draw([Shape("a", Outline((ring,)))], SIZE)
    [packed] = oracle.frPyObjects([ring.ravel().tolist()], *SIZE)
    border = np.zeros(SIZE, np.uint8)
    cv2.polylines(border, [np.round((ring - 0.5) * 256).astype(np.int32)], True, 1, 3, shift=8)
    assert not ((ours != oracle.decode(packed).astype(bool)) & (border == 0)).any()


def test_a_shape_thinner_than_a_pixel_marks_the_pixels_that_it_passes() -> None:
    scratch = Outline((np.array([[2, 3.1], [20, 3.1], [20, 3.3], [2, 3.3]]),))
    assert (draw([Shape("scratch", scratch)], SIZE) == rectangle(2, 3, 21, 4)).all()


# Formats


def test_labelme_polygons_boxes_circles_and_masks(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", *(f"{name}.png" for name in "abcdefg"))
    patch = np.zeros((4, 5), np.uint8)
    patch[1:3, 1:4] = 1
    shapes = {
        "a": labelme_shape("dent", SQUARE),
        "b": labelme_shape("dent", [[10, 12], [4, 6]], "rectangle"),
        "c": labelme_shape("dent", SQUARE, "oriented_rectangle"),
        "d": labelme_shape("dent", [[15, 10], [15, 14]], "circle"),
        "e": labelme_shape("dent", [[7, 3], [11, 6]], "mask", mask=png(patch)),
        "f": labelme_shape("hair", [[1, 1], [9, 9]], "linestrip"),
    }
    for name, shape in shapes.items():
        written(root / f"{name}.json", labelme(f"{name}.png", shape))
    written(root / "g.json", labelme("g.png"))
    found = read_annotated(root, "labelme")
    masks = masks_of(found)
    for name in "abc":
        assert (masks[f"{name}.png"] == square()).all()
    assert masks["d.png"].sum() == pytest.approx(np.pi * 16, abs=3)
    assert masks["d.png"][10, 15]
    assert (masks["e.png"] == rectangle(8, 4, 11, 6)).all()
    assert "f.png" not in masks
    assert kinds_of(found)["f.png"] == ("test", "defective", "hair")
    assert kinds_of(found)["g.png"] == ("train", "good", None)
    assert said(found, "boxes") == [
        "2 of 5 masks are boxes: they overstate the area; pixel figures then mean boxes."
    ]
    [line] = said(found, "objects without area")
    assert line.startswith("f.png has objects without area (hair)")


def test_coco_polygons_boxes_and_both_kinds_of_runs(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png", "d.png", "e.png"]
    root = pictures(tmp_path / "part", *(f"images/{name}" for name in names))
    packed = oracle.encode(np.asfortranarray(square().astype(np.uint8)))
    runs = {"counts": column_counts(square(), (0, 0), SIZE), "size": list(SIZE)}
    packed = {"counts": packed["counts"].decode(), "size": list(SIZE)}
    flat = [n for corner in SQUARE for n in corner]
    content = coco(
        names,
        coco_object([flat, [0, 0, 3, 0, 3, 2, 0, 2]], 0),
        coco_object([], 1, bbox=[4, 6, 6, 6]),
        coco_object(runs, 2, iscrowd=1),
        coco_object(packed, 3, 7),
        coco_object([flat], 3, 0),
    )
    written(root / "annotations/instances_default.json", content)
    found = read_annotated(root, "coco")
    masks = masks_of(found)
    assert (masks["images/a.png"] == (square() | rectangle(0, 0, 3, 2))).all()
    for name in "bcd":
        assert (masks[f"images/{name}.png"] == square()).all()
    assert kinds_of(found)["images/d.png"] == ("test", "defective", "dent,scratch")
    assert kinds_of(found)["images/e.png"] == ("train", "good", None)
    [boxes] = said(found, "boxes")
    assert boxes.startswith("1 of 4 masks are boxes")


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("data.yaml", "train: images\nnames: [scratch, dent]\n"),
        ("data.yaml", "names:\n  0: scratch\n  1: dent\n"),
        ("labels/classes.txt", "scratch\ndent\n\n"),
        ("obj.names", "scratch\ndent"),
    ],
)
def test_yolo_boxes_and_polygons(tmp_path: Path, file: str, names: str) -> None:
    root = pictures(tmp_path / "part", *(f"images/{name}.png" for name in "abcd"))
    written(root / file, names)
    corners = " ".join(f"{x / SIZE[1]} {y / SIZE[0]}" for x, y in SQUARE)
    box = f"{7 / SIZE[1]} {9 / SIZE[0]} {6 / SIZE[1]} {6 / SIZE[0]}"
    written(root / "labels/a.txt", f"1 {box}\n")
    written(root / "labels/b.txt", f"0 {corners}\n\n1 0 0 0.1 0 0.1 0.1\n")
    written(root / "labels/c.txt", f"1 {corners}")
    written(root / "labels/d.txt", "")
    written(root / "README.txt", "Exported today.")
    found = read_annotated(root, "yolo")
    found.ensure_sound()
    masks = masks_of(found)
    assert (masks["images/a.png"] == square()).all()
    assert (masks["images/c.png"] == square()).all()
    assert kinds_of(found)["images/b.png"] == ("test", "defective", "dent,scratch")
    assert kinds_of(found)["images/d.png"] == ("train", "good", None)
    assert said(found, "boxes")[0].startswith("1 of 3 masks")


def test_cvat_polygons_boxes_ellipses_masks_and_lines(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", *(f"images/{name}.png" for name in "abcdefgh"))
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in SQUARE)
    sides = 'xtl="4.0" ytl="6.0" xbr="10.0" ybr="12.0"'
    around = 'left="3" top="6" width="8" height="6"'
    rows = ", ".join(["1, 6, 2", *["6, 2"] * 4, "6, 1"]).replace(", 2, 6", ", 2, 6")
    shapes = {
        "a": f'<polygon label="dent" points="{points}" z_order="0"/>',
        "b": f'<box label="dent" {sides}><attribute name="deep">1</attribute></box>',
        "c": f'<mask label="dent" rle="{rows}" {around}/>',
        "d": f'<box label="dent" rotation="90.0" {sides}/>',
        "e": '<ellipse label="dent" cx="15" cy="10" rx="6" ry="3" rotation="90"/>',
        "f": f'<polyline label="scratch" points="{points}"/>',
        "g": '<tag label="scratch"/>',
    }
    images = [cvat_image(f"{name}.png", shape) for name, shape in shapes.items()]
    written(root / "annotations.xml", cvat(*images, cvat_image("h.png")))
    found = read_annotated(root, "cvat")
    found.ensure_sound()
    masks = masks_of(found)
    for name in "abcd":
        assert (masks[f"images/{name}.png"] == square()).all(), name
    tall = masks["images/e.png"]
    assert tall.sum() == pytest.approx(np.pi * 18, abs=4)
    assert tall[5, 15]
    assert not tall[10, 19]
    assert kinds_of(found)["images/f.png"] == ("test", "defective", "scratch")
    assert kinds_of(found)["images/g.png"] == ("test", "defective", "scratch")
    assert kinds_of(found)["images/h.png"] == ("train", "good", None)


def test_voc_boxes_count_pixels_from_one(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "JPEGImages/a.png", "JPEGImages/b.png")
    written(root / "Annotations/a.xml", voc("a.jpg", voc_object("dent", 5, 7, 10, 12)))
    written(root / "Annotations/b.xml", voc("b.png"))
    assert (mask_of(root, "voc") == square()).all()


@pytest.mark.parametrize("coloured", [False, True])
def test_voc_masks_are_told_by_index_and_colour(tmp_path: Path, coloured: bool) -> None:
    root = pictures(tmp_path / "part", "JPEGImages/a.png")
    indices = np.zeros(SIZE, np.uint8)
    indices[square()] = 2
    indices[rectangle(20, 6, 22, 8)] = 1
    indices[rectangle(20, 0, 22, 4)] = 255
    picture = Image.fromarray(indices, "P")
    palette = [0] * 768
    palette[3:9] = [200, 0, 0, 0, 200, 0]
    palette[765:] = [224, 224, 192]
    picture.putpalette(palette)
    (root / "SegmentationClass").mkdir()
    (picture.convert("RGB") if coloured else picture).save(root / "SegmentationClass/a.png")
    map_ = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:0,200,0::\nhair:200,0,0::\n"
    written(root / "labelmap.txt", map_)
    written(root / "Annotations/a.xml", voc("a.png", voc_object("dent", 1, 1, 30, 20)))
    found = read_annotated(root, "voc")
    found.ensure_sound()
    [mask] = masks_of(found).values()
    assert (mask == (square() | rectangle(20, 6, 22, 8))).all()
    assert kinds_of(found) == {"JPEGImages/a.png": ("test", "defective", "dent,hair")}
    assert not said(found, "boxes")


def test_voc_without_names_of_colours_numbers_them(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "JPEGImages/a.png", "JPEGImages/b.png")
    (root / "SegmentationClass").mkdir()
    for name in "ab":
        levels = square().astype(np.uint8) * np.uint8(3)
        Image.fromarray(levels).save(root / f"SegmentationClass/{name}.png")
    written(root / "Annotations/b.xml", voc("b.png", voc_object("dent", 5, 7, 10, 12)))
    found = read_annotated(root, "voc")
    found.ensure_sound()
    assert [kind for *_, kind in kinds_of(found).values()] == ["class_3", "dent"]


def test_voc_polygons_count_before_their_box(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png")
    corners = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(SQUARE, 1))
    item = f"<object><name>dent</name><polygon>{corners}</polygon></object>"
    written(root / "a.xml", voc("a.png", item))
    assert (mask_of(root, "voc") == square()).all()


# What becomes of the pictures


def test_objects_become_folders_with_masks(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png", "val/c.png")
    written(root / "a.json", labelme("a.png", labelme_shape("dent", SQUARE)))
    written(root / "b.json", labelme("b.png"))
    written(root / "val/c.json", labelme("c.png", labelme_shape("ok", SQUARE)))
    out = tmp_path / "out"
    run = cli("data", "convert", root, "-o", out, "--to", "mvtec", "--from", "labelme")
    assert run.code == 0, run.err
    assert run.err == ["WARNING: val/c.png has objects called ok, which are taken as no defect."]
    data = open_dataset(out)
    assert sorted(data.table["image"]) == [
        "test/dent/a.png",
        "train/good/b.png",
        "validation/good/c.png",
    ]
    mask = cv2.imread(str(out / "ground_truth/dent/a_mask.png"), -1)
    assert (mask == square() * np.uint8(255)).all()
    rows = list(csv.DictReader((out / "masks.csv").read_text("utf-8").splitlines()))
    assert rows == [
        {
            "mask": "ground_truth/dent/a_mask.png",
            "image": "test/dent/a.png",
            "objects": "1",
            "boxes": "0",
            "without_area": "0",
            "annotation": "a.json",
        }
    ]


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_objects_become_a_table_beside_pictures_and_masks(
    tmp_path: Path, cli: Cli, to: str
) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png")
    written(root / "all.json", coco(["a.png", "b.png"], coco_object([], bbox=[4, 6, 6, 6])))
    out = tmp_path / "out"
    run = cli("data", "convert", root, "-o", out, "--to", to, "--from", "coco", "--json", "-")
    assert run.code == 0, run.err
    assert json.loads(run.out)["masks"] == 1
    assert [finding["kind"] for finding in json.loads(run.out)["findings"]] == ["boxes"]
    data = open_dataset(out / f"part.{to}")
    [mask] = [mask for mask in data.masks if mask is not None]
    assert (cv2.imread(str(mask), -1) == square() * np.uint8(255)).all()


SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(st.lists(SHAPES.flatmap(lambda shape: arrays(bool, shape)), min_size=1, max_size=3))
def test_coco_and_back_is_the_same_masks(
    tmp_path_factory: pytest.TempPathFactory, masks: list[np.ndarray]
) -> None:
    masks = [mask for mask in masks if mask.any()]
    if not masks:
        return
    tmp_path = tmp_path_factory.mktemp("trip")
    home = tmp_path / "part"
    for folder in ("train/good", "test/good", "test/a, b", "ground_truth/a, b"):
        (home / folder).mkdir(parents=True)
    for place, mask in enumerate(masks):
        grey = np.full(mask.shape, place, np.uint8)
        Image.fromarray(grey).save(home / f"test/a, b/{place}.png")
        Image.fromarray(mask).save(home / f"ground_truth/a, b/{place}.png")
    for folder in ("train", "test"):
        Image.fromarray(np.full((4, 4), 9, np.uint8)).save(home / folder / "good/0.png")
    from blemish.dataset.coco_set import to_coco

    to_coco(open_dataset(home), tmp_path / "tool")
    found = read_annotated(tmp_path / "tool", "coco")
    found.ensure_sound()
    back = masks_of(found)
    # No two pictures have one name, whatever their folders.
    names = sorted(found.data.table["image"])
    assert len({name.rpartition("/")[2] for name in names}) == len(names) == len(masks) + 2
    assert len(back) == len(masks)
    by_bytes = {mask.tobytes(): mask for mask in masks}
    for mask in back.values():
        assert (by_bytes[mask.tobytes()] == mask).all()
    rows = kinds_of(found)
    assert {rows[name][:2] for name in rows if "good" in name} == {
        ("train", "good"),
        ("test", "good"),
    }
    assert {rows[name][2] for name in back} == {"a, b"}


def test_coco_says_which_defects_have_no_object(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "part", "train/good/a.png", "test/dent/a.png")
    run = cli("data", "convert", root, "-o", tmp_path / "tool", "--to", "coco")
    assert run.code == 0
    [line] = run.err
    assert "1 of 1 defective pictures have no mask and so no object: test/dent/a.png" in line
    written_ = json.loads((tmp_path / "tool/annotations.json").read_text("utf-8"))
    assert [image["file_name"] for image in written_["images"]] == [
        "test/dent/a.png",
        "train/good/a_2.png",
    ]
    # It is not learnt as good on its way back.
    again = cli(
        *("data", "convert", tmp_path / "tool", "-o", tmp_path / "new", "--to", "mvtec"),
        *("--from", "coco", "--unlabelled", "good"),
    )
    again.refusal("test/dent/a.png", "no object", "dent")


def test_a_set_with_annotations_names_the_option(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png")
    written(root / "a.json", labelme("a.png", labelme_shape("dent", SQUARE)))
    run = cli("data", "convert", root, "-o", tmp_path / "out", "--to", "mvtec")
    [line] = run.err
    assert "labelme (a.json)" in line
    assert "--from labelme" in line


def test_pictures_without_an_annotation_are_asked_for(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png", "c.png")
    written(root / "a.json", labelme("a.png", labelme_shape("dent", SQUARE)))
    verb = ("data", "convert", root, "--to", "mvtec", "--from", "labelme", "-o")
    cli(*verb[:5], "-o", tmp_path / "1", "--unlabelled", "good").refusal("--from")
    cli(*verb, tmp_path / "1").refusal("2 of 3 pictures", "b.png, c.png", "--unlabelled good")
    assert not (tmp_path / "1").exists()
    assert cli(*verb, tmp_path / "2", "--unlabelled", "good").code == 0
    assert len(open_dataset(tmp_path / "2").good()) == 2
    assert cli(*verb, tmp_path / "3", "--unlabelled", "skip").code == 0
    assert len(open_dataset(tmp_path / "3")) == 1


def test_annotations_without_any_object_say_nothing(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png")
    written(root / "all.json", coco(["a.png", "b.png"]))
    found = read_annotated(root, "coco")
    assert "no object is on any of 2 pictures" in said(found, "unlabelled pictures")[0]
    read_annotated(root, "coco", "good").ensure_sound()


# How pictures are found


@pytest.mark.parametrize(
    "name",
    ["../img/a.png", "D:\\export\\me\\a.png", "/data/export/a.png", "..\\img\\a.png", "A.PNG"],
)
def test_a_picture_is_found_in_the_data_set_alone(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, "a.png")
    root = pictures(tmp_path / "part", "img/a.png")
    written(root / "json/a.json", labelme(name, labelme_shape("dent", SQUARE)))
    found = read_annotated(root, "labelme")
    found.ensure_sound()
    assert list(masks_of(found)) == ["img/a.png"]


@pytest.mark.parametrize("name", ["../a.png", "../../a.png", "b.png", "", "a\0.png", "/"])
def test_an_annotation_of_a_missing_picture_is_told(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, "a.png")
    root = pictures(tmp_path / "part", "c.png")
    written(root / "c.json", labelme("c.png"))
    written(root / "x.json", labelme(name, labelme_shape("dent", SQUARE)))
    [line] = said(read_annotated(root, "labelme"), "missing pictures")
    assert line.startswith("x.json is of the picture ")


def test_two_pictures_of_one_name_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "1/a.png", "2/a.png", "3/b.png")
    written(root / "json/a.json", coco(["a.png"], coco_object([], bbox=[1, 1, 4, 4])))
    [line] = said(read_annotated(root, "coco"), "pictures of one name")
    assert "1/a.png, 2/a.png" in line


def test_two_annotations_of_one_picture_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png")
    for file in ("train.json", "all.json"):
        written(root / file, coco(["a.png"], coco_object([], bbox=[1, 1, 4, 4])))
    [line] = said(read_annotated(root, "coco"), "pictures annotated twice")
    assert line == "all.json and train.json both are of a.png; keep one."
    assert read_annotated(root / "all.json", "coco").findings[0].kind == "boxes"


def test_a_label_of_training_is_not_for_a_picture_of_the_test(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "images/val/a.png", "images/train/b.png")
    written(root / "classes.txt", "dent")
    written(root / "labels/train/a.txt", "0 0.5 0.5 0.1 0.1")
    written(root / "labels/train/b.txt", "0 0.5 0.5 0.1 0.1")
    [line] = said(read_annotated(root, "yolo"), "missing pictures")
    assert "labels/train/a.txt" in line


# What does not fit


def test_a_size_unlike_the_pictures_is_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png")
    content = labelme("a.png", labelme_shape("dent", SQUARE), imageHeight=40, imageWidth=60)
    written(root / "a.json", content)
    [line] = said(read_annotated(root, "labelme"), "other sizes")
    assert "30 x 20" in line
    assert "60 x 40" in line


@pytest.mark.parametrize(("tag", "size"), [(6, (30, 20)), (3, (20, 30)), (3, None), (6, None)])
def test_a_picture_that_viewers_turn_is_told(
    tmp_path: Path, tag: int, size: tuple[int, int] | None
) -> None:
    root = tmp_path / "part"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.new("L", SIZE[::-1]).save(root / "a.jpg", exif=exif)
    height, width = size or (None, None)
    content = labelme("a.jpg", labelme_shape("dent", SQUARE), imageHeight=height, imageWidth=width)
    written(root / "a.json", content)
    [line] = said(read_annotated(root, "labelme"), "turned pictures")
    assert f"EXIF orientation tag ({tag})" in line
    # Where the size says that the picture was not turned, its shapes lie where they are.
    written(root / "a.json", labelme("a.jpg", labelme_shape("dent", SQUARE)))
    assert bool(said(read_annotated(root, "labelme"), "turned pictures")) == (tag == 3)


def test_what_lies_beyond_the_border_is_cut_off_and_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png", "b.png", "c.png")
    for name, left in (("a", -0.9), ("b", -4), ("c", -40)):
        box = labelme_shape("dent", [[left, 2], [left + 10, 5]], "rectangle")
        written(root / f"{name}.json", labelme(f"{name}.png", box))
    found = read_annotated(root, "labelme")
    outside, cut = said(found, "beyond the border")
    assert outside.startswith("c.png")
    assert "outside" in outside
    assert "b.png has an object (dent) in b.json that reaches 4 pixels beyond" in cut
    assert (masks_of(found)["b.png"] == rectangle(0, 2, 6, 5)).all()


def test_a_polygon_inside_of_another_is_no_hole_and_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png")
    flat = [n for corner in SQUARE for n in corner]
    rings = [flat, [6, 8, 8, 8, 8, 10, 6, 10]]
    written(root / "all.json", coco(["a.png"], coco_object(rings), coco_object([flat[:6]])))
    found = read_annotated(root, "coco")
    assert len(said(found, "polygons inside of another")) == 1
    assert (masks_of(found)["a.png"] == square()).all()


def test_two_formats_at_once_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "a.json", labelme("a.png", labelme_shape("dent", SQUARE)))
    written(root / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    written(root / "all.json", coco(["a.png"]))
    found = read_annotated(root, "labelme")
    assert len(said(found, "other formats")) == 2
    assert said(found, "other files") == ["all.json is no JSON of labelme, and not read."]


def test_a_folder_of_another_format_names_it(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "a.xml", voc("a.png", voc_object("dent", 1, 1, 5, 5)))
    verb = ("data", "convert", root, "-o", tmp_path / "out", "--to", "mvtec", "--from")
    cli(*verb, "cvat").refusal("no annotations of cvat", "say --from voc")
    cli(*verb, "supervisely").refusal("coco, cvat, labelme, voc, yolo")


def bad_coco(change: dict[str, Any], item: dict[str, Any] | None = None) -> dict[str, Any]:
    good = coco_object([[4, 6, 10, 6, 10, 12]])
    return coco(["a.png"], {**good, **(item or {})}) | change


IMAGE = {"id": 0, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
RUNS = {"counts": [10, 5, 585], "size": list(SIZE)}
BAD_COCO = {
    "no list 'annotations'": bad_coco({"annotations": None}),
    "no list 'categories'": bad_coco({"categories": {}}),
    "images of one id": bad_coco({"images": [IMAGE, IMAGE]}),
    "calls category 0 both": bad_coco({"categories": [{"id": 0, "name": n} for n in "ab"]}),
    "without a name of its kind": bad_coco({"categories": [{"id": 0, "name": " "}]}),
    "object on image 9": bad_coco({}, {"image_id": 9}),
    "category 9": bad_coco({}, {"category_id": 9}),
    "2 points": bad_coco({}, {"segmentation": [[1, 2, 3, 4]]}),
    "no pairs": bad_coco({}, {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}),
    "without area": bad_coco({}, {"segmentation": [[1, 2, 1, 4, 1, 9]]}),
    "box without area": bad_coco({}, {"segmentation": [], "bbox": [1, 1, 0, 4]}),
    "four numbers": bad_coco({}, {"segmentation": [], "bbox": [1, 1, 4]}),
    "a coordinate of 1e+09": bad_coco({}, {"segmentation": [[1, 2, 1e9, 4, 1, 9]]}),
    "for a number": bad_coco({}, {"segmentation": [[1, 2, "x", 4, 1, 9]]}),
    "cut off, or of another size": bad_coco({}, {"segmentation": {**RUNS, "counts": [9]}}),
    "below 0": bad_coco({}, {"segmentation": {**RUNS, "counts": [-5, 605]}}),
    "no list of whole numbers": bad_coco({}, {"segmentation": {**RUNS, "counts": [1.5]}}),
    "runs over 20 x 30": bad_coco({}, {"segmentation": {**RUNS, "size": [30, 20]}}),
    "without their size": bad_coco({}, {"segmentation": {"counts": [1]}}),
    "are damaged": bad_coco({}, {"segmentation": {**RUNS, "counts": "\u20ac"}}),
    "are cut off": bad_coco({}, {"segmentation": {**RUNS, "counts": "P"}}),
    "without file_name": bad_coco({"images": [{**IMAGE, "file_name": None}]}),
    "nested too deeply": "[" * 100_000,
    "is no JSON of COCO": '{"images": [NaN]}',
}


@pytest.mark.parametrize("words", BAD_COCO)
def test_coco_that_is_wrong_is_told_by_name(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "all.json", BAD_COCO[words])
    [line, *_] = said(read_annotated(root, "coco"), "annotations")
    assert "all.json" in line
    assert words in line


def bad_shape(*points: Any, type_: Any = "polygon", **more: Any) -> dict[str, Any]:
    return labelme("a.png", labelme_shape(more.pop("label", "dent"), list(points), type_, **more))


BAD_LABELME = {
    "without a name of its kind": bad_shape(*SQUARE, label=None),
    "2 points in its polygon 1 (dent)": bad_shape([1, 1], [2, 2]),
    "no pairs": bad_shape([1, 1], [2], [3, 3]),
    "not two points in its rectangle": bad_shape([1, 1], type_="rectangle"),
    "rectangle 1 (dent) without area": bad_shape([1, 1], [1, 5], type_="rectangle"),
    "circle 1 (dent) without area": bad_shape([1, 1], [1, 1], type_="circle"),
    "of a type that is not known": bad_shape(*SQUARE, type_="cuboid"),
    "no picture in base64": bad_shape([1, 1], [4, 4], type_="mask", mask="?"),
    "no sound picture": bad_shape([1, 1], [4, 4], type_="mask", mask="AAAA"),
    "not of the size of its rectangle": bad_shape(
        [1, 1], [4, 4], type_="mask", mask=png(np.ones((9, 9), np.uint8))
    ),
    "no list 'shapes'": labelme("a.png", shapes={}),
    "no object for shape 1": labelme("a.png", shapes=[3]),
    "for a whole number in its size": labelme("a.png", imageWidth=1.5),
}


@pytest.mark.parametrize("words", BAD_LABELME)
def test_labelme_that_is_wrong_is_told_by_name(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "a.json", BAD_LABELME[words])
    [line] = said(read_annotated(root, "labelme"), "annotations")
    assert line.startswith("a.json has ")
    assert words in line


BAD_YOLO = {
    "has kind 2 in its line 1": "2 0.5 0.5 0.1 0.1",
    "has kind -1": "-1 0.5 0.5 0.1 0.1",
    "has 6 numbers in its line 2": "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1 0.9",
    "has 4 numbers": "0 0.5 0.5 0.1",
    "box without area": "0 0.5 0.5 0 0.1",
    "no shares from 0 to 1": "0 15 10 6 6",
    "a coordinate of nan": "0 nan 0.5 0.1 0.1",
    "a coordinate of inf": "0 inf 0.5 0.1 0.1",
    "for a number": "0 0.5 0,5 0.1 0.1",
    "is not UTF-8": b"\xff\xfe0 1",
}


@pytest.mark.parametrize("words", BAD_YOLO)
def test_yolo_that_is_wrong_is_told_by_name(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "classes.txt", "dent\nscratch")
    written(root / "a.txt", BAD_YOLO[words])
    [line, *_] = said(read_annotated(root, "yolo"), "annotations")
    assert "a.txt" in line
    assert words in line


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghij")
)
BAD_NAMES = {
    "does not name the kinds": {},
    "name other kinds": {"classes.txt": "dent", "data.yaml": "names: [scratch]"},
    "is no YAML": {"data.yaml": "names: [a"},
    "names without a number for each": {"data.yaml": "names: {1: a, 2: b}"},
    "without a name of its kind": {"data.yaml": f"{LAUGHS}names: [*j, *j]"},
    "names that are no list": {"data.yaml": "names: 5"},
    "key points": {"data.yaml": "names: [a]\nkpt_shape: [17, 3]"},
    "longer than 256 kB": {"data.yaml": "#" * (1 << 19)},
    "is no YAML (": {"data.yaml": "names: 2001-99-99"},
    "nested too deeply": {"data.yaml": "[" * 10_000},
}


@pytest.mark.parametrize("words", BAD_NAMES)
def test_kinds_of_yolo_that_are_wrong_are_told(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    for file, text in BAD_NAMES[words].items():
        written(root / file, text)
    written(root / "a.txt", "0 0.5 0.5 0.1 0.1")
    [line] = said(read_annotated(root, "yolo"), "annotations")
    assert words in line


BOMB = '<!DOCTYPE a [<!ENTITY b "xxxx">]><annotations><image name="&b;"/></annotations>'
BAD_CVAT = {
    "without a name": cvat('<image id="0"/>'),
    "a kind that its labels do not name": cvat(cvat_image("a.png", '<tag label="hole"/>')),
    "without a name of its kind": cvat(cvat_image("a.png", "<tag/>")),
    "2 points": cvat(cvat_image("a.png", '<polygon label="dent" points="1,1;2,2"/>')),
    "no pairs": cvat(cvat_image("a.png", '<polygon label="dent" points="1,1;2"/>')),
    "for a number": cvat(cvat_image("a.png", '<box label="dent" xtl="a"/>')),
    "box (dent) on a.png without area": cvat(
        cvat_image("a.png", '<box label="dent" xtl="1" ytl="1" xbr="1" ybr="4"/>')
    ),
    "of a type that is not known": cvat(cvat_image("a.png", '<blob label="dent"/>')),
    "no sound runs": cvat(
        cvat_image("a.png", '<mask label="dent" rle="5" left="0" top="0" width="4" height="4"/>')
    ),
    "CVAT for video": cvat('<track id="0" label="dent"/>'),
    "is no XML": "<annotations><image",
    "is no plain XML (DTDForbidden)": BOMB,
    "unknown encoding": '<?xml version="1.0" encoding="none"?><annotations/>',
}


@pytest.mark.parametrize("words", BAD_CVAT)
def test_cvat_that_is_wrong_is_told_by_name(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "annotations.xml", BAD_CVAT[words])
    [line, *_] = said(read_annotated(root, "cvat"), "annotations")
    assert "annotations.xml" in line
    assert words in line


BAD_VOC = {
    "no bndbox": voc("a.png", "<object><name>dent</name></object>"),
    "box without area": voc("a.png", voc_object("dent", 9, 1, 3, 4)),
    "without a name of its kind": voc("a.png", voc_object("", 1, 1, 3, 4)),
    "a coordinate of nan": voc("a.png", voc_object("dent", "nan", 1, 3, 4)),
    "None for a number": voc("a.png", "<object><name>dent</name><bndbox/></object>"),
    "is no plain XML": BOMB,
}


@pytest.mark.parametrize("words", BAD_VOC)
def test_voc_that_is_wrong_is_told_by_name(tmp_path: Path, words: str) -> None:
    root = pictures(tmp_path / "part", "a.png")
    written(root / "a.xml", BAD_VOC[words])
    [line, *_] = said(read_annotated(root, "voc"), "annotations")
    assert "a.xml" in line
    assert words in line


@pytest.mark.parametrize(("value", "words"), [(255, "holds 255 alone"), (3, "does not name")])
def test_voc_masks_that_are_wrong_are_told(tmp_path: Path, value: int, words: str) -> None:
    root = pictures(tmp_path / "part", "images/a.png")
    (root / "SegmentationClass").mkdir()
    Image.fromarray(square() * np.uint8(value)).save(root / "SegmentationClass/a.png")
    written(root / "labelmap.txt", "background:0,0,0::\ndent:1,1,1::\n")
    [line] = said(read_annotated(root, "voc"), "annotations")
    assert line.startswith("SegmentationClass/a.png")
    assert words in line
