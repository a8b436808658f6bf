"""The code that a result is of: the version, the source, and the libraries that compute."""

from __future__ import annotations

import ast
import functools
import hashlib
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import onnxruntime
import PIL
import simplejpeg

import blemish
from blemish.threads import default_threads

_LIBRARIES = (np, cv2, onnxruntime, PIL, simplejpeg, h5py)
_ROOTS = ("blemish.benchmark.execute", "blemish.benchmark.sources")
# What only starts runs, or shows what they came to, cannot change them.
_SHOWS = ("blemish.benchmark.", "blemish.published", "blemish.progress")


@dataclass(frozen=True)
class Code:
    """Hashes of the source files and libraries that can change a result.

    `source` is of those that every run shares, `method` of what its detector and its split add: a
    new detector leaves the results of the others as they are.
    """

    version: str
    source: str
    method: str


@functools.cache
def this_code(detector: str, split: str | None = None) -> Code:
    """The code that runs now, of a run with that detector and that split protocol."""
    own = [f"blemish.detectors.{detector}"]
    own += [] if split is None else [f"blemish.dataset.splits.{split}"]
    shared, _ = _shared()
    modules, libraries = _reached(own)
    return Code(blemish.__version__, common_source(), _hash(modules - shared, libraries))


@functools.cache
def common_source() -> str:
    """The hash of what every run shares."""
    modules, _ = _shared()
    digest = hashlib.sha256(_hash(modules, ()).encode())
    for library in _LIBRARIES:
        digest.update(f"{library.__name__} {library.__version__}\n".encode())
    for asset in sorted((_root() / "features" / "assets").glob("*.onnx")):
        with asset.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{asset.name} {content}\n".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _shared() -> tuple[frozenset[str], frozenset[str]]:
    return _reached(_ROOTS)


def _reached(roots: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The modules of this package that some of its modules import, and other top-level names."""
    roots = list(roots)
    seen: set[str] = set()
    others: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen or (name.startswith(_SHOWS) and name not in roots):
            continue
        if name != "blemish" and not name.startswith("blemish."):
            others.add(name.partition(".")[0])
            continue
        if (file := _file(name)) is None:  # a name inside of a module
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imports(file)
    return frozenset(seen), frozenset(others - sys.stdlib_module_names)


@functools.cache
def _imports(file: Path) -> list[str]:
    """Every name that a source file imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _hash(modules: Iterable[str], libraries: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(modules):
        file = _file(name)
        assert file is not None
        text = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {hashlib.sha256(text).hexdigest()}\n".encode())
    for library in sorted(set(libraries) - _shared()[1]):
        digest.update(f"{library} {_version(library)}\n".encode())
    return digest.hexdigest()[:16]


def _file(name: str) -> Path | None:
    path = _root().joinpath(*name.split(".")[1:])
    choices = (path / "__init__.py", path.with_suffix(".py"))
    return next((choice for choice in choices if choice.is_file()), None)


def _root() -> Path:
    return Path(blemish.__file__).parent


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # its distribution has another name
        return "unknown"


@functools.cache
def this_machine() -> dict[str, Any]:
    """What the cost of a run depends on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": default_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
