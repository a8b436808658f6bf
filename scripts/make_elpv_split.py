"""Write the list of good solar cells to learn from: 70 % of each type, drawn once by a seed.

The list is kept in the project, so that figures on these cells stay comparable:

    python scripts/make_elpv_split.py FOLDER-OF-labels.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from blemish.dataset.layouts.elpv import TRAIN_LIST, read_labels

SHARE, SEED = 0.7, 0


def drawn(cells: list[str], generator: np.random.Generator) -> list[str]:
    """SHARE of the cells, rounded, without replacement."""
    count = round(SHARE * len(cells))
    return [cells[i] for i in generator.permutation(len(cells))[:count]]


def main() -> None:
    labels = read_labels(Path(sys.argv[1]))
    generator = np.random.default_rng(SEED)
    train: list[str] = []
    for kind in ("mono", "poly"):
        good = labels.filter(labels["category"] == kind, labels["probability"] == 0)
        train += drawn(sorted(good["image"]), generator)
    TRAIN_LIST.write_text("\n".join(sorted(train)) + "\n", encoding="utf-8", newline="\n")
    print(f"{TRAIN_LIST}: {len(train)} cells")


if __name__ == "__main__":
    main()
