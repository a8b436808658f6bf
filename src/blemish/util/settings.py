"""Settings: fields of a dataclass, with units and limits, that are written as `KEY=VALUE`."""

from __future__ import annotations

import difflib
import logging
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from blemish.errors import BlemishError
from blemish.util.finite import is_finite
from blemish.util.whole_numbers import LARGEST

log = logging.getLogger("blemish")

Settings = TypeVar("Settings")

_DECLARED = "setting"  # the key of a field's metadata


@dataclass(frozen=True)
class Declared:
    """What holds for the value of a setting, and for each of several; None stays free.

    `formerly` is the name that the setting had before, and `convert(settings, value)` brings a
    value of that time to today's unit; `settings` are the others.
    """

    unit: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    odd: bool = False
    multiple: int | None = None
    choices: tuple[str, ...] = ()
    formerly: str | None = None
    convert: Callable[[Any, Any], Any] | None = None

    @property
    def limits(self) -> str:
        """What a value must be, in words, such as `at least 1 and odd`."""
        bounds = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
            "a multiple of": self.multiple,
        }
        words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
        words += ["odd"] if self.odd else []
        words += [f"one of {', '.join(self.choices)}"] if self.choices else []
        return " and ".join(words)

    def allows(self, value: Any) -> bool:
        """Whether a single value of the right type keeps the limits."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
            and (not self.odd or value % 2 == 1)
            and (self.multiple is None or value % self.multiple == 0)
            and (not self.choices or value in self.choices)
        )


def setting(default: Any, **declared: Any) -> Any:
    """A dataclass field with a default and what is `Declared` of it, by keyword."""
    return field(default=default, metadata={_DECLARED: Declared(**declared)})


def with_settings(what: str, defaults: Settings, texts: Mapping[str, str]) -> Settings:
    """`defaults`, a dataclass, with values read from texts by setting; `what` names it in errors.

    A setting's former name is taken with a warning. Raises BlemishError for a setting that does not
    exist, for a text that is none of its values, and for a value that breaks what is declared.
    """
    named: Any = defaults
    kinds = typing.get_type_hints(type(defaults))
    known = {each.name: each for each in fields(named) if not each.metadata.get("wordless", False)}
    former = {_declared(each).formerly: each for each in known.values()}
    parsed: dict[str, Any] = {}
    for key, text in texts.items():
        if key not in known and key not in former:
            choices = ", ".join(sorted(known)) or "none"
            near = difflib.get_close_matches(key.lower(), sorted(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BlemishError(f"{what} has no setting {key!r}; it has: {choices}{hint}")
        name = key if key in known else former[key].name
        if name != key:
            if name in texts:
                raise BlemishError(f"setting {key} of {what} is called {name} now; give it once")
            log.warning("setting %s of %s is called %s now", key, what, name)
        try:
            parsed[key] = _value(kinds[name], text)
        except (ValueError, ZeroDivisionError):
            raise BlemishError(
                f"setting {key} of {what} cannot be {text!r}; "
                f"its default is {getattr(defaults, name)!r}"
            ) from None
    made = replace(named, **renamed(defaults, parsed))
    check_settings(what, made)
    return typing.cast("Settings", made)


def renamed(defaults: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by setting, with former names and units brought to today's; others stay.

    `defaults` are the settings that are not among the values.
    """
    known = {each.name: each for each in fields(defaults)}
    former = {_declared(each).formerly: each for each in known.values()}
    found = {key: value for key, value in values.items() if key in known or key not in former}
    others = replace(defaults, **{key: value for key, value in found.items() if key in known})
    for key in values.keys() - found.keys():
        convert = _declared(former[key]).convert
        value = values[key]
        found[former[key].name] = value if convert is None else convert(others, value)
    return found


def current_name(settings: Any, name: str) -> str:
    """The name that a setting has today; any other stays."""
    return next((each.name for each in fields(settings) if _declared(each).formerly == name), name)


def check_settings(what: str, settings: Any) -> None:
    """Refuse a value that is not of its field's type, not finite, or breaks what is declared."""
    kinds = typing.get_type_hints(type(settings))
    for each in fields(settings):
        value, rule = getattr(settings, each.name), ""
        if not _is_of(kinds[each.name], value):
            rule = f"be {_kind_in_words(kinds[each.name])}"
        elif not all(map(_declared(each).allows, _single(value))):
            rule = f"be {_declared(each).limits}"
        if rule:
            raise BlemishError(f"setting {each.name}={as_text(value)} of {what} must {rule}")


@dataclass(frozen=True)
class Explained:
    """A setting as it is shown to a user; `type` is the annotation of its field."""

    name: str
    type: str
    default: Any
    unit: str
    limits: str
    about: str


def explain(kind: type[Any]) -> list[Explained]:
    """The settings of a dataclass in their order, but for those that no text can say."""
    about = paragraphs(kind)
    return [
        Explained(
            each.name,
            each.type if isinstance(each.type, str) else each.type.__name__,
            each.default,
            _declared(each).unit,
            _declared(each).limits,
            about.get(each.name, ""),
        )
        for each in fields(kind)
        if not each.metadata.get("wordless", False) and each.default is not MISSING
    ]


def paragraphs(kind: type[Any]) -> dict[str, str]:
    """What the section `Attributes` of a class's docstring, and of its bases', says of each field.

    An entry is `name: text`, four spaces into the section; its further lines stand deeper.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, section = (base.__doc__ or "").partition("Attributes:\n")
        name, inner = "", None
        for line in section.splitlines():
            if not line.strip():
                break
            depth = len(line) - len(line.lstrip())
            inner = depth if inner is None else inner
            entry = re.fullmatch(r"(\w+): (.+)", line.strip()) if depth == inner else None
            if entry:
                name, found[entry[1]] = entry[1], entry[2]
            elif name and depth > inner:
                found[name] += f" {line.strip()}"
    return found


def as_text(value: Any) -> str:
    """A value as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _declared(each: Field[Any]) -> Declared:
    declared: Declared = each.metadata.get(_DECLARED, Declared())
    return declared


def _single(value: Any) -> tuple[Any, ...]:
    """The single values that limits hold for."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _optional(kind: Any) -> tuple[Any, bool]:
    """A type without None, and whether it had it."""
    if typing.get_origin(kind) not in {typing.Union, types.UnionType}:
        return kind, False
    inner = [arg for arg in typing.get_args(kind) if arg is not type(None)]
    return inner[0] if len(inner) == 1 else kind, len(inner) < len(typing.get_args(kind))


def _is_of(kind: Any, value: Any) -> bool:
    kind, optional = _optional(kind)
    if value is None:
        return optional
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if kind is float:
        return is_finite(value)
    if kind is str:
        return isinstance(value, str)
    if typing.get_origin(kind) is not tuple:
        return True
    if not isinstance(value, tuple):
        return False
    inner = typing.get_args(kind)
    kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
    return len(value) == len(kinds) and all(map(_is_of, kinds, value))


def _kind_in_words(kind: Any) -> str:
    kind, optional = _optional(kind)
    words = {
        int: "a whole number of at most 2^48",
        float: "a finite number",
        bool: "yes or no",
        str: "a text",
    }
    if typing.get_origin(kind) is tuple:
        word = f"a list, each {_kind_in_words(typing.get_args(kind)[0])}"
    else:
        word = words.get(kind, getattr(kind, "__name__", str(kind)))
    return f"{word}, or none" if optional else word


def _value(kind: Any, text: str) -> Any:
    """A setting's text as a value of its field's type; a number may be a quotient such as 1/16."""
    kind, optional = _optional(kind)
    if optional and text.lower() in {"none", ""}:
        return None
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
    if not is_finite(value):
        raise ValueError(value)
    return value
