"""The command line: one file per verb; a verb parses and prints, and decides nothing.

A verb's file has `HELP`, `arguments(parser)` and `run(options) -> exit code`, and may have
`STOPPED`, how to go on after Ctrl-C; the file's name is the verb. A folder is a verb with verbs of
its own, such as `blemish data show`, and has `HELP`.
Heavy imports wait until a verb runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import blemish
from blemish.discovery import module_names
from blemish.errors import BlemishError

log = logging.getLogger("blemish")


def verbs(package: ModuleType) -> list[str]:
    """Every verb there is a file for in the package."""
    return module_names(package)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="blemish",
        description="Find defects on manufactured parts, at a false-reject rate that is proven.",
    )
    top.add_argument("--version", action="version", version=f"blemish {blemish.__version__}")
    _add_verbs(top, sys.modules[__name__])
    return top


def _add_verbs(above: argparse.ArgumentParser, package: ModuleType) -> None:
    commands = above.add_subparsers(metavar="VERB", required=True)
    for name in verbs(package):
        module = importlib.import_module(f"{package.__name__}.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        if hasattr(module, "__path__"):
            _add_verbs(command, module)
            continue
        command.add_argument("--debug", action="store_true", help="show a traceback on errors")
        command.add_argument("--quiet", action="store_true", help="no progress display")
        module.arguments(command)
        stopped = f"; {module.STOPPED}" if hasattr(module, "STOPPED") else ""
        command.set_defaults(run=module.run, stopped=stopped)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failed gate, 2 bad input."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may not know every file name
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(_with_json_file(list(sys.argv[1:] if argv is None else argv)))
    try:
        return int(options.run(options))
    except BlemishError as error:
        if options.debug:
            raise
        print(f"blemish: {_one_line(str(error))}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"blemish: stopped{options.stopped}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if options.debug:
            raise
        name = f"{error.filename}: " if error.filename else ""
        print(f"blemish: {_one_line(f'{name}{error.strerror or error}')}", file=sys.stderr)
    return 2


def _one_line(sentence: str) -> str:
    r"""What breaks a line or speaks to the terminal, as a name may, shown as \n or \x1b."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)
    return "".join(shown)


def _with_json_file(argv: list[str]) -> list[str]:
    """`inspect --json MODEL PATH` means standard output: only - and *.json are files to write."""
    if argv[:1] != ["inspect"] or "--json" not in argv:
        return argv
    after = argv.index("--json") + 1
    named = after < len(argv) and (argv[after] == "-" or argv[after].endswith(".json"))
    return argv if named else [*argv[:after], "-", *argv[after:]]
