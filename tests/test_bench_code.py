"""The code of a run: what leaves its hashes as they are, and what gives other ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import blemish
from blemish.benchmark.code import Code, code_of, package_at, this_code
from blemish.benchmark.reached_code import Package

SAMPLE = Path(__file__).parent / "fixtures" / "source" / "constructs.txt"
Change = Callable[[str], str]

RUN = '''"""A run."""

from __future__ import annotations

import numpy as np

from pack import share
from pack.fit import Detector, fit as learn

__all__ = ["run"]
LIMIT: int = 3
NAMES = {"a": 1}


def run(data: list[int]) -> float:
    """Make it."""
    if len(data) > LIMIT:
        raise ValueError(f"{len(data)} are too many", LIMIT)
    if data:
        learn(data)
    share.tell(Detector)
    return np.mean(data)
'''
FIT = '''from dataclasses import dataclass

from pack.share import scale

STEPS = 10


@dataclass
class Detector:
    """It learns."""

    size: int = 256
    steps: int = STEPS

    def fit(self, data):
        """Learn."""
        return scale(data)

    def score(self, data):
        return data


def fit(data, rate=0.1):
    found = Detector(size=1).fit(data)
    found += 1
    found *= 2
    return found


def helper():
    return 1
'''
SHARE = """LIMIT = 5


def scale(data):
    return data * LIMIT


def tell(what):
    print(what)
"""
FILES = {"__init__.py": "", "run.py": RUN, "fit.py": FIT, "share.py": SHARE}


def key(folder: Path, files: dict[str, str]) -> list[str]:
    """What is hashed of the run of a package with these files."""
    root = folder / "pack"
    shutil.rmtree(root, ignore_errors=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    package = Package(root)
    return sorted(map(package.digest, package.reached(["pack.run"])))


def changed(name: str, *pairs: tuple[str, str], files: dict[str, str] = FILES) -> dict[str, str]:
    text = files[name]
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {**files, name: text}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("run.py", '"""Make it."""', '"""Make the run, once."""'),
        ("run.py", '    """Make it."""\n', ""),
        (
            "run.py",
            "    if data:\n",
            "    # None learn nothing.\n    if (data):\n",
        ),
        ("run.py", "(data: list[int]) -> float", "(data)"),
        ("run.py", "LIMIT: int = 3", "LIMIT = 3"),
        ("run.py", "are too many", "are more than it takes"),
        ("run.py", '__all__ = ["run"]', '__all__ = ["run", "LIMIT"]\n__version__ = "2"'),
        ("run.py", "import numpy as np\n", "import numpy as np\nimport json\n"),
        ("run.py", '{"a": 1}', "{'a': 0x1}"),
        ("fit.py", "    return 1\n", "    return 2\n"),  # which no run reaches
        ("fit.py", "from dataclasses", "from typing import TYPE_CHECKING\n\nfrom dataclasses"),
        ("share.py", "    print(what)", "    print(\n        what,\n    )"),
    ],
)
def test_words_and_what_no_run_reaches_leave_the_key(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    assert key(tmp_path, changed(name, (old, new))) == key(tmp_path, FILES)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("run.py", "LIMIT: int = 3", "LIMIT: int = 4"),
        ("run.py", '{"a": 1}', '{"b": 1}'),
        ("run.py", "np.mean", "np.median"),
        ("run.py", "import numpy as np", "import cupy as np"),
        ("run.py", "too many\", LIMIT", "too many\", 2"),  # data that an error carries
        ("run.py", "import Detector, fit as learn", "import Detector, helper as learn"),
        ("run.py", "if data:", "if not data:"),
        ("fit.py", "size: int = 256", "size: int = 255"),
        ("fit.py", "size: int = 256", "size: float = 256"),  # what a setting is read as
        ("fit.py", "rate=0.1", "rate=0.2"),
        ("fit.py", "STEPS = 10", "STEPS = 11"),
        ("fit.py", "STEPS = 10", "STEPS = 10.0"),
        ("fit.py", "STEPS = 10", "STEPS = 10\nSTEPS = STEPS + 1"),
        ("fit.py", "STEPS = 10", "STEPS = 10\nprint(STEPS)"),
        ("fit.py", "@dataclass", "@dataclass(order=True)"),
        ("fit.py", "class Detector", "class Detector(dict)"),
        ("fit.py", "found += 1\n    found *= 2", "found *= 2\n    found += 1"),
        ("share.py", "data * LIMIT", "data + LIMIT"),
        ("share.py", "LIMIT = 5", "LIMIT = 6"),
    ],
)  # fmt: skip
def test_what_can_change_a_result_changes_the_key(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    assert key(tmp_path, changed(name, (old, new))) != key(tmp_path, FILES)


def test_a_move_leaves_the_key(tmp_path: Path) -> None:
    before = key(tmp_path, FILES)
    files = changed("run.py", ("pack.fit", "pack.train.hold_out"))
    files["train/hold_out.py"] = files.pop("fit.py")
    assert key(tmp_path, {**files, "train/__init__.py": '"""Training."""\n'}) == before
    renamed = changed("run.py", ("from pack import share", "from pack import common"))
    renamed = changed("run.py", ("share.tell", "common.tell"), files=renamed)
    renamed = changed("fit.py", ("pack.share", "pack.common"), files=renamed)
    renamed["common.py"] = renamed.pop("share.py")
    assert key(tmp_path, renamed) == before


def test_a_module_that_is_divided_leaves_the_key(tmp_path: Path) -> None:
    before = key(tmp_path, FILES)
    head, tail = FIT.split("\n\n\ndef fit(")
    parts = {
        "fit/__init__.py": "from pack.fit.detector import Detector\nfrom pack.fit.go import fit\n",
        "fit/detector.py": head,
        "fit/go.py": f"from pack.fit.detector import Detector\n\n\ndef fit({tail}",
    }
    files = {name: text for name, text in FILES.items() if name != "fit.py"}
    assert key(tmp_path, files | parts) == before
    parts["fit/go.py"] = parts["fit/go.py"].replace("import Detector", "import Other as Detector")
    parts["fit/detector.py"] += "\n\nclass Other:\n    pass\n"
    assert key(tmp_path, files | parts) != before


def test_one_of_two_that_are_called_alike_is_told_from_the_other(tmp_path: Path) -> None:
    """Both are reached before and after: only which of them is meant changes."""
    files = {
        "__init__.py": "",
        "one.py": "LIMIT = 1\n\n\ndef limit():\n    return LIMIT\n",
        "two.py": "LIMIT = 2\n\n\ndef limit():\n    return LIMIT\n",
        "run.py": "from pack import one, two\n\nrun = one.limit() - two.limit()\n",
    }
    turned = ("one.limit() - two.limit()", "two.limit() - one.limit()")
    other = changed("run.py", turned, files=files)
    assert key(tmp_path, other) != key(tmp_path, files)


def test_imports_inside_of_functions_are_followed(tmp_path: Path) -> None:
    late = changed(
        "run.py",
        ("from pack import share\nfrom pack.fit import Detector, fit as learn\n", ""),
        ("    if len(data)", "    from pack import share\n    from pack.fit import Detector, fit "
         "as learn\n\n    if len(data)"),
    )  # fmt: skip
    before = key(tmp_path, late)
    assert before == key(tmp_path, FILES)
    assert key(tmp_path, changed("share.py", ("LIMIT = 5", "LIMIT = 6"), files=late)) != before
    two = {**FILES, "run.py": (
        "def run():\n    def a():\n        from pack.fit import fit\n        return fit()\n"
        "    def b():\n        from pack.share import tell as fit\n        return fit()\n"
    )}  # fmt: skip
    before = key(tmp_path, two)
    assert key(tmp_path, changed("fit.py", ("rate=0.1", "rate=0.2"), files=two)) != before


def test_what_an_import_does_counts_in_its_order(tmp_path: Path) -> None:
    acts = {**FILES, "share.py": f'import os\n\nos.putenv("A", "1")\nos.putenv("B", "2")\n{SHARE}'}
    before = key(tmp_path, acts)
    assert before != key(tmp_path, FILES)
    turned = changed("share.py", ('"A"', '"C"'), ('"B"', '"A"'), ('"C"', '"B"'), files=acts)
    assert key(tmp_path, turned) != before
    perhaps = "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None\n"
    tried = {**FILES, "share.py": perhaps + SHARE.replace("print(what)", "tomllib.loads(what)")}
    assert key(tmp_path, tried) != key(tmp_path, changed("share.py", ("None", "1"), files=tried))


BY_IMPORT = "import importlib\n\n\ndef open_it(name):\n"
BY_IMPORT += '    return importlib.import_module(f"{__name__}.{name}")\n'
BY_KIND = (
    "from pack.discovery import Kind\n\nKINDS = Kind(__name__, 'kind')\n\n\ndef open_it(name):\n"
)
BY_KIND += "    return KINDS.module(name)\n"


@pytest.mark.parametrize("opens", [BY_IMPORT, BY_KIND], ids=["import", "kind"])
def test_files_that_are_found_by_their_names_count(tmp_path: Path, opens: str) -> None:
    files = {
        "discovery.py": "class Kind:\n    def module(self, name):\n        return name\n",
        "__init__.py": "",
        "kinds/__init__.py": opens,
        "kinds/dent.py": "DEPTH = 1\n",
        "run.py": "from pack.kinds import open_it\n\n\ndef run(name):\n    return open_it(name)\n",
    }
    before = key(tmp_path, files)
    assert (
        key(tmp_path, changed("kinds/dent.py", ("DEPTH = 1", "DEPTH = 2"), files=files)) != before
    )
    assert key(tmp_path, {**files, "kinds/hole.py": "SIZE = 1\n"}) != before


def test_every_python_hashes_alike(tmp_path: Path) -> None:
    """The sample has every construct; Python 3.11, 3.12 and 3.13 were seen to agree on it."""
    (tmp_path / "sample").mkdir()
    shutil.copy(SAMPLE, tmp_path / "sample" / "__init__.py")
    package = Package(tmp_path / "sample")
    module = package.module("sample")
    assert module is not None
    assert module.executed is not None
    assert package.digest(module)[:16] == "43b12c32dbcc00df"
    assert package.digest(module.executed)[:16] == "ea1b26dd965ed4bc"


# This package.


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of this package's source."""
    here = Path(blemish.__file__).parent
    shutil.copytree(here, tmp_path / "blemish", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "blemish"


def padim(root: Path) -> Code:
    return code_of(package_at(root), "padim", "pooled")


def edit(file: Path, change: Change) -> None:
    text = file.read_text(encoding="utf-8")
    assert change(text) != text
    file.write_text(change(text), encoding="utf-8")


def test_a_docstring_and_a_moved_module_leave_the_code(copied: Path) -> None:
    before = padim(copied)
    assert before == this_code("padim", "pooled")
    table = copied / "dataset" / "table.py"
    edit(table, lambda text: text.replace('"""', '"""Another word: ', 1))
    (copied / "learning").mkdir()
    (copied / "training" / "hold_out.py").rename(copied / "learning" / "parts.py")
    (copied / "detectors" / "embedding.py").rename(copied / "detectors" / "_cells.py")
    for file in copied.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("blemish.training.hold_out", "blemish.learning.parts")
        text = text.replace("detectors.embedding", "detectors._cells")
        file.write_text(text, encoding="utf-8")
    assert padim(copied) == before


def test_a_constant_and_a_setting_change_the_code(copied: Path) -> None:
    before = padim(copied)
    geometry, detector = copied / "images" / "geometry.py", copied / "detectors" / "padim.py"
    edit(detector, lambda text: text.replace("top: int = setting(3", "top: int = setting(4"))
    other = padim(copied)
    assert (other.source, other.method != before.method) == (before.source, True)
    edit(geometry, lambda text: text.replace("cv2.INTER_AREA", "cv2.INTER_LINEAR"))
    assert padim(copied).source != before.source


def test_what_no_run_of_a_detector_reaches_leaves_its_code(copied: Path) -> None:
    before = padim(copied)
    (copied / "detectors" / "newest.py").write_text("SIZE = 1\n", encoding="utf-8")
    for name in ("detectors/duet.py", "cli/train.py", "benchmark/runner.py"):
        edit(copied / name, lambda text: text + "\nX = 1\nprint(X)\n")
    edit(copied / "__init__.py", lambda text: text.replace('__version__ = "', '__version__ = "9.'))
    assert padim(copied) == before


def test_a_detector_that_synthesises_is_of_the_generators_code(copied: Path) -> None:
    before = code_of(package_at(copied), "mixed"), padim(copied)
    edit(copied / "synthesis" / "random_walk.py", lambda text: text + "\nprint(1)\n")
    after = code_of(package_at(copied), "mixed"), padim(copied)
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
