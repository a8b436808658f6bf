"""A data set with synthetic defects among its test images, in the layout of MVTec AD."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from blemish import __version__
from blemish.dataset import Dataset
from blemish.dataset.convert import fill_mvtec, refuse_target
from blemish.dataset.image_copies import CopyMethod, write_png
from blemish.dataset.layouts.mvtec import MASKS
from blemish.dataset.parts import FILE_NAME
from blemish.dataset.splits import hold_out
from blemish.dataset.table import Row
from blemish.errors import DatasetError
from blemish.synthesis._random import image_rng
from blemish.synthesis._reading import read_pixels
from blemish.synthesis.base import Generator, Synthetic
from blemish.util.files import filling, inside
from blemish.util.progress import Progress, ShowProgress
from blemish.util.threads import default_threads, in_order

MANIFEST = "synthesis.json"


@dataclass(frozen=True)
class SynthesisPlan:
    """How many of the test parts get a defect, and how many images are made of each image.

    `held_out` is the share of the training parts that become test parts where the set has no good
    test image.
    """

    share: float = 0.5
    per_image: int = 1
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """DatasetError for a number that makes no sense."""
        if not 0 < self.share <= 1:
            raise DatasetError(f"--share {self.share:g} must lie above 0 and be at most 1.")
        if self.per_image < 1:
            raise DatasetError(f"--per-image {self.per_image} makes nothing; give 1 or more.")


@dataclass(frozen=True)
class DefectiveSetSummary:
    """What was written to `path`: good images by split, defective ones, and what is missing.

    `none_visible` counts images on which no visible defect could be put and whose part has no other
    view with one, `left_out` the images of the data set whose part is not known to be good.
    """

    path: Path
    train: int
    good: int
    defective: int
    none_visible: int
    left_out: int


def write_defective_set(
    data: Dataset,
    folder: Path,
    generator: Generator,
    *,
    name: str,
    plan: SynthesisPlan,
    manifest: Mapping[str, Any],
    placing: CopyMethod = "link or copy",
    progress: ShowProgress | None = None,
) -> DefectiveSetSummary:
    """Write train/good, test/good, test/NAME and ground_truth/NAME into a new folder, or nothing.

    Whole parts get a defect, on each of their images, and leave test/good. All test images are
    written as PNG, so that no file tells which has a defect. The seed and the image's
    name decide what is drawn: threads and the order of the rows do not matter. `manifest` goes into
    `synthesis.json`, with the plan and what each image was made of. Raises DatasetError for a set
    without good parts or with several categories, ImageError for an image that cannot be used.
    """
    if len(data.categories) != 1:
        found = ", ".join(data.categories)
        raise DatasetError(f"{data.root} has several categories; name one with --category: {found}")
    refuse_target(data, folder)
    train, good, chosen = _divided(data, plan)
    rows: list[tuple[Row, int | None]] = [(row, None) for row in good.rows()]
    rows += [(row, number) for row in chosen.rows() for number in range(plan.per_image)]

    def make(item: tuple[int, tuple[Row, int | None]]) -> dict[str, Any]:
        place, (row, number) = item
        before, source = read_pixels(row.image), row.image.relative_to(data.root).as_posix()
        told = {"from": source, "part": row.part, "view": row.view}
        if number is None:
            write_png(new / f"test/good/{place:03}.png", before)
            return {**told, "image": f"test/good/{place:03}.png"}
        after = generator(before, image_rng(plan.seed, source, number))
        if plan.per_image > 1:
            told["part"] = f"{row.part} {number + 1}"
        return {**told, **_write(new, name, place, after)}

    with filling(folder) as new:
        fill_mvtec(train, new, placing, progress=_counted("placing images", progress))
        for kind in ("test/good", f"test/{name}", f"{MASKS}/{name}"):
            inside(new, kind).mkdir(parents=True)
        made: list[dict[str, Any]] = []
        for told in in_order(make, enumerate(rows), default_threads()):
            made.append(told)
            if progress:
                progress(Progress("drawing defects", len(made), len(rows)))
        seen = sum("mask" in told for told in made)
        if not seen:
            raise DatasetError(
                f"{data.root}: no defect that can be seen could be put on any of "
                f"{len(chosen)} images; look at `blemish synth preview`, and change the settings."
            )
        _keep_other_views(data.root, new, made)
        _add_parts(new, made)
        words = {"blemish": __version__, **manifest, "plan": vars(plan)}
        text = json.dumps({**words, "images": made}, indent=1, ensure_ascii=False)
        (new / MANIFEST).write_text(text + "\n", encoding="utf-8")
    kept = sum(told["image"] is not None for told in made)
    return DefectiveSetSummary(
        folder,
        train=len(train.split("train")),
        good=kept - seen,
        defective=seen,
        none_visible=len(made) - kept,
        left_out=len(data) - len(train) - len(good) - len(chosen),
    )


def _divided(data: Dataset, plan: SynthesisPlan) -> tuple[Dataset, Dataset, Dataset]:
    """The good rows to train with, those to test with, and those to put a defect on."""
    spoilt = data.table.filter(pl.col("label").ne_missing("good"))["part"].unique().to_list()
    good = data.good().where(~pl.col("part").is_in(spoilt))
    train, test = good.where(pl.col("split") != "test"), good.split("test")
    if not len(train.split("train")):
        raise DatasetError(
            f"{data.root} has no good part to train on; name a set with images in train/good."
        )
    if not len(test):
        rest = train.where(pl.col("split") != "train").table
        kept, test = hold_out(train.split("train"), plan.held_out, plan.seed)
        train = train.with_table(pl.concat([kept.table, rest]))
    if plan.share == 1 or test.table["part"].n_unique() == 1:
        good, chosen = test.take([]), test
    else:
        good, chosen = hold_out(test, plan.share, plan.seed)
    good, chosen = (rows.with_table(rows.table.sort("image")) for rows in (good, chosen))
    return train, good, chosen


def _write(new: Path, name: str, place: int, after: Synthetic) -> dict[str, Any]:
    """Write an image and its mask, and say where; without a visible defect nothing."""
    if not after.mask.any():
        return {"image": None}
    image, mask = f"test/{name}/{place:03}.png", f"{MASKS}/{name}/{place:03}_mask.png"
    write_png(inside(new, image), after.image)
    write_png(inside(new, mask), after.mask.astype(np.uint8) * 255)
    return {"image": image, "mask": mask, "pixels": int(after.mask.sum())}


def _keep_other_views(root: Path, new: Path, made: list[dict[str, Any]]) -> None:
    """The views of a defective part on which no defect can be seen stay, as good images of it."""
    parts = {told["part"] for told in made if "mask" in told}
    for place, told in enumerate(made):
        if told["image"] is None and told["part"] in parts:
            image = f"test/good/{place:03}.png"
            write_png(new / image, read_pixels(root / told["from"]))
            told["image"] = image


def _add_parts(new: Path, made: list[dict[str, Any]]) -> None:
    """The test images in `parts.csv`, where parts or views are known."""
    file = new / FILE_NAME
    known = file.exists() or any(t["view"] or t["part"] != t["from"] for t in made)
    if not known:
        return
    rows = pl.DataFrame(
        [(told["image"], told["part"], told["view"]) for told in made if told["image"]],
        schema={"file": pl.String, "part": pl.String, "view": pl.String},
        orient="row",
    )
    with file.open("ab") as opened:
        opened.write(rows.write_csv(include_header=opened.tell() == 0).encode("utf-8"))


def _counted(what: str, progress: ShowProgress | None) -> Any:
    return None if progress is None else lambda done, total: progress(Progress(what, done, total))
