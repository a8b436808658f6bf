"""Images of real defects to train on, as a line collects them: any layout, or a plain folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import polars as pl

from blemish.dataset.check import ensure_sound
from blemish.dataset.folder_words import meaning_of
from blemish.dataset.label_words import SPLIT_WORDS, name_some
from blemish.dataset.layouts import FALLBACKS, layouts
from blemish.dataset.opener import open_dataset
from blemish.dataset.parts import FILE_NAME, with_parts
from blemish.dataset.table import SYNTHETIC, Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_names

MASKS = "ground_truth"
MARKED = "_mask"


def open_defects(
    path: str | os.PathLike[str], *, part_pattern: str | None = None, category: str | None = None
) -> Dataset:
    """Real defects to learn from: every row defective and in the split "train".

    A folder that no layout recognises may have a sub-folder per kind of defect, else the kind is
    unknown. The mask of crack/a.png is then ground_truth/crack/a.*, with or without `_mask`, or
    crack/a_mask.*. `part_pattern` counts where there is no `parts.csv`, `category` where there are
    several. Raises DatasetError where there is no picture, and for one that is called good or
    drawn.
    """
    root = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own name)
    if not root.exists():
        raise DatasetError(f"{root} does not exist; name a folder with pictures of defects.")
    pattern = None if (root / FILE_NAME).is_file() else part_pattern
    if root.is_dir() and not _has_layout(root):
        data = with_parts(_plain(root), None, pattern)
    else:
        data = open_dataset(root, part_pattern=pattern)
    if len(data.categories) > 1:
        if category is None:
            raise DatasetError(
                f"{root} holds defects of several categories ({name_some(data.categories)}); "
                "choose one with --category."
            )
        data = data.category(category)
    _refuse_others(data)
    marks = {"label": pl.lit("defective"), "split": pl.lit("train")}
    data = data.with_table(data.table.with_columns(**marks))
    ensure_sound(data, training=False)
    return data


def _has_layout(root: Path) -> bool:
    return any(
        name not in FALLBACKS and layout.recognises(root) for name, layout in layouts().items()
    )


def _plain(root: Path) -> Dataset:
    """Every picture below `root` but the masks."""
    names = image_names(root)
    stems = {_stem(name): name for name in names}
    masks = {
        stem.removeprefix(MASKS + "/"): name
        for stem, name in stems.items()
        if stem.startswith(MASKS + "/") or (stem.endswith(MARKED) and stem[: -len(MARKED)] in stems)
    }
    images = sorted(set(names) - set(masks.values()))
    if not images:
        raise DatasetError(f"{root} holds no picture of a defect; put some into it.")
    of_image = [masks.get(_stem(n) + MARKED, masks.get(_stem(n))) for n in images]
    if lost := sorted(set(masks.values()) - set(of_image)):
        raise DatasetError(
            f"{root} has masks that are named like no picture: {name_some(lost)}; the mask of "
            f"crack/a.png is {MASKS}/crack/a{MARKED}.png."
        )
    kinds = [_kind(name) for name in images]
    frame = pl.DataFrame(
        {"image": images, "mask": of_image, "defect": kinds},
        schema={"image": pl.String, "mask": pl.String, "defect": pl.String},
    )
    called_good = {kind for kind in kinds if kind is not None and meaning_of(kind) == "good"}
    good = pl.col("defect").is_in(list(called_good))
    table = frame.with_columns(
        category=pl.lit(root.name),
        split=pl.lit("train"),
        label=pl.when(good.fill_null(False)).then(pl.lit("good")).otherwise(pl.lit("defective")),
    )
    return Dataset(root, root.name, "folder", conform(table))


def _stem(name: str) -> str:
    """A name without its suffix."""
    return str(PurePosixPath(name).with_suffix(""))


def _kind(name: str) -> str | None:
    """The first folder on the way to a picture, that of a split left out."""
    folders = PurePosixPath(name).parts[:-1]
    if folders and folders[0].lower() in SPLIT_WORDS:
        folders = folders[1:]
    return folders[0] if folders else None


def _refuse_others(data: Dataset) -> None:
    if not len(data):
        raise DatasetError(f"{data.root} holds no picture of a defect; put some into it.")
    if len(good := data.good()):
        raise DatasetError(
            f"{data.root} calls pictures good that are to be learnt as defective "
            f"({len(good)}): {name_some(good.table['image'].to_list())}; leave pictures of real "
            "defects alone in it, and put those of good parts into the data set itself."
        )
    if len(drawn := data.synthetic()):
        raise DatasetError(
            f"{data.root} holds defects of the kind {SYNTHETIC!r}, which is what drawn ones are "
            f"called ({len(drawn)}): {name_some(drawn.table['image'].to_list())}; give real ones, "
            "under another name of their kind."
        )
