"""The papers' protocols from end to end: their data in miniature, their tables in full shape.

The protocols are those that are shipped, with small settings of the detectors, so that a run takes
a second: what the tables hold here are figures, and no findings.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import miniatures
import pytest
from running import Cli

from blemish.benchmark.protocol import SplitChoice, open_protocol
from blemish.cli import main
from blemish.dataset import open_dataset
from blemish.dataset.splits import divide

pytestmark = pytest.mark.skipif(
    not miniatures.DATA.is_dir(), reason="the development images are absent"
)

SMALL = {
    "patchcore": "bank = 50",
    "padim": 'layers = ["block4"], grid_stride = 32',
}
Cells = dict[str, dict[str, Any]]
Bench = Callable[..., Path]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a researcher has: VisA whole, of the others a category or two."""
    root = tmp_path_factory.mktemp("papers")
    miniatures.mvtec(root / "mvtec_anomaly_detection", ["bottle"])
    miniatures.visa(root / "VisA_20220922", open_protocol("visa").categories)
    miniatures.real_iad(root / "Real-IAD", ["audiojack"], train=10, test=4, defects=8)
    miniatures.isp_ad(root / "ISP-AD", ["LSM-1", "ASM"])
    return root


def small(name: str, folder: Path) -> Path:
    """The shipped protocol under its own name, with detectors and a FUIAD test that are small.

    A detector that it does not name takes part too.
    """
    text = files("blemish.benchmark").joinpath("protocols", f"{name}.toml").read_text("utf-8")
    text = text.replace("test_parts = 100", "test_parts = 4")
    for detector, settings in SMALL.items():
        entry = f'name = "{detector}"\n'
        if entry not in text:
            text += f"\n[[detectors]]\n{entry}"
        text = text.replace(entry, f"{entry}settings = {{ {settings} }}\n")
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def bench(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """`bench("visa", ...)` runs a protocol once; returns its file, with the results beside it."""
    done: dict[str, Path] = {}

    def run(name: str, *options: object) -> Path:
        if name not in done:
            file = small(name, tmp_path_factory.mktemp(name))
            asked = ("--data", root, "--out", file.with_suffix(""), *options)
            argv = ("bench", "run", file, "--quiet", *asked)
            assert main([str(argument) for argument in argv]) == 0
            done[name] = file
        return done[name]

    return run


def table(cli: Cli, file: Path, *options: object) -> dict[str, Any]:
    """The table as JSON."""
    run = cli(*("bench", "table", file, "--out", file.with_suffix("")), *options, "--json", "-")
    assert run.code == 0, run.err
    found: dict[str, Any] = json.loads(run.out)
    return found


def rows(found: dict[str, Any], **named: str | None) -> list[dict[str, Any]]:
    """The rows in which these columns hold these values; `metric` is a metric's name."""

    def holds(row: dict[str, Any]) -> bool:
        values = row | {"metric": row["metric"]["name"]}
        return all(values[key] == value for key, value in named.items())

    return [row for row in found["rows"] if holds(row)]


def cells(found: dict[str, Any], **named: str | None) -> Cells:
    """The cells of the only such row by detector."""
    [row] = rows(found, **named)
    return {cell["detector"]: cell for cell in row["cells"]}


# Real-IAD's Table 2.


def test_visa_is_whole_and_stands_beside_the_paper(bench: Bench, cli: Cli) -> None:
    file = bench("visa", "--detectors", "padim", "--seeds", 1)
    found = table(cli, file)
    assert found["detectors"] == [
        *("patchcore", "padim", "cflow", "simplenet", "destseg", "reverse_distillation", "uniad")
    ]
    categories = open_protocol("visa").categories
    of_each = rows(found, metric="I-AUROC")
    assert [row["category"] for row in of_each] == [*categories, None]
    mean = cells(found, metric="I-AUROC", category=None)
    mean = cells(found, metric="I-AUROC", category=None)
    column = found["detectors"].index("padim")
    ours = mean["padim"]
    values = [row["cells"][column]["value"] for row in of_each[:-1]]
    assert ours["value"] == pytest.approx(sum(values) / 12)
    assert ours["published"] == 85.1
    assert ours["difference"] == pytest.approx(ours["value"] - 85.1)
    assert mean["patchcore"]["published"] == 95.1
    assert mean["uniad"]["published"] == 88.8
    assert (mean["uniad"]["value"], mean["uniad"]["missing"]) == (None, "no result")
    [row] = rows(found, metric="P-AUPRO", category=None)
    assert (row["over_methods"]["n"], row["over_methods"]["mean"]) == (1, None)
    assert row["over_methods"]["published_mean"] == 87.6
    said = "Padim sees the centre crop of 224 px of 256 px"
    assert any(note.startswith(said) for note in found["notes"])


def test_the_cropped_runs_see_224_pixels(bench: Bench) -> None:
    file = bench("visa", "--detectors", "padim", "--seeds", 1)
    results = [json.loads(path.read_text("utf-8")) for path in file.with_suffix("").glob("*.json")]
    assert len(results) == 12
    assert {result["run"]["crop"] for result in results} == {224}
    assert all(result["figures"]["pixel"]["hidden"] == 0 for result in results)


def test_every_format_shows_the_paper_s_figure_and_the_difference(
    bench: Bench, cli: Cli, tmp_path: Path
) -> None:
    file = bench("visa", "--detectors", "padim", "--seeds", 1)
    difference = cells(table(cli, file), metric="I-AUROC", category=None)["padim"]["difference"]
    for name in ("terminal", "markdown", "latex", "html"):
        out = tmp_path / f"table.{name}"
        options = ("--means", "--format", name, "-o", out)
        assert cli("bench", "table", file, "--out", file.with_suffix(""), *options).code == 0
        shown = out.read_text("utf-8")
        assert "85.1" in shown, name
        minus = "-" if name == "latex" else "\N{MINUS SIGN}"
        assert f"{difference:+.1f}".replace("-", minus) in shown, name
        assert "candle" not in shown.partition("Runs of each figure")[0], name
    run = cli("bench", "table", file, "--out", file.with_suffix(""), "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(run.out)))
    assert {line["category"] for line in lines} >= {"candle", "pipe_fryum"}
    published = {line["published"] for line in lines if line["detector"] == "padim"}
    assert "85.1" in published


def test_the_mean_of_mvtec_is_withheld_and_names_what_is_missing(bench: Bench, cli: Cli) -> None:
    found = table(cli, bench("mvtec", "--detectors", "patchcore", "--seeds", 1))
    ours = cells(found, metric="I-AUROC", category="bottle")["patchcore"]
    assert ours["value"] is not None
    assert ours["published"] is None  # the paper's is of the mean
    mean = cells(found, metric="I-AUROC", category=None)["patchcore"]
    assert (mean["value"], mean["published"]) == (None, 99.0)
    assert mean["missing"] == "withheld: cable, capsule, carpet and 11 more missing"


def test_real_iad_has_a_single_and_a_multi_view_table(bench: Bench, cli: Cli) -> None:
    found = table(cli, bench("real-iad-uiad", "--detectors", "patchcore", "--seeds", 1))
    single, multi = "Real-IAD single-view", "Real-IAD multi-view"
    assert {row["data"] for row in found["rows"]} == {single, multi}
    # One view of each part: there is no sample that is not an image.
    assert rows(found, data=single, metric="S-AUROC") == []
    parts = cells(found, data=multi, metric="S-AUROC", category="audiojack")["patchcore"]
    assert parts["interval"] is not None
    for data, metric, published in (
        (single, "I-AUROC", 90.4),
        (single, "P-AUPRO", 92.5),
        (multi, "S-AUROC", 93.7),
        (multi, "I-AUROC", 89.4),
    ):
        mean = cells(found, data=data, metric=metric, category=None)["patchcore"]
        assert (mean["value"], mean["published"]) == (None, published)
        assert mean["missing"].startswith("withheld: bottle_cap, button_battery, end_cap and 26")


# Real-IAD's Table 4.


def test_real_iad_with_noise_has_a_row_for_each_alpha(bench: Bench, cli: Cli) -> None:
    file = bench("real-iad-fuiad", "--detectors", "padim", "--seeds", 2)
    found = table(cli, file)
    alphas = ["alpha 0.0", "alpha 0.1", "alpha 0.2", "alpha 0.4"]
    assert list(dict.fromkeys(row["variant"] for row in found["rows"])) == alphas
    for alpha, published in zip(alphas, (92.7, 85.5, 82.2, 76.5), strict=True):
        cell = cells(found, variant=alpha, metric="S-AUROC", category="audiojack")["padim"]
        assert cell["seeds"] == 2
        assert cell["spread"] is not None
        mean = cells(found, variant=alpha, metric="S-AUROC", category=None)
        assert mean["padim"]["published"] == published
        assert mean["softpatch"]["value"] is None


def test_the_noise_curves_and_galleries_of_real_iad(bench: Bench, cli: Cli, tmp_path: Path) -> None:
    file = bench("real-iad-fuiad", "--detectors", "padim", "--seeds", 2)
    drawn = cli("bench", "figures", file, "--out", file.with_suffix(""), "-o", tmp_path)
    assert drawn.code == 0, drawn.err
    names = {path.stem for path in tmp_path.iterdir()}
    assert {f"noise-Real-IAD-{m}" for m in ("sample.auroc", "image.auroc", "pixel.aupro")} <= names
    assert "gallery-Real-IAD-audiojack-alpha_0.4" in names


# ISP-AD.


def test_isp_ad_s_unsupervised_table_has_both_protocols(bench: Bench, cli: Cli) -> None:
    file = bench("isp-unsupervised", "--detectors", "patchcore", "--seeds", 1)
    found = table(cli, file)
    assert found["detectors"] == ["Efficient-AD", "U-Flow", "GLASS", "DDAD", "patchcore"]
    paper = cells(found, data="LSM-1", metric="MCC", protocol="paper")
    honest = cells(found, data="LSM-1", metric="MCC", protocol="honest")
    assert paper["Efficient-AD"]["published"] == 0.87
    assert honest["Efficient-AD"]["published"] is None
    assert paper["patchcore"]["value"] >= honest["patchcore"]["value"]
    pro, area = (cells(found, data="ASM", metric=name) for name in ("PRO at F1", "AUPRO"))
    assert pro["U-Flow"]["published"] is not None
    assert area["U-Flow"]["published"] is None  # the paper's PRO is no AUPRO
    assert pro["patchcore"]["value"] != area["patchcore"]["value"]
    # A modality that is not here keeps its row of published figures, and is no mean.
    absent = cells(found, data="LSM-2", metric="I-AUROC", category="LSM-2")
    assert absent["DDAD"]["published"] is not None
    assert absent["patchcore"]["missing"] == "no result"


def test_isp_ad_s_good_patches_three_ways(bench: Bench, cli: Cli) -> None:
    options = ("--detectors", "patchcore", "--categories", "LSM-1", "--seeds", 1)
    file = bench("isp-normal-scale", *options)
    found = table(cli, file)
    ways = rows(found, data="LSM-1", metric="I-AUROC")
    assert [row["variant"] for row in ways] == ["500 screened", "all screened", "unscreened"]
    values = {row["variant"]: row["cells"][-1]["value"] for row in ways}
    assert values["500 screened"] == values["all screened"]  # of fewer than 500 all are taken
    assert values["unscreened"] != values["all screened"]
    assert all(cell["published"] is None for row in found["rows"] for cell in row["cells"])


KEPT = ("no real defects", "1/16, area only", "all real defects")
STEPS = "steps = 4, patch_size = 64, every = 2"
QUICK = f'generator = "none", {STEPS}'


@pytest.fixture(scope="module")
def mixed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped protocol of mixed supervision with three of its splits, made with a few steps.

    The bundled backbone stands for the paper's, which may not be on this machine. The patches are
    smaller than the published ones, and none is shrunk or enlarged.
    """
    file = small("isp-mixed", tmp_path_factory.mktemp("isp-mixed"))
    tables = re.split(r"(?m)^(?=\[\[)", file.read_text("utf-8"))
    kept = [
        entry
        for entry in tables
        if not entry.startswith("[[splits]]") or any(f'"{name}"' in entry for name in KEPT)
        if "preset cpu" not in entry and '"patchcore"' not in entry
    ]
    text = (
        "".join(kept)
        .replace('preset = "paper"\n', "size = 96\n")
        .replace('generator = "none"', QUICK)
    )
    text = re.sub(r"(?s)\nsplits = \[.*?\n\]", f"\nsplits = {json.dumps(KEPT[1:])}", text)
    file.write_text(text, encoding="utf-8")
    asked = ("--data", root, "--out", file.with_suffix(""), "--categories", "LSM-1", "--seeds", 1)
    argv = ("bench", "run", file, "--quiet", *asked)
    assert main([str(argument) for argument in argv]) == 0
    return file


def test_mixed_supervision_has_the_paper_s_rows(mixed: Path, cli: Cli) -> None:
    found = table(cli, mixed)
    assert found["detectors"] == ["mixed", "real defects only, oversampled", "padim"]
    for protocol, published in (("paper", [0.81, 0.90, 0.96]), ("honest", [None] * 3)):
        ways = rows(found, data="LSM-1", metric="MCC", protocol=protocol)
        assert tuple(row["variant"] for row in ways) == KEPT
        assert [row["cells"][0]["published"] for row in ways] == published
        assert all(row["cells"][0]["value"] is not None for row in ways)
        alone = [row["cells"][1] for row in ways]
        assert [cell["missing"] for cell in alone] == ["no result", "", ""]
        assert {cell["published"] for cell in alone} == {None}
        # One run stands in every row: real defects make no difference to it.
        assert len({tuple(row["cells"][2]["runs"]) for row in ways}) == 1
    results = [json.loads(path.read_text("utf-8")) for path in mixed.with_suffix("").glob("*.json")]
    assert len(results) == 3 + 2 + 1
    fits = {(r["run"]["variant"], len(r["run"]["settings"])): r["fit"] for r in results}
    without, few, every = (fits[name, 4] for name in KEPT)
    assert (without["real_images"], few["real_images"]) == (0, 2)
    assert 20 < every["real_images"] < 32  # some are held out, to end the training by
    assert without["synthetic_images"] == few["synthetic_images"] == 4


def test_mixed_supervision_is_drawn_and_forecast(mixed: Path, root: Path, cli: Cli) -> None:
    there = ("--out", mixed.with_suffix(""), "--data", root)
    listed = cli("bench", "list", mixed, *there)
    assert "mixed, real defects only, oversampled, padim" in listed.out
    assert "36 runs with what is there; 6 of them are made" in listed.out
    dry = cli("bench", "run", mixed, *there, "--seeds", 1, "--dry-run", "--json", "-")
    told = json.loads(dry.out)
    assert (told["runs"], told["left"]) == (12, 6)
    assert told["seconds"] > 0
    drawn = cli("bench", "figures", mixed, "--out", mixed.with_suffix(""), "-o", mixed.parent / "f")
    assert drawn.code == 0, drawn.err
    names = {path.stem for path in (mixed.parent / "f").iterdir()}
    assert {f"gallery-LSM-1-{n}" for n in ("no_real_defects", "all_real_defects")} <= names


@pytest.mark.parametrize("split", open_protocol("isp-mixed").splits, ids=lambda split: split.name)
def test_no_patch_of_the_test_trains_in_any_row(root: Path, split: SplitChoice) -> None:
    data = open_dataset(root / "ISP-AD/LSM-1/supervised", layout="isp_ad")
    divided = divide(data, split.protocol or "", 1, split.settings)
    train, test = (divided.data.split(side) for side in ("train", "test"))
    assert not set(train.parts) & set(test.parts)
    assert test.table.equals(data.split("test").table)
    assert len(train.good()) == 10
    assert len(train.synthetic()) == 4
    real = train.real()
    fraction = Fraction(split.settings["fraction"])
    assert len(real) == 32 * fraction
    group = split.settings.get("group")
    assert group is None or set(real.table["defect"]) == {group}


def test_mixed_supervision_learns_from_folders_too(root: Path, cli: Cli, tmp_path: Path) -> None:
    """The good patches of the unsupervised setting, spoilt as they are shown."""
    file = small("isp-unsupervised", tmp_path)
    entry = f'[[detectors]]\nname = "mixed"\nsize = 96\nsettings = {{ {STEPS} }}\n'
    file.write_text(f"{file.read_text('utf-8')}\n{entry}", encoding="utf-8")
    asked = ("--detectors", "mixed", "--categories", "LSM-1", "--seeds", 1)
    out = ("--out", file.with_suffix(""))
    assert cli("bench", "run", file, "--data", root, "--quiet", *out, *asked).code == 0
    cell = cells(table(cli, file), data="LSM-1", metric="I-AUROC")["mixed"]
    assert 0 <= cell["value"] <= 100


def test_mixed_supervision_with_a_detector_that_learns_no_defects(bench: Bench, cli: Cli) -> None:
    options = ("--detectors", "padim", "--categories", "LSM-1", "--seeds", 1)
    file = bench("isp-mixed", *options)
    assert len([*file.with_suffix("").glob("*.json")]) == 1
    found = table(cli, file)
    ways = rows(found, data="LSM-1", metric="MCC", protocol="paper")
    assert [row["variant"] for row in ways][::7] == ["no real defects", "all real defects"]
    assert [row["cells"][0]["published"] for row in ways] == [
        *(0.81, 0.86, 0.90, 0.91, 0.91, 0.93, 0.93, 0.96)
    ]
    column = found["detectors"].index("padim")
    # Neither the test nor the good images differ between the splits.
    [value] = {row["cells"][column]["value"] for row in ways}
    assert 0 <= value <= 1
