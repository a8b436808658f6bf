"""`blemish bench compare`: a paired test of a detector against the best of some references."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.cli.bench._name_list import split_names
from blemish.cli.bench.table import add_code, results_of, tell_other_code

if TYPE_CHECKING:
    from blemish.benchmark.reference_comparison import ReferenceComparison

HELP = "each detector's figure less the better reference's, with its interval by parts"
MINUS = "\u2212"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "protocol", metavar="PROTOCOL", help="its name, or a .toml file of your own"
    )
    parser.add_argument(
        "--against", metavar="A,B", required=True, help="the references, detectors or labels"
    )
    parser.add_argument(
        "--metric",
        metavar="PATH",
        default="image.auroc",
        help="image.auroc (default), image.recall_at_fpr_5, sample.auroc, sample.auroc_mean, "
        "decision.mcc or oracle_f1.mcc",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="results (default: bench/PROTOCOL)")
    add_code(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, and print one line for each detector and data set."""
    from blemish.benchmark.reference_comparison import columns_named, compare_with_references
    from blemish.benchmark.selection import select
    from blemish.benchmark.table_spec import table_spec_of
    from blemish.errors import BlemishError

    protocol, folder, results = results_of(options)
    selection = select(results, table_spec_of(protocol), options.code)
    labels = {*selection.labels.values(), *(one.label for one in protocol.detectors)}
    references = columns_named(selection, split_names(options.against, labels))
    found = list(compare_with_references(selection, references, options.metric))
    if not found:
        raise BlemishError(f"{folder} holds no results but those of {options.against}")
    names = [selection.labels[column] for column in references]
    shown = {
        "metric": options.metric,
        "against": names,
        "comparisons": [_values(one) for one in found],
        "notes": list(selection.notes),
    }
    shared.write_json(shown, options.json)
    if options.json != "-":
        better = names[0] if len(names) == 1 else f"the better of {', '.join(names)}"
        print(
            f"{options.metric} less that of {better}, 95 % intervals from a bootstrap over parts\n"
        )
        print("\n".join([*_lines(found), *selection.notes]))
    tell_other_code(options, selection)
    return 0


def _values(one: ReferenceComparison) -> dict[str, Any]:
    separable = None if one.difference is None else one.difference.separable
    return {**dataclasses.asdict(one), "separable": separable, "verdict": one.verdict}


def _lines(found: list[ReferenceComparison]) -> list[str]:
    rows = [["data", "category", "detector", "figure", "less", "difference", "interval"]]
    rows[0] += ["", "seeds"]
    for one in found:
        data = " ".join(filter(None, [one.data, one.variant]))
        category = "" if one.category == one.data else one.category
        figures = ["" if one.value is None else f"{one.value:.3f}"]
        figures += [one.reference and f"{one.reference} {one.reference_value:.3f}"]
        change = ["", ""]
        if one.difference is not None:
            ends = (_signed(one.difference.low), _signed(one.difference.high))
            change = [_signed(one.difference.value), " to ".join(ends)]
        without = f" (nothing of {', '.join(one.absent)})" if one.absent else ""
        seeds = str(len(one.seeds)) if one.seeds else ""
        rows.append([data, category, one.detector, *figures, *change, one.verdict + without, seeds])
    used = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in used]
    lines = zip(*used, strict=True)
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _signed(value: float) -> str:
    shown = f"{value:+.3f}"
    return shown.lstrip("+-") if float(shown) == 0 else shown.replace("-", MINUS)
