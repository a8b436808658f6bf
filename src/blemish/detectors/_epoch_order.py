"""The order in which a training goes through its pictures: another one in every epoch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt


@lru_cache(maxsize=8)
def epoch_order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers 0 to count - 1 in the order of that epoch; not to be written to."""
    return np.random.default_rng((seed, epoch)).permutation(count)
