"""The pictures of a data set, found by the names that files of annotations give them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from blemish.dataset.label_words import SPLIT_WORDS
from blemish.dataset.paths import below, match_key


class PictureIndex:
    """Pictures by their names relative to `root`; nothing outside of it is ever found.

    A name is looked for where it leads from the annotation's folder, then from the root. Else the
    pictures of its last step count, which is all that is left of a path of another machine: those
    that share the most steps at its end.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self._names: dict[str, str] = {}
        self._stems: dict[str, list[str]] = {}
        self._last: dict[str, list[str]] = {}
        self._last_stems: dict[str, list[str]] = {}
        for name in names:
            key = match_key(name)
            self._names[key] = name
            self._stems.setdefault(_stem(key), []).append(name)
            self._last.setdefault(_last(key), []).append(name)
            self._last_stems.setdefault(_stem(_last(key)), []).append(name)

    def named(self, written: str, file: str) -> list[str]:
        """The pictures that a name in an annotation may mean: none, one, or several."""
        written = written.replace("\\", "/")
        for base in (self.root / file.rpartition("/")[0], self.root):
            [inside] = below(self.root, base, [written])
            if inside is not None and match_key(inside) in self._names:
                return [self._names[match_key(inside)]]
        key = match_key(written)
        return _nearest(self._last.get(_last(key), []), key, file)

    def of_stem(self, stem: str, file: str) -> list[str]:
        """The pictures whose name is that, but for the suffix."""
        for near in (stem, file.rpartition(".")[0]):
            if found := self._stems.get(match_key(near)):
                return found
        key = match_key(stem)
        return _nearest(self._last_stems.get(_last(key).casefold(), []), key, file)


def split_word(name: str) -> str | None:
    """The split that the folders of a picture name first, "train2017" among them, or None."""
    steps = (step.lower().rstrip("0123456789") for step in name.split("/")[:-1])
    return next((SPLIT_WORDS[step] for step in steps if step in SPLIT_WORDS), None)


def _nearest(names: list[str], key: str, file: str) -> list[str]:
    """Those that share the most steps at the end, and are not of another split than the file."""
    split = split_word(file)
    names = [name for name in names if split is None or split_word(name) in (None, split)]
    shared = [_shared(match_key(name), key) for name in names]
    most = max(shared, default=0)
    return [name for name, steps in zip(names, shared, strict=True) if steps == most]


def _shared(one: str, other: str) -> int:
    """How many folders two names share, counted from the end."""
    count = 0
    for a, b in zip(one.split("/")[-2::-1], other.split("/")[-2::-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def _last(key: str) -> str:
    """The last step, in small letters: tools of Windows do not keep the case."""
    return key.rpartition("/")[2].casefold()


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
