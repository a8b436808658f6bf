"""`import blemish`: what it offers, that it is fast, and that the example of the docs runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from plates import dented, plate
from running import Cli, environment

import blemish
from blemish.errors import DatasetError
from blemish.metrics.image import auroc, roc

PAGE = Path(__file__).parents[1] / "docs/library.md"
SMALL = blemish.Plan(detector="padim", size=64, cache=None)

EXAMPLE = '''
from pathlib import Path

import blemish


def recall_of(folder: Path, name: str) -> float:
    """Recall at the promised threshold."""
    data: blemish.Dataset = blemish.open_dataset(folder)
    plan = blemish.Plan(detector=name, size=64, promise=blemish.Promise(0.05, 0.9))
    model: blemish.Model = blemish.fit(data, plan)
    evaluation: blemish.Evaluation = model.evaluate(data)
    threshold: float = model.calibration.threshold
    rejected: list[bool] = evaluation.frame().filter("defective")["rejected"].to_list()
    trained: blemish.Trained = blemish.train(folder, folder / "m.blemish", plan, budget=60.0)
    verdict: blemish.Verdict = blemish.Inspector.open(trained.path).inspect(folder / "a.png")
    print(verdict.decision, threshold, evaluation.roc().recall.max())
    return sum(rejected) / len(rejected)
'''


def python(code: str, *arguments: object, **more: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


# The door.


def test_every_public_name_is_there_and_nothing_else() -> None:
    for name in blemish.__all__:
        assert getattr(blemish, name).__module__.startswith("blemish.")
    assert set(blemish.__all__) <= set(dir(blemish))
    with pytest.raises(AttributeError, match="no attribute 'polish'"):
        blemish.polish  # noqa: B018


def test_every_public_name_stands_on_its_page() -> None:
    named = set(re.findall(r"`(\w+)", PAGE.read_text(encoding="utf-8")))
    assert set(blemish.__all__) <= named


def test_importing_brings_in_no_library() -> None:
    code = "import blemish, sys, json; print(json.dumps(sorted(sys.modules)))"
    found = {name.partition(".")[0] for name in json.loads(python(code))}
    assert not found & {"numpy", "polars", "onnxruntime", "torch", "cv2", "matplotlib", "msgspec"}


def test_what_a_type_checker_sees_from_outside(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    source = str(Path(blemish.__file__).parents[1])
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        tmp_path / "c",
        "example.py",
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(MYPYPATH="", PYTHONPATH=source),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert (Path(source) / "blemish/py.typed").exists()


def test_the_example_of_the_page_runs(plates: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "plates").symlink_to(plates, target_is_directory=True)
    code = "import os, sys; os.chdir(sys.argv[1])\n" + "\nimport polars as pl\n".join(blocks)
    printed = python(code, tmp_path, MPLBACKEND="agg", MPLCONFIGDIR=str(tmp_path / "config"))
    assert [line.split()[0] for line in printed.splitlines()] == ["padim", "patchcore"]
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")


# What lies behind it.


def test_a_model_in_memory_is_the_one_that_is_written(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    model = blemish.fit(plates, SMALL)
    assert set(tmp_path.iterdir()) == before
    path = model.save(tmp_path / "saved.blemish")
    trained = blemish.train(plates, tmp_path / "trained.blemish", SMALL)
    inspectors = [model.inspector, *map(blemish.Inspector.open, (path, trained.path))]
    for pixels in (plate(7), dented(8)):
        assert len({inspector.inspect(pixels).score for inspector in inspectors}) == 1
    assert model.calibration == trained.calibration
    run = cli("evaluate", path, plates, "--json", "-")
    figures = blemish.evaluate(model, plates).figures
    assert json.loads(run.out)["image"] == json.loads(json.dumps(figures["image"]))
    assert blemish.evaluate(path, plates).figures["decision"]["threshold"] == (
        model.calibration.threshold
    )


def test_a_threshold_is_set_anew(plates: Path, tmp_path: Path) -> None:
    path = blemish.fit(plates, SMALL).save(tmp_path / "m.blemish")
    promise = blemish.Promise(0.2, 0.9)
    out = tmp_path / "again.blemish"
    trained = blemish.calibrate(path, plates / "test/good", promise, out=out)
    assert trained.path == out
    assert trained.calibration.promise == promise


def test_the_frame_has_a_row_for_every_image(plates: Path) -> None:
    evaluation = blemish.fit(plates, SMALL).evaluate(plates)
    frame = evaluation.frame()
    assert frame.height == len(evaluation.images)
    assert frame.schema["defective"] == frame.schema["rejected"] == pl.Boolean
    counts = evaluation.figures["decision"]
    assert frame.filter("defective", "rejected").height == counts["tp"]
    assert frame.filter(~pl.col("defective"), pl.col("rejected")).height == counts["fp"]
    assert auroc(frame["score"], frame["defective"]) == evaluation.figures["image"]["auroc"]


def test_the_curve_has_the_area_that_is_reported(plates: Path) -> None:
    evaluation = blemish.fit(plates, SMALL).evaluate(plates)
    curve = evaluation.roc()
    area = np.trapezoid(curve.recall, curve.false_reject_rate)
    assert area == pytest.approx(evaluation.figures["image"]["auroc"])


def test_a_curve_of_ties_and_of_one_kind() -> None:
    curve = roc([1.0, 1.0, 2.0, 0.0], [0, 1, 1, 0])
    assert curve.threshold.tolist() == [np.inf, 2.0, 1.0, 0.0]
    assert curve.recall.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.false_reject_rate.tolist() == [0.0, 0.0, 0.5, 1.0]
    with pytest.raises(DatasetError, match="one kind is absent"):
        roc([1.0, 2.0], [1, 1])
