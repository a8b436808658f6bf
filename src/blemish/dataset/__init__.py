"""Images, masks, labels, parts and views as one table, whatever the layout on disk."""

from __future__ import annotations

from blemish.dataset.check import Finding, ensure_sound, findings
from blemish.dataset.opener import open_dataset
from blemish.dataset.splits import folds, hold_out
from blemish.dataset.table import COLUMNS, Dataset, Row

__all__ = [
    "COLUMNS",
    "Dataset",
    "Finding",
    "Row",
    "ensure_sound",
    "findings",
    "folds",
    "hold_out",
    "open_dataset",
]
