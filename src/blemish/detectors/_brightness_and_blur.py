"""Brightness and weak smoothing of a picture before the backbone, alike in training and in a model.

ISP-AD (section 4.2 of arXiv 2503.04997) smooths with a Gaussian of 3 x 3 pixels and sigma 1, and
brightens dark field images by 1.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from blemish.graph.builder import Graph

Floats = npt.NDArray[np.float32]

RADIUS = 1  # pixels


@dataclass(frozen=True)
class Exposure:
    """`brightness` is a gain, after which values are cut at 255; `blur` a sigma in pixels, or 0."""

    brightness: float = 1.0
    blur: float = 0.0

    @property
    def does_nothing(self) -> bool:
        """True where a picture stays as it is."""
        return self.brightness == 1 and self.blur == 0

    def apply(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Images [n, H, W, 3]: the same ones, or brightened and smoothed in float32."""
        if self.does_nothing:
            return images
        bright: Floats = np.minimum(images * np.float32(self.brightness), np.float32(255))
        if self.blur == 0:
            return bright
        line = self._line()
        border = cv2.BORDER_REPLICATE
        return np.stack([cv2.sepFilter2D(x, -1, line, line, borderType=border) for x in bright])

    def add(self, graph: Graph, image: str) -> str:
        """The same as nodes of a graph, from uint8 [n, H, W, 3] to float32 of that shape."""
        x = graph.cast(image, TensorProto.FLOAT)
        x = graph.add("Mul", x, graph.constant(np.array(self.brightness)))
        x = graph.add("Min", x, graph.constant(np.array(255.0)))
        if self.blur == 0:
            return x
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
        edges = graph.constant(np.array([0, 0, RADIUS, RADIUS] * 2))
        x = graph.add("Pad", x, edges, mode="edge")
        for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
            line = np.repeat(self._line().reshape(shape), 3, axis=0)
            x = graph.add("Conv", x, graph.constant(line), group=3)
        return graph.add("Transpose", x, perm=[0, 2, 3, 1])

    def _line(self) -> Floats:
        weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / self.blur) ** 2)
        return np.asarray(weights / weights.sum(), np.float32)
