"""Tiny data sets with the exact names that their authors publish, one function per layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from trees import tree


def mask(path: Path, level: int = 255) -> None:
    """A mask of 4 x 4 pixels, one of them of this grey level; empty when that is 0."""
    pixels = np.zeros((4, 4), np.uint8)
    pixels[1, 2] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def btad(root: Path) -> Path:
    return tree(
        root,
        *("01/train/ok/0000.bmp", "01/test/ok/0001.bmp", "01/test/ko/0002.bmp"),
        "01/ground_truth/ko/0002.png",
        *("02/train/ok/0000.png", "02/test/ok/0001.png", "02/test/ko/0002.png"),
        "02/ground_truth/ko/0002.png",
        *("03/train/ok/0000.bmp", "03/test/ok/0001.bmp", "03/test/ko/0002.bmp"),
        "03/ground_truth/ko/0002.bmp",
    )


def vad(root: Path) -> Path:
    text(root / "low_shot_train.json", '{"10": ["0.png"]}')
    return tree(
        root,
        *("train/good/1.png", "train/bad/2.png"),
        *("test/good/3.png", "test/bad/4.png", "test/bad_unseen_defects/5.png"),
    )


def kolektor_sdd(root: Path) -> Path:
    """Three commutators of two views; the second view of kos02 is defective."""
    for item in ("kos01", "kos02", "kos03"):
        for view in ("Part0", "Part1"):
            tree(root, f"{item}/{view}.jpg")
            mask(root / item / f"{view}_label.bmp", 255 * (item + view == "kos02Part1"))
    return root


def kolektor_sdd2(root: Path) -> Path:
    """A good and a defective image on either side, and the copies that the archive holds."""
    for split, first in (("train", 10300), ("test", 20000)):
        for number in (first, first + 1):
            tree(root, f"{split}/{number}.png")
            mask(root / split / f"{number}_GT.png", 255 * (number - first))
    tree(root, "train/10301 (copy).png")
    mask(root / "train/10301_GT (copy).png")
    return root


def dagm(root: Path) -> Path:
    for name in ("Class1", "Class10"):
        for split, first in (("Train", 575), ("Test", 1)):
            good, bad = f"{first:04}", f"{first + 1:04}"
            tree(root, *(f"{name}/{split}/{number}.PNG" for number in (good, bad)))
            mask(root / name / split / "Label" / f"{bad}_label.PNG")
            lines = f"1\n1\t0\t{good}.PNG\t0\t0\n2\t1\t{bad}.PNG\t0\t{bad}_label.PNG\n"
            text(root / name / split / "Label" / "Labels.txt", lines)
    return root


def magnetic_tile(root: Path) -> Path:
    """Six good images: 1000 and 1020 show one tile, so do 2000 and 2020, and 3000 and 3020."""
    for frame in (1000, 1020, 2000, 2020, 3000, 3020):
        stem = f"MT_Free/Imgs/exp{1 + frame % 1000 // 20}_num_{frame}"
        tree(root, f"{stem}.jpg")
        mask(root / f"{stem}.png", 0)
    for stem, level in (
        ("MT_Blowhole/Imgs/exp1_num_3667", 255),
        ("MT_Crack/Imgs/exp6_num_85665", 0),
    ):
        tree(root, f"{stem}.jpg")
        mask(root / f"{stem}.png", level)
    return root


def deep_pcb(root: Path) -> Path:
    """What the authors' repository holds: a pair that trains, one that tests, a lone template."""
    data = root / "PCBData"
    for pair in ("group20085/20085/20085000", "group12000/12000/12000204"):
        tree(data, f"{pair}_temp.jpg", f"{pair}_test.jpg")
    tree(data, "group90100/90100/90100034_temp.jpg")
    tree(root, "fig/test.jpg")
    text(
        data / "group20085/20085_not/20085000.txt",
        "263 63 299 90 1\n201 266 251 294 2\n296 350 322 376 1\n",
    )
    text(data / "group12000/12000_not/12000204.txt", "419,333,448,361,6\n")
    for name, line in (
        ("trainval.txt", "group20085/20085/20085000.jpg group20085/20085_not/20085000.txt\n"),
        ("test.txt", "group12000/12000/12000204.jpg group12000/12000_not/12000204.txt"),
    ):
        text(data / name, line)
    return root


def coco(path: Path, images: list[str], boxes: list[tuple[int, int]]) -> None:
    """Annotations as COCO: boxes are (number of the image from 1, category 1 or 2)."""
    text(
        path,
        json.dumps(
            {
                "images": [
                    {"id": number, "file_name": name, "width": 1500, "height": 1000}
                    for number, name in enumerate(images, 1)
                ],
                "annotations": [
                    {"id": n, "image_id": image, "category_id": kind, "bbox": [1, 2, 3, 4]}
                    for n, (image, kind) in enumerate(boxes, 1)
                ],
                "categories": [{"id": 1, "name": "huahen"}, {"id": 2, "name": "liewen"}],
            }
        ),
    )


def ssgd(root: Path) -> Path:
    tree(root, *(f"images_lb201/{number}.jpg" for number in (1, 2, 3)))
    coco(root / "annotations/lb201/train1.json", ["1.jpg", "2.jpg"], [(1, 2), (1, 1), (1, 1)])
    coco(root / "annotations/lb201/val1.json", ["3.jpg"], [(1, 1)])
    return root


def label_folders(root: Path) -> Path:
    """Good and defective parts by the names of their folders, one defect with a mask."""
    return tree(
        root, "IO/1.png", "IO/2.png", "NIO/dent/3.png", "NIO/4.png", "masks/NIO/dent/3_mask.png"
    )


TREES: dict[str, Callable[[Path], Path]] = {
    write.__name__: write
    for write in (
        *(btad, vad, kolektor_sdd, kolektor_sdd2),
        *(dagm, magnetic_tile, deep_pcb, ssgd, label_folders),
    )
}
