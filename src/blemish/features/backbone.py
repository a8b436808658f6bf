"""Backbones: frozen ONNX graphs that turn an image into one feature map per layer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blemish.errors import BlemishError

ASSETS = Path(__file__).parent / "assets"
BUNDLED = "efficientnet_lite0"


@dataclass(frozen=True)
class Layer:
    """One output of a backbone: its name, channels, and input pixels per feature cell."""

    name: str
    channels: int
    stride: int


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


def backbone_names() -> list[str]:
    """Names of the backbones on this machine."""
    return sorted(path.stem for path in ASSETS.glob("*.onnx"))


@cache
def open_backbone(name: str = BUNDLED) -> Backbone:
    """The backbone of that name, with the sha256 of its file; a BlemishError lists the known."""
    path = ASSETS / f"{name}.onnx"
    if not path.is_file():
        known = ", ".join(backbone_names())
        raise BlemishError(f"there is no backbone {name!r} on this machine; there are: {known}")
    card = json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))
    layers = tuple(Layer(**layer) for layer in card["layers"])
    return Backbone(name, path, hashlib.sha256(path.read_bytes()).hexdigest(), layers)
