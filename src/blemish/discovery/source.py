"""A file of code as it was read: its text, its hash, and what a record calls it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from blemish.errors import BlemishError
from blemish.util.files import open_regular

if TYPE_CHECKING:
    import ast

_MOST = 1 << 20  # bytes of code; a parser takes a hundred times as many
_SHORT = 12  # hex digits of the hash in a label


@dataclass(frozen=True)
class Source:
    """A file of code in UTF-8, of which nothing has run.

    `sha256` is of its bytes; `module` is the name it is imported by. From outside, `name` is that
    of the file without its folder, or of the entry point, which `distribution` brings: a name and
    a version.
    """

    name: str
    path: Path
    module: str
    sha256: str
    text: str = field(repr=False)
    outside: bool = False
    distribution: str | None = None

    @property
    def label(self) -> str:
        """What a record calls it: its name, from outside `mine.py@` and 12 digits of the hash."""
        return f"{self.name}@{self.sha256[:_SHORT]}" if self.outside else self.name

    @property
    def stem(self) -> str:
        """Its name without `.py`, to name a folder or a file by."""
        return self.name.removesuffix(".py")

    def record(self) -> dict[str, str] | None:
        """What a record says of a file from outside, for JSON; None for one of this package."""
        if not self.outside:
            return None
        whose = {} if self.distribution is None else {"distribution": self.distribution}
        return {"file": self.path.name, "sha256": self.sha256, **whose}

    def tree(self) -> ast.Module:
        """Its syntax. Raises BlemishError, with the line, where it is no Python."""
        import ast

        try:
            return ast.parse(self.text, str(self.path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise fault(self.path, error) from error

    def about(self) -> str:
        """The first line of its own description."""
        import ast

        return (ast.get_docstring(self.tree()) or "").partition("\n")[0]


def own_source(package: ModuleType, name: str) -> Source:
    """The source of a package's own file, or of the folder of that name."""
    folder = Path(package.__path__[0])
    file = folder / f"{name}.py"
    path = file if file.is_file() else folder / name / "__init__.py"
    content, text = read(path)
    return Source(name, path, f"{package.__name__}.{name}", sha256(content), text)


def read_source(name: str, word: str) -> Source:
    """The source of a file from outside, which holds what `word` says.

    Raises BlemishError for what is no file, cannot be read, or is not in UTF-8.
    """
    path = Path(name)
    instead = f"name a Python file that holds a {word}"
    if not os.path.exists(path):  # noqa: PTH110 - false for a name that is too long
        raise BlemishError(f"{name} does not exist; {instead}")
    if not path.is_file():  # a pipe would be waited for
        what = "a folder" if path.is_dir() else "no regular file"
        raise BlemishError(f"{name} is {what}; {instead}")
    content, text = read(path)
    place, digest = Path(os.path.abspath(path)), sha256(content)  # noqa: PTH100 (a link's own name)
    # By its place too: two files of one content may lie beside different files.
    module = f"_blemish_outside_{sha256(f'{digest} {place}'.encode())[:32]}"
    return Source(place.name, place, module, digest, text, outside=True)


def read(path: Path) -> tuple[bytes, str]:
    """A file's bytes and text. Raises BlemishError where it cannot be read or is not in UTF-8."""
    try:
        with open_regular(path) as file:
            content = file.read(_MOST + 1)
    except OSError as error:
        raise BlemishError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MOST:
        raise BlemishError(f"{path} is no file of code: it has more than {_MOST >> 20} MB")
    try:
        return content, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise BlemishError(f"{path}, line {line}: this is no UTF-8; save it as UTF-8") from error


def sha256(content: bytes) -> str:
    """The sha256 (hex) of bytes."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def fault(path: Path, error: BaseException) -> BlemishError:
    """The sentence for what is wrong with a file from outside, with its line."""
    line = _line(path, error)
    place = f"{path}, line {line}" if line else str(path)
    if isinstance(error, SyntaxError):
        return BlemishError(f"{place}: {error.msg}; mend the file")
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("blemish"):
        return BlemishError(f"{place}: it needs {error.name}, which is not installed")
    words = " ".join(str(error).split())
    reason = words if isinstance(error, BlemishError) else f"{type(error).__name__}: {words}"
    return BlemishError(f"{place}: {reason}; mend the file")


def _line(path: Path, error: BaseException) -> int | None:
    """The last line of the file that an error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    import traceback

    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == str(path)]
    return lines[-1] if lines else None
