"""Image files under a folder: every one, in one order, and no link that leads astray."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import link, tree

from blemish.dataset import open_dataset
from blemish.dataset.inspection_images import open_images
from blemish.errors import DatasetError, ImageError
from blemish.images import image_files, image_names, read_image


def test_names_are_sorted_folder_by_folder(tmp_path: Path) -> None:
    names = ["a/b.png", "a/c/d.JPG", "a b.png", "a-1/x.tif", "a.png", "B/ü.bmp"]
    tree(tmp_path, *names, "a/.hidden.png", ".hidden/x.png", "a/notes.txt", "png", "a/c/x.jpg.txt")
    found = image_names(tmp_path)
    assert sorted(found) == sorted(names)
    assert found == sorted(names, key=lambda name: name.split("/"))
    assert image_files(tmp_path) == [tmp_path / name for name in found]


def test_links_that_stay_inside_are_followed(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/1.png", "b/2.png")
    link(root / "a" / "twin.png", root / "b" / "2.png")
    link(root / "c", root / "b")
    link(root / "a" / "gone.png", root / "nowhere.png")
    assert image_names(root) == ["a/1.png", "a/gone.png", "a/twin.png", "b/2.png", "c/2.png"]


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    tree(tmp_path / "disk", "train/good/1.png")
    link(tmp_path / "set", tmp_path / "disk")
    dataset = open_dataset(tmp_path / "set")
    assert dataset.images == [tmp_path / "set" / "train/good/1.png"]


@pytest.mark.parametrize("place", ["train/good/2.png", "train/more", "test", "train/good"])
@pytest.mark.parametrize("exists", [True, False], ids=["there", "broken"])
def test_a_link_out_of_the_root_is_refused(tmp_path: Path, place: str, exists: bool) -> None:
    kept = "train/ok/1.png" if place == "train/good" else "train/good/1.png"
    root = tree(tmp_path / "set", kept)
    target = tmp_path / "other" / place
    if exists and place.endswith(".png"):
        tree(tmp_path / "other", place)
    elif exists:
        tree(target, "good/1.png")
    link(root / place, target)
    with pytest.raises(DatasetError, match=rf"{place} is a link that leads out of .*set; put the"):
        open_dataset(root)


def test_a_link_into_a_folder_with_a_like_name_leads_out(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "1.png")
    link(root / "2.png", tree(tmp_path / "set 2", "2.png") / "2.png")
    with pytest.raises(DatasetError, match=r"2\.png is a link that leads out"):
        open_dataset(root)


def test_a_category_may_share_the_images_of_another(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "bolt/train/good/1.png", "nut/test/good/2.png")
    link(root / "nut" / "train", root / "bolt" / "train")
    assert open_dataset(root).table["image"].to_list() == [
        "bolt/train/good/1.png",
        "nut/test/good/2.png",
        "nut/train/good/1.png",
    ]


def test_a_category_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "bolt/train/good/1.png")
    link(root / "nut", tree(tmp_path / "nut", "train/good/1.png"))
    with pytest.raises(DatasetError, match=r"nut is a link that leads out"):
        open_dataset(root)


@pytest.mark.parametrize(
    "links",
    [{"a/up": "."}, {"a/self": "a"}, {"a/x": "b", "b/y": "a"}],
    ids=["to the root", "to its folder", "to each other"],
)
def test_links_in_a_circle_are_refused(tmp_path: Path, links: dict[str, str]) -> None:
    root = tree(tmp_path, "a/1.png", "b/2.png")
    for place, target in links.items():
        link(root / place, root / target)
    with pytest.raises(DatasetError, match="is a link to a folder that holds it; remove the link"):
        image_names(root)


def test_a_link_to_itself_is_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """One picture less, and no other is lost for it."""
    tree(tmp_path, "a/1.png")
    for name in ("a/2.png", "a/loop", "loop.png"):
        (tmp_path / name).symlink_to((tmp_path / name).name)
    assert image_names(tmp_path) == ["a/1.png", "a/2.png", "loop.png"]
    with pytest.raises(ImageError, match=r"2\.png cannot be opened \(Too many levels of symbolic"):
        read_image(tmp_path / "a" / "2.png")
    (tmp_path / "set.csv").write_text("image\na/1.png\na/2.png\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"files that do not exist \(1\): a/2\.png;"):
        open_dataset(tmp_path / "set.csv")


@pytest.mark.parametrize("linked", ["a.png", "sub"])
def test_a_table_cannot_reach_out_through_a_link(tmp_path: Path, linked: str) -> None:
    root = tree(tmp_path / "set", "b.png")
    outside = tree(tmp_path / "other", "a.png")
    link(root / linked, outside if linked == "sub" else outside / "a.png")
    name = "sub/a.png" if linked == "sub" else "a.png"
    (root / "list.csv").write_text(f"image\n{name}\nb.png\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"{linked} is a link that leads out of"):
        open_dataset(root / "list.csv")
    (root / "list.csv").write_text("image\nb.png\n", encoding="utf-8")
    assert len(open_dataset(root / "list.csv")) == 1


def test_what_is_inspected_may_be_a_link_to_anywhere(tmp_path: Path) -> None:
    root = tree(tmp_path / "shift", "1.png")
    link(root / "2.png", tree(tmp_path / "store", "2.png") / "2.png")
    link(root / "more", tree(tmp_path / "store" / "more", "3.png"))
    assert open_images([root]).table["image"].to_list() == ["1.png", "2.png", "more/3.png"]


def test_the_terms_are_never_read_through_a_link(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "train/good/1.png")
    (tmp_path / "secret").write_text("not for you", encoding="utf-8")
    link(root / "LICENSE", tmp_path / "secret")
    (root / "license.txt").write_text("Free.", encoding="utf-8")
    assert open_dataset(root / "train", layout="folder").terms is None
    with pytest.raises(DatasetError, match="LICENSE is a link that leads out"):
        open_dataset(root)
