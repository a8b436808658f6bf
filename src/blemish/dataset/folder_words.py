"""What the name of a folder says of the pictures in it, in the language of whoever made it.

The words are listed in `folder_words.toml`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

NameMeaning = Literal["good", "defective", "kind", "doubtful"]

WORDS = Path(__file__).with_name("folder_words.toml")
MASK_FOLDERS = ("ground_truth", "mask", "masks")  # as whole names

_PIECES = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CAPITALS = re.compile(r"(?<=[A-Z][A-Z])(?=[a-z])")
_UNMARKED = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "\u0131": "i", "đ": "d", "æ": "ae", "œ": "oe"}
    | {"Ø": "O", "Ł": "L"}
)
_TYPED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_LONGEST = 3  # pieces of a name that make one word: n.i.O.
_SHORTEST = 3  # letters of a word with any ending


@dataclass(frozen=True)
class Vocabulary:
    """The listed words, in small letters and without accents.

    `beginnings` are those with any ending; `together` those of Chinese, Japanese and Korean, which
    are looked for inside of a name, the longest first.
    """

    whole: Mapping[str, NameMeaning]
    beginnings: Mapping[str, NameMeaning]
    together: Sequence[tuple[str, NameMeaning]]
    negations: frozenset[str]
    negations_after: frozenset[str]


@cache
def meaning_of(name: str) -> NameMeaning | None:
    """What the name of a folder says of the pictures in it; None where no word of it is known.

    "kind" is the name of a fault, such as scratch. The name is split at every character that is no
    letter, at digits and where the case changes. A negation makes good defective, and the word for
    a fault beside it good; words that contradict each other are doubtful.
    """
    plain = _unmarked(name)
    pieces = _PIECES.findall(plain)
    said: set[NameMeaning] = {"doubtful"} if "?" in plain else set()
    for split in (None, _CAMEL, _CAPITALS):
        inner = [p for piece in pieces for p in (split.split(piece) if split else [piece])]
        said |= set(_meanings([piece.lower() for piece in inner]))
    if "doubtful" in said or ("good" in said and len(said) > 1):
        return "doubtful"
    return "defective" if "defective" in said else next(iter(said), None)


def _meanings(pieces: Sequence[str]) -> Iterator[NameMeaning]:
    """The meaning of every word in a name; several pieces may be one word."""
    after_word = vocabulary().negations_after
    negated, at = False, 0
    while at < len(pieces):
        for count in range(min(_LONGEST, len(pieces) - at), 0, -1):
            least = 0 if count == 1 else 1 + len("".join(pieces[at : at + count - 1]))
            if found := _listed("".join(pieces[at : at + count]), least):
                break
        after = at + count < len(pieces) and pieces[at + count] in after_word
        beside = after or (at > 0 and _negates(pieces, at - 1))
        for meaning in found:
            if meaning == "good":
                yield "defective" if negated or after else "good"
            elif meaning == "doubtful":
                yield meaning
            else:
                yield "good" if beside else meaning
        negated = negated or (not found and _negates(pieces, at))
        at += count


def _negates(pieces: Sequence[str], at: int) -> bool:
    """True for a word such as not; "no 5" is a number."""
    numbered = at + 1 < len(pieces) and pieces[at + 1].isdecimal()
    return pieces[at] in vocabulary().negations and not numbered


@cache
def _listed(word: str, least: int) -> tuple[NameMeaning, ...]:
    """What a word means, by itself or by its longest beginning with `least` letters or more."""
    known = vocabulary()
    if word in known.whole:
        return (known.whole[word],)
    for length in range(len(word), max(least, _SHORTEST) - 1, -1):
        if word[:length] in known.beginnings:
            return (known.beginnings[word[:length]],)
    found: list[NameMeaning] = []
    for listed, meaning in () if word.isascii() else known.together:
        if listed in word:
            found.append(meaning)
            word = word.replace(listed, " ")
    return tuple(found)


@cache
def vocabulary() -> Vocabulary:
    """The words of `WORDS`."""
    listed = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    whole: dict[str, NameMeaning] = {}
    beginnings: dict[str, NameMeaning] = {}
    together: dict[str, NameMeaning] = {}
    for meaning in get_args(NameMeaning):
        for name in " ".join(listed[meaning].values()).split():
            for word in _spellings(name):
                if _is_written_together(name):
                    together[word] = meaning
                elif word.endswith("*"):
                    beginnings[word[:-1]] = meaning
                else:
                    whole[word] = meaning
    return Vocabulary(
        whole,
        beginnings,
        sorted(together.items(), key=lambda item: -len(item[0])),
        *(
            frozenset(
                word for name in listed["negation"][place].split() for word in _spellings(name)
            )
            for place in ("before", "after")
        ),
    )


def _spellings(word: str) -> set[str]:
    """A listed word without its accents, left out or typed as two letters."""
    return {_unmarked(word).lower(), _unmarked(word.translate(_TYPED)).lower()}


def _is_written_together(word: str) -> bool:
    """True for Chinese, Japanese and Korean."""
    return any("\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7a3" for letter in word)


def _unmarked(text: str) -> str:
    """Text without accents, in its case."""
    parts = unicodedata.normalize("NFKD", text.translate(_UNMARKED))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
