"""A warm start: going on from a model with new real defects, so that it forgets no earlier one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl

from blemish.calibration.promise import Promise
from blemish.dataset import Dataset
from blemish.dataset.label_words import name_some
from blemish.detectors import (
    DETECTORS,
    current_settings,
    detector_names,
    learns_from_defects,
    open_detector,
)
from blemish.detectors.base import Detector, ShowProgress
from blemish.discovery import is_path
from blemish.errors import ArtifactError, BlemishError, DatasetError
from blemish.features.backbone import open_backbone
from blemish.features.cache import picture_name
from blemish.images import Recipe
from blemish.inspector import Inspector
from blemish.model.artifact import Artifact, open_artifact
from blemish.model.card import Card, DataEntry, WarmStartEntry
from blemish.training.card_entries import kinds, seen
from blemish.training.copies import Copies
from blemish.training.hold_out import hold_out_again
from blemish.training.model_comparison import compare
from blemish.training.plan import Plan
from blemish.training.replay_buffer import KeptDefect, as_training, extract, kept_in, named
from blemish.util.settings import check_settings, current_name, with_settings

log = logging.getLogger("blemish")

FREE = "steps"  # the one setting that may change from training to training


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A model to go on from, the pictures of defects that it keeps, and those that are `new`.

    `already` counts pictures that it was taught before, or that came twice. Of these, `new` has the
    ones that the model does not keep.
    """

    artifact: Artifact
    kept: Sequence[KeptDefect]
    new: Dataset
    already: int

    @property
    def key(self) -> list[str]:
        """What the trained model depends on: the model before, and the new defects."""
        return [self.artifact.sha256, self.new.fingerprint()]

    @property
    def files(self) -> list[Path]:
        """The model before, which is still needed."""
        return [self.artifact.path]

    @property
    def warm_start(self) -> bytes:
        """The model whose weights the training begins with."""
        return self.artifact.model

    @cached_property
    def inspector(self) -> Inspector:
        """The model before. Raises ArtifactError for one that cannot inspect."""
        return Inspector.of(self.artifact)

    @property
    def recipe(self) -> Recipe:
        """The model's preprocessing."""
        return self.artifact.card.recipe

    @property
    def detector(self) -> Detector:
        """The model's detector with its settings. Raises BlemishError for those of a newer one."""
        name, values = self.artifact.card.detector.name, self.artifact.card.detector.settings
        known = current_settings(name, values)
        detector: Any = open_detector(name)
        if odd := sorted(known.keys() - {field.name for field in fields(detector)}):
            raise BlemishError(
                f"{self.artifact.path} was trained with settings that this version of {name} does "
                f"not know ({name_some(odd)}); use the version of blemish that wrote it"
            )
        detector = replace(detector, **known)
        check_settings(f"{self.artifact.path}: detector {name}", detector)
        return cast("Detector", detector)

    @cached_property
    def learnt_from(self) -> DataEntry:
        """The model's data, with the parts and pictures that the next one will have learnt from."""
        data = self.artifact.card.data
        pictures = [picture_name(image) for image in self.new.images]
        return replace(
            data,
            trained_parts=(*data.trained_parts, *self.new.parts),
            trained_images=(*data.trained_images, *pictures),
        )

    def detector_for(self, plan: Plan) -> Detector:
        """The model's detector, with the few settings that the plan may change."""
        return with_settings(f"detector {plan.detector}", self.detector, plan.settings)

    def recipe_for(self, data: Dataset, plan: Plan) -> Recipe:
        """The model's preprocessing, which stays."""
        return self.recipe

    def usable(self, data: Dataset) -> Dataset:
        """`data` without what was learnt from, or will be, outside of training: the test parts.

        Whole parts go, for a part that was learnt from tests no model any more. Raises BlemishError
        for another backbone, and DatasetError for data that calls a new defect good; warns of data
        of which the model learnt nothing.
        """
        self._check_backbone()
        self._check_good(data)
        rest = data.where((pl.col("split") == "test") | _is_set_aside())
        known = seen(self.learnt_from, rest)
        out = pl.col("part").is_in(known) & ((pl.col("split") == "test") | _is_set_aside())
        return data.where(~out)

    def hold_out(
        self, data: Dataset, plan: Plan, good: Dataset, copies: Copies
    ) -> tuple[Dataset, Dataset]:
        """The good rows to learn from, and those of unseen parts that set the threshold.

        What is a copy of a part that was learnt from was learnt from.
        """
        before = {entry.part for entry in self.artifact.card.calibration.scores}
        known = seen(self.learnt_from, good, copies.names)
        known += [copies.original[part] for part in known if part in copies.original]
        return hold_out_again(
            data, plan.promise, seen=known, before=before, share=plan.hold_out, seed=plan.seed
        )

    def with_more_defects(self, data: Dataset, folder: Path) -> Dataset:
        """`data` with the kept defects, which are written into `folder`, and with the new ones.

        A picture that is among its own training defects too is there once.
        """
        known = {one.name for one in self.kept} | set(map(picture_name, self.new.images))
        own = data.split("train").real()
        twice = [name for image, name in _named_images(own) if picture_name(image) in known]
        category = data.categories[0]
        new = self.new.table.with_columns(
            image=_absolute(self.new.images), mask=_absolute(self.new.masks)
        )
        tables = [
            data.where(~pl.col("image").is_in(twice)).table,
            extract(self.kept, folder, category),
            as_training(new.drop("view"), category),
        ]
        return data.with_table(pl.concat(tables))

    def test_rows(self, data: Dataset) -> Dataset:
        """The test rows of `data`, which neither model has learnt from."""
        return data.split("test")

    def complete_card(
        self,
        card: Card,
        graph: bytes,
        *,
        data: Dataset,
        usable: Dataset,
        learnt: Dataset,
        progress: ShowProgress | None = None,
    ) -> Card:
        """The card with what the models before learnt from, and with the comparison of the two."""
        before, after = self.inspector, Inspector(graph, card.recipe, card)
        tested = self.test_rows(usable)
        taken_out = sorted(set(data.split("test").parts) - set(tested.parts))
        comparison = compare(before, after, tested, progress)

        known = learnt_defects(self.artifact)
        names = [picture_name(image) for image in learnt.images]
        more = learnt.take([i for i, name in enumerate(names) if name not in known])
        earlier, now = self.learnt_from, card.data
        assert now.taught is not None  # at least the new defects
        return replace(
            card,
            data=replace(
                now,
                taught=replace(now.taught, pictures=tuple(sorted({*known, *names}))),
                trained_parts=tuple(sorted({*earlier.trained_parts, *now.trained_parts})),
                trained_images=tuple(sorted({*earlier.trained_images, *now.trained_images})),
                trained_pixels=tuple(sorted({*earlier.trained_pixels, *now.trained_pixels})),
            ),
            continued_from=WarmStartEntry(self.artifact.sha256, len(more.parts), kinds(more)),
            comparison=replace(comparison, taken_out=tuple(taken_out)),
        )

    def _check_backbone(self) -> None:
        backbone = open_backbone(self.detector.backbone)
        if backbone.sha256 != self.artifact.card.backbone.sha256:
            raise BlemishError(
                f"{self.artifact.path} was trained on another file of the backbone "
                f"{backbone.name}; import that one again, with `blemish backbone import`"
            )

    def _check_good(self, data: Dataset) -> None:
        """Refuse data that calls a new defect good, and warn of data of another product."""
        good = data.where(pl.col("split") != "test").good()
        names = {picture_name(image): name for image, name in _named_images(good)}
        if both := sorted(names.keys() & {picture_name(image) for image in self.new.images}):
            raise DatasetError(
                f"{data.root} calls pictures good that are to be learnt as defective: "
                f"{name_some([names[key] for key in both])}; take them out of one of the two"
            )
        if not names.keys() & set(self.artifact.card.data.trained_images):
            log.warning(
                "%s learnt from none of the good pictures of %s: is it the same product?",
                self.artifact.path,
                data.root,
            )


def open_warm_start(model: Path, defects: Dataset) -> WarmStart:
    """The model at `model`, to be taught `defects`, real ones that its data need not hold.

    Raises BlemishError for a model whose detector does not learn from defects, and DatasetError
    where all of them are taught already.
    """
    artifact = open_artifact(model)
    name = artifact.card.detector.name
    _refuse_code(artifact)
    if not DETECTORS.has(name) or not learns_from_defects(name):
        able = [other for other in detector_names() if learns_from_defects(other)]
        raise BlemishError(
            f"{model} is a model of {name}, which does not learn from defects; train one of "
            f"{', '.join(able)} first, with --detector"
        )
    kept = kept_in(artifact)
    names = [picture_name(image) for image in defects.images]
    if not (more := set(names) - learnt_defects(artifact)):
        raise DatasetError(
            f"{defects.root} holds nothing new: all {len(defects)} pictures are taught to {model} "
            "already"
        )
    known = {one.name for one in kept}
    places = [i for i, name in enumerate(names) if name not in known and name not in names[:i]]
    start = WarmStart(artifact, kept, named(defects.take(places)), len(defects) - len(more))
    _ = start.inspector  # a model that cannot inspect is no start, and says so before the training
    return start


def _refuse_code(artifact: Artifact) -> None:
    """Refuse a card that names a file of code: only its user may, and a label leads to no file."""
    detector = artifact.card.detector
    texts = [value for value in detector.settings.values() if isinstance(value, str)]
    if named := [text for text in (detector.name, *texts) if is_path(text)]:
        raise ArtifactError(
            f"{artifact.path} names files of code ({name_some(named)}), and what a model names is "
            "not run; take a model as blemish wrote it"
        )


def learnt_defects(artifact: Artifact) -> set[str]:
    """The pictures of defects that a model was taught, those among them that it does not keep."""
    taught = artifact.card.data.taught
    return set() if taught is None else set(taught.pictures)


def plan_of(
    start: WarmStart,
    given: Mapping[str, Any],
    *,
    settings: Mapping[str, str],
    preset: str | None = None,
    hold_out: float | None = None,
    cache: Path | None = None,
) -> Plan:
    """What the model was trained by; `given` are options by name, None where they are left out.

    Raises BlemishError for an option, a setting or a preset that contradicts the model.
    """
    card, recipe, path = start.artifact.card, start.recipe, start.artifact.path
    own: dict[str, Any] = {
        "--detector": card.detector.name,
        "--size": recipe.height + 2 * recipe.margin,
        "--crop": recipe.height,
        "--resize": recipe.resize,
        "--tile": recipe.tile or 0,
        "--max-fpr": card.calibration.max_fpr,
        "--confidence": card.calibration.confidence,
        "--seed": card.data.seed,
        "--cross-fit": 0,
        "--view-scales": False,
    }
    for option, value in given.items():
        if value is not None and value != own[option]:
            raise BlemishError(
                f"{option} {value} contradicts --from {path}, which goes on with {own[option]}; "
                f"leave out {option}"
            )
    _refuse_other_settings(start, settings, preset)
    return Plan(
        detector=own["--detector"],
        settings={FREE: settings[FREE]} if FREE in settings else {},
        size=own["--size"],
        resize=recipe.resize,
        crop=recipe.height,
        tile=own["--tile"],
        promise=Promise(own["--max-fpr"], own["--confidence"]),
        hold_out=hold_out,
        seed=own["--seed"],
        cache=cache,
    )


def _refuse_other_settings(
    start: WarmStart, settings: Mapping[str, str], preset: str | None
) -> None:
    name, own = start.artifact.card.detector.name, start.detector
    asked = open_detector(name, settings, preset=preset)
    given = [current_name(own, key) for key in settings]
    for key in given if preset is None else [field.name for field in fields(own)]:
        if key != FREE and (value := getattr(own, key)) != getattr(asked, key):
            option = "--set" if key in given else f"--preset {preset}:"
            raise BlemishError(
                f"{option} {key}={getattr(asked, key)} contradicts --from {start.artifact.path}, "
                f"which was trained with {key}={value}; of its settings {FREE} alone may change"
            )


def _named_images(rows: Dataset) -> list[tuple[Path, str]]:
    return list(zip(rows.images, rows.table["image"], strict=True))


def _is_set_aside() -> pl.Expr:
    """True for defects of the validation split, which nothing learns from."""
    return (pl.col("split") == "validation") & (pl.col("label") == "defective")


def _absolute(paths: Sequence[Path | None]) -> pl.Series:
    return pl.Series([path and path.as_posix() for path in paths], dtype=pl.String)
