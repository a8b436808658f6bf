"""Pictures with annotations as labelling tools write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from plates import plate, save

SIZE = (20, 30)  # height and width of every picture
SQUARE = [[4, 6], [10, 6], [10, 12], [4, 12]]
BOX = (4, 6, 10, 12)  # the same by its sides


def square() -> np.ndarray:
    """The pixels of SQUARE and of BOX."""
    return rectangle(4, 6, 10, 12)


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def pictures(root: Path, *names: str) -> Path:
    """Pictures of different pixels."""
    for seed, name in enumerate(names):
        save(root / name, plate(seed, SIZE))
    return root


def written(path: Path, content: Any) -> Path:
    """A file of text, of bytes, or of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return path


def labelme_shape(label: str, points: Any, type_: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": type_, "group_id": None, **more}


def labelme(name: str, *shapes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The content of labelme's file beside a picture."""
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    known = {"version": "5.5.0", "flags": {}, "imagePath": name, "imageData": None}
    return {**known, "shapes": list(shapes), **size, **more}


def png(pixels: np.ndarray) -> str:
    """A picture as PNG in base64."""
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


def coco(names: Sequence[str], *objects: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The content of a file of COCO; objects name a picture and a kind by their places."""
    size = {"height": SIZE[0], "width": SIZE[1]}
    return {
        "images": [{"id": n, "file_name": name, **size} for n, name in enumerate(names)],
        "categories": [{"id": 0, "name": "scratch"}, {"id": 7, "name": "dent"}],
        "annotations": [{"id": n, "iscrowd": 0, **item} for n, item in enumerate(objects)],
        **more,
    }


def coco_object(
    segmentation: Any, image: int = 0, category: int = 0, **more: Any
) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, **more}


def cvat(*images: str, labels: Sequence[str] = ("scratch", "dent")) -> str:
    """A file of CVAT for images, from `<image>` elements."""
    named = "".join(f"<label><name>{name}</name></label>" for name in labels)
    meta = f"<meta><task><labels>{named}</labels></task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    return head + meta + "".join(images) + "</annotations>"


def cvat_image(name: str, *shapes: str) -> str:
    size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
    return f'<image id="0" name="{name}" {size}>{"".join(shapes)}</image>'


def voc(name: str, *objects: str, size: tuple[int, int] = SIZE) -> str:
    sizes = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{sizes}{''.join(objects)}</annotation>"


def voc_object(kind: str, left: Any, top: Any, right: Any, bottom: Any) -> str:
    box = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    rest = "<pose>Unspecified</pose><truncated>1</truncated><difficult>1</difficult>"
    return f"<object><name>{kind}</name>{rest}<bndbox>{box}</bndbox></object>"


# A small set of each format, with every shape that it knows.


def labelme_set(folder: Path) -> Path:
    root = pictures(folder / "labelled", "a.png", "b.png")
    shapes = [
        labelme_shape("dent", SQUARE),
        labelme_shape("dent", [[1, 1], [4, 3]], "rectangle"),
        labelme_shape("hair", [[15, 10], [15, 14]], "circle"),
        labelme_shape("hair", [[7, 3], [9, 5]], "mask", mask=png(np.ones((3, 3), np.uint8))),
        labelme_shape("hair", [[1, 1], [9, 9]], "linestrip"),
    ]
    written(root / "b.json", labelme("b.png"))
    return written(root / "a.json", labelme("a.png", *shapes))


def coco_set(folder: Path) -> Path:
    root = pictures(folder / "labelled", "images/a.png", "images/b.png")
    objects = [
        coco_object([[n for corner in SQUARE for n in corner]]),
        coco_object([], 0, 7, bbox=[4, 6, 6, 6]),
        coco_object({"counts": [10, 5, 585], "size": list(SIZE)}, 0, iscrowd=1),
        coco_object({"counts": "f26>000000000Z<", "size": list(SIZE)}),
    ]
    return written(root / "all.json", coco(["images/a.png", "images/b.png"], *objects))


def yolo_set(folder: Path) -> Path:
    root = pictures(folder / "labelled", "images/a.png", "images/b.png")
    written(root / "data.yaml", "names:\n  0: dent\n  1: hair\n")
    written(root / "labels/a.txt", "1 0.5 0.5 0.2 0.2\n")
    written(root / "labels/b.txt", "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.4 0.1 0.4 0.4\n")
    return root


def cvat_set(folder: Path) -> Path:
    root = pictures(folder / "labelled", "a.png", "b.png")
    shapes = [
        '<polygon label="dent" points="4,6;10,6;10,12"/>',
        '<box label="dent" xtl="4" ytl="6" xbr="10" ybr="12" rotation="30"/>',
        '<ellipse label="scratch" cx="15" cy="10" rx="6" ry="3"/>',
        '<mask label="scratch" rle="1, 2, 1" left="3" top="3" width="2" height="2"/>',
        '<polyline label="scratch" points="4,6;10,6"/>',
    ]
    content = cvat(cvat_image("a.png", *shapes), cvat_image("b.png"))
    return written(root / "annotations.xml", content)


def voc_set(folder: Path) -> Path:
    root = pictures(folder / "labelled", "JPEGImages/a.png", "JPEGImages/b.png")
    written(root / "labelmap.txt", "background:0,0,0::\ndent:1,1,1::\n")
    written(root / "Annotations/a.xml", voc("a.png", voc_object("dent", 5, 7, 10, 12)))
    written(root / "Annotations/b.xml", voc("b.png", voc_object("dent", 5, 7, 10, 12)))
    save(root / "SegmentationClass/a.png", square().astype(np.uint8))
    return root
