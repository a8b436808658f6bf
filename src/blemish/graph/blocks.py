"""The pieces that detectors' heads are made of; each adds nodes and returns an output's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from blemish.graph.builder import Graph

Grid = tuple[int, int]

BANK_BLOCK = 512  # rows of a memory bank that are compared at once


def embed(
    graph: Graph, layers: Sequence[tuple[str, tuple[int, int, int]]], grid: Grid, pool: int = 1
) -> str:
    """Patch embedding [n, C, h, w]: layers averaged over pool x pool cells, brought to one grid.

    `layers` are (name, (c, h, w)). A finer layer is averaged down, a coarser one is interpolated
    bilinearly, then the channels are stacked (METHODS 0.1, the variant without channel pooling).
    """
    parts = []
    for name, (_, height, width) in layers:
        x = name
        if pool > 1:
            x = graph.add(
                "AveragePool",
                x,
                kernel_shape=[pool, pool],
                pads=[pool // 2] * 4,
                count_include_pad=0,
            )
        if (height, width) != grid:
            if height >= grid[0]:
                step = [height // grid[0], width // grid[1]]
                x = graph.add("AveragePool", x, kernel_shape=step, strides=step)
            else:
                x = resize(graph, x, (height, width), grid)
        parts.append(x)
    return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def resize(graph: Graph, x: str, size: Grid, grid: Grid) -> str:
    """[n, c, *size] -> [n, c, *grid], bilinear, pixel centres aligned."""
    scales = graph.constant(np.array([1, 1, grid[0] / size[0], grid[1] / size[1]]))
    return graph.add(
        "Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
    )


def smooth(graph: Graph, map_: str, sigma: float) -> str:
    """Gaussian smoothing of a map [n, h, w]; `sigma` in cells, cut at 3 sigma, edges repeated."""
    if sigma <= 0:
        return map_
    radius = max(1, round(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    x = graph.add("Unsqueeze", map_, graph.constant(np.array([1])))
    x = graph.add("Pad", x, graph.constant(np.array([0, 0, radius, radius] * 2)), mode="edge")
    x = graph.add("Conv", x, graph.constant(line.reshape(1, 1, -1, 1)))
    x = graph.add("Conv", x, graph.constant(line.reshape(1, 1, 1, -1)))
    return graph.add("Squeeze", x, graph.constant(np.array([1])))


def mean_over(graph: Graph, map_: str, inside_: str, window: int) -> tuple[str, str]:
    """Means [n, h', w'] of a map's cells inside over every `window` x `window` cells of it.

    And which of them count, bool [n, h', w']: those with the most cells inside, which are all of
    their cells but where the picture is smaller than a window.
    """
    if window <= 1:
        return map_, inside_
    axis = graph.constant(np.array([1]))
    share = graph.cast(inside_, TensorProto.FLOAT)
    means = [
        graph.add(
            "Squeeze",
            graph.add(
                "AveragePool", graph.add("Unsqueeze", x, axis), kernel_shape=[window, window]
            ),
            axis,
        )
        for x in (graph.add("Mul", map_, share), share)
    ]
    one_cell = 1 / window**2
    least = graph.add("Max", means[1], graph.constant(np.array(one_cell)))
    most = graph.add("ReduceMax", means[1], axes=[1, 2], keepdims=1)
    bound = graph.add("Sub", most, graph.constant(np.array(one_cell / 2)))
    return graph.add("Div", means[0], least), graph.add("Greater", means[1], bound)


def inside(graph: Graph, valid: str, grid: Grid, size: Grid) -> str:
    """The cells, bool [n, h, w], into which the box `valid` of the model's input reaches."""
    height, width = grid
    top, left, bottom, right = (
        graph.add(
            "Reshape",
            graph.add("Gather", valid, graph.constant(np.array(edge)), axis=1),
            graph.constant(np.array([-1, 1, 1])),
        )
        for edge in range(4)
    )
    first_row = np.arange(height).reshape(1, height, 1) * (size[0] / height)
    first_column = np.arange(width).reshape(1, 1, width) * (size[1] / width)
    rows, columns = graph.constant(first_row), graph.constant(first_column)

    below = graph.add("Greater", graph.constant(first_row + size[0] / height), top)
    beside = graph.add("Greater", graph.constant(first_column + size[1] / width), left)
    rows_in = graph.add("And", graph.add("Less", rows, bottom), below)
    columns_in = graph.add("And", graph.add("Less", columns, right), beside)
    return graph.add("And", rows_in, columns_in)


def peak(graph: Graph, map_: str, inside_: str, top: int = 1) -> str:
    """Score [n]: the mean of the `top` largest values of the map among the cells inside."""
    lowest = graph.constant(np.array(-1e9))
    flat = graph.add("Flatten", graph.add("Where", inside_, map_, lowest), axis=1)
    if top == 1:
        axes = graph.constant(np.array([1]))
        return graph.add("Squeeze", graph.add("ReduceMax", flat, axes=[1], keepdims=1), axes)
    values, _ = graph.add_many("TopK", flat, graph.constant(np.array([top])), outputs=2, axis=1)
    real = graph.add("Greater", values, graph.constant(np.array(-1e8)))
    one, zero = graph.constant(np.array(1.0)), graph.constant(np.array(0.0))
    axes = graph.constant(np.array([1]))
    total = graph.add("ReduceSum", graph.add("Where", real, values, zero), axes, keepdims=0)
    count = graph.add("ReduceSum", graph.add("Where", real, one, zero), axes, keepdims=0)
    return graph.add("Div", total, count)


def patches(graph: Graph, x: str) -> str:
    """[n, C, h, w] -> [n, h * w, C]."""
    flat = graph.add("Reshape", x, graph.constant(np.array([0, 0, -1])))
    return graph.add("Transpose", flat, perm=[0, 2, 1])


def cells(graph: Graph, x: str, grid: Grid) -> str:
    """[n, h * w] -> [n, h, w]."""
    return graph.add("Reshape", x, graph.constant(np.array([0, *grid])))


def nearest(graph: Graph, x: str, bank: npt.NDArray[np.float32]) -> str:
    """Distance [n, P] from every patch [n, P, C] to the nearest row of the bank [m, C]."""
    least = [graph.add("ReduceMin", gaps, axes=[2], keepdims=0) for gaps in _gaps(graph, x, bank)]
    norm = graph.add("ReduceSumSquare", x, axes=[2], keepdims=0)
    squared = graph.add("Relu", graph.add("Add", graph.add("Min", *least), norm))
    return graph.add("Sqrt", squared)


def weighted_nearest(
    graph: Graph, x: str, bank: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> str:
    """Squared distance [n, P] to the nearest row of the bank [m, C], times its weight [m].

    The nearest row is found first; the weights have no say in it.
    """
    first, last = graph.constant(np.array([1])), graph.constant(np.array([2]))
    least, weight = [], []
    for number, gaps in enumerate(_gaps(graph, x, bank)):
        value, row = graph.add_many("TopK", gaps, first, outputs=2, axis=2, largest=0)
        block = weights[number * BANK_BLOCK : (number + 1) * BANK_BLOCK]
        least.append(value)
        weight.append(graph.add("Gather", graph.constant(block), row))
    value, block_of = graph.add_many(
        "TopK", graph.add("Concat", *least, axis=2), first, outputs=2, axis=2, largest=0
    )
    of_all = graph.add("Concat", *weight, axis=2)
    its_weight = graph.add("GatherElements", of_all, block_of, axis=2)
    norm = graph.add("ReduceSumSquare", x, axes=[2], keepdims=1)
    squared = graph.add("Relu", graph.add("Add", value, norm))
    return graph.add("Squeeze", graph.add("Mul", squared, its_weight), last)


def _gaps(graph: Graph, x: str, bank: npt.NDArray[np.float32]) -> Iterator[str]:
    """|x - b|^2 - |x|^2 [n, P, rows] of patches [n, P, C] and BANK_BLOCK rows b of a bank each."""
    squares = (bank.astype(np.float64) ** 2).sum(1)
    # |x - b|^2 = |x|^2 + (x, 1) . (-2 b, |b|^2), a few rows of the bank at a time, so that the
    # products stay in the processor's cache and a large bank takes no more memory.
    table = np.column_stack([-2 * bank, squares]).T
    pads = graph.constant(np.array([0, 0, 0, 0, 0, 1]))
    with_one = graph.add("Pad", x, pads, graph.constant(np.array(1.0)))
    for start in range(0, len(bank), BANK_BLOCK):
        block = graph.constant(table[:, start : start + BANK_BLOCK])
        yield graph.add("MatMul", with_one, block)
