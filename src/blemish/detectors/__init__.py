"""Detectors, one file each: the file's name is the detector's name, and adding one touches no list.

A module holds one dataclass with a `fit` method, and may hold `PRESETS`, settings by preset name,
`SIZE`, the side of the model's input in pixels unless another is asked for, `TILE`, the side of
its tiles in original pixels for one that sees no resized image, and `QUICK`, settings
by name that make a fit short, for `check_detector`. A module may need PyTorch (the extra `train`):
it is imported only when its detector is asked for.
"""

from __future__ import annotations

import ast
import importlib
import math
import os
import pkgutil
import types
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from blemish.detectors.base import Detector
from blemish.errors import BlemishError
from blemish.util.settings import with_settings

# PyTorch's threads that wait would spin, and all but stop whatever shares the cores with them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is loaded

USUAL_SIZE = 256  # pixels
_CONTRACT = {"base", "conformance"}


def detector_names() -> list[str]:
    """Every detector there is a file for."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(__path__)
        if module.name not in _CONTRACT and not module.name.startswith("_")
    )


def open_detector(
    name: str, settings: Mapping[str, str] | None = None, *, preset: str | None = None
) -> Detector:
    """The detector of that name with its preset's settings, then `settings` as `KEY=VALUE` texts.

    Raises BlemishError for a name, a preset, a setting or a value that does not exist.
    """
    if name not in detector_names():
        known = ", ".join(detector_names())
        raise BlemishError(f"there is no detector {name!r}; there are: {known}")
    module = _module(name)
    detector = _detector_class(module)()
    presets: dict[str, dict[str, Any]] = getattr(module, "PRESETS", {})
    if preset is not None:
        if preset not in presets:
            known = ", ".join(presets) or "none"
            raise BlemishError(f"detector {name} has no preset {preset!r}; it has: {known}")
        detector = replace(detector, **presets[preset])
    detector = with_settings(f"detector {name}", detector, settings or {})
    _refuse_nonsense(name, detector)
    return cast("Detector", detector)


def usual_size(name: str) -> int:
    """The side in pixels of that detector's input, unless another is asked for."""
    return int(getattr(_module(name), "SIZE", USUAL_SIZE))


def quick_settings(name: str) -> dict[str, str]:
    """Settings with which a fit of that detector is short, and its model still of some use."""
    return dict(getattr(_module(name), "QUICK", {}))


def learns_several_categories(name: str) -> bool:
    """Whether that detector learns one model for several categories, read without importing it.

    Its class says so by `learns_several_categories: ClassVar[bool] = True`.
    """
    return _says(name, "learns_several_categories")


def learns_from_defects(name: str) -> bool:
    """Whether that detector is taught with defects too, read without importing it.

    Its class says so by `learns_from_defects: ClassVar[bool] = True`; the rows that its `fit` gets
    then hold the known defects of training.
    """
    return _says(name, "learns_from_defects")


def usual_tile(name: str, size: int | None = None) -> int | None:
    """The side in original pixels of that detector's tiles, unless another is asked for.

    At the same scale for a model of another `size`. None: it sees the whole image, resized.
    """
    tile: int | None = getattr(_module(name), "TILE", None)
    return tile if tile is None or size is None else tile * size // usual_size(name)


def usual_resize(name: str) -> str:
    """Whether pictures are squashed to that detector's input, or padded, unless it is said."""
    return str(getattr(_module(name), "RESIZE", "squash"))


def _says(name: str, fact: str) -> bool:
    said = (node for node in ast.walk(_source(name)) if isinstance(node, ast.AnnAssign))
    return any(
        isinstance(node.target, ast.Name)
        and node.target.id == fact
        and isinstance(node.value, ast.Constant)
        and node.value.value is True
        for node in said
    )


def describe(name: str) -> str:
    """The first line of a detector's own description, read without importing it."""
    return (ast.get_docstring(_source(name)) or "").partition("\n")[0]


def _source(name: str) -> ast.Module:
    return ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))


def _module(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("blemish"):
            raise
        raise BlemishError(
            f"detector {name} needs {error.name}, which is not installed; "
            'get it with: pip install "blemish[train]"'
        ) from None


def _detector_class(module: types.ModuleType) -> type[Any]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and hasattr(value, "fit")
        ):
            return value
    raise BlemishError(f"{module.__name__} holds no class with a fit method")


def _refuse_nonsense(name: str, detector: Any) -> None:
    """Counts are 1 or more, a neighbourhood has a centre, shares and weights are finite."""
    for setting in fields(detector):
        value, rule = getattr(detector, setting.name), ""
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            rule = "be at least 1"
        elif setting.name == "pool" and value % 2 == 0:
            rule = "be odd"
        elif isinstance(value, float) and not 0 <= value < math.inf:
            rule = "be finite and not below 0"
        elif setting.name == "regularization" and value == 0:
            rule = "be above 0"
        if rule:
            raise BlemishError(f"setting {setting.name}={value} of detector {name} must {rule}")
