"""Protocols: every file is read, and every published figure that one maps to is there."""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path

import pytest

from blemish.benchmark.protocol import Protocol, open_protocol, protocol_names
from blemish.dataset import open_dataset, splits
from blemish.dataset.layouts import layouts
from blemish.errors import BlemishError
from blemish.evaluation import evaluate
from blemish.inspector import Inspector

PUBLISHED_FIGURES = {
    "dev": 0,
    "dev-long": 0,
    "dev-mixed": 0,
    "dev-noise": 0,
    "isp-mixed": 16 * 3,
    "isp-normal-scale": 0,
    "isp-unsupervised": 12 * 7,
    "mvtec": 2 * 7,
    "real-iad-fuiad": 12 * 8,
    "real-iad-uiad": 5 * 7,
    "visa": 2 * 7,
}
ALL = [open_protocol(name) for name in protocol_names()]


def figures(protocol: Protocol) -> dict[tuple[str, str, str, str], float | None]:
    """By data set, split, detector and metric."""
    every = product(protocol.data, protocol.splits, protocol.detectors, protocol.metrics)
    return {
        (data.name, split.name, detector.label, metric.name): protocol.published_figure(
            data, split, detector, metric
        )
        for data, split, detector, metric in every
    }


def test_the_protocols_that_there_are() -> None:
    assert protocol_names() == sorted(PUBLISHED_FIGURES)


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_every_published_figure_of_its_table_is_mapped_to(protocol: Protocol) -> None:
    found = [figure for figure in figures(protocol).values() if figure is not None]
    assert len(found) == PUBLISHED_FIGURES[protocol.name]


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_what_a_paper_has_no_figure_of(protocol: Protocol) -> None:
    """A combination of what the table names, where the table has an empty place."""
    ours = {d.label for d in protocol.detectors if not (d.column or d.where)}
    without = {m.name for m in protocol.metrics if not (m.column or m.where)}
    empty = {
        (data, metric)
        for (data, _, detector, metric), figure in figures(protocol).items()
        if figure is None and detector not in ours and metric not in without
    }
    single = {("Real-IAD single-view", "S-AUROC")}
    assert empty == (single if protocol.name == "real-iad-uiad" else set())


@pytest.mark.parametrize(
    ("name", "cell", "figure"),
    [
        ("real-iad-uiad", ("Real-IAD single-view", "", "patchcore", "I-AUROC"), 90.4),
        ("real-iad-uiad", ("Real-IAD multi-view", "", "padim", "S-AUROC"), 91.2),
        ("real-iad-uiad", ("Real-IAD multi-view", "", "reverse_distillation", "P-AUPRO"), 93.8),
        ("real-iad-uiad", ("Real-IAD multi-view", "", "duet", "P-AUPRO"), None),
        ("real-iad-fuiad", ("Real-IAD", "alpha 0.4", "softpatch", "S-AUROC"), 90.6),
        ("real-iad-fuiad", ("Real-IAD", "alpha 0.0", "uniad", "I-AUROC"), 85.4),
        ("isp-unsupervised", ("LSM-1", "", "GLASS", "MCC"), 0.89),
        ("isp-unsupervised", ("ASM", "", "DDAD", "PRO at F1"), 6.5),
        ("isp-unsupervised", ("ASM", "", "DDAD", "AUPRO"), None),
        ("isp-unsupervised", ("ASM", "", "padim", "MCC"), None),
        ("isp-mixed", ("LSM-1", "no real defects", "mixed", "MCC"), 0.81),
        ("isp-mixed", ("ASM", "1/16, area only", "mixed", "recall"), 91.9),
        ("isp-mixed", ("ASM", "1/4 of the real defects", "mixed", "FPR"), 0.1),
        ("isp-mixed", ("ASM", "1/4 of the real defects", "mixed (preset cpu)", "FPR"), None),
        ("isp-mixed", ("ASM", "all real defects", "real defects only, oversampled", "FPR"), None),
        ("mvtec", ("MVTec AD", "", "simplenet", "I-AUROC"), 99.3),
        ("visa", ("VisA", "", "destseg", "P-AUPRO"), 90.6),
    ],
)
def test_some_published_figures(
    name: str, cell: tuple[str, str, str, str], figure: float | None
) -> None:
    assert figures(open_protocol(name))[cell] == figure


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_names_are_not_given_twice_and_layouts_and_splits_are_known(protocol: Protocol) -> None:
    for names in (
        [data.name for data in protocol.data],
        [split.name for split in protocol.splits],
        [detector.label for detector in protocol.detectors],
        [metric.name for metric in protocol.metrics],
        *(data.categories for data in protocol.data),
    ):
        assert len(set(names)) == len(names)
    assert {data.layout for data in protocol.data} <= {None, *layouts()}
    for split in protocol.splits:
        assert split.protocol is not None
        splits.open_protocol(split.protocol, split.settings)


def test_every_metric_is_a_figure_of_an_evaluation(model: Path, plates: Path) -> None:
    found = evaluate(Inspector.open(model), open_dataset(plates)).figures
    paths = {p for one in ALL for m in one.metrics for p in (m.path, m.honest or m.path)}
    for path in paths:
        group, name = path.split(".")
        assert group == "sample" or name in found[group], path


def test_the_numbers_of_categories() -> None:
    numbers = {
        (protocol.name, data.name): len(data.categories)
        for protocol in ALL
        for data in protocol.data
        if protocol.mean == "categories"
    }
    assert numbers == {
        ("mvtec", "MVTec AD"): 15,
        ("real-iad-fuiad", "Real-IAD"): 30,
        ("real-iad-uiad", "Real-IAD multi-view"): 30,
        ("real-iad-uiad", "Real-IAD single-view"): 30,
        ("visa", "VisA"): 12,
    }


def test_a_metric_finds_its_figure_at_either_threshold() -> None:
    [mcc] = (metric for metric in open_protocol("dev").metrics if metric.name == "MCC")
    [parts] = (metric for metric in open_protocol("dev").metrics if metric.name == "S-AUROC")
    found = {"oracle_f1": {"mcc": 0.5}, "decision": {"mcc": 0.25}, "sample": None}
    assert (mcc.of(found), mcc.of(found, honest=True), parts.of(found)) == (0.5, 0.25, None)
    assert mcc.of({"oracle_f1": None}) is None
    assert mcc.of({"oracle_f1": {"mcc": {}}}) is None


def test_a_crop_sets_a_detector_apart() -> None:
    detectors = {one.name: one for one in open_protocol("real-iad-uiad").detectors}
    [departure] = detectors["padim"].departures()
    assert "padim sees the centre crop of 224 px of 256 px" in departure
    assert detectors["cflow"].departures() == []


def test_a_budget_is_a_time_and_part_of_the_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    again = '[[detectors]]\nname = "padim"\nbudget = "2m"\n'
    labelled = '[[detectors]]\nname = "padim"\nbudget = 90\nlabel = "PaDiM, short"\n'
    file.write_text(SMALL + again + labelled, encoding="utf-8")
    plain, two_minutes, short = open_protocol(str(file)).detectors
    assert (plain.label, plain.budget, plain.departures()) == ("padim", None, [])
    assert (two_minutes.label, two_minutes.budget) == ("padim, 2 min", 120.0)
    assert (short.label, short.budget) == ("PaDiM, short", 90.0)
    assert short.departures() == ["each training of PaDiM, short has 90 s, features too"]


def test_the_detectors_of_the_development_protocols() -> None:
    names = [
        *("padim", "patchcore", "softpatch", "cflow", "uflow", "simplenet"),
        *("reverse_distillation", "uniad", "duet"),
    ]
    dev, noise = open_protocol("dev"), open_protocol("dev-noise")
    assert [one.name for one in dev.detectors] == names
    assert [dataclasses.replace(one, budget=None) for one in dev.detectors] == list(noise.detectors)
    assert {one.name for one in dev.detectors if one.budget == 120} == set(names[3:-1])
    assert {one.name for one in dev.detectors if one.preset == "cpu"} == set(names[2:-1])
    assert [split.settings["alpha"] for split in noise.splits] == ["0.0", "0.1", "0.2", "0.4"]
    assert len({split.settings["alphas"] for split in noise.splits}) == 1


# Files of another form.

SMALL = """
title = "small"
source = "no paper"
[[data]]
name = "parts"
folders = ["parts"]
[[detectors]]
name = "padim"
settings = { layers = ["block4", "block10"], top = 2, whiten = false }
[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""


def test_a_protocol_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL, encoding="utf-8")
    protocol = open_protocol(str(file))
    assert (protocol.name, protocol.seeds, protocol.splits[0].protocol) == ("mine", 1, None)
    [detector] = protocol.detectors
    assert detector.label == "padim"
    assert detector.settings == {"layers": "block4,block10", "top": "2", "whiten": "false"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source =", "origin =", r"mine.toml has unknown entries \['origin'\] or lacks"),
        ('path = "image.auroc"', "", r"metrics has unknown entries \[\] or lacks \['path'\]"),
        ('folders = ["parts"]', 'folder = "parts"', r"data has unknown entries \['folder'\]"),
        ('title = "small"', 'title = "small"\nseeds = 0', "needs data, .* and 1 seed or more"),
        ('title = "small"', "title =", "mine.toml is no protocol "),
        ("[[data]]", "[data]", "data holds something that is no table"),
        (
            *('name = "padim"', 'name = "padim"\nbudget = "soon"'),
            "mine.toml: detectors: budget soon is no time; write it like 90s, 10m or 1.5h",
        ),
    ],
)
def test_a_file_of_another_form(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL.replace(old, new), encoding="utf-8")
    with pytest.raises(BlemishError, match=message):
        open_protocol(str(file))


def test_a_name_that_there_is_no_protocol_of(tmp_path: Path) -> None:
    with pytest.raises(
        BlemishError, match=r"no protocol 'real-iad'; there are: dev, dev-long, dev-mixed"
    ):
        open_protocol("real-iad")
    with pytest.raises(BlemishError, match=r"none.toml cannot be read"):
        open_protocol(str(tmp_path / "none.toml"))
    (tmp_path / "cut.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BlemishError, match=r"cut.toml is not UTF-8 text"):
        open_protocol(str(tmp_path / "cut.toml"))
