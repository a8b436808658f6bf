"""Peak memory of a training at ten times the images, default detector; prints one line of JSON.

The larger set holds ten copies of every picture, each shifted and with noise of its own. The bank's
size is fixed, so nothing should grow with the images.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import Child, data_set, print_line, run_blemish
from pictures import write_copies, write_plates


def sources(folder: Path, images: int) -> list[Path]:
    """That many pictures of good tires; generated plates where the set is absent."""
    tire = data_set("tire")
    if tire is None:
        return write_plates(folder, images)
    return sorted((tire / "train" / "good").iterdir())[:images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60, help="in the smaller set")
    parser.add_argument("--copies", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = sources(folder / "source", options.images)
        children: list[Child] = []
        for copies in (1, options.copies):
            data = folder / f"set{copies}"
            write_copies(data, pictures, copies)
            model = folder / "model.blemish"
            children.append(run_blemish(["train", data, "-o", model], folder / f"cache{copies}"))
    small, large = children
    figures = {
        "images": [len(pictures), options.copies * len(pictures)],
        "cost": [small.cost, large.cost],
        "ratio": round(large.peak_rss_mb / small.peak_rss_mb, 3),
    }
    print_line("memory_scaling", figures)


if __name__ == "__main__":
    main()
