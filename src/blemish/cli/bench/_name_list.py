"""Lists of detectors as `--detectors` and `--against` take them."""

from __future__ import annotations

from collections.abc import Collection


def split_names(text: str, labels: Collection[str] = ()) -> list[str]:
    """The names between the commas of a list; a label may have commas of its own.

    "padim, CFlow, 10 min" is two names where "CFlow, 10 min" is a label.
    """
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    known = {_joined(label.split(",")): label for label in labels}
    names = []
    while pieces:
        longest = next((n for n in range(len(pieces), 1, -1) if _joined(pieces[:n]) in known), 1)
        taken, pieces = pieces[:longest], pieces[longest:]
        names.append(known.get(_joined(taken), taken[0]))
    return names


def _joined(pieces: Collection[str]) -> str:
    return ",".join(piece.strip() for piece in pieces)
