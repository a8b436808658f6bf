"""The figures of the two papers and their data sets: never ours, always shown beside ours.

`isp_ad_*` are tables of ISP-AD (arXiv 2503.04997): 1 (`datasets`), 2 and 3 (`isp_ad_mixed`), 4 to 6
(`isp_ad_unsupervised`; its `pro_pct` appears to be taken at one threshold and is not AUPRO), 7
(`isp_ad_counts`), 8 (`isp_ad_augmentation`). `real_iad_*` are tables of Real-IAD (CVPR 2024): 2
(`real_iad_uiad`), 3 (`real_iad_fuiad_sizes`), 4 (`real_iad_fuiad`). `category_counts` is what the
makers of other data sets published of each category, by split (none: of all splits together) and
label, under the name of our layout.
"""

from __future__ import annotations

import csv
from importlib.resources import files


def published(table: str) -> list[dict[str, str]]:
    """The rows of a published table, as text; KeyError for a table there is none of."""
    file = files(__name__) / f"{table}.csv"
    if not (table.isidentifier() and file.is_file()):  # a name, never a path
        raise KeyError(table)
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
