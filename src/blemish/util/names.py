"""Names of files: the one rule, how any other text is shown, and paths that a caller gives.

A name is text in UTF-8 without control characters. A picture with another name is listed by its
name `escaped`, under which there is no file, so that no table, page or terminal meets the name
itself; `wrong_name` tells whoever then fails to open it why.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from blemish.errors import COMMANDS, BlemishError, escape

_ANY = re.compile(r".", re.DOTALL)
_LONG_WORD = re.compile(r"\S{1001,}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def is_name(text: str) -> bool:
    """True for text in UTF-8 without control characters."""
    return text.isprintable() or COMMANDS.search(text) is None


def is_text(text: str) -> bool:
    """True for text that can be written in UTF-8; an argument with other bytes is none."""
    return text.isascii() or _SURROGATE.search(text) is None


def escaped(text: str) -> str:
    r"""Text that is a name: what cannot be in one is shown as \n, \x1b or \xff."""
    return text if is_name(text) else COMMANDS.sub(escape, text)


def printable(text: str, *, keep: str = "") -> str:
    r"""Text that a terminal only shows: whatever else it does is written as \n, \x1b or \u202e.

    The characters in `keep` stay as they are.
    """
    if text.translate(dict.fromkeys(map(ord, keep))).isprintable():
        return text
    return _ANY.sub(lambda m: m[0] if m[0].isprintable() or m[0] in keep else escape(m), text)


def brief(text: str) -> str:
    """The text, in which a word of more than 1,000 characters is shown by its start and end."""
    return _LONG_WORD.sub(lambda m: f"{m[0][:100]}...{m[0][-20:]}", text)


def wrong_name(path: str | os.PathLike[str]) -> str | None:
    """Why a picture is not read for its name's sake, in a sentence; None where it may be.

    Looks at the disk only for a path with a back-slash that does not exist.
    """
    text = os.fspath(path)
    if is_name(text) and not ("\\" in text and _stands_for_another(text)):
        return None
    return (
        f"{escaped(text)} is not read for its name, which has control characters or bytes that "
        "are no UTF-8; rename it"
    )


def path_of(value: object, what: str, error: type[BlemishError] = BlemishError) -> Path:
    """The path that a caller gave for `what`: text, or what has a path as text.

    Raises `error` for anything else, and for text that names no file.
    """
    if isinstance(value, os.PathLike):
        value = value.__fspath__()
    if not isinstance(value, str):
        raise error(f"{what} must be a path as text, not {type_of(value)}")
    if not value:
        raise error(f"the path of {what} is empty; name a file or a folder")
    if not is_name(value):
        raise error(
            f"the path of {what}, {escaped(value)}, has control characters or bytes that are no "
            "UTF-8; rename it"
        )
    try:
        os.lstat(value)
    except OSError as failure:
        if failure.errno == errno.ENAMETOOLONG:
            raise error(f"the path of {what} has {len(value)} characters, too many") from None
    return Path(value)


def text_of(value: object, what: str, error: type[BlemishError] = BlemishError) -> str | None:
    """The text that a caller gave for `what`, or None. Raises `error` for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise error(f"{what} must be a text, not {type_of(value)}")


def type_of(value: object) -> str:
    """What a value is, for a message that refuses it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _stands_for_another(text: str) -> bool:
    """True for the escaped name of a file or folder that is there under its own."""
    path = Path(text)
    if os.path.lexists(path):
        return False
    for inner in (path, *path.parents):
        if os.path.lexists(inner.parent):
            break
    try:
        names = os.listdir(inner.parent)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return False
    return any(not is_name(name) and escaped(name) == inner.name for name in names)
