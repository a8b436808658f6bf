"""The papers' data sets in miniature: real pictures under the names that their authors publish.

The pictures are cut from the development images, which stay where they are: nothing of them may
become a part of the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from layout_trees import text
from plates import save
from streams import write

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SIDE = 96
VIEWS = (1, 2)

Pixels = npt.NDArray[np.uint8]
Pair = tuple[Pixels, Pixels]


@cache
def good(count: int) -> list[Pixels]:
    """So many pictures of good tiles, uint8 [SIDE, SIDE]."""
    return list(islice(_good(), count))


@cache
def defective(count: int) -> list[Pair]:
    """So many pictures of defects with their masks, around the middle of the defect."""
    return list(islice(_defective(), count))


def _good() -> Iterator[Pixels]:
    for file in sorted((DATA / "magnetic_tile/train/good").iterdir()):
        pixels = _read(file)
        if min(pixels.shape) >= SIDE:
            yield _cut(pixels, (pixels.shape[0] // 2, pixels.shape[1] // 2))


def _defective() -> Iterator[Pair]:
    """Of each kind in turn, so that a few are of several kinds."""
    kinds = [
        sorted((DATA / "magnetic_tile/ground_truth" / kind).iterdir())
        for kind in ("blowhole", "crack", "break")
    ]
    for masks in zip(*kinds, strict=False):
        for file in masks:
            name = file.name.replace("_mask.png", ".jpg")
            pixels = _read(DATA / "magnetic_tile/test" / file.parent.name / name)
            mask = np.where(_read(file) > 127, 255, 0).astype(np.uint8)
            rows, columns = np.nonzero(mask)
            if len(rows) and min(pixels.shape) >= SIDE:
                middle = int(np.median(rows)), int(np.median(columns))
                yield _cut(pixels, middle), _cut(mask, middle)


def _read(file: Path) -> Pixels:
    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def _cut(pixels: Pixels, middle: tuple[int, int]) -> Pixels:
    top, left = (
        int(np.clip(at - SIDE // 2, 0, length - SIDE))
        for at, length in zip(middle, pixels.shape, strict=True)
    )
    return pixels[top : top + SIDE, left : left + SIDE]


def mvtec(root: Path, categories: Sequence[str]) -> Path:
    """Ten good pictures to learn from, four to test, and four defects of two kinds."""
    for category in categories:
        folder = root / category
        for number, pixels in enumerate(good(14)):
            side = "train" if number < 10 else "test"
            save(folder / side / "good" / f"{number:03}.png", pixels)
        for number, ((pixels, mask), kind) in enumerate(
            zip(defective(4), cycle(("area", "points")), strict=False)
        ):
            save(folder / "test" / kind / f"{number:03}.png", pixels)
            save(folder / "ground_truth" / kind / f"{number:03}_mask.png", mask)
    return root


def visa(root: Path, categories: Sequence[str]) -> Path:
    """As many, in folders of VisA with its split."""
    lines = ["object,split,label,image,mask"]
    for category in categories:
        images, masks = (f"{category}/Data/{kind}" for kind in ("Images", "Masks/Anomaly"))
        for number, pixels in enumerate(good(14)):
            name = f"{images}/Normal/{number:04}.JPG"
            lines.append(f"{category},{'train' if number < 10 else 'test'},normal,{name},")
            save(root / name, pixels)
        for number, (pixels, mask) in enumerate(defective(4)):
            name, truth = f"{images}/Anomaly/{number:03}.JPG", f"{masks}/{number:03}.png"
            lines.append(f"{category},test,anomaly,{name},{truth}")
            save(root / name, pixels)
            save(root / truth, mask)
    text(root / "split_csv/1cls.csv", "\n".join(lines) + "\n")
    return root


def real_iad(
    root: Path, categories: Sequence[str], *, train: int, test: int, defects: int, sv: bool = True
) -> Path:
    """Parts of two views each, or of one view alone, and the JSON files of either protocol.

    `train` and `test` count good parts; a defective part shows its defect in each of its views.
    """
    views = VIEWS if sv else VIEWS[:1]
    for category in categories:
        images = root / "realiad_1024" / category
        entries: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
        pictures = iter(good(len(views) * (train + test)))
        for part in range(train + test):
            side = "train" if part < train else "test"
            for view in views:
                entry = _shot(category, "OK", part, view)
                save(images / entry["image_path"], next(pictures))
                entries[side].append(entry)
        marked = iter(defective(len(views) * defects))
        for part in range(train + test, train + test + defects):
            for view in views:
                entry = _shot(category, ("AK", "HS")[part % 2], part, view)
                pixels, mask = next(marked)
                save(images / entry["image_path"], pixels)
                save(images / entry["mask_path"], mask)
                entries["test"].append(entry)
        folder = root / "realiad_jsons"
        _json(folder / "realiad_jsons" / f"{category}.json", category, entries)
        if sv:
            top = {
                side: [e for e in es if "_C1_" in e["image_path"]] for side, es in entries.items()
            }
            _json(folder / "realiad_jsons_sv" / f"{category}.json", category, top)
    return root


def _shot(category: str, kind: str, part: int, view: int) -> dict[str, Any]:
    folder, code = ("OK", "OK") if kind == "OK" else (f"NG/{kind}", f"NG_{kind}")
    image = f"{folder}/S{part:04}/{category}_{part:04}_{code}_C{view}_20230921102345.jpg"
    mask = None if kind == "OK" else image.replace(".jpg", ".png")
    return {
        **{"category": category, "anomaly_class": kind},
        **{"image_path": image, "mask_path": mask},
    }


def _json(file: Path, category: str, entries: dict[str, list[dict[str, Any]]]) -> None:
    meta = {"prefix": f"{category}/", "normal_class": "OK"}
    text(file, json.dumps({"meta": meta, **entries}))


def isp_ad(root: Path, modalities: Sequence[str]) -> Path:
    """The three settings of each modality; real defects to learn from lie in the supervised one."""
    for modality in modalities:
        mvtec(root / modality, ["unsupervised"])
        for number, pixels in enumerate(good(34)[14:]):
            save(root / modality / "good_patches" / f"{number:03}.png", pixels)
        supervised = root / modality / "supervised"
        marked = defective(44)
        write(
            supervised / "train.h5",
            {
                **_stream(good(10), marked[:4]),
                "area": np.stack([pixels for pixels, _ in marked[4:20]]),
                "points": np.stack([pixels for pixels, _ in marked[20:36]]),
            },
        )
        write(supervised / "test.h5", _stream(good(18)[10:], marked[36:]))
    return root


def _stream(clean: Sequence[Pixels], marked: Sequence[Pair]) -> dict[str, Pixels]:
    empty = np.zeros((SIDE, SIDE), np.uint8)
    return {
        "syn_stream": np.stack([*clean, *(pixels for pixels, _ in marked)]),
        "ground_truth": np.stack([*[empty] * len(clean), *(mask for _, mask in marked)]),
    }
