"""The walk-through of docs/mixed-supervision.md: a cold start, and defects of three months.

    python benchmarks/cold_start.py [--folder DIR] [--steps N]

Deals the tiles of magnetic_tile out: `tiles` has its good ones, and a test in which half
of the defective tiles stay; the others are collected in `january`, `february` and `march`, as many
of each kind in each as the order of their names gives. Then the commands of the page are run there,
one after the other, and what they print is printed.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from measuring import absent, data_set

MONTHS = ("january", "february", "march")


def deal_out(data: Path, folder: Path) -> None:
    """Copy every picture into `tiles`, or into the folder of the month in which it was found."""
    with (data / "parts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tiles: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["file"].startswith("test/") and row["label"] != "good":
            tiles[row["label"]].append(row["part"])
    month_of: dict[str, str] = {}
    found = 0
    for kind in sorted(tiles):
        new = [part for part in sorted(set(tiles[kind])) if part not in month_of]
        for number, part in enumerate(new):
            month_of[part] = "tiles"
            if number % 2 == 0:
                month_of[part] = MONTHS[found % len(MONTHS)]
                found += 1
    tables: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        place = month_of.get(row["part"], "tiles")
        kept = row["file"] if place == "tiles" else row["file"].removeprefix("test/")
        _copy(data / row["file"], folder / place / kept)
        mask = Path(row["file"].replace("test/", "ground_truth/", 1)).with_suffix("")
        for found_mask in (data / mask.parent).glob(f"{mask.name}_mask.*"):
            _copy(found_mask, folder / place / mask.parent / found_mask.name)
        tables[place].append({**row, "file": kept})
    for place, listed in tables.items():
        with (folder / place / "parts.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(listed[0]))
            writer.writeheader()
            writer.writerows(listed)


def commands(steps: int | None) -> list[str]:
    """Those of the page; `steps` shortens every training."""
    short = "" if steps is None else f" --set steps={steps}"
    found = [f"blemish train tiles -o start.blemish --detector mixed --tile 0 --max-fpr 10%{short}"]
    before = "start"
    for month in MONTHS:
        found.append(
            f"blemish train tiles -o {month}.blemish --from {before}.blemish --defects {month}"
        )
        before = month
    return [*found, "blemish evaluate march.blemish tiles --report report"]


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="an empty one, which stays")
    parser.add_argument("--steps", type=int, metavar="N", help="shorter trainings, for a trial")
    options = parser.parse_args()
    data = data_set("magnetic_tile")
    if data is None:
        print(absent("magnetic_tile"))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        deal_out(data, folder)
        for command in commands(options.steps):
            print(f"$ {command}", flush=True)
            words = [sys.executable, "-m", *command.split(), "--quiet"]
            if subprocess.run(words, cwd=folder, check=False).returncode:
                return 1
            print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
