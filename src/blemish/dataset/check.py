"""Checks of a data set before training: duplicates, leakage between splits, masks and views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from blemish.dataset.duplicates import same_content
from blemish.dataset.image_header import sizes_below
from blemish.dataset.label_words import name_some
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError, ImageError
from blemish.images import mask_files
from blemish.util.names import wrong_name

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
HEADERS = "unreadable headers"
UNREADABLE = ("wrong names", HEADERS)  # the kinds of a file that cannot be read


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set; `file` is relative to its root, None for the whole.

    `kind` is the name of the check that found it, such as "missing views".
    """

    severity: Severity
    message: str
    file: str | None = None
    kind: str = field(default="", compare=False)


def findings(
    dataset: Dataset, *, training: bool = True, allow_defects: bool = False
) -> list[Finding]:
    """Everything to know about a data set, errors first.

    `training` is False for a set that only tests; `allow_defects` is True where a detector learns
    from defective images too. Decodes no pixels: of images with masks it reads the headers, of
    images of equal size in bytes their ends.
    """
    checks: list[Callable[[Dataset], Iterator[Finding]]] = [
        *(_wrong_names, _repeated_images, _clashing_names, _same_pictures, _straddling_parts),
        *(_missing_views, _good_with_mask, _missing_masks, _mask_sizes),
    ]
    if training:
        checks.append(_too_few_to_train)
        if not allow_defects:
            checks.append(_defects_in_training)
    return by_severity(f for check in checks for f in of_kind(check.__name__, check(dataset)))


def of_kind(check: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a check, marked with its name in words, but for those that have a kind."""
    kind = check.strip("_").replace("_", " ")
    return (replace(finding, kind=finding.kind or kind) for finding in found)


def by_severity(found: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes, each in the order given."""
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def ensure_sound(
    dataset: Dataset,
    *,
    training: bool = True,
    allow_defects: bool = False,
    allow_unreadable: bool = False,
) -> None:
    """Raise DatasetError with the first error among the findings and the number of all errors.

    With `allow_unreadable` a file that cannot be opened, as far as that is known yet, is none.
    """
    found = findings(dataset, training=training, allow_defects=allow_defects)
    allowed = UNREADABLE if allow_unreadable else ()
    errors = [f for f in found if f.severity == "error" and f.kind not in allowed]
    if errors:
        more = f" ({len(errors) - 1} more errors in this data set)" if len(errors) > 1 else ""
        raise DatasetError(f"{dataset.root}: {errors[0].message}{more}")


def ensure_named(dataset: Dataset) -> None:
    """Raise DatasetError for the first file whose name is not read, and the number of all such."""
    found = list(_wrong_names(dataset))
    if found:
        more = f" ({len(found) - 1} more such names in this data set)" if len(found) > 1 else ""
        raise DatasetError(found[0].message + more)


def _wrong_names(dataset: Dataset) -> Iterator[Finding]:
    files = pl.concat([dataset.table["image"], dataset.table["mask"]]).drop_nulls().unique().sort()
    for name in files.filter(files.str.contains("\\", literal=True)):
        if (reason := wrong_name(dataset.root / name)) is not None:
            yield Finding("error", reason, name)


def _repeated_images(dataset: Dataset) -> Iterator[Finding]:
    repeated = dataset.table.filter(pl.col("image").is_duplicated())
    for (image,) in repeated.select("image").unique(maintain_order=True).iter_rows():
        yield Finding("error", f"{image} is listed twice; keep one row.", image)


def _clashing_names(dataset: Dataset) -> Iterator[Finding]:
    files = pl.concat([dataset.table["image"], dataset.table["mask"]]).drop_nulls().unique().sort()
    alike = files.to_frame("file").group_by(pl.col("file").str.to_lowercase().alias("key"))
    clashes = alike.agg("file").filter(pl.col("file").list.len() > 1).sort("key")
    for names in clashes["file"].to_list():
        yield Finding(
            "warning",
            f"{name_some(names)} differ only in case and are one file on Windows and macOS; "
            "rename one.",
            names[0],
        )


def _same_pictures(dataset: Dataset) -> Iterator[Finding]:
    split_of = dict(dataset.table.select("image", "split").iter_rows())
    for names in same_content(dataset.root, dataset.table["image"]):
        splits = sorted({split_of[name] for name in names})
        yield Finding(
            "warning" if len(splits) > 1 else "note",
            f"{name_some(names)} are the same picture, in {' and in '.join(splits)}; keep one.",
            names[0],
        )


def _straddling_parts(dataset: Dataset) -> Iterator[Finding]:
    parts = dataset.table.group_by("part", maintain_order=True).agg(
        pl.col("split").unique(maintain_order=True), pl.col("image").first()
    )
    for part, splits, image in parts.filter(pl.col("split").list.len() > 1).iter_rows():
        yield Finding(
            "error",
            f"part {part} ({image}) is in {' and in '.join(splits)}; "
            "move all of its images to one side.",
            image,
        )


def _good_with_mask(dataset: Dataset) -> Iterator[Finding]:
    rows = dataset.good().table.drop_nulls("mask")
    for image, mask in rows.select("image", "mask").iter_rows():
        yield Finding(
            "error",
            f"{image} is labelled good but has the mask {mask}; correct the label or "
            "remove the mask.",
            image,
        )


def _missing_masks(dataset: Dataset) -> Iterator[Finding]:
    defects = dataset.defective().split("test").table
    some = pl.col("mask").is_not_null().any().over("category")
    for (category,) in (
        defects.filter(~some).select("category").unique().sort("category").iter_rows()
    ):
        yield Finding(
            "note", f"{category}: no defective image has a mask; pixels are not evaluated."
        )
    lacking = defects.filter(some, pl.col("mask").is_null())
    for (image,) in lacking.select("image").iter_rows():
        yield Finding("warning", f"{image} is defective but has no mask, unlike others.", image)


def _mask_sizes(dataset: Dataset) -> Iterator[Finding]:
    rows = dataset.table.drop_nulls("mask").select("image", "mask")
    size = sizes_below(dataset.root)
    for image, mask in rows.iter_rows():
        try:
            of_image = size(image)
            files = relative_paths(mask_files(dataset.root / mask), dataset.root)
            of_masks = {size(file) for file in files}
        except ImageError as error:
            yield Finding("error", str(error), image, HEADERS)
            continue
        for of_mask in sorted(of_masks - {of_image}):
            yield Finding(
                "error",
                f"the mask {mask} has {of_mask[1]} x {of_mask[0]} pixels but {image} has "
                f"{of_image[1]} x {of_image[0]}; draw the mask at the image's size.",
                mask,
            )


def _missing_views(dataset: Dataset) -> Iterator[Finding]:
    """Parts without a view that most parts of their category have; views that few parts have."""
    key = ["category", "part"]
    parts = dataset.table.group_by(key, maintain_order=True).agg(pl.col("image").first())
    seen = dataset.table.drop_nulls("view").select(*key, "view").unique()
    held = seen.group_by("category", "view").agg(held=pl.len())
    held = held.join(parts.group_by("category").agg(parts=pl.len()), on="category")
    usual = held.filter(pl.col("held") * 2 >= pl.col("parts"))
    missing = (
        parts.join(usual, on="category", maintain_order="left")
        .join(seen, on=[*key, "view"], how="anti", maintain_order="left")
        .group_by("part", "image", maintain_order=True)
        .agg(pl.col("view").sort())
    )
    for part, image, views in missing.iter_rows():
        yield Finding(
            "warning",
            f"part {part} ({image}) lacks view {', '.join(views)}; without it no verdict on "
            "this part is complete.",
            image,
        )
    rare = held.filter(pl.col("held") * 2 < pl.col("parts")).sort("category", "view")
    for category, view, count, total in rare.iter_rows():
        yield Finding("note", f"{category}: only {count} of {total} parts have view {view}.")


def _too_few_to_train(dataset: Dataset) -> Iterator[Finding]:
    good = dataset.good().table
    train = good.filter(pl.col("split") == "train")
    learnable = good.filter(pl.col("split") != "test")
    if not train.height:
        yield Finding("error", "no good image is in the train split; add images of good parts.")
    elif train.height == 1:
        image = train["image"][0]
        yield Finding(
            "error",
            f"one good image ({image}) is not enough; add images of other good parts, "
            "at least two, better fifty.",
            image,
        )
    elif learnable["part"].n_unique() == 1:
        yield Finding(
            "error",
            f"all good images show one part ({train['part'][0]}), which is not enough; "
            "add images of other good parts.",
            train["image"][0],
        )


def _defects_in_training(dataset: Dataset) -> Iterator[Finding]:
    rows = dataset.table.filter(pl.col("split") != "test", pl.col("label").ne_missing("good"))
    for image, split, label in rows.select("image", "split", "label").iter_rows():
        yield Finding(
            "error" if label else "warning",
            f"{image} is {label or 'not labelled'} but in the {split} split; move it to the test, "
            "correct its label, or leave all such out by `data split --protocol uiad`.",
            image,
        )
