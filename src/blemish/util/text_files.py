"""Read text, JSON and TOML that a user can name: whole, or refused in one sentence.

A file is regular, within the file limit, and UTF-8. `what` says what it should be, `way_out` ends
the sentence, and `error` is the type of the refusal.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

from blemish.errors import BlemishError, DatasetError
from blemish.util.files import open_regular, read_regular
from blemish.util.library_errors import reason_of

_OF_JSON = 24  # bytes of memory for a byte of JSON: an empty list is 2 bytes and takes 56
_MOST_TOML = 1 << 18  # bytes; it is written by hand, and its reader is slow
_MOST_DOTS = 300  # in a line: a dotted key takes the square of its steps
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # begins each half of a pair of surrogates


def read_text(
    path: Path,
    way_out: str,
    error: type[BlemishError] = DatasetError,
    *,
    replace: bool = False,
    growth: int = 4,
) -> str:
    """The text of a file, without a byte-order mark; with `replace` whatever its bytes are.

    `growth` is how many bytes of memory its use takes for each of its own.
    """
    data = _bytes(path, way_out, error, growth)
    try:
        return data.decode("utf-8-sig", "replace" if replace else "strict")
    except UnicodeDecodeError as failure:
        raise error(f"{path} is not UTF-8 text; {way_out}") from failure


def first_line(path: Path, most: int = 1000) -> str:
    """The first line of a file of text, at most so many characters; empty where it is none."""
    try:
        with open_regular(path) as file:
            return file.readline(most).decode("utf-8", "replace").rstrip("\r\n")
    except OSError:
        return ""


def read_json(path: Path, what: str, way_out: str, error: type[BlemishError] = DatasetError) -> Any:
    """The value in a JSON file; its numbers are finite, its texts can be written again."""
    data = _bytes(path, way_out, error, _OF_JSON)
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text, parse_float=_finite, parse_int=_whole, parse_constant=_refuse_constant
        )
        if _HALF_PAIR.search(text) and not _is_text(value):
            raise ValueError("a text in it is none: it holds half a pair of surrogates")
    except (ValueError, RecursionError) as failure:
        raise error(f"{path} is no {what} ({reason_of(failure)}); {way_out}") from failure
    return value


def read_toml(
    path: Path, what: str, way_out: str, error: type[BlemishError] = DatasetError
) -> dict[str, Any]:
    """The tables in a TOML file, of 256 kB at most."""
    text = read_text(path, way_out, error)
    if len(text) > _MOST_TOML:
        raise error(f"{path} is no {what}: it is longer than {_MOST_TOML >> 10} kB; {way_out}")
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise error(f"{path} is no {what}: a line has more than {_MOST_DOTS} dots; {way_out}")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as failure:
        raise error(f"{path} is no {what} ({reason_of(failure)}); {way_out}") from failure


def _bytes(path: Path, way_out: str, error: type[BlemishError], growth: int) -> bytes:
    try:
        return read_regular(path, growth)
    except OSError as failure:
        raise error(f"{path} cannot be read: {reason_of(failure)}; {way_out}") from failure


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is beyond what can be held")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20:  # 64 bits, and a sign
        raise ValueError("a number is beyond what can be held")
    return int(digits)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
