"""The audit of a data set before training: the checks of `findings`, and checks of the pixels.

The cheap checks of `check.py` run before every training; these decode each image once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from blemish.dataset import shortcuts
from blemish.dataset.check import HEADERS, Finding, by_severity, findings, of_kind
from blemish.dataset.label_words import name_some
from blemish.dataset.mask_findings import WHOLE, is_inverted
from blemish.dataset.near_duplicates import near_duplicates
from blemish.dataset.table import Dataset
from blemish.util.progress import ShowProgress

USUAL = 0.8  # share of a category's images that makes a size or a number of channels usual
FACTOR = 4  # where no size is usual, an area so many times the median is odd


@dataclass(frozen=True)
class Audit:
    """What was found, errors first, and the table of `shortcuts`."""

    findings: list[Finding]
    shortcuts: pl.DataFrame


def audit(
    dataset: Dataset,
    surveyed: pl.DataFrame,
    *,
    training: bool = True,
    allow_defects: bool = False,
    progress: ShowProgress | None = None,
) -> Audit:
    """The findings of `findings` and those that a survey of the same data set shows."""
    looks = dataset.table.hstack(surveyed)
    checks: list[Callable[[pl.DataFrame], Iterator[Finding]]] = [
        *(_unreadable, _blank_images, _mixed_depth, _mixed_channels, _unusual_sizes),
        *(_empty_masks, _masks_of_everything, _inverted_masks, _grey_masks),
    ]
    unread = set(looks.filter(pl.col("error").is_not_null())["image"])
    unread |= set(looks.filter(pl.col("mask_error").is_not_null())["image"])
    unread |= set(looks.filter(pl.col("mask_error").is_not_null())["mask"])
    cheap = findings(dataset, training=training, allow_defects=allow_defects)
    told = {f.file for f in cheap if f.kind == "wrong names"}
    found = [f for f in cheap if f.kind not in ("mask sizes", HEADERS) or f.file not in unread]
    for check in checks:
        found += (f for f in of_kind(check.__name__, check(looks)) if f.file not in told)
    found += of_kind("near duplicates", _near_duplicates(dataset, surveyed, progress))
    cues = shortcuts.shortcuts(dataset, surveyed)
    found += of_kind("shortcuts", shortcuts.warnings(cues))
    return Audit(by_severity(found), cues)


def _unreadable(looks: pl.DataFrame) -> Iterator[Finding]:
    for error, file in (("error", "image"), ("mask_error", "mask")):
        lost = looks.drop_nulls(error).select(error, file).unique(maintain_order=True)
        for reason, name in lost.iter_rows():
            yield Finding("error", f"{reason}.".replace("..", "."), name)


def _blank_images(looks: pl.DataFrame) -> Iterator[Finding]:
    blank = looks.filter(pl.col("sharpness") == 0).select("image", "brightness")
    for image, grey in blank.iter_rows():
        yield Finding("warning", f"{image} is blank: every pixel is {grey:g}; leave it out.", image)


def _mixed_depth(looks: pl.DataFrame) -> Iterator[Finding]:
    for image, category, depth, usual, _ in _unlike_most(looks, pl.col("depth")):
        yield Finding(
            "error",
            f"{image} holds {depth} pixels, most images of {category} {usual}; save all of them "
            "in one depth.",
            image,
        )


def _mixed_channels(looks: pl.DataFrame) -> Iterator[Finding]:
    kind = pl.when(pl.col("channels") == 1).then(pl.lit("grey")).otherwise(pl.lit("in colour"))
    for image, category, own, usual, share in _unlike_most(looks, kind):
        yield Finding(
            "note", f"{image} is {own}, {100 * share:.0f} % of {category} are {usual}.", image
        )


def _unusual_sizes(looks: pl.DataFrame) -> Iterator[Finding]:
    size = pl.format("{} x {}", "width", "height")
    for image, category, own, usual, share in _unlike_most(looks, size):
        if share >= USUAL:
            yield Finding(
                "warning",
                f"{image} has {own} pixels, {100 * share:.0f} % of {category} have {usual}.",
                image,
            )
    area = pl.col("width") * pl.col("height")
    median = area.median().over("category")
    common = (size.count().over("category", size).max() / size.count()).over("category") >= USUAL
    odd = looks.filter(~common, (area > FACTOR * median) | (area * FACTOR < median))
    for image, category, width, height in odd.select(
        "image", "category", "width", "height"
    ).iter_rows():
        yield Finding(
            "note",
            f"{image} has {width} x {height} pixels, over {FACTOR} times more or less than half "
            f"of the images of {category}.",
            image,
        )


def _unlike_most(looks: pl.DataFrame, trait: pl.Expr) -> Iterator[tuple[str, str, str, str, float]]:
    """Image, category, its trait, the commonest trait of its category, and the share that has it.

    Only the images without the commonest one; ties go to the trait met first.
    """
    known = looks.filter(pl.col("width").is_not_null())
    known = known.select("image", "category", trait=trait)
    counted = known.group_by("category", "trait", maintain_order=True).len()
    usual = counted.sort("len", descending=True, maintain_order=True)
    usual = usual.group_by("category", maintain_order=True).agg(
        usual=pl.col("trait").first(), share=pl.col("len").first() / pl.col("len").sum()
    )
    unlike = known.join(usual, on="category", maintain_order="left")
    yield from unlike.filter(pl.col("trait") != pl.col("usual")).iter_rows()


def _empty_masks(looks: pl.DataFrame) -> Iterator[Finding]:
    empty = looks.filter(pl.col("foreground") == 0, pl.col("label") == "defective")
    for image, mask in empty.select("image", "mask").iter_rows():
        yield Finding(
            "warning",
            f"{image} is defective but its mask {mask} marks nothing; draw it or remove it.",
            mask,
        )


def _masks_of_everything(looks: pl.DataFrame) -> Iterator[Finding]:
    whole = looks.filter(pl.col("foreground") > WHOLE)
    for mask, share in whole.select("mask", "foreground").iter_rows():
        yield Finding(
            "warning",
            f"the mask {mask} marks {100 * share:.1f} % of its image; is it inverted?",
            mask,
        )


def _inverted_masks(looks: pl.DataFrame) -> Iterator[Finding]:
    shares = looks.drop_nulls("mask_border").select("mask", "foreground", "mask_border")
    for mask, share, border in shares.iter_rows():
        if is_inverted(share, border):
            yield Finding(
                "warning",
                f"the mask {mask} marks {100 * share:.1f} % of its image and "
                f"{100 * border:.0f} % of its border; is it inverted?",
                mask,
            )


def _grey_masks(looks: pl.DataFrame) -> Iterator[Finding]:
    grey = looks.filter(pl.col("mask_greys") > 0)
    for mask, count, share, width, height in grey.select(
        "mask", "mask_greys", "foreground", "width", "height"
    ).iter_rows():
        yield Finding(
            "note",
            f"the mask {mask} is not binary: {count} of its pixels are neither 0 nor its largest "
            f"value; read as a defect on {round(share * width * height)} pixels.",
            mask,
        )


def _near_duplicates(
    dataset: Dataset, surveyed: pl.DataFrame, progress: ShowProgress | None
) -> Iterator[Finding]:
    found = near_duplicates(dataset, surveyed, progress=progress)
    for group in found.groups:
        rows = dataset.table[group]
        names = rows["image"].to_list()
        splits = rows["split"].unique().sort().to_list()
        labels = rows["label"].drop_nulls().unique().sort().to_list()
        torn = f", labelled {' and '.join(labels)}" if len(labels) > 1 else ""
        yield Finding(
            "warning" if len(splits) > 1 or torn else "note",
            f"{name_some(names)} are nearly the same picture, in {' and in '.join(splits)}{torn}; "
            "keep one.",
            names[0],
        )
    if found.not_compared:
        yield Finding(
            "note",
            f"so many images look alike that {found.not_compared} or more pairs were not compared "
            "in detail; there may be further near duplicates.",
        )
