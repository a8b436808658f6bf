"""Defect generators, one file each: its name is the generator's, and adding one touches no list.

A module holds one frozen dataclass of settings, all with defaults, that is called with an image and
a random generator, and may hold `PRESETS`, settings by preset name. One that takes material from
other images has a field `sources`, and `SAME_PRODUCT = True` where these are to be other images of
the same product.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

from blemish.discovery import Kind
from blemish.errors import BlemishError
from blemish.synthesis.base import Generator, Synthetic
from blemish.util.settings import with_settings

if TYPE_CHECKING:
    from blemish.synthesis._sources import Source

__all__ = [
    "GENERATORS",
    "Generator",
    "Synthetic",
    "describe",
    "generator_names",
    "of_same_product",
    "open_generator",
    "preset_names",
    "settings_of",
    "takes_sources",
]

SOURCES = "sources"
GENERATORS = Kind(
    __name__,
    "generator",
    "blemish.generators",
    without=frozenset({"base", "conformance", "contact_sheet", "defective_set", "visible"}),
    method="__call__",
)


def generator_names() -> list[str]:
    """Every generator there is a file for, then those of entry points."""
    return GENERATORS.names()


def open_generator(
    name: str,
    settings: Mapping[str, str] | None = None,
    *,
    preset: str | None = None,
    sources: Sequence[Source] = (),
) -> Generator:
    """The generator of that name with its preset's settings, then `settings` as `KEY=VALUE` texts.

    A name may be the path of a file from outside, wherever one is asked for in this package.
    `sources`, paths or arrays of pixels, are images to take material from; without them such a
    generator uses what its docstring says. Raises BlemishError for a name, a preset, a setting or a
    value that does not exist, and for sources that the generator has no use for.
    """
    generator = GENERATORS.settings_class(name)()
    if preset is not None:
        presets = preset_names(name)
        if preset not in presets:
            known = ", ".join(presets) or "none"
            hint = _nearest(preset, presets)
            raise BlemishError(f"generator {name} has no preset {preset!r}; it has: {known}{hint}")
        generator = replace(generator, **GENERATORS.module(name).PRESETS[preset])
    generator = with_settings(f"generator {name}", generator, settings or {})
    if sources:
        from blemish.synthesis._sources import Sources

        if not takes_sources(name):
            takers = ", ".join(filter(takes_sources, generator_names()))
            raise BlemishError(f"generator {name} takes nothing from other images; {takers} do")
        generator = replace(generator, **{SOURCES: Sources.of(sources)})
    return cast("Generator", generator)


def preset_names(name: str) -> list[str]:
    """The presets of that generator."""
    return list(getattr(GENERATORS.module(name), "PRESETS", {}))


def takes_sources(name: str) -> bool:
    """Whether that generator takes material from other images."""
    return SOURCES in {field.name for field in fields(GENERATORS.settings_class(name))}


def of_same_product(name: str) -> bool:
    """Whether that generator takes its material from other images of the same product."""
    return bool(getattr(GENERATORS.module(name), "SAME_PRODUCT", False))


def settings_of(generator: Generator) -> dict[str, Any]:
    """The generator's settings, ready for JSON; not its sources."""
    names = [field.name for field in fields(cast("Any", generator)) if field.name != SOURCES]
    return {name: getattr(generator, name) for name in names}


def describe(name: str) -> str:
    """The first line of a generator's own description, read without importing it."""
    return GENERATORS.source(name).about()


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
