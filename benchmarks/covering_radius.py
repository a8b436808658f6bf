"""The memory bank against exact greedy k-centre on the same patches; prints one line of JSON.

The covering radius is the largest distance from any patch to the bank: what a coreset is to keep
small. Patches are PatchCore's, of good magnetic tiles or of generated plates where the set is
absent; both methods are given the same number of rows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.detectors.base import FitContext
from blemish.detectors.embedding import Embedding
from blemish.detectors.patchcore import Patchcore, grow_bank, learn_space
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.memory_bank import greedy_k_centre
from blemish.images import Recipe
from measuring import data_set, print_line
from pictures import write_plates

Floats = npt.NDArray[np.float32]


def pictures(folder: Path, images: int) -> list[Path]:
    """Good magnetic tiles spread over the set, or plates."""
    data = data_set("magnetic_tile")
    if data is None:
        return write_plates(folder, images)
    every = sorted((data / "train" / "good").iterdir())
    return every[:: max(1, len(every) // images)][:images]


def compare(
    share: float, embedding: Embedding, features: FeatureStream, images: list[Path]
) -> dict[str, float]:
    """Radius and seconds of both methods for a bank of that share of the patches."""
    context = FitContext(features, seed=0)
    space = learn_space(embedding, images, False, context)
    patches = np.concatenate([space.apply(x) for x in embedding.patches(features, images)])
    size = round(share * len(patches))
    start = time.perf_counter()
    bank = grow_bank(embedding, images, space, size, context)
    streamed = time.perf_counter() - start
    radius = max(float(bank.distances(x).max()) for x in np.array_split(patches, 64))
    start = time.perf_counter()
    _, greedy = greedy_k_centre(patches, size)
    exact = time.perf_counter() - start
    return {
        "patches": len(patches),
        "bank": bank.count,
        "radius": round(radius, 4),
        "greedy_radius": round(greedy, 4),
        "ratio": round(radius / greedy, 4),
        "seconds": round(streamed, 2),
        "greedy_seconds": round(exact, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1])
    options = parser.parse_args()
    detector = Patchcore()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = pictures(folder, options.images)
        recipe = Recipe(256, 256, "squash")
        features = FeatureStream(
            open_backbone(detector.backbone), detector.layers, recipe, folder=folder / "cache"
        )
        embedding = Embedding.of(features, detector.grid_stride, detector.pool)
        figures = {f"{s:g}": compare(s, embedding, features, images) for s in options.shares}
    print_line("covering_radius", {"images": len(images), **figures})


if __name__ == "__main__":
    main()
