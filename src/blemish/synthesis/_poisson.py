"""Poisson blending of a rectangle, solved exactly, in any depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.synthesis.visible import Floats

_ROWS = 256  # solved at a time: bounds the memory


def blend(under: Floats, piece: Floats) -> Floats:
    """The piece [h, w] or [h, w, c] with its own gradients, and the outermost pixels of `under`.

    This is the discrete Poisson equation with the border given (Perez et al., SIGGRAPH 2003,
    eq. 7): the piece plus the harmonic function that its border lacks. On a rectangle that function
    is a sum of sines which fade away from each of the four sides.
    """
    if min(under.shape[:2]) < 3:
        return under.copy()
    lack = np.asarray(under - piece, np.float64)
    lack = lack[..., None] if lack.ndim == 2 else lack
    planes = [_harmonic(plane) for plane in np.moveaxis(lack, 2, 0)]
    harmonic = np.stack(planes, axis=2).reshape(under.shape)
    return np.asarray(piece + harmonic, np.float32)


def _harmonic(lack: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The function [h, w] without curvature inside that equals `lack` on the border.

    A bilinear function takes the four corners, because a sine cannot.
    """
    height, width = lack.shape
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    first = lack[0, 0] + across * (lack[0, -1] - lack[0, 0])
    last = lack[-1, 0] + across * (lack[-1, -1] - lack[-1, 0])
    found: npt.NDArray[np.float64] = first + down * (last - first)
    rest = [lack[0] - found[0], lack[-1] - found[-1], lack[:, 0] - found[:, 0]]
    rest.append(lack[:, -1] - found[:, -1])
    found += _fading(rest[0], height) + _fading(rest[1], height)[::-1]
    found += (_fading(rest[2], width) + _fading(rest[3], width)[::-1]).T
    return found


def _fading(side: npt.NDArray[np.float64], depth: int) -> npt.NDArray[np.float64]:
    """Harmonic [depth, n] with the values of `side`, 0 at its ends, above; 0 on the other sides."""
    last, far = len(side) - 1, depth - 1
    waves = np.arange(1, last)
    rate = np.arccosh(2 - np.cos(np.pi * waves / last))  # per pixel, of the discrete equation
    heights = _sines(side[None, 1:-1])[0] * (2 / last)
    found = np.zeros((depth, last + 1))
    for start in range(0, depth, _ROWS):
        rows = np.arange(start, min(start + _ROWS, depth))[:, None]
        left = -np.expm1(-2 * rate * (far - rows)) / -np.expm1(-2 * rate * far)
        found[rows[:, 0], 1:-1] = _sines(heights * np.exp(-rate * rows) * left)
    return found


def _sines(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The sine transform of each row: sum over k of value k times sin(pi k j / (n + 1))."""
    count = values.shape[1]
    odd = np.zeros((len(values), 2 * count + 2))
    odd[:, 1 : count + 1] = values
    return np.asarray(-np.fft.rfft(odd).imag[:, 1 : count + 1])
