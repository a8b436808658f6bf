"""Time and memory of opening a set of the size of Real-IAD; prints one line of JSON.

150,000 images of 30 categories in a temporary folder: the published names, empty files. What is
measured is a fresh process that opens the set.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from measuring import print_line, run_child

OPEN = "import sys; from blemish.dataset import open_dataset; print(len(open_dataset(sys.argv[1])))"
VIEWS = 5


def opening(data: Path) -> dict[str, Any]:
    """What it costs a fresh process to open the data set, and its number of rows."""
    child = run_child(["-c", OPEN, data], {})
    return {"rows": int(child.output), **child.cost}


def write_real_iad(root: Path, categories: int, parts: int) -> None:
    """Empty files for that many categories of that many parts: 3 of 5 train, 1 is defective."""
    (root / "realiad_jsons").mkdir(parents=True)
    for number in range(categories):
        category = f"category{number:02}"
        splits: dict[str, list[dict[str, str | None]]] = {"train": [], "test": []}
        for part in range(parts):
            kind = "AK" if part % 5 == 4 else "OK"
            split = "train" if part % 5 < 3 else "test"
            splits[split] += write_part(root / "realiad_256" / category, category, kind, part)
        document = {"meta": {"prefix": f"{category}/", "normal_class": "OK"}, **splits}
        file = root / "realiad_jsons" / f"{category}.json"
        file.write_text(json.dumps(document), encoding="utf-8")


def write_part(folder: Path, category: str, kind: str, number: int) -> list[dict[str, str | None]]:
    """The views of one part, those of a defective one with masks; their entries in the JSON."""
    inside, code = ("OK", "OK") if kind == "OK" else (f"NG/{kind}", f"NG_{kind}")
    inside = f"{inside}/S{number:04}"
    (folder / inside).mkdir(parents=True)
    entries: list[dict[str, str | None]] = []
    for view in range(1, VIEWS + 1):
        name = f"{inside}/{category}_{number:04}_{code}_C{view}_20231023092610"
        mask = None if kind == "OK" else f"{name}.png"
        for file in (f"{name}.jpg", mask):
            if file is not None:
                (folder / file).touch()
        entries.append(
            {
                "category": category,
                "anomaly_class": kind,
                "image_path": f"{name}.jpg",
                "mask_path": mask,
            }
        )
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--categories", type=int, default=30)
    parser.add_argument("--parts", type=int, default=1000, help="in each category, of five views")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_real_iad(Path(name), options.categories, options.parts)
        figures = opening(Path(name))
    print_line("data_opening", {"real_iad": figures})


if __name__ == "__main__":
    main()
