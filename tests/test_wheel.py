"""The wheel, as a stranger gets it: what it carries, and the demonstration in an empty environment.

Building and installing need a package index, as `make install` does. The tests are skipped only
where pip reaches none at all; any other failure of pip is theirs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from running import Run

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "blemish"
NOT_TO_PIP = ("BLEMISH_", "PYTHON", "VIRTUAL_ENV", "CI")  # how these variables start
TO_A_STRANGER = ("LANG", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")  # and no others


@dataclass(frozen=True)
class Installation:
    """An environment with nothing but the wheel and what the wheel asks for."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / "environment" / ("Scripts" if os.name == "nt" else "bin")

    def run(self, program: str, *argv: object) -> Run:
        """A program of the environment, started elsewhere by someone without settings."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in TO_A_STRANGER if name in os.environ}
        done = subprocess.run(
            [str(self.programs / program), *map(str, argv)],
            cwd=home,
            env={**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        return Run(done.returncode, done.stdout, done.stderr.splitlines())


def pip(python: Path | str, *argv: object) -> None:
    """Run pip with the person's own index; skip where no index answers."""
    done = subprocess.run(
        [str(python), "-I", "-m", "pip", "--disable-pip-version-check", *map(str, argv)],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(NOT_TO_PIP)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode and is_offline(done.stdout):
        pytest.skip(f"no package index can be reached: pip {argv[0]} found no connection")
    assert done.returncode == 0, done.stdout


def is_offline(said: str) -> bool:
    """Whether pip gave up because no connection came about, and not for what it was asked for."""
    return "connection broken by" in said and "(from versions: none)" in said


def test_a_wrong_requirement_is_no_missing_network() -> None:
    refused = "ERROR: Could not find a version that satisfies the requirement "
    broken = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
    assert is_offline(f"{broken}{refused}hatchling>=1.27 (from versions: none)")
    assert not is_offline(f"{refused}nunpy>=2.0 (from versions: none)")
    assert not is_offline(f"{broken}{refused}numpy>=99 (from versions: 2.3.0, 2.4.6)")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as the README says."""
    folder = tmp_path_factory.mktemp("dist")
    pip(sys.executable, "wheel", "--quiet", "--no-deps", ROOT, "--wheel-dir", folder)
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The wheel in an empty environment, at the versions of constraints.txt; removed at the end."""
    found = Installation(tmp_path_factory.mktemp("stranger"))
    subprocess.run([sys.executable, "-I", "-m", "venv", found.folder / "environment"], check=True)
    python = found.programs / "python"
    pip(python, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    yield found
    shutil.rmtree(found.folder)


# --- what it carries ------------------------------------------------------------------------------


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    package = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    [about] = {name.split("/")[0] for name in names_in(wheel)} - {"blemish"}
    assert about.endswith(".dist-info")
    assert {name for name in names_in(wheel) if not name.startswith(about)} == package


@pytest.mark.parametrize(
    "what",
    [
        *("blemish/py.typed", "blemish/features/assets/efficientnet_lite0.onnx"),
        *("blemish/features/assets/efficientnet_lite0.json", "blemish/report/page.html"),
        *("blemish/report/page.js", "blemish/report/page.css", "blemish/published/datasets.csv"),
        *("blemish/benchmark/protocols/mvtec.toml", "blemish/benchmark/rates.json"),
    ],
)
def test_the_wheel_holds_what_is_no_python(wheel: Path, what: str) -> None:
    assert what in names_in(wheel)


def test_the_wheel_says_what_it_needs_and_under_which_terms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [about] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = archive.read(about).decode("utf-8")
        licences = {Path(name).name for name in archive.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}
    needed = [line for line in said.splitlines() if line.startswith("Requires-Dist: ")]
    assert any("numpy" in line for line in needed)
    assert all("extra ==" in line for line in needed if "torch" in line)


# --- in an empty environment ----------------------------------------------------------------------


def test_the_demonstration_runs_in_an_empty_environment(
    installation: Installation, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = installation.run("blemish", "demo", "--synthetic", "--out", out, "--json", "-")
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["image"]["auroc"] > 0.9
    assert not figures["decision"]["promise"]["provisional"]
    HTMLParser().feed((out / "report.html").read_text(encoding="utf-8"))

    picture = next((out / "data" / "test" / "scratch").iterdir())
    judged = installation.run("blemish", "inspect", out / "model.blemish", picture, "--json")
    assert judged.code == 0, judged.err
    assert json.loads(judged.out)


def test_what_runs_is_what_was_installed(installation: Installation) -> None:
    place = "import blemish, importlib.util as u; print(blemish.__file__, u.find_spec('torch'))"
    done = installation.run("python", "-c", place)
    file, torch = done.out.split()
    assert Path(file).is_relative_to(installation.folder)
    assert torch == "None"


@pytest.mark.parametrize(
    ("verb", "named"),
    [
        (("bench", "list"), "isp-unsupervised"),
        (("backbone", "list"), "efficientnet_lite0"),
        (("detectors",), 'pip install "blemish[train]"'),
        (("detectors", "padim"), "--set prior=100.0"),
    ],
)
def test_a_verb_finds_the_data_of_the_package(
    installation: Installation, verb: tuple[str, ...], named: str
) -> None:
    done = installation.run("blemish", *verb)
    assert done.code == 0, done.err
    assert named in done.out
