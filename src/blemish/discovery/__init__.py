"""What is found by the name of a file: detectors, generators, layouts, and all else of which a
package holds one file each. The same from outside: by the path of a file, or by an entry point.

A package states its kind once, `Kind(__name__, "detector", ...)`. Nothing hides the package's own
names. Entry points are read only for a name that is none of these, and for a list of all names. A
file from outside runs in this process, with every right of its user.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import ModuleType
from typing import Any

from blemish.discovery.entry_points import entry_points, source_of
from blemish.discovery.outside import imported, is_path
from blemish.discovery.source import Source, own_source, read_source
from blemish.errors import BlemishError, MissingExtraError

__all__ = ["Kind", "Source", "files_seen", "is_path", "module_names", "see_again"]

_seen: dict[str, Source] = {}  # what this process was told of from outside, by label


@dataclass(frozen=True)
class Kind:
    """What the files of one `package` are, in a `word`, and what tells them.

    `group` is that of their entry points; without one nothing comes from outside. Files in
    `without`, and those that begin with an underscore, are something else. Each file has one class
    of settings with the `method`. `extra` is the extra of this package that brings the libraries
    which some files need. A refusal is of the type `error`, and lists the names after `listing`.
    """

    package: str
    word: str
    group: str = ""
    without: frozenset[str] = frozenset()
    method: str = ""
    extra: str = ""
    error: type[BlemishError] = BlemishError
    listing: str = "there are:"

    def own_names(self) -> list[str]:
        """The names of the package's own files, sorted."""
        names = module_names(importlib.import_module(self.package))
        return [name for name in names if name not in self.without]

    def names(self) -> list[str]:
        """The package's own names, then those of entry points."""
        own = self.own_names()
        return own + sorted({entry.name for entry in entry_points(self.group)} - set(own))

    def has(self, name: str) -> bool:
        """Whether there is one of that name, or label; a path counts as one, unread."""
        own = name in self.own_names()
        return own or bool(self.group and (is_path(name) or self._brought(name)))

    def source(self, name: str) -> Source:
        """The file of that name, path or label; it is read, not imported.

        Raises BlemishError, or the kind's own type, for a name there is no file for, and
        BlemishError for a file that cannot be read.
        """
        if name in self.own_names():
            return own_source(importlib.import_module(self.package), name)
        if self.group and is_path(name):
            found: Source | None = read_source(name, self.word)
        else:
            found = self._brought(name)
        if found is None:
            raise self._unknown(name)
        _seen[found.label] = found
        return found

    def module(self, name: str) -> ModuleType:
        """Import the file of that name, path or label; one from outside runs once.

        Raises BlemishError as `source` does, and for whatever a file from outside raises.
        """
        source = self.source(name)
        if source.outside:
            return imported(source)
        try:
            return importlib.import_module(source.module)
        except ModuleNotFoundError as error:
            if not self.extra or str(error.name).startswith("blemish"):
                raise
            raise MissingExtraError(
                f"{self.word} {name} needs {error.name}, which is not installed; "
                f'get it with: pip install "blemish[{self.extra}]"'
            ) from None

    def settings_class(self, name: str) -> type[Any]:
        """The class with the kind's `method` in that file: a dataclass, every field with a default.

        Raises BlemishError as `module` does, and where the file has no such class, or several.
        """
        module = self.module(name)
        found = [kind for kind in classes_with(module, self.method) if kind.__name__[0] != "_"]
        if len(found) != 1:
            several = " and ".join(kind.__name__ for kind in found)
            raise BlemishError(
                f"{module.__file__} must hold one class with a method {self.method}, "
                f"and holds {several or 'none'}"
            )
        [kind] = found
        if not is_dataclass(kind):
            raise BlemishError(f"{kind.__name__} in {module.__file__} must be a dataclass")
        for setting in fields(kind):
            if setting.init and setting.default is setting.default_factory is MISSING:
                raise BlemishError(f"{setting.name} in {module.__file__} must have a default")
        return kind

    def label(self, name: str) -> str:
        """What a record calls it: `Source.label`; a name that is unknown stays as it is."""
        if name in self.own_names() or not self.has(name):
            return name
        return self.source(name).label

    def record(self, name: str | None) -> dict[str, str] | None:
        """`Source.record` of that name; None also where it is None, or unknown."""
        return self.source(name).record() if name is not None and self.has(name) else None

    def _brought(self, name: str) -> Source | None:
        """What has that label, or comes by an entry point of that name or label."""
        if name in _seen:
            return _seen[name]
        short, _, digits = name.partition("@")
        entries = [entry for entry in entry_points(self.group) if entry.name == short]
        found = source_of(entries, self.word) if entries else None
        return None if found is not None and digits and found.label != name else found

    def _unknown(self, name: str) -> BlemishError:
        if "@" in name:
            return self.error(
                f"{self.word} {name!r} came from outside; name its file, or install what brings it"
            )
        import difflib

        known = self.names()
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return self.error(
            f"there is no {self.word} {name!r}; {self.listing} {', '.join(known)}{hint}"
        )


def files_seen(labels: Iterable[str]) -> dict[str, str]:
    """Where the files from outside lie that have these labels, for another process to be told."""
    found = {label: _seen[label] for label in labels if label in _seen}
    return {label: str(one.path) for label, one in found.items() if one.distribution is None}


def see_again(files: Mapping[str, str]) -> None:
    """Let labels stand for files in this process, as `files_seen` told.

    Raises BlemishError for a file that is not there, or no longer what it was.
    """
    for label, path in files.items():
        source = read_source(path, "detector, generator or protocol")
        if source.label != label:
            raise BlemishError(
                f"{path} has changed since the work began: it was {label}, and is {source.label}"
            )
        _seen[label] = source


def module_names(package: ModuleType) -> list[str]:
    """The files and folders of code in a package that begin with no underscore, sorted."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def classes_with(module: ModuleType, method: str) -> list[type[Any]]:
    """The classes that a module defines and that have a method, in the order of the file."""
    own = (value for value in vars(module).values() if isinstance(value, type))
    own = (value for value in own if value.__module__ == module.__name__)
    return list(dict.fromkeys(c for c in own if any(method in vars(base) for base in c.__mro__)))
