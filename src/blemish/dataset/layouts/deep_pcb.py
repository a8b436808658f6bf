"""DeepPCB: circuit boards in black and white, a clean template and a tested image of each place.

Tang et al., "On-line PCB Defect Detector On A New PCB Defect Dataset", 2019: 1,500 pairs, 1,000 of
them for training. The authors drew most defects into the tested images. Defects are known as boxes,
so there are no masks. Which pairs show one board is not known: each image is its own part, although
templates of one board resemble each other on both sides of the published split.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.paths import absent
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.util.text_files import first_line, read_text

EXPECTS = "the folder PCBData with trainval.txt, test.txt and folders such as group20085"

TERMS = "for research only, as its readme says"
LISTS = {"trainval.txt": "train", "test.txt": "test"}
KNOWN = ("group90100/90100/90100034_temp.jpg",)  # on neither list, as it was published
KINDS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")  # numbered from 1
_LINE = r"^(?<pair>\w+/\w+/\d+)\.jpg\s+(?<boxes>\w+/\w+_not/\d+\.txt)\s*$"


def recognises(path: Path) -> bool:
    """True for PCBData, or the folder that holds it, whose lists name images and boxes."""
    return _lists_pairs(path) or _lists_pairs(path / "PCBData")


def read(path: Path) -> Dataset:
    """Both images of every pair on the lists; the template is good, the tested one defective.

    The kinds of defect of an image are joined by commas, such as "open,short". An image that
    neither list names is left out (90100034_temp.jpg is one). Raises DatasetError for files that
    are not there, lines of another form, and a tested image without a box.
    """
    root = path / "PCBData" if _lists_pairs(path / "PCBData") else path
    if not _lists_pairs(root):
        raise DatasetError(f"{path} has not the layout deep_pcb, which is {EXPECTS}.")
    pairs = pl.concat([_read_list(root, name) for name in LISTS])
    wanted = [*(pairs["pair"] + "_temp.jpg"), *(pairs["pair"] + "_test.jpg"), *pairs["boxes"]]
    missing = absent(root, wanted)
    if missing:
        raise DatasetError(
            f"{root} lacks files that its lists name ({len(missing)}): {name_some(missing)}; "
            "copy them again."
        )
    defects = [_read_kinds(root / boxes) for boxes in pairs["boxes"]]
    good = pairs.select("pair", "split", image=pl.col("pair") + "_temp.jpg", label=pl.lit("good"))
    bad = pairs.select(
        *("pair", "split"),
        image=pl.col("pair") + "_test.jpg",
        label=pl.lit("defective"),
        defect=pl.Series(defects, dtype=pl.String),
    )
    table = pl.concat([good, bad], how="diagonal").sort("image")
    table = table.with_columns(category=pl.lit("deep_pcb"))
    return Dataset(root, root.name, "deep_pcb", conform(table), TERMS)


def _lists_pairs(path: Path) -> bool:
    if not all((path / name).is_file() for name in LISTS):
        return False
    return bool(pl.Series([first_line(path / "trainval.txt")]).str.contains(_LINE).all())


def _read_list(root: Path, name: str) -> pl.DataFrame:
    text = read_text(root / name, "copy it again.", replace=True)
    lines = pl.DataFrame({"line": text.splitlines()}, schema={"line": pl.String})
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    pairs = lines.with_columns(found=pl.col("line").str.extract_groups(_LINE)).unnest("found")
    odd = pairs.filter(pl.col("pair").is_null())["line"].to_list()
    if odd:
        raise DatasetError(
            f"{root / name} has lines that name no image and its boxes: {name_some(odd)}; "
            "copy it again."
        )
    return pairs.select("pair", "boxes", split=pl.lit(LISTS[name]))


def _read_kinds(file: Path) -> str:
    """The kinds of defect that a file of boxes names, each once, in alphabetical order."""
    text = read_text(file, "copy it again.", replace=True)
    boxes = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
    sound = [b for b in boxes if len(b) == 5 and all(n.isdecimal() and len(n) < 20 for n in b)]
    numbers = {int(box[4]) for box in sound}
    if not boxes or len(sound) < len(boxes) or not numbers <= set(range(1, len(KINDS) + 1)):
        raise DatasetError(
            f"{file} must hold a line 'x1 y1 x2 y2 kind' for each defect, kind from 1 to "
            f"{len(KINDS)}; copy it again."
        )
    return ",".join(sorted(KINDS[number - 1] for number in numbers))
