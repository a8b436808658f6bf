"""Chooses the code version whose results a table shows: the installed one, else the newest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blemish.benchmark.store import Result
from blemish.errors import DatasetError


@dataclass(frozen=True)
class CodeChoice:
    """Results of one code; `notes` say what was left out, `other_code` of what code they are.

    `other_code` is empty where that is the code that is installed.
    """

    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    other_code: str = ""


def choose_code(results: Sequence[Result], asked: str | None = None) -> CodeChoice:
    """The results of one common source, and of one code of each detector and split.

    That is the code of which a hash, the common source's or a detector's own, begins as `asked`;
    else the installed one; else the newest. Raises DatasetError where `asked` fits none or several.
    """
    if not results:
        return CodeChoice(())
    named = "" if asked is None else _named(results, asked)
    source = max(results, key=lambda result: _source_rank(result, named)).code.source
    groups: dict[tuple[str, str | None], list[Result]] = defaultdict(list)
    for result in results:
        if result.code.source == source:
            groups[result.run.detector, result.run.split].append(result)
    kept: list[Result] = []
    words = [source]
    for (detector, _), group in sorted(groups.items(), key=repr):
        method = max(group, key=lambda result: _method_rank(result, named)).code.method
        chosen = [result for result in group if result.code.method == method]
        kept += chosen
        if len(chosen) < len(group):
            words.append(f"{detector}'s own of {method}")
    notes = []
    if left := len(results) - len(kept):
        shown = ", ".join(words)
        notes.append(f"Results of other code versions are left out ({left}); these are of {shown}.")
    if carried := sum(bool(result.carried) for result in kept):
        notes.append(
            f"{carried} results are of earlier code; for each detector one of them was made again "
            "with this code, and agreed to the digit."
        )
    return CodeChoice(tuple(kept), tuple(notes), _other_code(kept))


def _source_rank(result: Result, named: str) -> tuple[bool, bool, str]:
    code, installed = result.code, result.run.code
    return named in (code.source, code.method), code.source == installed.source, result.finished


def _method_rank(result: Result, named: str) -> tuple[bool, bool, str]:
    method = result.code.method
    return method == named, method == result.run.code.method, result.finished


def _named(results: Sequence[Result], asked: str) -> str:
    """The one hash that begins so."""
    sources = sorted({result.code.source for result in results})
    methods = sorted({f"{r.run.detector} {r.code.method}" for r in results if r.code.method})
    hashes = {*sources, *(result.code.method for result in results)}
    fitting = [one for one in hashes if one.startswith(asked)]
    if len(fitting) != 1:
        raise DatasetError(
            f"code {asked!r} fits {len(fitting)} code versions; there are: {', '.join(sources)}"
            + (f"; of detectors: {', '.join(methods)}" if methods else "")
        )
    return fitting[0]


def _other_code(kept: Iterable[Result]) -> str:
    others = [result for result in kept if result.code != result.run.code]
    names = {
        f"blemish {r.code.version} ({r.code.source})"
        if r.code.source != r.run.code.source
        else f"{r.run.detector} {r.code.method}"
        for r in others
    }
    if not names:
        return ""
    return f"results shown are of other code than is installed: {', '.join(sorted(names))}"
