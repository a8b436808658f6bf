"""What installed distributions bring by an entry point, which names a module."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.discovery.source import Source, read, sha256
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Those of a group; none of the group ""."""
    return _on(tuple(sys.path), group) if group else ()


@functools.cache  # each distribution that is installed has a file to look into
def _on(path: tuple[str, ...], group: str) -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def source_of(entries: Sequence[EntryPoint], word: str) -> Source:
    """The source that the entry points of one name stand for; nothing is imported.

    Raises BlemishError where they differ, and for one that names no module with a file.
    """
    entry = entries[0]
    if len({other.value for other in entries}) > 1:
        whose = " and ".join(sorted(map(_distribution, entries)))
        raise BlemishError(
            f"{whose} bring a {word} {entry.name!r} each; uninstall all but one, or name the file"
        )
    whose = _distribution(entry)
    told = f"the entry point {entry.name!r} of {whose} names {entry.value!r}"
    if entry.attr:
        raise BlemishError(f"{told}; it must name a module, as {entry.module!r}")
    spec = _spec(entry.module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise BlemishError(f"{told}, which is no Python file; install {whose} anew")
    content, text = read(Path(spec.origin))
    return Source(
        *(entry.name, Path(spec.origin), entry.module, sha256(content), text), True, whose
    )


def _distribution(entry: EntryPoint) -> str:
    return "a distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _spec(module: str) -> ModuleSpec | None:
    """Where a module lies. Unlike `importlib.util.find_spec`, it imports no package above it."""
    spec, above, whole = None, None, ""
    for step in module.split("."):
        whole = f"{whole}.{step}" if whole else step
        finders = (finder.find_spec(whole, above) for finder in sys.meta_path)
        spec = next((found for found in finders if found is not None), None)
        if spec is None:
            return None
        above = spec.submodule_search_locations
    return spec
