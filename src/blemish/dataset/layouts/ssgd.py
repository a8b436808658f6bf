"""SSGD: the glass of smartphone screens, defects as boxes in the manner of COCO.

Han et al., "SSGD: A smartphone screen glass dataset for defect detection", ICASSP 2023: 2,504
images and 3,914 defects. The layout is the one that the authors' own configuration reads; what the
archive itself looks like is unverified, and so is whether any of its images is good.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.paths import absent, below
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.util.library_errors import reason_of
from blemish.util.text_files import read_json

EXPECTS = (
    "annotations/lb201/train1.json and val1.json with images_lb201 beside annotations, "
    "or the same of lb101"
)

TERMS = "for academic purposes only"
BOARDS = ("lb101", "lb201")
FILES = {"train1.json": "train", "val1.json": "test"}
KINDS = {
    "liewen": "crack",
    "bengque": "broken",
    "baidian": "spot",
    "huahen": "scratch",
    "louguang": "light-leakage",
    "wuzi": "blot",
    "pomo": "broken-membrane",
}


def recognises(path: Path) -> bool:
    """True for a folder with annotations and images of one of the two sets of images."""
    return bool(_boards(path))


def read(path: Path) -> Dataset:
    """The first of the five published folds of each set of images, which is a category.

    An image without a box is good; the kinds of defect of an image are joined by commas. Training
    defects keep their label. Raises DatasetError for files that are absent, not JSON or without
    what they must say.
    """
    boards = _boards(path)
    if not boards:
        raise DatasetError(f"{path} has not the layout ssgd, which is {EXPECTS}.")
    tables = [_read_fold(path, board, name) for board in boards for name in FILES]
    return Dataset(path, path.name, "ssgd", conform(pl.concat(tables)), TERMS)


def _boards(path: Path) -> list[str]:
    return [
        board
        for board in BOARDS
        if (path / "annotations" / board).is_dir() and (path / f"images_{board}").is_dir()
    ]


def _read_fold(root: Path, board: str, name: str) -> pl.DataFrame:
    file = root / "annotations" / board / name
    images, kinds = _read_annotations(file)
    inside = below(root, root / f"images_{board}", images.values())
    outside = [n for n, i in zip(images.values(), inside, strict=True) if i is None]
    missing = outside or absent(root, [image for image in inside if image is not None])
    if missing:
        raise DatasetError(
            f"{file} names images that are not in images_{board} ({len(missing)}): "
            f"{name_some(missing)}; copy them again."
        )
    defects = [",".join(sorted(kinds.get(number, ()))) or None for number in images]
    frame = {"image": inside, "defect": defects}
    bad = pl.col("defect").is_not_null()
    return pl.DataFrame(frame, schema={"image": pl.String, "defect": pl.String}).with_columns(
        category=pl.lit(board),
        split=pl.lit(FILES[name]),
        label=pl.when(bad).then(pl.lit("defective")).otherwise(pl.lit("good")),
    )


def _read_annotations(file: Path) -> tuple[dict[int, str], dict[int, set[str]]]:
    """The name of each image by its number, and the kinds of its defects."""
    content = read_json(file, "JSON of COCO", "copy it again.")
    try:
        called = {kind["id"]: str(kind["name"]) for kind in content["categories"]}
        images = {image["id"]: str(image["file_name"]) for image in content["images"]}
        kinds: dict[int, set[str]] = {}
        for box in content["annotations"]:
            kind = called[box["category_id"]]
            kinds.setdefault(box["image_id"], set()).add(KINDS.get(kind, kind))
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"{file} is no JSON of COCO, with images, annotations and categories "
            f"({type(error).__name__}: {reason_of(error)}); copy it again."
        ) from error
    return images, kinds
