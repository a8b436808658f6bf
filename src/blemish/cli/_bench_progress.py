"""The progress line of a bench."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blemish.benchmark.runner import BenchProgress


def duration_words(seconds: float) -> str:
    """A time as a person says it: "90 s", "40 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class BenchProgressLine:
    """One line that is written over on a terminal; elsewhere one for each run that has ended."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.quiet, self.terminal = options.quiet, sys.stderr.isatty()
        self.shown = False

    def __call__(self, progress: BenchProgress) -> None:
        """Show how far the bench has come."""
        if self.quiet:
            return
        ended = f"{progress.done + progress.failed} of {progress.total} runs"
        left = progress.seconds_left
        ahead = "" if left is None else f", {duration_words(left)} left"
        if self.terminal:
            now = f"; {'; '.join(progress.running)}" if progress.running else ""
            print(f"\r{ended + ahead + now:<100.100}", end="", file=sys.stderr, flush=True)
            self.shown = True
        elif progress.last is not None:
            took = progress.last.seconds
            what = "failed" if took is None else f"{took:.1f} s"
            words = f"{ended}{ahead}: {progress.last.run.words()}: {what}"
            print(words, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Finish the line."""
        if self.shown:
            print(file=sys.stderr)
