"""Where a cell lies, as numbers that a network can read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LONGEST = 10000.0  # cells, of the slowest wave over 2 pi


def position_code(height: int, width: int, channels: int) -> npt.NDArray[np.float32]:
    """Sines and cosines of each cell's column, then of its row: float32 [channels, height, width].

    A half of the channels is for each; in it the waves' lengths grow from 2 pi cells to 2 pi
    `LONGEST` (Vaswani et al., NeurIPS 2017, section 3.5). Raises ValueError unless `channels` is a
    multiple of 4.
    """
    if channels < 4 or channels % 4:
        raise ValueError(f"a code of positions needs a multiple of 4 channels, not {channels}")
    waves = LONGEST ** -np.arange(0, 1, 4 / channels)
    code = np.empty((channels, height, width), np.float32)
    columns, rows = waves[:, None] * np.arange(width), waves[:, None] * np.arange(height)
    half = channels // 2
    code[0:half:2], code[1:half:2] = np.sin(columns)[:, None], np.cos(columns)[:, None]
    code[half::2], code[half + 1 :: 2] = np.sin(rows)[:, :, None], np.cos(rows)[:, :, None]
    return code
