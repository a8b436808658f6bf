"""`blemish defects kinds`: which real defects synthetic ones resemble, and kinds left out."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from defect_runs import defective_set, execute, results
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from plates import dent_mask, dented, plate, save, save_good, save_set
from running import Cli

from blemish.audit.defect_coverage import RealDefect, compare_defects, coverage_by_kind
from blemish.audit.defect_coverage_sheet import HEADS, coverage_sheet
from blemish.audit.defect_patches import (
    SIDE,
    cell_mask,
    cut_patch,
    marked_patches,
    overlapping_starts,
)
from blemish.audit.nearest_neighbours import (
    Whitening,
    masked_mean,
    nearest_known,
    nearest_neighbours,
    nearest_other,
    unit_vectors,
)
from blemish.benchmark.defects import unseen_kinds
from blemish.benchmark.defects.experiment import Experiment, SupervisedDetector, experiment_of
from blemish.benchmark.sources import DataLocation
from blemish.dataset import open_dataset
from blemish.dataset.scaled_images import ScaledImage
from blemish.dataset.splits import divide
from blemish.errors import DatasetError
from blemish.features.backbone import BUNDLED
from blemish.synthesis import open_generator
from blemish.synthesis.base import Synthetic

torch = pytest.importorskip("torch", reason="mixed supervision needs PyTorch")

Floats = npt.NDArray[np.float64]
COUNT = 40  # synthetic defects
POINTS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.just(3)),
    elements=st.floats(-100, 100, allow_subnormal=False).map(lambda x: round(x, 3)),
)


# distances


@given(POINTS, POINTS)
def test_the_nearest_one_is_the_nearest(items: Floats, known: Floats) -> None:
    every = np.linalg.norm(items[:, None] - known[None], axis=2)
    distance, nearest = nearest_known(items, known)
    assert distance == pytest.approx(every.min(axis=1), abs=1e-4)
    assert every[np.arange(len(items)), nearest] == pytest.approx(every.min(axis=1), abs=1e-4)


@given(POINTS)
def test_nobody_is_his_own_neighbour(items: Floats) -> None:
    every = np.linalg.norm(items[:, None] - items[None], axis=2)
    np.fill_diagonal(every, np.inf)
    assert nearest_other(items) == pytest.approx(every.min(axis=1), abs=1e-4)


@given(POINTS, st.floats(0.1, 10))
def test_a_ratio_does_not_depend_on_the_unit(points: Floats, factor: float) -> None:
    known = np.concatenate([points, points + [[1, 2, 3]] * np.arange(1, len(points) + 1)[:, None]])
    assume(nearest_neighbours(points, known).limit > 1e-2)
    one = nearest_neighbours(points + 0.3, known)
    other = nearest_neighbours(factor * (points + 0.3), factor * known)
    assert other.ratio == pytest.approx(one.ratio, rel=1e-3, abs=1e-3)


def test_what_lies_among_the_known_is_like_them_and_what_lies_apart_is_not() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(200, 3))
    found = nearest_neighbours(np.array([[0.1, 0, 0], [9.0, 9, 9]]), known)
    assert found.like.tolist() == [True, False]
    assert found.ratio[1] > 3


def test_ninety_five_of_a_hundred_known_ones_are_like_the_others() -> None:
    known = np.random.default_rng(1).normal(size=(100, 4))
    assert (nearest_other(known) <= nearest_neighbours(known, known).limit).sum() == 95


def test_a_direction_has_no_strength() -> None:
    vectors = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    assert unit_vectors(vectors) == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))


def test_good_cells_have_mean_0_and_about_unit_variance() -> None:
    rng = np.random.default_rng(2)
    good = (rng.normal(size=(5000, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 5]]) + 7).astype(
        np.float32
    )
    seen = Whitening.of(good).apply(good)
    assert np.abs(seen.mean(axis=0)).max() < 1e-2
    # What is added to the variances, so that a dead channel does not count, shrinks them a little.
    assert np.cov(seen.T) == pytest.approx(np.eye(3), abs=0.15)


def test_pooling_takes_the_marked_cells_or_all() -> None:
    cells = np.arange(8.0).reshape(2, 2, 2)
    mask = np.array([[False, True], [False, False]])
    assert masked_mean(cells, mask).tolist() == [2, 3]
    assert masked_mean(cells, np.zeros((2, 2), bool)).tolist() == [3, 4]


# patches


def test_the_patch_lies_around_the_largest_piece_and_inside_the_picture() -> None:
    pixels = np.zeros((200, 300), np.uint8)
    small = np.argwhere(np.pad(np.ones((3, 3)), ((50, 147), (50, 247))) > 0)
    large = np.argwhere(np.pad(np.ones((20, 10)), ((180, 0), (290, 0))) > 0)
    [patch] = marked_patches(ScaledImage(pixels, None, (small, large)))
    assert patch.pixels.shape == (SIDE, SIDE, 3)
    assert patch.mask.sum() == 200
    assert patch.mask[-1, -1]  # a defect in the corner of the picture
    assert marked_patches(ScaledImage(pixels, None, ())) == []
    ring = np.zeros((400, 400), np.uint8)
    cv2.circle(ring, (200, 200), 180, 1, 2)
    [patch] = marked_patches(ScaledImage(ring, None, (np.argwhere(ring),)))
    assert np.array_equal(patch.mask, patch.pixels[..., 0] > 0)
    assert patch.mask.any()


@given(st.integers(SIDE, 700))
def test_patches_cover_a_side_and_stay_in_it(side: int) -> None:
    starts = overlapping_starts(side)
    assert (starts[0], starts[-1]) == (0, side - SIDE)
    assert all(0 < after - before <= SIDE // 2 for before, after in itertools.pairwise(starts))


def test_the_mark_of_a_cell_ends_at_the_border() -> None:
    mask = cell_mask(0, 7, 16)
    assert mask[:32, 96:].all()
    assert mask.sum() == 32 * 32
    assert not cut_patch(ScaledImage(np.zeros((SIDE, SIDE), np.uint8), None, ()), 0, 0).mask.any()


# real and synthetic


class Dents:
    """A generator of the very dents that some of the real defects are."""

    def __call__(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> Synthetic:
        after, mask = image.copy(), np.zeros(image.shape[:2], bool)
        top, left = rng.integers(8, SIDE - 24, 2)
        after[top : top + 16, left : left + 16] = np.clip(
            after[top : top + 16, left : left + 16].astype(int) + 50, 0, 255
        )
        inner = np.s_[top + 4 : top + 12, left + 4 : left + 12]
        after[inner] = np.clip(image[inner].astype(int) - 70, 0, 255)
        mask[top : top + 16, left : left + 16] = True
        return Synthetic(after, mask)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plates of 140 x 150 pixels with dents, and with a grid that no dent is like."""
    root, shape = tmp_path_factory.mktemp("pictured") / "set", (140, 150)
    save_good(root / "train/good", range(8), shape)
    for seed in range(200, 203):
        save(root / f"test/dent/{seed}.png", dented(seed, shape))
        save(root / f"ground_truth/dent/{seed}_mask.png", dent_mask(seed, shape))
        lines, mask = plate(seed + 50, shape), np.zeros(shape, np.uint8)
        lines[30:100:6, 30:100] = 255
        mask[30:100, 30:100] = 255
        save(root / f"test/lines/{seed}.png", lines)
        save(root / f"ground_truth/lines/{seed}_mask.png", mask)
    return root


@pytest.fixture(scope="module")
def compared(pictured: Path) -> list[RealDefect]:
    return compare_defects(open_dataset(pictured), Dents(), BUNDLED, count=COUNT)


def test_a_kind_that_no_synthetic_defect_is_like_comes_first(
    compared: list[RealDefect], pictured: Path
) -> None:
    found = compared
    assert len(found) == 6
    assert [defect.ratio for defect in found] == sorted((d.ratio for d in found), reverse=True)
    lines, dents = coverage_by_kind(found)
    assert (lines.kind, dents.kind) == ("lines", "dent")
    assert lines.like_synthetic == 0
    assert dents.like_synthetic == 3
    assert {defect.kind for defect in found[:3]} == {"lines"}
    again = compare_defects(open_dataset(pictured), Dents(), BUNDLED, count=COUNT)
    assert [d.ratio for d in again] == [d.ratio for d in found]


def test_without_masks_the_most_departing_place_stands_for_the_defect(
    pictured: Path, tmp_path: Path
) -> None:
    data = open_dataset(pictured)
    table = data.table.with_columns(mask=None).cast({"mask": str})
    found = compare_defects(data.with_table(table), Dents(), BUNDLED, count=COUNT)
    for defect in found:
        if defect.kind == "lines":
            rows, columns = np.nonzero(defect.shown.mask)
            assert defect.shown.pixels[rows, columns].max() == 255  # the lines' white
    assert coverage_by_kind(found)[0].kind == "lines"


def test_the_sheet_has_a_row_for_each_of_the_first(compared: list[RealDefect]) -> None:
    found = compared
    one, three = coverage_sheet(found[:1]), coverage_sheet(found[:3])
    assert one.shape[1] == len(HEADS) * 246 + 6
    assert three.shape[0] - one.shape[0] == 2 * (one.shape[0] - 20)
    assert coverage_sheet(found * 3).shape == coverage_sheet((found * 3)[:12]).shape


def test_defects_that_cannot_be_seen_are_too_few_to_compare_with(pictured: Path) -> None:
    def nothing(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> Synthetic:
        return Synthetic(image, np.zeros(image.shape[:2], bool))

    with pytest.raises(DatasetError, match="0 synthetic defects that can be seen are too few"):
        compare_defects(open_dataset(pictured), nothing, BUNDLED, count=3)
    with pytest.raises(DatasetError, match="are too few"):  # none lie in the data either
        compare_defects(open_dataset(pictured), None, BUNDLED)


def test_drawn_defects_of_the_data_serve_as_well(tmp_path: Path) -> None:
    root, shape = tmp_path / "set", (SIDE, SIDE)
    save_good(root / "train/good", range(4), shape)
    for kind, seeds in (("synthetic", range(300, 320)), ("dent", range(200, 202))):
        for seed in seeds:
            save(root / f"test/{kind}/{seed}.png", dented(seed, shape))
            save(root / f"ground_truth/{kind}/{seed}_mask.png", dent_mask(seed, shape))
    found = compare_defects(open_dataset(root), None, BUNDLED)
    assert [defect.kind for defect in found] == ["dent", "dent"]
    assert all(defect.like_synthetic for defect in found)


# kinds left out


def make_experiment(root: Path, draws: int = 2) -> Experiment:
    return experiment_of(DataLocation(str(root)), None, SupervisedDetector("mixed"), draws=draws)


def test_a_kind_left_out_is_all_in_the_test_with_good_parts(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"))
    [job] = unseen_kinds.plan_unseen(experiment).without["dent"][0]
    sides = divide(experiment.data, str(job.run.split), 0, dict(job.run.split_settings)).data
    assert set(sides.split("train").real().table["defect"]) == {"scratch"}
    dents = experiment.data.table.filter(experiment.data.table["defect"] == "dent")["part"]
    assert set(dents) <= set(sides.split("test").parts)
    assert len(sides.split("test").good()) == 10


def test_recall_unseen_stands_beside_recall_seen(tmp_path: Path) -> None:
    root = defective_set(tmp_path / "set", kinds={"dent": 12, "scratch": 12})
    experiment = make_experiment(root)
    planned = unseen_kinds.plan_unseen(experiment)
    assert len(planned.in_order()) == 2 * (2 + 5)
    found = unseen_kinds.unseen_of(
        experiment, planned, results(planned.in_order(), tmp_path / "out")
    )
    assert [one.kind for one in found] == ["dent", "scratch"]
    for one in found:
        told = one.to_json()
        assert (told["unseen"]["parts"], told["unseen"]["recall"]) == (12, 0)
        assert (told["seen"]["parts"], told["seen"]["recall"]) == (12, 1)
        assert told["unseen"]["good_parts"] == told["seen"]["good_parts"] - 10 == 10
        assert told["change"]["proven"]


def test_kinds_come_as_they_are_there(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"), draws=1)
    planned = unseen_kinds.plan_unseen(experiment)
    made = results([job for jobs in planned.without["dent"] for job in jobs], tmp_path / "out")
    [one] = unseen_kinds.unseen_of(experiment, planned, made)
    assert (one.kind, one.seen, one.change) == ("dent", None, None)


def test_the_runs_survive(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set", kinds={"dent": 8}), draws=1)
    planned = unseen_kinds.plan_unseen(experiment, folds=2)
    _, first = unseen_kinds.make_unseen(experiment, planned, tmp_path / "out", execute=execute)
    found, second = unseen_kinds.make_unseen(experiment, planned, tmp_path / "out", execute=execute)
    assert (first.runs, second.runs, len(found)) == (3, 0, 1)


def test_data_without_kinds_cannot_leave_one_out(tmp_path: Path) -> None:
    root = save_set(tmp_path / "set", masks=False)
    rows = ["image,label,split"]
    rows += [f"train/good/{i:03}.png,good,train" for i in range(20)]
    rows += [f"test/dent/{i}.png,defective,test" for i in range(200, 206)]
    (root / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DatasetError, match="tells no kinds of defect"):
        unseen_kinds.plan_unseen(make_experiment(root / "table.csv"))


# the command line


def test_the_command_compares_draws_and_trains(cli: Cli, pictured: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = cli("defects", "kinds", pictured, "-o", out, "--no-training", "--quiet", "--json", "-")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert told == json.loads((out / "kinds.json").read_text(encoding="utf-8"))
    assert [kind["parts"] for kind in told["kinds"]] == [3, 3]
    assert len(told["parts"]) == 6
    sheet = cv2.imread(str(out / "unlike.png"))
    assert sheet.shape == (20 + 6 * 266, 990, 3)


def test_the_command_tells_unseen_beside_seen(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = functools.partial(unseen_kinds.make_unseen, execute=execute)
    monkeypatch.setattr(unseen_kinds, "make_unseen", planted)
    monkeypatch.setattr("blemish.audit.defect_coverage.compare_defects", lambda *_, **__: [])
    monkeypatch.setattr("blemish.audit.defect_coverage_sheet.write_sheet", lambda *_: None)
    root = defective_set(tmp_path / "set", kinds={"dent": 12, "scratch": 4})
    run = cli("defects", "kinds", root, "-o", tmp_path / "out", "--draws", 1, "--quiet")
    assert run.code == 0, run.err
    *_, dent, scratch, said = run.out.splitlines()
    assert dent.split()[:4] == ["dent", "12", "0", "(0.0"]
    assert scratch.split()[:4] == ["scratch", "4", "0", "(0.0"]
    assert said == "Seeing the kind raises its recall, as these parts prove: dent."  # four cannot


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--detector", "patchcore"], ["patchcore does not learn from defects", "mixed"]),
        (["--folds", "1"], ["k=1 must be at least 2"]),
        (["--draws", "0"], ["--draws 0"]),
        (["--set", "generator=dents"], ["dents"]),
    ],
)
def test_a_bad_wish_is_refused_in_one_sentence(
    cli: Cli, plates: Path, tmp_path: Path, more: list[str], words: list[str]
) -> None:
    run = cli("defects", "kinds", plates, "-o", tmp_path / "out", "--quiet", *more)
    run.refusal(*words)
    assert not (tmp_path / "out").exists()


def test_random_walks_are_the_usual_synthetic_defects() -> None:
    made = open_generator("random_walk")(plate(1, (SIDE, SIDE)), np.random.default_rng(0))
    assert made.mask.any()
