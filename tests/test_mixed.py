"""Mixed supervision: what is trained is what is exported, who is held out, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from pictured import dataset, save, surface
from plates import dent_box, dent_mask, dented, save_good, save_set
from running import Cli
from streams import cut, write

torch = pytest.importorskip("torch")

from blemish.dataset import Dataset  # noqa: E402
from blemish.detectors import open_detector, usual_tile  # noqa: E402
from blemish.detectors._brightness_and_blur import Exposure  # noqa: E402
from blemish.detectors._patch_classifier import FrozenFeatures, PatchClassifier, Stages  # noqa: E402
from blemish.detectors._validation_parts import hold_out_validation_parts  # noqa: E402
from blemish.detectors.base import FitContext, FittedDetector  # noqa: E402
from blemish.detectors.mixed import Mixed  # noqa: E402
from blemish.errors import BlemishError  # noqa: E402
from blemish.features.backbone import open_backbone  # noqa: E402
from blemish.features.feature_stream import FeatureStream  # noqa: E402
from blemish.features.import_backbone import import_backbone  # noqa: E402
from blemish.images import Recipe  # noqa: E402
from blemish.metrics.image import auroc  # noqa: E402
from blemish.model.artifact import open_artifact  # noqa: E402
from blemish.training import Plan  # noqa: E402
from blemish.training.hold_out import with_defects  # noqa: E402
from blemish.training.plan import make_recipe  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
TINY = {"steps": 2, "batch": 4, "patch_size": 64}
Row = Mapping[str, str | None]


def fit(data: Dataset, detector: Mixed, *, side: int = 64, **options: Any) -> FittedDetector:
    features = FeatureStream(
        open_backbone(detector.backbone), detector.layers, Recipe(side, side, "squash", tile=side)
    )
    return detector.fit(data, FitContext(features, seed=0, **options))


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve good parts, and six with a bright square, three of them without a mask."""
    root = tmp_path_factory.mktemp("surfaces")
    rows: list[Row] = []
    for number in range(12):
        save(root / f"good/{number}.png", surface(number))
        rows.append({"image": f"good/{number}.png", "split": "train", "part": f"good {number}"})
    for number in range(6):
        pixels, mask = surface(100 + number), np.zeros((96, 128), np.uint8)
        mask[40:56, 60:76] = 255
        save(root / f"bad/{number}.png", np.where(mask > 0, 230, pixels).astype(np.uint8))
        row = {"image": f"bad/{number}.png", "split": "train", "part": f"bad {number}"}
        if number % 2:
            save(root / f"masks/{number}.png", mask)
            row["mask"] = f"masks/{number}.png"
        rows.append({**row, "label": "defective", "defect": "square"})
    return dataset(root, rows)


# What is trained is what is exported.

WAYS: dict[str, dict[str, Any]] = {
    "the last stage": {},
    "the head alone": {"layers": ("block4", "block10")},
    "a linear head": {"layers": ("block10",), "hidden": None, "cell_weight": 0.0},
    "everything": {"frozen": None},
    "everything, brightened and smoothed": {"frozen": None, "brightness": 1.4, "blur": 1.0},
    "the mean of a patch, brightened": {"pooling": "mean", "patch_size": 32, "brightness": 1.4},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_model_computes_what_was_trained(surfaces: Dataset, way: str) -> None:
    """To 1e-4; a step of a rate that is felt has moved all that is trained."""
    detector = Mixed(**{**TINY, **WAYS[way], "real": 0.3, "held_out": 0.0, "rate": 0.01})
    fitted = fit(surfaces, detector)
    backbone = open_backbone(detector.backbone)
    stages = Stages.of(backbone, detector.layers, detector.frozen)
    assert (stages.start == "image") == (detector.frozen is None)
    network = PatchClassifier(backbone, stages, detector.hidden)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    network.start_from(fitted.graph)
    trained = [name for name, values in network.named_parameters() if values.requires_grad]
    assert all(not torch.equal(before[name], network.state_dict()[name]) for name in trained)
    source = FrozenFeatures(backbone, stages, Exposure(detector.brightness, detector.blur))
    cells = network.in_pieces(source(IMAGES)).numpy()
    found = fitted.score(IMAGES)
    np.testing.assert_allclose(found.map, cells, atol=1e-4)
    pooled = cells
    if detector.pooling == "mean":
        places = list(itertools.product(range(2), range(2)))  # of two cells by two
        assert detector.patch_size // network.head.stride == 2
        pooled = np.mean([cells[:, i : i + 3, j : j + 3] for i, j in places], 0)
    np.testing.assert_allclose(found.score, _largest(pooled), atol=1e-4)


def _largest(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return cells.max((1, 2))


def test_what_is_frozen_stays_as_it_is_in_the_file(surfaces: Dataset) -> None:
    fitted = fit(surfaces, Mixed(**{**TINY, "rate": 0.01, "held_out": 0.0}))
    backbone = open_backbone(Mixed.backbone)
    stages = Stages.of(backbone, ("block4", "block10"), "block10")
    features = FrozenFeatures(backbone, stages, Exposure())(IMAGES)
    from blemish.features.session import open_session
    from blemish.graph.join import trunk

    model = Path(str(surfaces.root / "model.onnx"))
    model.write_bytes(fitted.graph)
    session = open_session(trunk(model, ["block4", "block10"]))
    for name, values in features.items():
        np.testing.assert_allclose(session.run([name], {"image": IMAGES})[0], values, atol=1e-5)


def test_a_training_begins_exactly_where_a_model_ended(surfaces: Dataset) -> None:
    """At a rate of 0 nothing moves: the model that comes out is the one that went in."""
    detector = Mixed(**{**TINY, "rate": 0.01, "held_out": 0.0})
    first = fit(surfaces, detector)
    still = fit(surfaces, replace(detector, rate=0.0, weight_decay=0.0), warm_start=first.graph)
    assert still.graph == first.graph
    assert fit(surfaces, detector, warm_start=first.graph).graph != first.graph


@pytest.mark.parametrize("other", [{"hidden": 32}, {"hidden": None}, {"layers": ("block10",)}])
def test_a_model_with_other_settings_is_no_beginning(
    surfaces: Dataset, other: dict[str, Any]
) -> None:
    first = fit(surfaces, Mixed(**{**TINY, **other, "held_out": 0.0}))
    with pytest.raises(BlemishError, match="made with other settings of the network"):
        fit(surfaces, Mixed(**TINY), warm_start=first.graph)


def test_units_are_those_of_all_patches_together(surfaces: Dataset) -> None:
    """Though they go through the network in pieces."""
    backbone = open_backbone(Mixed.backbone)
    stages = Stages.of(backbone, ("block4", "block14"), "block4")
    many = np.random.default_rng(1).integers(0, 256, (70, 32, 32, 3), np.uint8)
    known = FrozenFeatures(backbone, stages, Exposure())(many)
    network = PatchClassifier(backbone, stages, 8)
    network.learn_units(known)
    x = network.head.stack(network.layers(known)).detach()
    np.testing.assert_allclose(network.head.mean[:, 0, 0], x.mean((0, 2, 3)), atol=1e-4)
    wide = x.std((0, 2, 3)) > 1e-2
    unit = network.head.unit.detach()[:, 0, 0]
    np.testing.assert_allclose(unit[wide], x.std((0, 2, 3))[wide], rtol=1e-2)


# How long, and judged by whom.


def test_the_rate_falls_as_a_cosine_and_begins_anew() -> None:
    detector = Mixed(steps=700, cycle=100, growth=2)
    rate = detector.rate_at
    starts = [0, 100, 300]  # cycles of 100, 200 and 400 steps
    assert [rate(step) for step in starts] == [1.0, 1.0, 1.0]
    assert [rate(step) for step in (50, 200, 500)] == pytest.approx([0.5] * 3)
    assert all(rate(step - 1) < 0.001 for step in (100, 300, 700))
    assert Mixed(steps=40).rate_at(20) == pytest.approx(0.5)
    assert Mixed(steps=40).rate_at(39) < 0.01
    equal = Mixed(steps=300, cycle=100, growth=1)
    assert [equal.rate_at(step) for step in (0, 100, 200)] == [1, 1, 1]


@pytest.mark.parametrize(("repeats", "share"), [(None, 0.5), (20, 0.3), (100, 0.5), (0, 0.0)])
def test_a_picture_of_a_real_defect_is_not_shown_more_than_that_often(
    surfaces: Dataset, repeats: int | None, share: float
) -> None:
    """Of 400 presentations, six pictures."""
    detector = Mixed(steps=100, batch=4, patch_size=64, real=0.5, repeats=repeats)
    shown = detector._sampler(surfaces, Recipe(64, 64, "pad", tile=64), 64, 0)
    assert shown.real_share == pytest.approx(share)


def test_no_part_is_on_both_sides(surfaces: Dataset) -> None:
    learnt, held = hold_out_validation_parts(surfaces, 0.25, 3)
    assert held is not None
    assert not set(learnt.parts) & set(held.parts)
    assert len(held.good().parts) == 3
    assert len(held.real().parts) == 2  # of six
    assert len(learnt) + len(held) == len(surfaces)


def test_defects_on_the_plates_of_good_patches_go_where_the_plates_go(tmp_path: Path) -> None:
    rows: list[Row] = [
        {
            "image": f"{plate}{kind}.png",
            "part": plate,
            "split": "train",
            "label": "good" if kind == "good" else "defective",
            "defect": None if kind == "good" else kind,
        }
        for plate in "abcdefgh"
        for kind in ("good", "dent", "synthetic")
    ]
    learnt, held = hold_out_validation_parts(dataset(tmp_path, rows), 0.25, 0)
    assert held is not None
    assert len(held) == 6
    assert not set(learnt.parts) & set(held.parts)


def test_drawn_defects_are_held_out_too_and_few_parts_are_not(surfaces: Dataset) -> None:
    drawn = surfaces.with_table(
        surfaces.table.with_columns(defect=pl.col("defect").replace("square", "synthetic"))
    )
    _, held = hold_out_validation_parts(drawn, 0.25, 0)
    assert held is not None
    assert len(held.synthetic()) == 2
    assert hold_out_validation_parts(surfaces, 0.0, 0) == (surfaces, None)
    few = surfaces.where(pl.col("part").is_in([*surfaces.good().parts[:4], "bad 1"]))
    assert hold_out_validation_parts(few, 0.25, 0)[1] is None


def test_the_latest_step_stays_that_is_no_worse_by_held_out_parts(
    surfaces: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training of which every later step is worse ends early, at the model of the best one."""
    settings = {**TINY, "every": 2, "patience": 2, "rate": 0.0, "weight_decay": 0.0, "real": 0.2}
    detector = Mixed(**{**settings, "steps": 20})
    unmoved = fit(surfaces, detector)
    assert unmoved.facts["best_step"] == unmoved.facts["steps"] == 20  # never worse

    measured = iter([(0.1, 0.05), (0.14, 0.05), (0.2, 0.05), (0.3, 0.05)])
    with monkeypatch.context() as patched:
        patched.setattr(Mixed, "_misranked", lambda *_: next(measured))
        fitted = fit(surfaces, detector)
    assert fitted.facts["best_step"] == 4
    assert fitted.facts["steps"] == fitted.facts["steps_planned"] == 8
    assert fitted.finished
    assert unmoved.graph == fitted.graph  # nothing has moved
    alone = fit(surfaces, replace(detector, held_out=0.0))
    assert "best_step" not in alone.facts


def test_held_out_parts_without_a_defect_end_nothing(surfaces: Dataset) -> None:
    """With defects of the data alone, and too few of them to hold some out."""
    few = surfaces.where(pl.col("part").is_in([*surfaces.good().parts, "bad 1", "bad 3"]))
    detector = Mixed(**{**TINY, "generator": None, "real": 0.5, "every": 1, "patience": 1})
    fitted = fit(few, detector)
    assert fitted.facts["steps"] == 2
    assert "best_step" not in fitted.facts
    assert fitted.facts["real_images"] == 2


# Weak labels teach.


def with_a_patch(seed: int, root: Path, place: int | None) -> Row:
    """A picture of four patches, of which one has a coarse weave where `place` says."""
    pixels = surface(seed, height=128, width=128).astype(float)
    if place is not None:
        rows, columns = np.indices((44, 44))
        weave = 26 * np.sin(rows / 2.5) * np.sin(columns / 2.5)
        top, left = 64 * (place // 2) + 10, 64 * (place % 2) + 10
        pixels[top : top + 44, left : left + 44] += weave
    save(root / f"{seed}.png", np.clip(pixels, 0, 255).astype(np.uint8))
    row: dict[str, str | None] = {"image": f"{seed}.png", "split": "train", "part": str(seed)}
    return row if place is None else {**row, "label": "defective", "defect": "weave"}


def test_labels_of_whole_pictures_teach_a_defect_that_no_generator_draws(tmp_path: Path) -> None:
    """Large areas of a faint weave; the pictures that are judged were never seen."""
    rows = [with_a_patch(seed, tmp_path, None) for seed in range(24)]
    rows += [with_a_patch(seed, tmp_path, seed % 4) for seed in range(100, 112)]
    seen = [with_a_patch(seed, tmp_path, None) for seed in range(200, 220)]
    seen += [with_a_patch(seed, tmp_path, seed % 4) for seed in range(300, 320)]
    shown = [cv2.imread(str(tmp_path / str(row["image"]))) for row in seen]
    pictures = np.stack([np.asarray(picture, np.uint8) for picture in shown])
    areas = {}
    for real in (0.0, 0.3):
        detector = Mixed(steps=60, batch=16, patch_size=64, rate=0.002, real=real, every=30)
        fitted = fit(dataset(tmp_path, rows), detector, side=128)
        areas[real] = auroc(fitted.score(pictures).score, np.repeat([0, 1], 20))
    print(
        f"AUROC without real defects {areas[0.0]:.3f}, with weakly labelled ones {areas[0.3]:.3f}"
    )
    assert areas[0.3] is not None
    assert areas[0.0] is not None
    assert areas[0.3] > 0.9
    assert areas[0.3] > areas[0.0] + 0.15


# The preset of the paper.


def test_the_papers_preset_trains_all_of_a_resnet(surfaces: Dataset) -> None:
    import_backbone("resnet18-random", random=0)
    settings = {"backbone": "resnet18-random", "steps": "2", "batch": "2", "patch": "64"}
    detector = open_detector("mixed", settings, preset="paper")
    assert isinstance(detector, Mixed)
    assert detector.frozen is None
    assert detector.pooling == "mean"
    assert detector.rate_at(7813) == 1.0
    fitted = fit(surfaces, detector)
    assert fitted.facts["steps"] == 2
    found = fitted.score(IMAGES)
    assert found.map.shape == (2, 2, 2)
    np.testing.assert_allclose(found.score, found.map.mean((1, 2)), atol=1e-4)


def test_the_mean_of_a_patch_counts_what_is_inside_alone(surfaces: Dataset) -> None:
    """Of a picture smaller than a patch the cells that it has; whole patches of a larger one."""
    detector = Mixed(**{**TINY, "pooling": "mean", "held_out": 0.0})
    fitted = fit(surfaces, detector)
    whole, small = fitted.score(IMAGES), np.array([[0, 0, 32, 48]] * 2, np.float32)
    np.testing.assert_allclose(whole.score, whole.map.mean((1, 2)), atol=1e-5)
    part = fitted.score(IMAGES, small)
    np.testing.assert_allclose(part.score, part.map[:, :2, :3].mean((1, 2)), atol=1e-5)


# The command line.

QUICK = [
    *("--detector", "mixed", "--size", 64, "--set", "patch_size=64"),
    *("--set", "steps=60", "--set", "batch=16", "--set", "every=30"),
]


@pytest.fixture(scope="module")
def dents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plates, of which some dented ones are known: a table says which."""
    root = save_set(tmp_path_factory.mktemp("dents") / "plates", train=16, good=8, dents=14)
    lines = ["image,split,label,defect,mask"]
    lines += [f"train/good/{n:03}.png,train,good,," for n in range(16)]
    lines += [f"test/good/{n:03}.png,test,good,," for n in range(100, 108)]
    lines += [
        f"test/dent/{n:03}.png,{'train' if n < 206 else 'test'},defective,dent,"
        f"ground_truth/dent/{n:03}_mask.png"
        for n in range(200, 214)
    ]
    (root / "dents.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "dents.csv"


def test_known_defects_teach_through_the_command_line(
    cli: Cli, dents: Path, tmp_path: Path
) -> None:
    model, maps = tmp_path / "m.blemish", tmp_path / "maps"
    run = cli("train", dents, "-o", model, *QUICK, "--set", "real=0.3")
    assert run.code == 0, run.err
    assert "good parts and 6 defective parts in" in run.out
    card = open_artifact(model).card
    assert card.recipe.tile == 64  # nothing is resized
    taught = card.data.taught
    assert taught is not None
    assert (taught.images, taught.defects) == (6, {"dent": 6})
    assert card.fit["real_images"] in (5, 6)  # one of six may be held out
    assert {"test/dent/200.png"} <= set(card.data.trained_parts)
    assert cli("evaluate", model, dents).code == 0
    folder = dents.parent / "test/dent"
    assert cli("inspect", model, folder / "210.png", "--heatmaps", maps).code == 0
    assert len(list(maps.iterdir())) == 1
    from blemish.inspector import Inspector

    inspector, hits = Inspector.of(open_artifact(model)), 0
    for seed in range(206, 214):
        map_ = inspector.look(folder / f"{seed}.png").map
        row, column = np.unravel_index(map_.argmax(), map_.shape)
        top, left, bottom, right = dent_box(seed)
        hits += top - 8 <= row < bottom + 8 and left - 8 <= column < right + 8
    assert hits >= 7


def test_cross_fitting_and_view_scales_teach_the_defects_in_every_fold(
    cli: Cli, dents: Path, tmp_path: Path
) -> None:
    table = pl.read_csv(dents)
    numbers = range(table.height)
    views = pl.Series("view", [("top", "side")[row % 2] for row in numbers])
    parts = pl.Series("part", [str(row // 2) for row in numbers])
    table.with_columns(views, parts).write_csv(dents.parent / "views.csv")
    model = tmp_path / "m.blemish"
    for more in (["--cross-fit", 2], ["--view-scales"]):
        short = [*QUICK, "--set", "steps=2", "--set", "batch=4", *more]
        run = cli("train", dents.parent / "views.csv", "-o", model, *short)
        assert run.code == 0, run.err
        card = open_artifact(model).card
        assert card.data.taught.parts == 3
        assert (card.views is not None) == (more == ["--view-scales"])


def test_a_defect_on_a_part_that_sets_the_threshold_is_not_taught(surfaces: Dataset) -> None:
    table = surfaces.table.with_columns(
        part=pl.col("part").replace({"bad 0": "good 0", "bad 1": "good 11"})
    )
    data = surfaces.with_table(table)
    learnt = data.good().where(pl.col("part") != "good 11")
    taught = with_defects(data, learnt, "mixed").defective()
    assert set(taught.parts) == {"good 0", "bad 2", "bad 3", "bad 4", "bad 5"}
    assert with_defects(data, learnt, "padim") is learnt


@pytest.mark.parametrize(("size", "tile"), [(None, 256), (64, 64), (512, 512)])
def test_whatever_the_size_nothing_is_resized(
    surfaces: Dataset, size: int | None, tile: int
) -> None:
    assert usual_tile("mixed") == 256
    assert make_recipe(Plan(detector="mixed", size=size), surfaces.images).tile == tile
    assert make_recipe(Plan(detector="mixed", size=size, tile=100), surfaces.images).tile == 100
    whole = make_recipe(Plan(detector="mixed", size=size, tile=0), surfaces.images)
    assert (whole.tile, whole.resize) == (None, "squash")
    assert make_recipe(Plan(detector="padim", size=size), surfaces.images).tile is None


@pytest.mark.parametrize(("size", "side"), [(64, 64), (256, 256), (512, 256)])
def test_a_patch_is_as_large_as_the_input_but_no_larger_than_a_tile(size: int, side: int) -> None:
    assert Mixed()._side(Recipe(size, size, "pad")) == side
    assert Mixed(patch_size=32)._side(Recipe(size, size, "pad")) == 32


# Bad input: one sentence, and the way out.


def refused(cli: Cli, data: Path, *more: object) -> Any:
    return cli("train", data, "-o", data.parent / "refused.blemish", *QUICK, *more)


def test_no_good_images(cli: Cli, dents: Path) -> None:
    table = pl.read_csv(dents).filter(pl.col("label") != "good")
    table.write_csv(dents.parent / "no_good.csv")
    refused(cli, dents.parent / "no_good.csv").refusal("no good image")


def test_a_defect_that_is_also_tested(cli: Cli, dents: Path) -> None:
    """As the same picture under another name; the same name twice is refused as ever."""
    twin = dents.parent / "test/dent/twin.png"
    twin.write_bytes((dents.parent / "test/dent/201.png").read_bytes())
    lines = dents.read_text(encoding="utf-8")
    copied = dents.parent / "copied.csv"
    copied.write_text(lines + "test/dent/twin.png,test,defective,dent,\n", encoding="utf-8")
    refused(cli, copied).refusal("test/dent/201.png", "leave them out of one of the two")
    again = dents.parent / "again.csv"
    again.write_text(lines + "test/dent/201.png,test,defective,dent,\n", encoding="utf-8")
    refused(cli, again).refusal("test/dent/201.png", "twice")
    twin.unlink()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["real=1"], ["real=1", "only defects"]),
        (["real=0", "synthetic=0"], ["good parts only"]),
        (["real=0", "generator=none"], ["good parts only"]),
        (["synthetic=1", "real=0"], ["synthetic=1", "only defects"]),
        (["real=1.5"], ["real=1.5"]),
        (["held_out=1"], ["held_out=1.0", "below 1"]),
        (["pooling=median"], ["pooling=median", "peak, mean"]),
        (["patch_size=48"], ["patch_size=48", "a multiple of 32", "64 pixels"]),
        (["patch_size=128", "pooling=mean"], ["patch_size=128", "64 pixels"]),
        (["modality=LSM-9"], ["modality", "LSM-9", "LSM-1"]),
        (["generator=walk"], ["no generator 'walk'", "random_walk"]),
        (["generator_preset=dim"], ["no preset 'dim'", "dark_field"]),
        (["frozen=block99"], ["block99"]),
        (["layers=block4,block99"], ["block99"]),
    ],
)
def test_a_setting_that_makes_no_sense(
    cli: Cli, dents: Path, settings: Sequence[str], words: Sequence[str]
) -> None:
    more = [word for setting in settings for word in ("--set", setting)]
    refused(cli, dents, *more).refusal(*words)


def test_p_of_zero_leaves_real_defects_out(cli: Cli, dents: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    settings = ["--set", "real=0", "--set", "steps=2"]
    assert cli("train", dents, "-o", model, *QUICK, *settings).code == 0


def test_a_picture_that_is_cut_off(cli: Cli, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", range(8))
    cut(good / "005.png", 0.6)
    refused(cli, good).refusal("005.png")


def test_a_large_picture_with_a_label_alone(cli: Cli, dents: Path) -> None:
    save(dents.parent / "large.png", np.zeros((300, 300), np.uint8))
    table = dents.read_text(encoding="utf-8") + "large.png,train,defective,dent,\n"
    file = dents.parent / "large.csv"
    file.write_text(table, encoding="utf-8")
    refused(cli, file).refusal("large.png", "300 x 300 pixels", "a point is enough")


def test_a_stream_of_another_patch_size(cli: Cli, tmp_path: Path) -> None:
    """Smaller ones are refused, larger ones cropped around the defect."""
    for side in (40, 96):
        pixels = np.stack([dented(n, (side, side))[..., 0] for n in range(12)])
        truth = np.stack([dent_mask(n, (side, side)) for n in range(12)])
        truth[:8] = 0
        file = write(tmp_path / f"{side}.h5", {"syn_stream": pixels, "ground_truth": truth})
        run = refused(cli, file, "--set", "generator=none", "--set", "steps=2")
        if side == 40:
            run.refusal("40.h5", "40 x 40", "--size 32 --set patch_size=32")
        else:
            assert run.code == 0, run.err


def test_a_defect_at_the_border(cli: Cli, dents: Path) -> None:
    mask = np.zeros((80, 100), np.uint8)
    mask[:6, 95:] = 255
    save(dents.parent / "corner_mask.png", mask)
    save(dents.parent / "corner.png", np.where(mask > 0, 255, 90).astype(np.uint8))
    lines = dents.read_text(encoding="utf-8") + "corner.png,train,defective,dent,corner_mask.png\n"
    file = dents.parent / "corner.csv"
    file.write_text(lines, encoding="utf-8")
    run = refused(cli, file, "--set", "steps=4", "--set", "real=0.9")
    assert run.code == 0, run.err
