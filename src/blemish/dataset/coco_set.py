"""A data set written for a labelling tool: its pictures, and their masks as objects of COCO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.convert import (
    ConversionSummary,
    DrawnMasks,
    copy_terms,
    mask_of,
    planned,
    refuse_target,
    refuse_unlabelled,
    write_parts,
)
from blemish.dataset.image_copies import CopyMethod, ShowCount, copy_images
from blemish.dataset.image_header import image_size
from blemish.dataset.region_outlines import outlines, regions
from blemish.dataset.run_lengths import column_counts
from blemish.dataset.table import Dataset
from blemish.util.files import filling

FILE_NAME = "annotations.json"
_NO_KIND = "defect"


def to_coco(
    data: Dataset,
    folder: Path,
    placing: CopyMethod = "link or copy",
    *,
    drawn: DrawnMasks | None = None,
    progress: ShowCount | None = None,
) -> ConversionSummary:
    """Write a data set for a labelling tool into a new folder, whole or not at all.

    `annotations.json` lies beside the pictures, which have the folders of `to_mvtec` and no name
    twice. Each connected region of a mask is an object of its picture's kind, to the pixel: as
    polygons along the edges of its pixels, or, with a hole, as runs. Raises DatasetError as
    `to_mvtec` does.
    """
    refuse_unlabelled(data)
    refuse_target(data, folder)
    table = planned(data, apart=True)
    bad = pl.col("label") == "defective"
    kinds = sorted(table.filter(bad)["defect"].fill_null(_NO_KIND).unique())
    numbers = {kind: number for number, kind in enumerate(kinds, 1)}
    images: list[dict[str, Any]] = []
    objects: list[str] = []  # as text, which takes a tenth of the memory
    masks = 0
    for number, (image, new, label, kind, mask) in enumerate(
        table.select("image", "new", "label", "defect", "mask").iter_rows(), 1
    ):
        height, width = image_size(data.root / image)
        images.append({"id": number, "file_name": new, "width": width, "height": height})
        if mask is None or label != "defective":
            continue
        masks += 1
        for item in _objects(mask_of(data, image, mask, drawn)):
            category = numbers[_NO_KIND if kind is None else kind]
            ids = {"id": len(objects) + 1, "image_id": number, "category_id": category}
            objects.append(json.dumps(ids | item))
    categories = [
        {"id": number, "name": kind, "supercategory": ""} for kind, number in numbers.items()
    ]
    head = json.dumps({"images": images, "categories": categories})[:-1]
    lines = ",\n".join(objects)
    text = f'{head}, "annotations": [\n{lines}\n]}}\n'
    with filling(folder) as new_folder:
        placed = copy_images(data.root, table.select("image", "new"), new_folder, placing, progress)
        (new_folder / FILE_NAME).write_text(text, encoding="utf-8")
        write_parts(table, new_folder)
        copy_terms(data, new_folder)
    left_out = len(data) - data.table["mask"].null_count() - masks
    return ConversionSummary(folder, len(data), **placed, masks=masks, masks_left_out=left_out)


def _objects(mask: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    """The regions of a mask as objects of COCO, without their ids."""
    for region in regions(mask):
        height, width = region.pixels.shape
        rings = outlines(region)
        runs = column_counts(region.pixels, (region.left, region.top), mask.shape)
        yield {
            "segmentation": {"counts": runs, "size": list(mask.shape)}
            if rings is None
            else [[n for corner in ring for n in corner] for ring in rings],
            "bbox": [region.left, region.top, width, height],
            "area": region.area,
            "iscrowd": int(rings is None),
        }
