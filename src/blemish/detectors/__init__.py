"""Detectors, one file each: the file's name is the detector's name, and adding one touches no list.

A module holds one frozen dataclass with a `fit` method; `base.Detector` is the contract, with the
facts that the class may state as class variables. A module may need PyTorch (the extra `train`): it
is imported only when its detector is asked for.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from blemish.detectors.base import FACTS, Detector
from blemish.discovery import Kind
from blemish.errors import BlemishError
from blemish.util.settings import renamed, with_settings

# PyTorch's threads that wait would spin, and all but stop whatever shares the cores with them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is loaded

DETECTORS = Kind(
    __name__,
    "detector",
    "blemish.detectors",
    # The contract, and the public blocks that detectors are made of.
    without=frozenset({"base", "conformance", "embedding", "head", "moments", "network"}),
    method="fit",
    extra="train",
)


def detector_names() -> list[str]:
    """Every detector there is a file for, then those of entry points."""
    return DETECTORS.names()


def open_detector(
    detector: str | type[Detector],
    settings: Mapping[str, str] | None = None,
    *,
    preset: str | None = None,
) -> Detector:
    """A detector with its preset's settings, then `settings` as `KEY=VALUE` texts.

    `detector` is its name, the path of a file that holds it, or its class. Raises BlemishError for
    a name, a preset, a setting or a value that does not exist.
    """
    kind: Any = DETECTORS.settings_class(detector) if isinstance(detector, str) else detector
    name = detector if isinstance(detector, str) else kind.__name__
    opened, presets = kind(), stated(kind, "presets")
    if preset is not None:
        if preset not in presets:
            known = ", ".join(presets) or "none"
            raise BlemishError(f"detector {name} has no preset {preset!r}; it has: {known}")
        opened = replace(opened, **presets[preset])
    return cast("Detector", with_settings(f"detector {name}", opened, settings or {}))


def current_settings(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of that detector as a card has them, by the names and in the units of today.

    What the detector does not know stays as it is.
    """
    typed = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return renamed(open_detector(name), typed)


def usual_size(name: str) -> int:
    """The side in pixels of that detector's input, unless another is asked for."""
    return int(_fact(name, "usual_size"))


def quick_settings(name: str) -> dict[str, str]:
    """Settings with which a fit of that detector is short, and its model still of some use."""
    return dict(stated(DETECTORS.settings_class(name), "quick_settings"))


def trained_in_steps(detector: str | Detector) -> bool:
    """Whether that detector, or the one of that name, is a network whose training takes `steps`."""
    if isinstance(detector, str):
        return bool(_fact(detector, "trained_in_steps"))
    return bool(stated(type(detector), "trained_in_steps"))


def learns_several_categories(name: str) -> bool:
    """Whether that detector learns one model for several categories."""
    return bool(_fact(name, "learns_several_categories"))


def learns_from_defects(name: str) -> bool:
    """Whether the rows that that detector's `fit` gets hold the known defects of training too."""
    return bool(_fact(name, "learns_from_defects"))


def usual_tile(name: str, size: int | None = None) -> int | None:
    """The side in original pixels of that detector's tiles, unless another is asked for.

    At the same scale for a model of another `size`. None: it sees the whole image, resized.
    """
    tile: int | None = _fact(name, "usual_tile")
    return tile if tile is None or size is None else tile * size // usual_size(name)


def usual_resize(name: str) -> str:
    """Whether images are squashed to that detector's input, or padded, unless it is said."""
    return str(_fact(name, "usual_resize"))


def stated(kind: type[Any], fact: str) -> Any:
    """What the class of a detector states, one of `base.FACTS`."""
    return getattr(kind, fact, FACTS[fact])


def describe(detector: str | type[Detector]) -> str:
    """The first line of a detector's own description; that of a name is not imported for it."""
    if isinstance(detector, str):
        return DETECTORS.source(detector).about()
    return (sys.modules[detector.__module__].__doc__ or "").strip().partition("\n")[0]


def _fact(name: str, fact: str) -> Any:
    """What the class of that name states, read without importing a file of this package.

    An import may take seconds, or need what is not installed. A file from outside is imported, for
    its class may state something by a base class.
    """
    source = DETECTORS.source(name)
    if source.outside:
        return stated(DETECTORS.settings_class(name), fact)
    for kind in source.tree().body:
        if not isinstance(kind, ast.ClassDef) or "fit" not in _methods(kind):
            continue
        for node in kind.body:
            if not isinstance(node, ast.AnnAssign) or node.value is None:
                continue
            if isinstance(node.target, ast.Name) and node.target.id == fact:
                return ast.literal_eval(node.value)
    return FACTS[fact]


def _methods(kind: ast.ClassDef) -> set[str]:
    return {node.name for node in kind.body if isinstance(node, ast.FunctionDef)}
