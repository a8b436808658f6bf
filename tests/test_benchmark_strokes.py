"""The strokes of the benchmark of masks are such as a person could draw."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def strokes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("strokes")


def drawn(shape: str) -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    if shape == "bar":
        cv2.line(mask, (30, 90), (120, 40), 1, 15)
    elif shape == "disc":
        cv2.circle(mask, (60, 60), 20, 1, -1)
    elif shape == "crack":
        cv2.polylines(mask, [np.array([[20, 20], [50, 40], [60, 100]])], False, 1, 1)
    elif shape == "cut off":
        mask[80:, 100:] = 1
    elif shape == "two":
        mask[10:20, 10:20] = mask[40:80, 60:120] = 1
    return mask > 0


@pytest.mark.parametrize("background", ["beside", "around"])
@pytest.mark.parametrize("shape", ["bar", "disc", "crack", "cut off", "two"])
def test_two_strokes_small_and_in_their_places(
    strokes: ModuleType, shape: str, background: str
) -> None:
    mask = drawn(shape)
    labels = strokes.scribbles(mask, background)
    defect, other = labels == strokes.DEFECT, labels == strokes.BACKGROUND
    assert defect.any()
    assert other.any()
    assert not (defect & ~mask).any()
    assert not (other & mask).any()
    assert defect.sum() <= max(strokes.PEN**2, 1.6 * strokes.SHARE * mask.sum())
    assert cv2.connectedComponents(defect.astype(np.uint8))[0] == 2
    assert np.array_equal(labels, strokes.scribbles(mask, background))


def test_a_stroke_keeps_to_the_largest_defect(strokes: ModuleType) -> None:
    labels = strokes.scribbles(drawn("two"), "beside")
    assert (labels[40:80, 60:120] == strokes.DEFECT).sum() == (labels == strokes.DEFECT).sum()


def test_there_are_no_strokes_without_a_defect_or_without_a_background(
    strokes: ModuleType,
) -> None:
    assert strokes.scribbles(np.zeros((20, 20), bool), "beside") is None
    assert strokes.scribbles(np.ones((20, 20), bool), "beside") is None
    assert strokes.scribbles(np.ones((20, 20), bool), "around") is None
