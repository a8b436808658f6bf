"""Tables of a TOML file as frozen dataclasses; an unknown key is refused by its name."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from typing import Any, TypeVar

from blemish.errors import DatasetError

Settings = TypeVar("Settings")

_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def parse_table(kind: type[Settings], table: Any, file: str, place: str = "") -> Settings:
    """A dataclass of that kind from a table of `file`; `place` is the table's name in it.

    Raises DatasetError for a key that the dataclass has no field for, and names the nearest one;
    for a value of another type; and for a field that needs a value and has none.
    """
    where = f"{file}: [{place}]" if place else file
    if not isinstance(table, dict):
        raise DatasetError(f"{where} must be a table, not {table!r}.")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    for key in table:
        if key not in known:
            raise DatasetError(f"{where} has the unknown key '{key}'; {_nearest(key, list(known))}")
    for name, field in known.items():
        unset = field.default is field.default_factory is dataclasses.MISSING
        if unset and name not in table:
            raise DatasetError(f"{where} lacks the key '{name}'.")
    values = {
        key: _value(hints[key], value, file, f"{place}.{key}" if place else key)
        for key, value in table.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}.") from error


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1, 0.5)
    return f"did you mean '{close[0]}'?" if close else f"it may have: {', '.join(sorted(known))}."


def _value(kind: Any, value: Any, file: str, place: str) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):  # optional
        kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    if dataclasses.is_dataclass(kind):
        return parse_table(typing.cast(type, kind), value, file, place)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        endless = inner[-1] is Ellipsis
        if isinstance(value, list) and (endless or len(value) == len(inner)):
            return tuple(_value(inner[0], item, file, place) for item in value)
        count = "" if endless else f" of {len(inner)}"
        raise DatasetError(f"{file}: {place} must be a list{count}, not {value!r}.")
    if typing.get_origin(kind) is dict:
        if isinstance(value, dict):
            return {key: _text(item) for key, item in value.items()}
        raise DatasetError(f"{file}: {place} must be a table, not {value!r}.")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise DatasetError(f"{file}: {place} must be {_WORDS[kind]}, not {value!r}.")
    return value


def _text(value: Any) -> str:
    """A setting's text, as `blemish.util.settings` reads it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
