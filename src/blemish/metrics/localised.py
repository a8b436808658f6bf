"""Whether a map finds the defect itself: its peak lies on the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError

UNMARKED = -1


def peak_on_mask(anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> int:
    """1 when the largest value of the map [H, W] lies on the mask [H, W], 0 when beside it.

    On the mask itself: its rim is not widened. Where several pixels share the largest value, as in
    a flat map, at least half of them must lie there. UNMARKED without a mask, or for an empty one.
    """
    if mask is None or not mask.any():
        return UNMARKED
    return int(mask[anomaly_map == anomaly_map.max()].mean() >= 0.5)


def localised_rates(localised: ArrayLike, rejected: ArrayLike) -> dict[str, float | None]:
    """What `peak_on_mask` [n] says of the images with a mask, of which some are rejected [n].

    `localised`: the share of them whose peak lies on the mask, whatever the decision;
    `localised_of_rejected`: the same among the rejected; `localised_recall`: the share of all that
    is rejected with the peak on the mask, a recall without coincidences. None without any image.
    """
    values, decided = np.asarray(localised), np.asarray(rejected, dtype=bool)
    if values.shape != decided.shape:
        raise DatasetError(f"{len(values)} peaks need as many decisions, not {decided.shape}.")
    marked, on_mask = values != UNMARKED, values == 1
    caught = marked & decided
    return {
        "localised": _share(on_mask, marked),
        "localised_of_rejected": _share(on_mask, caught),
        "localised_recall": _share(on_mask & decided, marked),
    }


def _share(those: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return float(those[of].mean()) if of.any() else None
