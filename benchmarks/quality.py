"""The default detector on the three development sets; prints one line of JSON.

Trains with `blemish train DATA` and takes the figures of `blemish evaluate MODEL DATA --json -` as
they are. The official split, one seed; the tables of docs/results.md are the bench's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from measuring import absent, data_set, print_line, run_blemish

SETS: dict[str, tuple[str, list[str]]] = {
    "magnetic_tile": ("magnetic_tile", []),
    "tire": ("tire", []),
    "elpv mono": ("elpv", ["--category", "mono"]),
}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """What evaluate gives for one set, or why it was skipped."""
    source, options = SETS[name]
    data = data_set(source)
    if data is None:
        return {"skipped": absent(source)}
    model = folder / f"{source}.blemish"
    training = run_blemish(["train", data, "-o", model, *options], folder / "cache")
    evaluation = run_blemish(["evaluate", model, data, *options, "--json", "-"], folder / "cache")
    figures: dict[str, Any] = json.loads(evaluation.output)
    return {**figures, "training": training.cost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {name: measure(name, Path(folder)) for name in options.sets}
    print_line("quality", results)


if __name__ == "__main__":
    main()
