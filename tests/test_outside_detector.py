"""A detector from a file of one's own, trained, opened and run in a bench."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from running import Cli

import blemish.detectors
from blemish.benchmark.protocol import open_protocol
from blemish.benchmark.runs import expand
from blemish.benchmark.store import read_results
from blemish.model.artifact import open_artifact

OWN = Path(blemish.detectors.__file__).parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """PaDiM as somebody else's file, beside which another of its name lies elsewhere."""
    path = tmp_path / "mine" / "padim.py"
    path.parent.mkdir()
    path.write_text((OWN / "padim.py").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def label(file: Path) -> str:
    return f"{file.name}@{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def test_a_model_names_its_detector_and_opens_without_it(
    cli: Cli, plates: Path, tmp_path: Path, file: Path
) -> None:
    model, own = tmp_path / "m.blemish", tmp_path / "own.blemish"
    for path, name in ((model, file), (own, "padim")):
        run = cli("train", plates, "-o", path, "--detector", name, "--size", "64", "--quiet")
        assert run.code == 0, run.err
    named = label(file)
    assert open_artifact(model).card.detector.name == named
    assert open_artifact(model).model == open_artifact(own).model
    file.unlink()
    for verb in (("inspect",), ("evaluate",)):
        run = cli(*verb, model, plates if verb[0] == "evaluate" else plates / "test")
        assert run.code == 0, run.err


def test_a_bench_runs_a_detector_beside_its_protocol(
    cli: Cli, plates: Path, tmp_path: Path, file: Path
) -> None:
    protocol, out = tmp_path / "mine.toml", tmp_path / "out"
    protocol.write_text(
        'title = "mine"\nsource = "no paper"\n'
        f'[[data]]\nname = "plates"\nfolders = ["{plates.name}"]\n'
        '[[detectors]]\nname = "mine/padim.py"\nsize = 64\n'
        '[[detectors]]\nname = "padim"\nsize = 64\n'
        '[[metrics]]\npath = "image.auroc"\nname = "I-AUROC"\n',
        encoding="utf-8",
    )
    argv = ("bench", "run", protocol, "--data", plates.parent, "--out", out, "--quiet")
    run = cli(*argv, "--workers", 2)
    assert run.code == 0, run.err
    assert {one.run.detector for one in read_results(out)} == {label(file), "padim"}
    table = cli("bench", "table", protocol, "--out", out)
    assert "mine/padim.py" in table.out
    [job] = expand(open_protocol(str(protocol)), plates.parent, detectors=["mine/padim.py"]).jobs
    before = job.run.key
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    [job] = expand(open_protocol(str(protocol)), plates.parent, detectors=["mine/padim.py"]).jobs
    assert job.run.key != before
