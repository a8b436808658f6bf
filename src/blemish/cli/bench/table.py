"""`blemish bench table`: the results of a protocol as a table."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from blemish.benchmark.protocol import Protocol
    from blemish.benchmark.selection import Selection
    from blemish.benchmark.store import Result

HELP = "show a protocol's results as a table, with the published figures beside them"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "protocol", metavar="PROTOCOL", help="its name, or a .toml file of your own"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="results (default: bench/PROTOCOL)")
    parser.add_argument(
        "--format", metavar="F", help="terminal (default), markdown, latex, csv or html"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the table here")
    place.add_argument(
        "--into",
        metavar="FILE.md",
        type=Path,
        help="write it in Markdown between the page's lines <!-- PROTOCOL --> and "
        "<!-- end of PROTOCOL -->",
    )
    parser.add_argument("--means", action="store_true", help="without the rows of categories")
    parser.add_argument(
        "--cost", action="store_true", help="what each detector costs on each data set"
    )
    add_code(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Read the results, make the table, write it."""
    from blemish.benchmark.formats import format_of, render
    from blemish.benchmark.selection import select
    from blemish.benchmark.table_spec import table_spec_of
    from blemish.benchmark.tabulation import table_of

    protocol, folder, results = results_of(options)
    target = options.into or options.output
    name = options.format or (format_of(target.name) if target else "terminal")
    if options.into is not None and name != "markdown":
        raise BlemishError(f"--into {options.into} takes a table in Markdown, and no {name}")
    spec = dataclasses.replace(
        table_spec_of(protocol), each_category=not options.means, cost_by_data=options.cost
    )
    selection = select(results, spec, options.code)
    table = table_of(selection, spec)
    shown = render(table, name, _way(target, folder))
    shared.write_json(table.to_json(), options.json)
    if options.into is not None:
        shown = _page_with(options.into, protocol.name, shown)
    if target is not None:
        from blemish.util.files import replacing

        with replacing(target) as file:
            file.write(shown.encode("utf-8"))
    elif options.json != "-":
        print(shown, end="")
    tell_other_code(options, selection)
    return 0


def add_code(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the code of the results."""
    parser.add_argument(
        "--code",
        metavar="HASH",
        help="results of this code, or of this code of a detector (default: the installed one, "
        "else the newest)",
    )


def tell_other_code(options: argparse.Namespace, selection: Selection) -> None:
    """Say on standard error when the results are not of the code that is installed."""
    if selection.other_code and not options.quiet:
        print(f"note: {selection.other_code}", file=sys.stderr)


def results_of(options: argparse.Namespace) -> tuple[Protocol, Path, list[Result]]:
    """The protocol that is named, the folder of its results, and those."""
    from blemish.benchmark.protocol import open_protocol
    from blemish.benchmark.store import read_results

    protocol = open_protocol(options.protocol)
    folder = options.out or Path("bench", protocol.name)
    results = [r for r in read_results(folder) if r.run.protocol == protocol.name]
    if not results:
        raise BlemishError(
            f"{folder} holds no results of {protocol.name}; make some with "
            f"`blemish bench run {options.protocol}`, or name their folder with --out"
        )
    return protocol, folder, results


def _page_with(page: Path, name: str, table: str) -> str:
    """The text of a page with the table between its marks."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    from blemish.util.text_files import read_text

    text = read_text(page, "name a page of text", BlemishError)
    before, mark, rest = text.partition(start)
    _, end_mark, after = rest.partition(end)
    if not mark or not end_mark:
        raise BlemishError(f"{page} lacks the lines {start.strip()} and {end}; write them there")
    return f"{before}{start}\n{table}\n{end}{after}"


def _way(output: Path | None, folder: Path) -> str | None:
    """The way from the table's file to the folder of results; None where there is none."""
    try:
        return Path(os.path.relpath(folder, (output or Path("x")).parent)).as_posix()
    except ValueError:  # another drive of Windows
        return None
