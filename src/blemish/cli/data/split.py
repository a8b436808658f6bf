"""`blemish data split`: split a data set by a protocol, into a file that other verbs take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared

if TYPE_CHECKING:
    from blemish.dataset.splits import Split

HELP = "divide a data set by a protocol, and write the split to a file"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        required=True,
        help="or a .py file; a name that is none lists them all",
    )
    shared.add_settings(parser, "protocol")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Split, write the file, and print how many parts are on each side."""
    from blemish.dataset.split_file import write_split
    from blemish.dataset.splits import divide

    data = shared.open_data(options)
    split = divide(data, options.protocol, options.seed, shared.settings(options))
    write_split(split, options.out)
    counts = split.counts()
    shown: dict[str, Any] = {
        "file": str(options.out),
        "protocol": split.protocol,
        "settings": split.settings,
        "seed": split.seed,
        "parts": counts,
        "hidden_images": len(split.hidden),
        "not_valid": split.not_valid,
    }
    if split.outside is not None:
        shown["outside"] = split.outside
    shared.write_json(shown, options.json)
    if options.json != "-":
        print("\n".join(summary(split)))
        print(f"{options.out}: {len(split.data)} of {len(data)} images")
    return 0


def summary(split: Split) -> list[str]:
    """A table of parts by category, split and label, and the categories left out."""
    counts = split.counts()
    order = {"train": 0, "validation": 1, "test": 2}
    columns = sorted(
        {(side, label) for found in counts.values() for side in found for label in found[side]},
        key=lambda column: (order[column[0]], column[1] != "good", column[1]),
    )
    rows = {
        category: [found.get(side, {}).get(label, 0) for side, label in columns]
        for category, found in counts.items()
    }
    if len(rows) > 1:
        rows["all"] = [sum(numbers) for numbers in zip(*rows.values(), strict=True)]
    heads = [f"{side} {label}" for side, label in columns]
    first = max(len("parts"), *map(len, rows))
    lines = [f"{'parts':<{first}}  {'  '.join(heads)}"]
    for name, numbers in rows.items():
        cells = [f"{n:>{len(head)}}" for n, head in zip(numbers, heads, strict=True)]
        lines.append(f"{name:<{first}}  {'  '.join(cells)}")
    lines += [f"left out: {category} {reason}" for category, reason in split.not_valid.items()]
    if split.hidden:
        lines.append(f"noise: the labels of {len(split.hidden)} images are hidden")
    return lines
