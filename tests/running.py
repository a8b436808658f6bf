"""The command line as the tests see it: in this process, or in one of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import blemish

Cli = Callable[..., "Run"]


@dataclass(frozen=True)
class Run:
    """What a command left: its exit code, standard output, and the lines on standard error.

    `folders` is the line that names the folders of the data set; it is not among the others.
    """

    code: int
    out: str
    err: list[str]
    folders: list[str] = field(default_factory=list)

    def refusal(self, *words: object) -> str:
        """The one sentence of a refusal, which names all of `words`."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert len(self.err) == 1, self.err
        [sentence] = self.err
        assert sentence.startswith("blemish: ")
        for word in words:
            assert str(word) in sentence, sentence
        return sentence


FOLDERS = re.compile(r"\d+ pictures?(,| in |: none)")


def run_of(code: int, out: str, lines: Sequence[str]) -> Run:
    """What a command left, the line on folders apart."""
    told = [line for line in lines if FOLDERS.match(line)]
    return Run(code, out, [line for line in lines if line not in told], told)


def environment(**more: str) -> dict[str, str]:
    """The variables of a process that finds this very package."""
    source = str(Path(blemish.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **more}


def started(
    argv: Sequence[object], *, code: str | None = None, stdin: bool = False, **more: str
) -> subprocess.Popen[str]:
    """`python -m blemish ARGV`, or `python -c CODE ARGV`, under way; with `stdin` it is a pipe."""
    program = ["-m", "blemish"] if code is None else ["-c", code]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, argv)],
        env=environment(**more),
        stdin=subprocess.PIPE if stdin else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finished(argv: Sequence[object], *, code: str | None = None, **more: str) -> Run:
    """`started`, and waited for."""
    process = started(argv, code=code, **more)
    out, err = process.communicate(timeout=300)
    return run_of(process.returncode, out, err.splitlines())
