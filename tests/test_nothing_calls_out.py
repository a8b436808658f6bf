"""Nothing calls out: no file beside the named ones, no socket, no name looked up."""

from __future__ import annotations

import ast
import math
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from plates import save_set
from running import finished
from traced import Place, made, traced

from blemish.cli import main

ROOT = Path(__file__).resolve().parents[1]
PROTOCOL = """
title = "plates"
source = "no paper"
seeds = 1
[[data]]
name = "plates"
folders = ["plates"]
[[splits]]
protocol = "pooled"
[[detectors]]
name = "padim"
size = 64
[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""


@dataclass(frozen=True)
class Job:
    """A command, what it is to leave in the folder of work, and the package that it needs."""

    command: str
    leaves: str = ""
    needs: str = "blemish"


JOBS = {
    "twelve inspections": Job("inspect plates.blemish plates/test --heatmaps maps", "maps"),
    "an evaluation": Job("evaluate plates.blemish plates --report report", "report"),
    "a training": Job("train plates -o new.blemish --size 64", "new.blemish"),
    "a training with PyTorch": Job(
        "train plates -o new.blemish --size 64 --detector cflow --set blocks=1 --set steps=2",
        "new.blemish",
        "FrEIA",
    ),
    "an export": Job("export plates.blemish --to onnx -o line", "line"),
    "an export to OpenVINO": Job("export plates.blemish --to openvino -o line", "line", "openvino"),
    "a bench run": Job("bench run small.toml --data . --out results --workers 2", "results"),
    "a bench run on Dask": Job(
        "bench run small.toml --data . --out results --dask local", "results", "distributed"
    ),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of work: plates, a model of them, and a protocol."""
    folder = tmp_path_factory.mktemp("small")
    save_set(folder / "plates", train=12)
    (folder / "small.toml").write_text(PROTOCOL, encoding="utf-8")
    argv = ["train", str(folder / "plates"), "-o", str(folder / "plates.blemish"), "--size", "64"]
    assert main([*argv, "--quiet"]) == 0
    return folder


@pytest.fixture
def place(small: Path, tmp_path: Path) -> Place:
    found = Place(tmp_path / "place")
    shutil.copytree(small, found.work)
    return found


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> Job:
    found = JOBS[request.param]
    if find_spec(found.needs) is None:
        pytest.skip(f"{found.needs} of an extra is not installed")
    return found


def test_no_file_appears_but_those_that_were_named(job: Job, place: Place) -> None:
    before = set(place.work.iterdir())
    run = place.run(*job.command.split())
    assert run.code in (0, 1), run.err  # an inspection that rejects ends with 1
    assert place.strays() == []
    assert {path.name for path in set(place.work.iterdir()) - before} == {job.leaves}


def test_no_system_call_leads_out(job: Job, place: Place) -> None:
    found = traced(place, *job.command.split())
    assert found.run.code in (0, 1), found.run.err
    assert found.written == []
    if "--dask" not in job.command:
        assert found.sockets == []
    for call in found.sockets:  # of a cluster that the user asked for, on this machine alone
        assert "nscd" not in call
        address = re.search(r"AF_INET6?, .*(htons\(\d+\)).*\"([^\"]+)\"", call)
        assert address is None or address[2] in ("127.0.0.1", "::1"), call
        assert address is None or address[1] not in ("htons(53)", "htons(8787)"), call


def test_onnx_runtime_that_came_first_is_told(place: Place) -> None:
    late = place.run(code="import onnxruntime\nimport blemish")
    assert late.code == 0, late.err
    assert "import blemish first, or set ORT_DISABLE_TELEMETRY=1" in late.err[0]
    early = place.run(code="import blemish\nimport onnxruntime")
    assert (early.code, early.err) == (0, [])


def test_a_variable_that_says_otherwise_is_overruled() -> None:
    code = "import os, blemish; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert finished([], code=code, ORT_DISABLE_TELEMETRY="0").out == "1\n"


def test_openvino_s_telemetry_is_hidden_for_its_import_alone(place: Place) -> None:
    pytest.importorskip("openvino_telemetry", reason="the extra openvino is not installed")
    run = place.run(
        code="from blemish.export.openvino import import_openvino\n"
        "print(import_openvino().__name__)\nimport openvino_telemetry"
    )
    assert (run.code, run.out) == (0, "openvino\n"), run.err


def first_lines(path: Path) -> dict[str, int]:
    """The line of the first import of every top-level package, but of those for types alone."""
    found: dict[str, int] = {}
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in (name.partition(".")[0] for name in names):
            found[name] = min(node.lineno, found.get(name, node.lineno))
        waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("folder", ["benchmarks", "scripts", "src", "tests"])
def test_no_file_imports_what_calls_out_before_blemish(folder: Path) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        lines = first_lines(path)
        assert "openvino" not in lines, f"{path}: see blemish.export.openvino.import_openvino"
        if folder in ("benchmarks", "scripts") and "onnxruntime" in lines:
            assert lines.get("blemish", math.inf) < lines["onnxruntime"], path
    assert first_lines(ROOT / "tests/conftest.py").keys() >= {"blemish"}  # before every test


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ('openat(AT_FDCWD, "a/b", O_WRONLY|O_CREAT, 0666) = 3', ["/w/a/b"]),
        ('openat(AT_FDCWD, "/a", O_RDWR|O_CLOEXEC) = 3', ["/a"]),
        ('openat(AT_FDCWD, "/a", O_RDWR) = -1 ENOENT (No such file or directory)', []),
        ('openat(AT_FDCWD, "/a", O_RDONLY|O_CLOEXEC) = 3', []),
        ('mkdir("/a", 0777) = 0', ["/a"]),
        ('rename("/a", "/b") = 0', ["/b"]),
    ],
)
def test_what_a_system_call_made(call: str, path: list[str]) -> None:
    assert list(made(call, Path("/w"))) == path
