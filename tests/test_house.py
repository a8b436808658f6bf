"""The rules of the house: who may import whom, what inspection needs, how long a file is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import environment

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
HEAVY = {"torch", "polars", "h5py", "matplotlib", "onnx", "scipy", "sklearn", "pandas", "openvino"}


def test_imports_only_go_down_the_house() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run = subprocess.run(
        [sys.executable, "-c", program.replace("()", "(cache_dir=None)", 1)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def modules_after(program: str) -> set[str]:
    """The top-level modules in a new process that ran this."""
    program += "\nimport sys; print('\\n'.join(sorted({m.partition('.')[0] for m in sys.modules})))"
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["blemish", "blemish.cli", "blemish.inspector"])
def test_an_import_pulls_nothing_heavy(module: str) -> None:
    found = modules_after(f"import {module}")
    assert "blemish" in found
    assert not found & HEAVY


def test_a_verdict_pulls_nothing_heavy(model: Path, plates: Path) -> None:
    found = modules_after(
        "from pathlib import Path\nfrom blemish.inspector import Inspector\n"
        f"image = Path({str(plates)!r}, 'test/dent/200.png')\n"
        f"verdict = Inspector.open({str(model)!r}).inspect(image)\n"
        "assert verdict.views[0].look.map.any() and verdict.to_json()['decision'] == 'reject'"
    )
    assert {"numpy", "onnxruntime", "cv2"} <= found
    assert not found & HEAVY


def test_a_training_pulls_no_torch(plates: Path, tmp_path: Path) -> None:
    arguments = ["train", str(plates), "-o", str(tmp_path / "m"), "--size", "64", "--quiet"]
    found = modules_after(
        "import contextlib, io\nfrom blemish.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert main({[*arguments, '--detector', 'patchcore', '--set', 'bank=20']!r}) == 0"
    )
    assert {"polars", "onnx"} <= found
    assert not found & {"torch", "matplotlib", "scipy", "sklearn"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def texts() -> list[Path]:
    """Every text file of the project, as git lists them, or all below the usual folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    if listed.returncode != 0:
        pytest.skip("this is not a checkout")
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".js", ".css", ".html", ".sh", ".yml", ""}
    files = [ROOT / name for name in listed.stdout.splitlines() if Path(name).suffix in kinds]
    return [file for file in files if file.is_file()]


def test_no_file_names_a_place_on_one_machine() -> None:
    place = re.compile(r"(?<![\w.~-])(/(work|root|home|mnt|tmp|Users)/\w|[A-Z]:\\\\?Users)")
    for file in texts():
        found = place.search(file.read_text(encoding="utf-8", errors="replace"))
        assert not found or file == Path(__file__), f"{file}: {found}"
