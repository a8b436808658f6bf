"""The code version of a result: hashes of the source and of the libraries that compute."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
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
from blemish.benchmark.reached_code import Definition, Package
from blemish.util.threads import default_threads

_LIBRARIES = (np, cv2, onnxruntime, PIL, simplejpeg, h5py)
_WRITERS = {"onnx", "polars"}  # they hold what others have computed
_ROOTS = ("blemish.benchmark.execute", "blemish.benchmark.sources")
# What only starts runs, finds files, or shows what runs came to, cannot change them.
_SHOWS = ("blemish.benchmark.", "blemish.discovery", "blemish.published", "blemish.util.progress")
# One of each is named by a run, or seen in its images' fingerprint.
_CHOSEN = ("blemish.detectors", "blemish.dataset.splits", "blemish.dataset.layouts")
_DATA = ("features/assets/*.onnx", "published/isp_ad_augmentation.csv")


@dataclass(frozen=True)
class Code:
    """Hashes of the definitions and libraries that can change a result.

    `source` is of those that every run shares, `method` of what its detector and its split add: a
    new detector leaves the results of the others as they are. `version` is for people.
    """

    version: str = field(compare=False)
    source: str
    method: str


@functools.cache
def this_code(detector: str, split: str | None = None) -> Code:
    """The code that runs now, of a run with that detector and that split protocol."""
    return code_of(_installed(), detector, split)


def code_of(package: Package, detector: str, split: str | None = None) -> Code:
    """The code of such a run in that package."""
    own = [f"{package.root.name}.detectors.{detector}"]
    own += [] if split is None else [f"{package.root.name}.dataset.splits.{split}"]
    definitions = package.reached(own) - _shared(package)
    libraries = package.libraries(definitions) - {one.__name__ for one in _LIBRARIES} - _WRITERS
    lines = [*map(package.digest, definitions), *(f"{n} {_version(n)}" for n in libraries)]
    method = _hash(lines)
    return Code(blemish.__version__, _common_source(package), method)


def package_at(root: Path) -> Package:
    """The source of this package that lies in a folder."""
    return Package(root, _ROOTS, _SHOWS, _CHOSEN)


@functools.cache
def _installed() -> Package:
    return package_at(Path(blemish.__file__).parent)


@functools.cache
def _shared(package: Package) -> frozenset[Definition]:
    return package.reached(_ROOTS)


@functools.cache
def _common_source(package: Package) -> str:
    """The hash of what every run shares."""
    lines = [package.digest(definition) for definition in _shared(package)]
    lines += [f"{library.__name__} {library.__version__}" for library in _LIBRARIES]
    for pattern in _DATA:
        for path in package.root.glob(pattern):
            with path.open("rb") as file:
                lines.append(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}")
    return _hash(lines)


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


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
