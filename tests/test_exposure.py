"""Brightness and smoothing before the backbone: the same in training and in a model's graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from blemish.detectors._brightness_and_blur import Exposure
from blemish.graph.builder import Graph, model, serialize, tensor

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)


def in_a_graph(exposure: Exposure, images: np.ndarray) -> np.ndarray:
    graph = Graph()
    graph.add("Identity", exposure.add(graph, "image"), to="shown")
    inputs = [tensor("image", ("n", "H", "W", 3), TensorProto.UINT8)]
    whole = serialize(model(graph, inputs, [tensor("shown", ("n", "H", "W", 3))]))
    return np.asarray(onnxruntime.InferenceSession(whole).run(None, {"image": images})[0])


@pytest.mark.parametrize(
    "exposure", [Exposure(1.5), Exposure(0.5, 1.0), Exposure(1.0, 0.7), Exposure(1.5, 1.0)]
)
def test_training_and_the_graph_see_the_same_pixels(exposure: Exposure) -> None:
    assert not exposure.does_nothing
    shown = exposure.apply(IMAGES)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, in_a_graph(exposure, IMAGES), atol=1e-3)


def test_without_either_the_pixels_stay_as_they_are() -> None:
    assert Exposure().does_nothing
    assert Exposure().apply(IMAGES) is IMAGES


def test_a_gain_brightens_and_is_cut_at_white() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    assert (Exposure(1.5).apply(grey) == 150).all()
    assert (Exposure(4.0).apply(grey) == 255).all()


def test_smoothing_keeps_the_mean_and_weighs_three_pixels_by_the_gaussian() -> None:
    dot = np.zeros((1, 9, 9, 3), np.uint8)
    dot[0, 4, 4] = 200
    smooth = Exposure(blur=1.0).apply(dot)[0, :, :, 0]
    line = np.exp(-0.5 * np.array([1.0, 0, 1]))
    line /= line.sum()
    np.testing.assert_allclose(smooth[3:6, 3:6], 200 * np.outer(line, line), rtol=1e-5)
    assert smooth.sum() == pytest.approx(200, rel=1e-5)
    assert np.count_nonzero(smooth) == 9


def test_smoothing_continues_the_border() -> None:
    flat = np.full((1, 6, 7, 3), 40, np.uint8)
    np.testing.assert_allclose(Exposure(blur=1.0).apply(flat), 40, rtol=1e-6)
    np.testing.assert_allclose(in_a_graph(Exposure(blur=1.0), flat), 40, rtol=1e-6)
