"""Backbones: frozen ONNX graphs that turn an image into one feature map per layer."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from blemish.errors import BlemishError
from blemish.util import typed_json
from blemish.util.files import open_regular
from blemish.util.text_files import read_json

ASSETS = Path(__file__).parent / "assets"
BUNDLED = "efficientnet_lite0"


@dataclass(frozen=True)
class Layer:
    """One output of a backbone: its name, channels, and input pixels per feature cell."""

    name: str
    channels: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    stride: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


@dataclass(frozen=True)
class Backbone:
    """An ONNX graph `image` uint8 [n, H, W, 3] -> float32 [n, c, H/stride, W/stride] per layer."""

    name: str
    path: Path
    sha256: str
    layers: tuple[Layer, ...]

    def layer(self, name: str) -> Layer:
        """The layer of that name; a BlemishError lists the layers there are."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise BlemishError(f"backbone {self.name} has no layer {name!r}; it has {known}")


def user_folder() -> Path:
    """Where imported backbones are kept: `BLEMISH_BACKBONES`, or in the user's data folder."""
    if named := os.environ.get("BLEMISH_BACKBONES"):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "blemish" / "backbones"
    data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return data / "blemish" / "backbones"


def backbone_names() -> list[str]:
    """Names of the backbones on this machine: the package's and the imported ones."""
    return sorted(_files())


def open_backbone(name: str = BUNDLED) -> Backbone:
    """The backbone of that name, with the sha256 of its file.

    A BlemishError lists the known ones, or says that its files are damaged.
    """
    files = _files()
    if name not in files:
        raise BlemishError(
            f"there is no backbone {name!r} on this machine; there are: "
            f"{', '.join(sorted(files))}; import it with `blemish backbone import timm/{name}`, or "
            f"from a file of weights with `blemish backbone import {name} --weights FILE`"
        )
    path = files[name]
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _open(path, changed)


def _files() -> dict[str, Path]:
    """The graph of each name; an imported one never hides one of the package."""
    return {path.stem: path for folder in (user_folder(), ASSETS) for path in folder.glob("*.onnx")}


@cache
def _open(path: Path, _changed: int) -> Backbone:
    sha256, whole = "", False
    layers: tuple[Layer, ...] = ()
    try:
        with open_regular(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        card = read_json(path.with_suffix(".json"), "card", "import it again", BlemishError)
        layers = tuple(typed_json.read(list[Layer], card["layers"]))
        whole = sha256 == card["sha256"] and bool(layers)
    except (OSError, ValueError, TypeError, KeyError, BlemishError):
        pass
    if not whole:
        raise BlemishError(
            f"backbone {path.stem} is damaged: {path} is not what its card {path.stem}.json "
            "describes; delete it and import it again"
        )
    return Backbone(path.stem, path, sha256, layers)
