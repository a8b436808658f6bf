"""Open a data set of ISP-AD's size, 559,049 rows, all settings; prints one line of JSON.

Counts are the published ones; images are small. Labels are read from masks alone, the slow way, and
from labels. Opening reads no image, so none is written to the streams.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import h5py
import numpy as np

from measuring import print_line, run_child

SIDE = 16
BLOCK = 5000  # a child's peak memory is never told below its parent's
# Good ones to train on, unsupervised, and for the test; real defects to train on and for the test.
FOLDERS = {
    "LSM-1": {"train/good": 3678, "test/good": 1470, "test/area": 49, "test/points": 46},
    "LSM-2": {"train/good": 401, "test/good": 382, "test/area": 63, "test/points": 33},
    "ASM": {"train/good": 500, "test/good": 1916, "test/area": 33, "test/points": 41},
}
STREAMS = {
    "LSM-1": {"good": 100_669, "synthetic": 99_331, "area": 120, "points": 52, "plain": 20_000},
    "LSM-2": {"good": 50_036, "synthetic": 49_964, "area": 62, "points": 66, "plain": 10_000},
    "ASM": {"good": 103_622, "synthetic": 96_369, "area": 37, "points": 109, "plain": 20_000},
}
OPEN = (
    "import sys; from blemish.dataset import open_dataset\n"
    "print(sum(len(open_dataset(path)) for path in sys.argv[1:]))"
)


def write_folders(root: Path, share: float) -> None:
    for modality, kinds in FOLDERS.items():
        for kind, whole in kinds.items():
            count = math.ceil(share * whole)
            folder = root / modality / kind
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:05}.png").touch()
            if not kind.endswith("good"):
                masks = root / modality / kind.replace("test", "ground_truth")
                masks.mkdir(parents=True)
                for number in range(count):
                    (masks / f"{number:05}_mask.png").touch()


def write_streams(root: Path, patches: Path, share: float, *, masks: bool) -> None:
    for folder in (root, patches):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for modality, whole in STREAMS.items():
        counts = {kind: math.ceil(share * number) for kind, number in whole.items()}
        count = counts["good"] + counts["synthetic"]
        defective = rng.permutation(count) < counts["synthetic"]
        with h5py.File(root / f"{modality}.h5", "w", libver="latest") as file:
            for name, number in {"syn_stream": count, **counts}.items():
                if name in ("syn_stream", "area", "points"):
                    file.create_dataset(
                        name, (number, SIDE, SIDE), np.uint8, chunks=(1, SIDE, SIDE)
                    )
            if masks:
                options = {"chunks": (1, SIDE, SIDE), "compression": "gzip"}
                truth = file.create_dataset(
                    "ground_truth", (count, SIDE, SIDE), np.uint8, **options
                )
                for start in range(0, count, BLOCK):
                    block = defective[start : start + BLOCK]
                    stack = np.zeros((len(block), SIDE, SIDE), np.uint8)
                    stack[block, 4:9, 6:11] = rng.integers(1, 256, (block.sum(), 5, 5))
                    truth[start : start + len(block)] = stack
            else:
                file["ground_truth"] = defective.astype(np.uint8)
        with h5py.File(patches / f"{modality}_good.h5", "w") as file:
            file.create_dataset("patches", (counts["plain"], SIDE, SIDE), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the published counts")
    share = parser.parse_args().share
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_folders(root / "unsupervised", share)
        for truth in ("masks", "labels"):
            streams, patches = root / truth / "supervised", root / truth / "good_patches"
            write_streams(streams, patches, share, masks=truth == "masks")
            child = run_child(["-c", OPEN, root / "unsupervised", streams, patches], {})
            figures[truth] = {"rows": int(child.output), **child.cost}
    print_line("data_opening_isp", figures)


if __name__ == "__main__":
    main()
