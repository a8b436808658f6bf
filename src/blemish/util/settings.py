"""Settings written as `KEY=VALUE`, put into a dataclass with defaults."""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from typing import Any, TypeVar

from blemish.errors import BlemishError

Settings = TypeVar("Settings")


def with_settings(what: str, defaults: Settings, texts: Mapping[str, str]) -> Settings:
    """`defaults`, a dataclass, with values read from texts by setting; `what` names it in errors.

    Raises BlemishError for a setting that does not exist and for a text that is none of its values.
    """
    kinds = typing.get_type_hints(type(defaults))
    known = {field.name for field in fields(typing.cast(Any, defaults)) if not _wordless(field)}
    parsed: dict[str, Any] = {}
    for key, text in texts.items():
        if key not in known:
            choices = ", ".join(sorted(known)) or "none"
            near = difflib.get_close_matches(key.lower(), sorted(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BlemishError(f"{what} has no setting {key!r}; it has: {choices}{hint}")
        try:
            parsed[key] = _value(kinds[key], text)
        except (ValueError, ZeroDivisionError):
            raise BlemishError(
                f"setting {key} of {what} cannot be {text!r}; "
                f"its default is {getattr(defaults, key)!r}"
            ) from None
    return typing.cast(Settings, replace(typing.cast(Any, defaults), **parsed))


def _wordless(field: Field[Any]) -> bool:
    """True for what no text can say; its field has the metadata `wordless`."""
    return bool(field.metadata.get("wordless", False))


def _value(kind: Any, text: str) -> Any:
    """A setting's text as a value of its field's type; a number may be a quotient such as 1/16."""
    if type(None) in typing.get_args(kind):
        if text.lower() in {"none", ""}:
            return None
        kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    if kind is bool:
        choices = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in choices:
            raise ValueError(text)
        return choices[text.lower()]
    if typing.get_origin(kind) is tuple:
        return tuple(_value(typing.get_args(kind)[0], part) for part in text.split(","))
    if kind is float and "/" in text:
        numerator, _, denominator = text.partition("/")
        return _finite(float(numerator) / float(denominator))
    return _finite(float(text)) if kind is float else kind(text)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value
