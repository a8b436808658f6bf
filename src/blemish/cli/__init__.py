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
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import blemish
from blemish.cli._shared import NAME_OPTIONS
from blemish.cli._signals import Stop, stopped_by_signals
from blemish.cli._terminal import plain_streams
from blemish.discovery import module_names
from blemish.errors import BlemishError
from blemish.util.names import brief, escaped, is_name, is_text, printable
from blemish.util.whole_numbers import IN_WORDS, LARGEST

log = logging.getLogger("blemish")


def verbs(package: ModuleType) -> list[str]:
    """Every verb there is a file for in the package."""
    return module_names(package)


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence, like everything else."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and where help is, and end."""
        self.exit(2, _refusal(f"{message}; `{self.prog} --help` says what there is"))


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(
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
    """Run one command; 0 is success, 1 a failed gate, 2 bad input, 128 + n stopped by signal n."""
    with plain_streams(), stopped_by_signals():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    options = _options(_with_each_name(_with_json_file(argv)))
    try:
        _refuse_wrong_names(options)
        _refuse_wrong_numbers(options)
        return int(options.run(options))
    except BlemishError as error:
        if options.debug:
            raise
        sys.stderr.write(_refusal(str(error)))
    except KeyboardInterrupt as stop:
        print(f"blemish: stopped{options.stopped}", file=sys.stderr)
        return 128 + (stop.signal if isinstance(stop, Stop) else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        if options.debug:
            raise
        print(
            "blemish: this takes more memory than is free; choose smaller settings, or smaller or "
            "fewer images",
            file=sys.stderr,
        )
    except OSError as error:
        if options.debug:
            raise
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(_refusal(f"{name}{error.strerror or error}"))
    return 2


def _options(argv: list[str]) -> argparse.Namespace:
    """What the arguments say; paths of `inspect` may stand between options.

    argparse would take none where options follow the model, since with --stdin none may be named.
    """
    top = parser()
    options, surplus = top.parse_known_args(argv)
    at = surplus.index("--") if "--" in surplus else len(surplus)
    named, last = surplus[:at], surplus[at + 1 :]
    if surplus and (not hasattr(options, "paths") or any(word[:1] == "-" for word in named)):
        top.error(f"unrecognized arguments: {' '.join(surplus)}")
    if surplus:
        options.paths += map(Path, [*named, *last])
    return options


def _refusal(sentence: str) -> str:
    return f"blemish: {printable(brief(sentence))}\n"


def _refuse_wrong_names(options: argparse.Namespace) -> None:
    """Refuse an argument that is no name of a file, or no text; `inspect` gives it a verdict."""
    for option, value in vars(options).items():
        for one in value if isinstance(value, list) else [value]:
            named = isinstance(one, Path) or option == "json"
            wrong = named and option != "paths" and not is_name(str(one))
            if wrong or (isinstance(one, str) and not is_text(one)):
                raise BlemishError(
                    f"{escaped(str(one))} has control characters or bytes that are no UTF-8, as no "
                    "file that is read or written here may; rename it"
                )


def _refuse_wrong_numbers(options: argparse.Namespace) -> None:
    """Refuse a number that none of them can be; what else is wrong with one, its verb tells."""
    for option, value in vars(options).items():
        name = f"--{option.replace('_', '-')}"
        if type(value) is int and not 0 <= value <= LARGEST:
            raise BlemishError(f"{name} {value} must be 0 or more, and at most {IN_WORDS}")
        if isinstance(value, float) and not math.isfinite(value):
            raise BlemishError(f"{name} {value} is no number")


def _with_json_file(argv: list[str]) -> list[str]:
    """`inspect --json MODEL PATH` means standard output: only - and *.json are files to write."""
    if argv[:1] != ["inspect"] or "--json" not in argv:
        return argv
    after = argv.index("--json") + 1
    named = after < len(argv) and (argv[after] == "-" or argv[after].endswith(".json"))
    return argv if named else [*argv[:after], "-", *argv[after:]]


def _with_each_name(argv: list[str]) -> list[str]:
    """`--good A B` means `--good A --good B`: of the words after A as many as no verb has room for.

    With DATA behind them, the first ones are names and the last is DATA.
    """
    if not any(word.partition("=")[0] in NAME_OPTIONS for word in argv):
        return argv
    _, surplus = parser().parse_known_args(argv)
    if not surplus or any(word.startswith("-") for word in surplus):
        return argv
    apart: list[str] = []
    room, option, taken = len(surplus), "", True
    for word in argv:
        if word.startswith("-"):
            option, equals, _ = word.partition("=")
            taken = bool(equals)  # the name that every option has
        elif option in NAME_OPTIONS and taken and room:
            apart.append(option)
            room -= 1
        else:
            taken = True
        apart.append(word)
    return apart
