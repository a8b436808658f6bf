"""Write tests/fixtures/adeval.json: what the public package adeval 1.1.0 says of seeded maps.

adeval needs numpy below 2.4, so this script builds a temporary environment and runs itself there.
The tests make the same maps again from the seeds; the digests tell whether they are the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "adeval.json"
PACKAGES = ("adeval==1.1.0", "numpy<2.4", "scipy", "opencv-python-headless")
CASES: tuple[dict[str, Any], ...] = (
    {"seed": 1, "levels": None, "strength": 1.0},
    {"seed": 2, "levels": None, "strength": 2.5},
    {"seed": 3, "levels": None, "strength": 0.0},
    {"seed": 4, "levels": 16, "strength": 1.5},
    {"seed": 5, "levels": 3, "strength": 1.5},
)


def maps_and_masks(
    seed: int, levels: int | None, strength: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Maps float32 [6, 48, 64] and masks bool of the same shape; one mask is empty.

    With `levels`, the map takes that many distinct values. Only additions and roundings, so that
    every numpy gives the same bits.
    """
    rng = np.random.default_rng(seed)
    masks = np.zeros((6, 48, 64), bool)
    for number, mask in enumerate(masks[1:], start=1):
        for _ in range(number):
            top, left = rng.integers(0, 40), rng.integers(0, 56)
            mask[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)] = True
        mask[0, 0] = mask[1, 1] = True  # touching at a corner: one region
    noise = rng.random(masks.shape, dtype=np.float32)
    maps = noise + np.float32(strength / 4) * masks
    for axis in (1, 2):
        maps = maps + np.roll(maps, 1, axis) + np.roll(maps, -1, axis)
    if levels is not None:
        low, high = maps.min(), maps.max()
        maps = np.floor((maps - low) / (high - low) * np.float32(levels - 0.001))
    return maps.astype(np.float32), masks


def scores_and_labels(
    seed: int, levels: int | None, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores float64 [200] of images and labels bool [200], tied where `levels` says so."""
    rng = np.random.default_rng(seed)
    labels = rng.random(200) < 0.4
    scores = rng.random(200) + strength / 4 * labels
    return (scores if levels is None else np.floor(scores * levels)), labels


def digest(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> str:
    """sha256 of both arrays' bytes."""
    return hashlib.sha256(maps.tobytes() + masks.tobytes()).hexdigest()


def figures() -> list[dict[str, Any]]:
    """Run inside the temporary environment: adeval's figures for every case."""
    import adeval  # type: ignore[import-not-found]
    from adeval.au_pro import calculate_au_pro  # type: ignore[import-not-found]

    results = []
    for case in CASES:
        maps, masks = maps_and_masks(**case)
        auroc, _, aupro = adeval.auroc_aupr_aupro(list(maps), list(masks.astype(np.uint8)))
        ranked = {
            count: calculate_au_pro(list(masks), list(maps), num_thresholds=count)[0]
            for count in (100, 1000, int(np.sum(~masks)))
        }
        scores, labels = scores_and_labels(**case)
        results.append(
            {
                **case,
                "sha256": digest(maps, masks),
                "image_auroc_strips": adeval.auroc(scores, labels.astype(np.uint8)),
                "auroc_strips": auroc,
                "aupro_strips": aupro,
                "aupro_ranks": {str(count): float(area) for count, area in ranked.items()},
            }
        )
    return results


def main() -> None:
    if sys.argv[1:] == ["--inside"]:
        print(json.dumps(figures()))
        return
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
        # adeval uses torch only where it finds it, hence no dependencies but the named ones.
        pip = [str(binaries / "python"), "-m", "pip", "install", "-q", "--no-deps", *PACKAGES]
        subprocess.run(pip, check=True)
        inside = [str(binaries / "python"), __file__, "--inside"]
        done = subprocess.run(inside, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    content = {"made_with": list(PACKAGES), "cases": json.loads(done.stdout)}
    FIXTURES.parent.mkdir(parents=True, exist_ok=True)
    FIXTURES.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
