"""Evaluation: the figures are those of its own images and parts, and of nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plates import (
    VIEW_PATTERN,
    dent_mask,
    dented,
    plate,
    save,
    save_dented,
    save_good,
    save_set,
    save_views,
)
from running import Cli
from scipy.stats import beta
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    matthews_corrcoef,
    roc_auc_score,
)

from blemish.dataset import open_dataset
from blemish.errors import DatasetError
from blemish.evaluation import Evaluation, evaluate
from blemish.images import read_mask
from blemish.inspector import Inspector

PIXEL = {
    *("auroc", "aupro", "pro_at_f1", "fpr_at_f1"),
    *("localised", "localised_of_rejected", "localised_recall", "hidden"),
}
COUNTS = {
    *("tn", "fp", "fn", "tp", "mcc", "recall", "precision", "fpr", "f1"),
    *("recall_interval", "fpr_interval"),
}


@pytest.fixture(scope="module")
def evaluation(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A set with faint and plain defects, so that some decisions are wrong."""
    root = save_set(tmp_path_factory.mktemp("hard") / "hard", train=0, good=12, dents=6)
    for seed in range(400, 408):
        faint = plate(seed).astype(float)
        share = 0.02 * (seed - 399)
        faint = (1 - share) * faint + share * dented(seed)
        save(root / f"test/faint/{seed}.png", faint.astype(np.uint8))
        save(root / f"ground_truth/faint/{seed}.png", dent_mask(seed))
    return evaluate(Inspector.open(model), open_dataset(root))


# The shape of the figures; scripts rely on it.


def test_the_keys_of_the_figures(evaluation: Evaluation) -> None:
    figures = json.loads(json.dumps(evaluation.figures, allow_nan=False))
    assert set(figures) == {
        *("image", "pixel", "sample", "decision", "oracle_f1"),
        *("seconds", "images_per_second", "defects", "data", "model"),
    }
    assert set(figures["image"]) == {
        *("auroc", "auroc_interval", "average_precision", "n_good", "n_defective"),
        *("recall_at_fpr_5", "recall_at_fpr_5_interval"),
    }
    assert set(figures["pixel"]) == PIXEL
    assert figures["sample"] is None
    assert set(figures["decision"]) == {"threshold", "promise", "unit", "incomplete", *COUNTS}
    assert set(figures["decision"]["promise"]) == {
        *("max_fpr", "confidence", "upper_bound", "good_parts", "provisional"),
        *("parts_needed", "method"),
    }
    assert figures["decision"]["unit"] == "part"
    assert set(figures["oracle_f1"]) == {"threshold", *COUNTS}
    assert figures["seconds"] > 0
    assert figures["images_per_second"] > 0
    assert figures["model"] == evaluation.inspector.name


def figures_of(cli: Cli, model: Path, root: Path, *options: object) -> dict[str, Any]:
    run = cli("evaluate", model, root, "--json", "-", *options)
    assert run.code == 0, run.err
    figures: dict[str, Any] = json.loads(run.out)
    return figures


def test_without_masks_there_are_no_pixel_figures(cli: Cli, model: Path, tmp_path: Path) -> None:
    root = save_set(tmp_path / "set", train=0, good=3, dents=3, masks=False)
    figures = figures_of(cli, model, root)
    assert figures["pixel"] == dict.fromkeys(PIXEL)
    assert figures["image"]["auroc"] == 1.0
    assert "pixels: AUROC -, AUPRO -" in cli("evaluate", model, root).out


def test_with_good_images_only_there_is_nothing_to_rank(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    save_good(tmp_path / "set/test/good", range(100, 104))
    figures = figures_of(cli, model, tmp_path / "set")
    assert figures["image"] == {
        **{"auroc": None, "auroc_interval": None, "average_precision": None},
        **{"recall_at_fpr_5": None, "recall_at_fpr_5_interval": None},
        **{"n_good": 4, "n_defective": 0},
    }
    assert figures["pixel"] == dict.fromkeys(PIXEL)
    assert figures["oracle_f1"] is None
    decision = figures["decision"]
    assert (decision["recall"], decision["recall_interval"]) == (None, None)
    assert decision["fpr"] == decision["fp"] / 4
    assert decision["tn"] + decision["fp"] == 4
    assert cli("evaluate", model, tmp_path / "set").code == 0


def test_with_defective_images_only(cli: Cli, model: Path, tmp_path: Path) -> None:
    save_dented(tmp_path / "set", range(200, 203))
    figures = figures_of(cli, model, tmp_path / "set")
    assert figures["image"]["auroc"] is None
    assert (figures["decision"]["fpr"], figures["decision"]["fpr_interval"]) == (None, None)
    assert figures["decision"]["recall"] == 1.0
    assert figures["pixel"]["auroc"] > 0.5  # the pixels around the dents are good ones
    assert figures["oracle_f1"] is None


def test_without_test_images_there_is_nothing_to_evaluate(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    root = save_good(tmp_path / "set/train/good", range(3)).parents[1]
    cli("evaluate", model, root).refusal(root, "test/good and test/<defect>")


def test_a_defect_without_a_mask_beside_others_is_no_background(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    """Else a map that is right on an unmasked defect would be counted as wrong."""
    whole = save_set(tmp_path / "whole", train=0, good=3, dents=4)
    some = shutil.copytree(whole, tmp_path / "some")
    (some / "ground_truth/dent/203_mask.png").unlink()
    fewer = save_set(tmp_path / "fewer", train=0, good=3, dents=3)
    areas = [figures_of(cli, model, root)["pixel"] for root in (some, fewer, whole)]
    of_some, of_fewer, of_whole = ((pixel["auroc"], pixel["aupro"]) for pixel in areas)
    assert of_some == of_fewer
    assert of_some != of_whole


def test_a_centre_crop_is_measured_in_its_frame(cli: Cli, tmp_path: Path) -> None:
    """As papers do: maps and masks are cropped alike, and a defect at the rim is no pixel."""
    shape = (128, 128)
    root = save_set(tmp_path / "set", good=4, dents=4, shape=shape)
    hidden = plate(500, shape)
    hidden[:6, 40:80] = 255
    mask = np.zeros(shape, np.uint8)
    mask[:6, 40:80] = 255
    save(root / "test/edge/500.png", hidden)
    save(root / "ground_truth/edge/500_mask.png", mask)
    model = tmp_path / "m.blemish"
    quick = ("--size", 128, "--crop", 96, "--detector", "patchcore", "--set", "bank=100")
    assert cli("train", root, "-o", model, *quick).code == 0
    pixel = figures_of(cli, model, root)["pixel"]
    assert pixel["hidden"] == 1
    said = "1 images have their marked defects outside of the centre crop"
    assert said in cli("evaluate", model, root).out

    inspector, values, truth = Inspector.open(model), [], []
    for row in open_dataset(root).split("test").rows():
        whole = inspector.look(row.image)
        assert whole.seen == (16, 16, 112, 112)
        values.append(whole.map[16:112, 16:112].ravel())
        marked = np.zeros(shape, bool) if row.mask is None else read_mask(row.mask, shape)
        truth.append(marked[16:112, 16:112].ravel())
    expected = roc_auc_score(np.concatenate(truth), np.concatenate(values))
    assert pixel["auroc"] == pytest.approx(expected, abs=1e-9)
    assert pixel["localised"] <= 4 / 5  # a defect that nobody looked at was not found


# The figures, recomputed.


def test_image_figures_are_those_of_the_scores(evaluation: Evaluation) -> None:
    scores = [image.score for image in evaluation.images]
    labels = [image.label == "defective" for image in evaluation.images]
    image = evaluation.figures["image"]
    assert (image["n_good"], image["n_defective"]) == (12, 14)
    assert 0.5 < image["auroc"] < 1.0
    assert image["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert image["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    low, high = image["auroc_interval"]
    assert low < image["auroc"] < high
    looked = evaluation.inspector.look(evaluation.images[0].image).score
    assert evaluation.images[0].score == looked


def recount(evaluation: Evaluation, threshold: float) -> dict[str, Any]:
    scores = np.array([part.score for part in evaluation.parts])
    labels = np.array([part.label == "defective" for part in evaluation.parts])
    (tn, fp), (fn, tp) = confusion_matrix(labels, scores > threshold)
    return {
        **{"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        "mcc": pytest.approx(matthews_corrcoef(labels, scores > threshold)),
        "recall": tp / (tp + fn),
        "precision": tp / (tp + fp),
        "fpr": fp / (fp + tn),
        "f1": pytest.approx(2 * tp / (2 * tp + fp + fn)),
        "recall_interval": pytest.approx(clopper_pearson(tp, tp + fn)),
        "fpr_interval": pytest.approx(clopper_pearson(fp, fp + tn)),
    }


def clopper_pearson(k: int, n: int) -> list[float]:
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    return [low, beta.ppf(0.975, k + 1, n - k) if k < n else 1.0]


def test_decisions_are_those_at_the_models_threshold(evaluation: Evaluation) -> None:
    decision = dict(evaluation.figures["decision"])
    assert decision.pop("threshold") == evaluation.inspector.threshold
    assert decision.pop("incomplete") == 0
    calibration = evaluation.card.calibration
    promise = decision.pop("promise")
    assert promise == {key: getattr(calibration, key) for key in promise}
    assert decision.pop("unit") == "part"
    assert decision == recount(evaluation, evaluation.inspector.threshold)
    assert decision["fn"] > 0
    assert decision["tp"] > 0
    for part in evaluation.parts:
        rejected = part.score > evaluation.inspector.threshold
        assert part.decision == ("reject" if rejected else "pass")


def test_the_oracle_has_the_best_f1_of_all_thresholds(evaluation: Evaluation) -> None:
    oracle = dict(evaluation.figures["oracle_f1"])
    threshold = oracle.pop("threshold")
    assert oracle == recount(evaluation, threshold)
    scores = np.array([part.score for part in evaluation.parts])
    labels = np.array([part.label == "defective" for part in evaluation.parts])
    for score in scores:
        rejected = scores > score
        hits = (rejected & labels).sum()
        assert 2 * hits / (rejected.sum() + labels.sum()) <= oracle["f1"] + 1e-12


def test_recall_by_kind_of_defect(evaluation: Evaluation) -> None:
    defects = evaluation.figures["defects"]
    assert {kind: entry["parts"] for kind, entry in defects.items()} == {"dent": 6, "faint": 8}
    for kind, entry in defects.items():
        of_kind = [part for part in evaluation.parts if part.defects == (kind,)]
        assert entry["rejected"] == sum(part.decision == "reject" for part in of_kind)
    assert (
        sum(entry["rejected"] for entry in defects.values()) == evaluation.figures["decision"]["tp"]
    )


def test_pixel_figures_are_those_of_the_maps(evaluation: Evaluation) -> None:
    maps, masks = [], []
    for index, image in enumerate(evaluation.images):
        rgb, map_, mask = evaluation.look(index)
        assert rgb.shape == (80, 100, 3)
        assert (mask is None) == (image.label == "good")
        maps.append(map_.ravel())
        masks.append(np.zeros(map_.size, bool) if mask is None else mask.ravel())
    expected = roc_auc_score(np.concatenate(masks), np.concatenate(maps))
    assert evaluation.figures["pixel"]["auroc"] == pytest.approx(expected, abs=1e-6)
    assert 0 < evaluation.figures["pixel"]["aupro"] < 1


# Parts with several views.


def test_a_part_is_as_bad_as_its_worst_view(cli: Cli, model: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    save_views(root / "test/good", range(8))
    save_views(root / "test/dent", range(20, 24))
    for part in (20, 21, 22):
        save(root / f"test/dent/{part:03}_top.png", dented(200 + part))
    data = open_dataset(root, part_pattern=VIEW_PATTERN)
    evaluation = evaluate(Inspector.open(model), data)
    figures = evaluation.figures
    assert len(evaluation.images) == 24
    assert len(evaluation.parts) == 12
    for part in evaluation.parts:
        views = [evaluation.images[index] for index in part.images]
        assert {image.part for image in views} == {part.part}
        assert part.score == max(image.score for image in views)
    scores = [part.score for part in evaluation.parts]
    labels = [part.label == "defective" for part in evaluation.parts]
    assert figures["sample"]["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert figures["sample"]["aggregation"] == "max"
    assert sum(figures["decision"][key] for key in ("tn", "fp", "fn", "tp")) == 12
    assert figures["image"]["n_good"] + figures["image"]["n_defective"] == 24
    run = cli("evaluate", model, root, "--part-pattern", VIEW_PATTERN)
    assert "(largest of the views)" in run.out


def test_nothing_but_test_images_counts(model: Path, plates: Path, tmp_path: Path) -> None:
    with_train = evaluate(Inspector.open(model), open_dataset(plates))
    alone = save_set(tmp_path / "plates", train=0)
    without = evaluate(Inspector.open(model), open_dataset(alone))
    assert [image.score for image in with_train.images] == [i.score for i in without.images]
    assert len(with_train.images) == 12


def test_an_unsound_set_is_not_evaluated(model: Path, tmp_path: Path) -> None:
    root = save_set(tmp_path / "set", train=0, good=1, dents=1)
    save(root / "ground_truth/dent/200_mask.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(DatasetError, match="8 x 8 pixels"):
        evaluate(Inspector.open(model), open_dataset(root))
