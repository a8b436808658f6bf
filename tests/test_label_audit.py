"""A label audit finds planted errors, takes decisions back in, and tells of hidden defects."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plates import VIEW_PATTERN, dent_mask, dented, plate, save, save_set, save_views
from running import Cli

from blemish.audit.judge_scores import JudgeSettings, image_groups
from blemish.audit.judges import JUDGES, cross_fitted, defect_log_odds, part_means
from blemish.audit.mask_doubts import judge_masks
from blemish.audit.mixture import share_from_scores
from blemish.audit.patch_features import mask_cells
from blemish.audit.random_inspection import hypergeometric_interval, share_from_inspection
from blemish.dataset import open_dataset
from blemish.detectors import open_detector

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plates of which one dented one is called good and one good one is called dented."""
    root = save_set(tmp_path_factory.mktemp("audit") / "plates", train=20, dents=12)
    save(root / "train/good/hidden.png", dented(300))
    save(root / "test/dent/sound.png", plate(301))
    return root


@pytest.fixture
def copied(wrong: Path, tmp_path: Path) -> Path:
    """The same in a folder that a test may change."""
    root = tmp_path / "plates"
    for file in wrong.rglob("*.png"):
        save_to = root / file.relative_to(wrong)
        save_to.parent.mkdir(parents=True, exist_ok=True)
        save_to.write_bytes(file.read_bytes())
    return root


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Rows, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def audit(cli: Cli, data: Path, out: Path, *more: object) -> None:
    run = cli("label", "audit", data, "-o", out, "--quiet", *more)
    assert run.code == 0, run.err


@pytest.fixture(scope="module")
def listed(wrong: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a first round and its review list."""
    from blemish.cli import main

    out = tmp_path_factory.mktemp("audited") / "out"
    assert main(["label", "audit", str(wrong), "-o", str(out), "--quiet", "--list", "20%"]) == 0
    return out, out / "round1" / "review.csv"


def filled(listed: tuple[Path, Path], out: Path, fill: Callable[[Rows], Rows]) -> Path:
    """A copy of the first round in `out`, its list changed by `fill`."""
    held = out / "round1"
    held.mkdir(parents=True)
    (held / "list.json").write_bytes((listed[0] / "round1/list.json").read_bytes())
    return write(held / "review.csv", fill(read(listed[1])))


def test_planted_errors_lead_the_list(listed: tuple[Path, Path]) -> None:
    first = {row["image"]: row["suggested"] for row in read(listed[1])[:2]}
    assert first == {"train/good/hidden.png": "defective", "test/dent/sound.png": "good"}


def test_the_gallery_shows_every_row_and_loads_nothing(listed: tuple[Path, Path]) -> None:
    page = (listed[0] / "round1/review.html").read_text(encoding="utf-8")
    assert page.count("<figure") == len(read(listed[1]))
    assert "hidden.png" in page
    assert 'src="' not in page


def test_a_round_made_again_is_the_same(cli: Cli, wrong: Path, listed: tuple[Path, Path]) -> None:
    before = listed[1].read_bytes()
    rows = read(listed[1])
    rows[0]["decision"] = "keep"
    write(listed[1], rows)
    audit(cli, wrong, listed[0], "--list", "20%")
    assert read(listed[1])[0]["decision"] == "keep"  # a person's work is not overwritten
    listed[1].write_bytes(before)


def test_decisions_make_a_table_with_history_and_the_next_round(cli: Cli, copied: Path) -> None:
    out = copied.parent / "out"
    audit(cli, copied, out, "--list", "20%")
    rows = read(out / "round1/review.csv")
    for row in rows[:2]:
        row["decision"] = row["suggested"]
    rows[2]["decision"] = "Remove"
    review = write(copied.parent / "filled.csv", rows)
    figures = copied.parent / "figures.json"
    audit(cli, copied, out, "--list", "20%", "--apply", review, "--next", "--json", figures)
    again = open_dataset(copied / "audited.csv").table
    table = pl.read_csv(copied / "audited.csv")
    label = dict(zip(table["image"], table["label"], strict=True))
    assert label["train/good/hidden.png"] == "defective"
    assert label["test/dent/sound.png"] == "good"
    assert rows[2]["image"] not in label
    assert again.filter(image="train/good/hidden.png")["split"].to_list() == ["test"]
    history = dict(zip(table["image"], table["history"], strict=True))
    assert history["test/dent/sound.png"] == "given defective; round 1: good"
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert told["round"] == 2
    assert told["precisions"][1] > told["precisions"][0]
    assert told["settled"] is False
    second = {row["image"] for row in read(out / "round2/review.csv")}
    assert not second & {row["image"] for row in rows[:3]}


def test_a_list_saved_by_a_spreadsheet_is_read(
    cli: Cli, copied: Path, tmp_path: Path, listed: tuple[Path, Path]
) -> None:
    """Semicolons, a byte-order mark, rows sorted, and a part's name turned into a date."""
    out = tmp_path / "out"
    audit(cli, copied, out, "--list", "20%")
    rows = read(out / "round1/review.csv")
    rows[0].update(decision="NG", part="02. Jan", image="02. Jan")
    review = write(tmp_path / "saved.csv", rows[::-1], ";", "utf-8-sig")
    run = cli("label", "audit", copied, "-o", out, "--apply", review, "--quiet")
    assert run.code == 0
    assert "hidden.png reads 02. Jan" in run.err[0]
    table = pl.read_csv(copied / "audited.csv")
    assert table.filter(image="train/good/hidden.png")["label"].to_list() == ["defective"]


def kept(rows: Rows) -> Rows:
    rows[0]["decision"] = "keep"
    return rows


def other_word(rows: Rows) -> Rows:
    rows[0]["decision"] = "defectiv"
    return rows


def two_decisions(rows: Rows) -> Rows:
    rows[0]["decision"] = "good"
    return [*rows, {**rows[0], "decision": "defective"}]


def sorted_apart(rows: Rows) -> Rows:
    for row, image in zip(rows, sorted(row["image"] for row in rows), strict=True):
        row["image"] = image
    return rows


def of_another_set(rows: Rows) -> Rows:
    rows[0].update(image="train/good/other.png", check="id-0123456789ab")
    return rows


def without_check(rows: Rows) -> Rows:
    return [{**row, "check": ""} for row in rows]


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (other_word, ["line 2", "'defectiv' is no decision", "Did you mean 'defective'?"]),
        (two_decisions, ["'good' in line 2", "'defective' in line"]),
        (sorted_apart, ["sorted apart"]),
        (of_another_set, ["other.png", "another data set or round"]),
        (without_check, ["the check ''", "not that of this list"]),
        (lambda rows: rows, ["holds no decision"]),
        (lambda rows: [{"image": row["image"]} for row in rows], ["no column 'check'"]),
    ],
)
def test_a_list_that_says_no_clear_thing_is_refused(
    cli: Cli,
    wrong: Path,
    tmp_path: Path,
    listed: tuple[Path, Path],
    fill: Callable[[Rows], Rows],
    words: list[str],
) -> None:
    review = filled(listed, tmp_path / "out", fill)
    run = cli("label", "audit", wrong, "-o", tmp_path / "out", "--apply", review)
    run.refusal(review, *words)
    assert not (wrong / "audited.csv").exists()


def test_rows_that_are_gone_count_as_undecided(
    cli: Cli, wrong: Path, tmp_path: Path, listed: tuple[Path, Path]
) -> None:
    review = filled(listed, tmp_path / "out", lambda rows: [{**rows[0], "decision": "keep"}])
    table = wrong / "kept.csv"
    run = cli("label", "audit", wrong, "-o", tmp_path / "out", "--apply", review, "--table", table)
    assert run.code == 0
    assert "rows of the list; they count as undecided" in run.err[0]
    table.unlink()


def test_a_list_of_another_data_set_is_refused(
    cli: Cli, plates: Path, tmp_path: Path, listed: tuple[Path, Path]
) -> None:
    review = filled(listed, tmp_path / "out", lambda rows: rows)
    run = cli("label", "audit", plates, "-o", tmp_path / "out", "--apply", review)
    run.refusal("another data set", plates)


def test_a_table_that_could_not_name_its_images_is_refused(
    cli: Cli, wrong: Path, tmp_path: Path, listed: tuple[Path, Path]
) -> None:
    review = filled(listed, tmp_path / "out", kept)
    table = tmp_path / "elsewhere" / "t.csv"
    run = cli("label", "audit", wrong, "-o", tmp_path / "out", "--apply", review, "--table", table)
    run.refusal("below", wrong / "t.csv")
    assert not (tmp_path / "out/round1/decisions.json").exists()


def test_no_other_table_is_written_over(
    cli: Cli, copied: Path, tmp_path: Path, listed: tuple[Path, Path]
) -> None:
    out, own = tmp_path / "out", copied / "own.csv"
    audit(cli, copied, out)
    review = write(tmp_path / "filled.csv", kept(read(out / "round1/review.csv")))
    own.write_text("image,label\n", encoding="utf-8")
    apply = ("label", "audit", copied, "-o", out, "--apply", review, "--table")
    cli(*apply, own).refusal(own, "no table of an audit")
    assert own.read_text(encoding="utf-8") == "image,label\n"
    for table in (copied / "a.csv", copied / "a.parquet"):
        assert [cli(*apply, table).code for _ in range(2)] == [0, 0]
        assert len(open_dataset(table)) == len(open_dataset(copied))


def test_a_list_with_decisions_is_kept_when_a_new_one_is_made(
    cli: Cli, copied: Path, tmp_path: Path
) -> None:
    audit(cli, copied, tmp_path / "out", "--list", "10%")
    held = (tmp_path / "out/round1/review.csv").read_bytes()
    audit(cli, copied, tmp_path / "out", "--list", "30%")
    assert (tmp_path / "out/round1/review-1.csv").read_bytes() == held
    assert len(read(tmp_path / "out/round1/review.csv")) > held.count(b"\n") - 1


def test_apply_before_any_round_is_refused(cli: Cli, wrong: Path, tmp_path: Path) -> None:
    run = cli("label", "audit", wrong, "-o", tmp_path, "--apply", tmp_path / "review.csv")
    run.refusal("no review list yet")


def test_too_few_parts_are_refused(cli: Cli, tmp_path: Path) -> None:
    root = save_views(tmp_path / "views", range(2))
    pattern = ("--part-pattern", VIEW_PATTERN)
    cli("label", "audit", root, "-o", tmp_path / "out", *pattern).refusal("2 part(s)")


def test_more_groups_than_parts_are_refused(cli: Cli, wrong: Path, tmp_path: Path) -> None:
    run = cli("label", "audit", wrong, "-o", tmp_path / "out", "--groups", "99")
    run.refusal("99 groups")


def test_only_defective_labels_are_refused(cli: Cli, tmp_path: Path) -> None:
    for seed in range(4):
        save(tmp_path / f"{seed}.png", dented(seed))
    table = tmp_path / "all.csv"
    table.write_text("image,label\n" + "".join(f"{n}.png,defective\n" for n in range(4)))
    run = cli("label", "audit", table, "-o", tmp_path / "out")
    run.refusal("no image labelled good")


def test_an_image_that_went_missing_is_named(copied: Path, tmp_path: Path) -> None:
    from blemish.audit.rounds import AuditSettings, make_round
    from blemish.errors import DatasetError

    data = open_dataset(copied)
    (copied / "train/good/003.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of its images: train/good/003\.png"):
        make_round(data, tmp_path / "out", AuditSettings())


def test_a_set_called_good_is_ranked_and_its_share_told(
    cli: Cli, copied: Path, tmp_path: Path
) -> None:
    """All labels are the same and there are no masks: looks answer for the share."""
    root, out, figures = copied / "train" / "good", tmp_path / "out", tmp_path / "f.json"
    audit(cli, root, out, "--looks", 99)
    rows = read(out / "round1/review.csv")
    assert {row["list"] for row in rows} == {"label", "random"}
    assert len(rows) == 21
    assert "hidden" in rows[0]["image"]
    for row in rows:
        row["decision"] = "defective" if "hidden" in row["image"] else "keep"
    review = write(tmp_path / "filled.csv", rows)
    audit(cli, root, out, "--apply", review, "--json", figures)
    share = json.loads(figures.read_text(encoding="utf-8"))["share_with_looks"]
    assert share == pytest.approx({"estimate": 1 / 21, "low": 1 / 21, "high": 1 / 21, "looks": 21})


def test_scores_damaged_on_disk_are_made_again(cli: Cli, copied: Path, tmp_path: Path) -> None:
    audit(cli, copied, tmp_path / "out")
    before = (tmp_path / "out/round1/review.csv").read_bytes()
    [scores] = (tmp_path / "out/scores").glob("*.npz")
    scores.write_bytes(scores.read_bytes()[:100])
    audit(cli, copied, tmp_path / "out")
    assert (tmp_path / "out/round1/review.csv").read_bytes() == before


def test_a_detector_judges_too_and_goes_on_where_it_was_stopped(
    cli: Cli, wrong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = open_detector("patchcore", {"bank": "50"})
    monkeypatch.setattr("blemish.audit.judge_scores.open_detector", lambda name: small)
    monkeypatch.setattr("blemish.audit.judge_scores.usual_size", lambda name: 64)
    audit(cli, wrong, tmp_path / "out", "--detector", "patchcore")
    before = (tmp_path / "out/round1/review.csv").read_bytes()
    assert b"(patchcore)" in before
    scores = sorted((tmp_path / "out/scores").glob("*.npz"))
    groups = [file for file in scores if "-" in file.name]
    assert len(groups) == 3
    for file in {*scores} - {*groups[1:]}:  # as if killed: one group and the whole are not there
        file.unlink()
    written = [file.stat().st_mtime_ns for file in groups[1:]]
    audit(cli, wrong, tmp_path / "out", "--detector", "patchcore")
    assert [file.stat().st_mtime_ns for file in groups[1:]] == written
    assert (tmp_path / "out/round1/review.csv").read_bytes() == before


def test_images_of_a_part_share_group_and_doubt(tmp_path: Path) -> None:
    root = save_views(tmp_path / "views", range(6))
    data = open_dataset(root, part_pattern=VIEW_PATTERN)
    groups = image_groups(data, JudgeSettings())
    for part in data.parts:
        assert len(set(groups[(data.table["part"] == part).to_numpy()])) == 1


def test_no_judge_sees_the_label_that_it_judges() -> None:
    """A label flipped in one group changes what is said of other groups alone."""
    rng = np.random.default_rng(0)
    codes, defective = rng.normal(size=(30, 5)), rng.random(30) < 0.4
    groups = np.arange(30, dtype=np.int64) % 3
    flipped = defective.copy()
    flipped[0] = not flipped[0]
    for judge in JUDGES.values():
        before, after = (cross_fitted(judge, codes, d, groups) for d in (defective, flipped))
        assert np.array_equal(before[groups == 0], after[groups == 0])
        assert not np.allclose(before[groups == 1], after[groups == 1])


def test_a_judge_without_a_clue_does_not_count() -> None:
    rng = np.random.default_rng(0)
    defective = np.arange(300) % 4 == 0
    groups = rng.integers(0, 3, 300)
    clear, noise = defective + 0.3 * rng.normal(size=300), rng.normal(size=300)
    both = defect_log_odds({"clear": clear, "noise": noise}, defective, groups)
    assert np.corrcoef(both, clear)[0, 1] > 0.95


def test_the_mean_of_a_part_goes_to_each_of_its_images() -> None:
    values = part_means(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]))
    assert values.tolist() == [2.0, 2.0, 5.0]


@given(st.integers(1, 60), st.data())
def test_an_exact_interval_holds_what_was_seen(total: int, data: st.DataObject) -> None:
    drawn = data.draw(st.integers(0, total))
    found = data.draw(st.integers(0, drawn))
    low, high = hypergeometric_interval(found, drawn, total)
    assert found <= low <= high <= total - drawn + found
    if drawn == total:
        assert low == high == found


def test_an_interval_misses_as_seldom_as_it_says() -> None:
    rng, total, drawn = np.random.default_rng(0), 200, 40
    for defective in (0, 4, 20, 100):
        found = rng.hypergeometric(defective, total - defective, drawn, 2000)
        ends = {int(k): hypergeometric_interval(int(k), drawn, total) for k in set(found)}
        held = np.mean([ends[int(k)][0] <= defective <= ends[int(k)][1] for k in found])
        assert held >= 0.94


def test_a_gap_ends_the_looks_that_count() -> None:
    order = np.arange(10)
    seen = np.array([1, 1, 0, np.nan, 1, np.nan, np.nan, np.nan, 0, 0])
    share = share_from_inspection(order, order[::-1].copy(), seen, most=10)
    assert share is not None
    assert (share.low, share.looks) == (0.2, 5)  # the third found lies beyond both gaps
    nobody = np.full(10, np.nan)
    assert share_from_inspection(order, order, nobody, most=10) is None


def test_looks_by_rank_alone_tell_of_no_share() -> None:
    order = np.arange(10)
    seen = np.array([1, 1, 0, *[np.nan] * 7])
    assert share_from_inspection(order, np.array([], np.intp), seen, most=3) is None


def test_the_share_comes_from_scores_where_defects_are_known() -> None:
    rng = np.random.default_rng(0)
    called = np.concatenate([rng.normal(size=450), rng.normal(4, 1, size=50)])
    share = share_from_scores(called, rng.normal(4, 1, size=80))
    assert share is not None
    assert share.low < 0.1 < share.high
    assert share.high - share.low < 0.15
    assert share_from_scores(called, np.zeros(3)) is None


def test_a_mask_marks_the_cells_it_covers() -> None:
    mask = np.zeros((100, 50), bool)
    assert not mask_cells(mask, 10).any()
    mask[0:10, 0:5] = True
    assert np.argwhere(mask_cells(mask, 10)).tolist() == [[0, 0]]
    tiny = np.zeros((100, 50), bool)
    tiny[55, 22] = True
    assert np.argwhere(mask_cells(tiny, 10)).tolist() == [[5, 4]]


def test_a_mask_drawn_elsewhere_is_found(copied: Path) -> None:
    from blemish.audit.embeddings import open_features

    save(copied / "ground_truth/dent/204_mask.png", dent_mask(204)[::-1, ::-1])
    (copied / "test/dent/sound.png").unlink()
    data = open_dataset(copied)
    found = judge_masks(open_features(data), data, image_groups(data, JudgeSettings()))
    assert found[0].image == "test/dent/204.png"
    assert not found[0].peak_inside
    assert found[0].fit < 0.8 < np.median([doubt.fit for doubt in found])
