"""One plate of a batch as it left the press: the design, displaced and inked a little differently.

Every layer is printed by itself, so each lies a pixel or so off, turned and stretched by a hair;
the ink spreads more here and less there, and keeps the marks of the screen's mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from blemish.simulator.design import LAYERS, Design, Ink
from blemish.simulator.random_fields import Drift, Floats, Pixels, PlateWindow, Texture

MARGIN = 24  # pixels kept around a plate, and around each window while it is drawn


@dataclass(frozen=True, eq=False)
class Print:
    """A printed plate: the coverage of its layers, uint8 [layers, H + 2 MARGIN, W + 2 MARGIN].

    The rest says how ink lies on it, see `inked`: fine grain and coarser mottle, the slow drift of
    the spread and of the body of the ink, a mesh for every layer, and how steep edges are.
    """

    coverage: Pixels
    inks: tuple[Ink, ...]
    grain: Texture
    mottle: Texture
    spread: Drift
    body: Drift
    meshes: tuple[Texture, ...]
    edge: float

    @property
    def whole(self) -> PlateWindow:
        """The window of the plate without its margin."""
        height, width = self.coverage.shape[1:]
        return PlateWindow(0, 0, height - 2 * MARGIN, width - 2 * MARGIN)

    def covered(self, window: PlateWindow) -> Pixels:
        """The layers' coverage in a window, uint8 [layers, h, w]: a view of the plate's own."""
        rows, columns = window.inside(self.whole.grown(MARGIN))
        return self.coverage[:, rows, columns]

    def share(self, window: PlateWindow, layer: int) -> float:
        """How much of a window a layer covers, 0 to 1; 0 where the window leaves the plate."""
        if self.whole.shared(window) != window:
            return 0.0
        return float(self.covered(window)[layer].mean()) / 255

    def inked(self, window: PlateWindow, covered: Pixels) -> Floats:
        """The thickness of ink [layers, h, w] where the stencils let it through.

        1 is the thickness intended; `covered` is the coverage in the window, uint8.
        """
        grain, mottle = self.grain.at(window), self.mottle.at(window)
        spread, body = self.spread.at(window), self.body.at(window)
        even = 1 + np.float32(0.03) * body + np.float32(0.022) * mottle
        moved = np.float32(0.03) * grain + np.float32(0.05) * spread
        moved += np.float32(0.5 - 0.5 * self.edge)
        thickness = np.zeros((len(LAYERS), *window.shape), np.float32)
        for layer, stencil in enumerate(covered):
            if not stencil.any():
                continue
            mesh = self.meshes[layer].at(window)
            # The edge lies where the blurred stencil passes a threshold, which the mesh and the
            # flow of the ink move: hence the ragged edges of screen prints.
            share = cv2.GaussianBlur(stencil, (0, 0), 0.75).astype(np.float32)
            share *= np.float32(self.edge / 255)
            share += mesh
            share += moved
            np.clip(share, 0, 1, out=share)
            np.multiply(share, cv2.scaleAdd(mesh, 0.35, even), out=thickness[layer])
        return thickness


def print_plate(design: Design, rng: np.random.Generator) -> Print:
    """Print the design once."""
    height, width = design.coverage.shape[1:]
    tilt, shift = rng.normal(0, 0.05), rng.normal(0, 4, 2).clip(-9, 9)
    size = (width + 2 * MARGIN, height + 2 * MARGIN)
    coverage = np.zeros((len(LAYERS), size[1], size[0]), np.uint8)
    for layer, whole in enumerate(design.coverage):
        angle = np.clip(tilt, -0.1, 0.1) + np.clip(rng.normal(0, 0.006), -0.012, 0.012)
        scale = 1 + np.clip(rng.normal(0, 8e-5), -1.6e-4, 1.6e-4)
        place = cv2.getRotationMatrix2D((width / 2, height / 2), float(angle), float(scale))
        place[:, 2] += shift + rng.normal(0, 0.7, 2).clip(-1.5, 1.5) + MARGIN
        cv2.warpAffine(whole, place, size, dst=coverage[layer], flags=cv2.INTER_LINEAR)
    return Print(
        coverage,
        tuple(_mixed(ink, rng) for ink in design.inks),
        grain=Texture.drawn(rng, 0.8),
        mottle=Texture.drawn(rng, 3.5),
        spread=Drift.drawn(rng, height, width, 420),
        body=Drift.drawn(rng, height, width, 650),
        meshes=tuple(
            Texture.mesh(
                rng.uniform(4.2, 6.0), np.deg2rad(rng.uniform(5, 40)), rng.uniform(0.015, 0.04)
            )
            for _ in LAYERS
        ),
        edge=float(rng.uniform(1.5, 2.1)),
    )


def _mixed(ink: Ink, rng: np.random.Generator) -> Ink:
    """The ink of this print: no two mixtures are quite alike."""
    near = 1 + rng.normal(0, 0.03, 3).clip(-0.07, 0.07)
    return Ink(
        ink.reflectance * near[0],
        ink.density * near[1],
        ink.scatter * near[2],
        ink.height,
        ink.flake,
        ink.gloss,
    )
