"""The default detector on the three development sets; prints one line of JSON.

Trains with `blemish train DATA` and takes the figures of `blemish evaluate MODEL DATA --json -` as
they are. With --write they go into docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from measuring import ROOT, absent, data_set, print_line, run_blemish, write_between_marks

SETS: dict[str, tuple[str, list[str]]] = {
    "magnetic_tile": ("magnetic_tile", []),
    "tire": ("tire", []),
    "elpv mono": ("elpv", ["--category", "mono"]),
}
PAGE = ROOT / "docs" / "results.md"


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


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        "| set | test images, good + defective | image AUROC (95 % interval) | part AUROC "
        "| average precision | pixel AUROC | AUPRO |",
        "|---|---|---|---|---|---|---|",
    ]
    decisions = [
        "| set | threshold | good parts that set it | proven false-reject rate "
        "| good parts rejected | defective parts caught | MCC |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in results.items():
        if "skipped" in figures:
            lines.append(f"| {name} | skipped: {figures['skipped']} |" + " |" * 5)
            continue
        lines.append(_ranking(name, figures))
        decisions.append(_decision(name, figures))
    return [*lines, "", *decisions]


def _ranking(name: str, figures: dict[str, Any]) -> str:
    image, pixel, sample = figures["image"], figures["pixel"], figures["sample"]
    low, high = image["auroc_interval"]
    cells = [
        name,
        f"{image['n_good']} + {image['n_defective']}",
        f"{image['auroc']:.4f} ({low:.3f} to {high:.3f})",
        _number(sample and sample["auroc"]),
        _number(image["average_precision"]),
        _number(pixel["auroc"]),
        _number(pixel["aupro"]),
    ]
    return f"| {' | '.join(cells)} |"


def _decision(name: str, figures: dict[str, Any]) -> str:
    decision = figures["decision"]
    promise = decision["promise"]
    kind = ", provisional" if promise["provisional"] else ""
    cells = [
        name,
        f"{decision['threshold']:.4f}",
        str(promise["good_parts"]),
        f"{100 * promise['upper_bound']:.2f} % at {100 * promise['confidence']:g} %{kind}",
        f"{decision['fp']} of {decision['tn'] + decision['fp']}",
        f"{decision['tp']} of {decision['tp'] + decision['fn']}",
        _number(decision["mcc"]),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--write", action="store_true", help="rewrite the tables of the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {name: measure(name, Path(folder)) for name in options.sets}
    if options.write:
        write_between_marks(PAGE, table(results))
    print_line("quality", results)


if __name__ == "__main__":
    main()
