"""The code that a result is of: the version, the source, and the libraries that compute."""

from __future__ import annotations

import functools
import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

import blemish
from blemish.threads import default_threads

# What only shows results, or starts runs, cannot change them.
_SHOWS = ("cli", "report", "demo", "published")
_COMPUTES = ("benchmark/execute.py", "benchmark/sources.py")


@dataclass(frozen=True)
class Code:
    """`source` is a hash of every source file that can change a result, and of the libraries."""

    version: str
    source: str


@functools.cache
def this_code() -> Code:
    """The code that runs now."""
    root = Path(blemish.__file__).parent
    digest = hashlib.sha256()
    for library in (np, cv2, onnxruntime):
        digest.update(f"{library.__name__} {library.__version__}\n".encode())
    for name in sorted(file.relative_to(root).as_posix() for file in root.rglob("*.py")):
        top = name.partition("/")[0]
        if top in _SHOWS or (top == "benchmark" and name not in _COMPUTES):
            continue
        text = (root / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {hashlib.sha256(text).hexdigest()}\n".encode())
    for asset in sorted((root / "features" / "assets").glob("*.onnx")):
        with asset.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{asset.name} {content}\n".encode())
    return Code(blemish.__version__, digest.hexdigest()[:16])


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
