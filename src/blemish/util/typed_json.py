"""Frozen dataclasses as JSON and back: one reader, which names the wrong field, and one writer.

A field made by `absent` is left out of the JSON while it has its default, so that files of before
it existed are read, and files that do not need it stay as they were.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from blemish.util.file_limit import refusal
from blemish.util.finite import not_finite

Value = TypeVar("Value")

Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""How many of something; a number that no program trips over."""

_ABSENT = "absent"
_SPREAD = 64  # bytes in memory for a byte of JSON, at most: `{},` is a dictionary of 64, twice


def absent(default: Any = None, **more: Any) -> Any:
    """A field that the JSON lacks while it has its default."""
    given = more or {"default": default}
    return dataclasses.field(**given, metadata={_ABSENT: True})


def parse(data: bytes) -> object:
    """The value of a JSON text in UTF-8.

    Raises ValueError for another text, for a key that is there twice, for values that are nested
    too deeply, and for a text that would take more memory than one file may.
    """
    _refuse_large(data)
    try:
        return json.loads(data.decode(), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def skim(kind: type[Value], data: bytes) -> Value:
    """What `read` makes of the text, at a hundredth of its cost where that would be refused.

    Values of no field are passed over, and none is made of what is no `kind` from there on. So what
    it makes is not yet read: it may have unknown fields, and numbers that are not finite. Raises as
    `read` does.
    """
    _refuse_large(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ValueError(_said(error)) from None


def too_large(size: int) -> str | None:
    """Why a text of so many bytes is not parsed, to follow its name; None where it may be."""
    return refusal(_SPREAD * size)


def _refuse_large(data: bytes) -> None:
    if refused := too_large(len(data)):
        raise ValueError(f"it {refused}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in found if keys.count(key) > 1)!r} is there twice")
    return found


def read(kind: type[Value], value: object) -> Value:
    """A JSON value, as `parse` gives it, as a dataclass.

    Raises ValueError, which names the field, for a number that is not finite, another type, and a
    field that is missing or unknown. What a dataclass refuses by itself is raised as it is.
    """
    try:
        return _read(kind, value)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except msgspec.ValidationError as error:
        raise ValueError(_said(error)) from None


def _said(error: msgspec.DecodeError) -> str:
    """What is wrong, after the field."""
    what, _, where = str(error).partition(" - at `$")
    place = where.removesuffix("`").removeprefix(".")
    return f"{place}: {what}" if place else what


def write(value: Any) -> Any:
    """A dataclass, or what holds some, as plain JSON values; the fields in their order."""
    return _plain(value, whole=False)


def schema(kind: type[Any], title: str) -> dict[str, Any]:
    """The JSON schema of a dataclass; it knows no fields but the dataclass's own."""
    found = msgspec.json.schema(kind)
    for definition in found["$defs"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **found}


def _read(kind: type[Value], value: object) -> Value:
    if (where := not_finite(value)) is not None:
        raise ValueError(f"{where} is not finite")
    found = msgspec.convert(value, kind)
    if (where := _unknown(value, _plain(found, whole=True))) is not None:
        raise ValueError(f"{where} is unknown")
    return found


def _plain(value: Any, *, whole: bool) -> Any:
    """`write`; `whole` keeps the fields that are absent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(inner, whole=whole)
            for field in dataclasses.fields(value)
            if not _is_left_out(field, inner := getattr(value, field.name)) or whole
        }
    if isinstance(value, Mapping):
        return {key: _plain(inner, whole=whole) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, whole=whole) for inner in value]
    return value


def _is_left_out(field: dataclasses.Field[Any], value: Any) -> bool:
    if not field.metadata.get(_ABSENT):
        return False
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return bool(value == default)


def _unknown(given: object, known: object, name: str = "") -> str | None:
    """Where `given` has a key that `known`, which is what was read of it, has not."""
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        pairs = [(f"{name}.{key}" if name else str(key), key) for key in given]
        for path, key in pairs:
            if key not in known:
                return path
            if found := _unknown(given[key], known[key], path):
                return found
    elif isinstance(given, list) and isinstance(known, list):
        for place, (inner, other) in enumerate(zip(given, known, strict=True)):
            if found := _unknown(inner, other, f"{name}[{place}]"):
                return found
    return None
