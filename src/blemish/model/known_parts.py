"""Which parts of a data set a model learnt from, or had its threshold set on."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset import Dataset
from blemish.errors import ImageError
from blemish.features.cache import picture_name
from blemish.model.card import Card


def known_parts(card: Card, data: Dataset) -> set[str]:
    """The parts that the model learnt from or that set its threshold, as far as its card tells.

    A picture that was learnt is known by its content, a part with a name of its own by that. Of
    other parts the card has but the paths, which count where this is the data set that they are of:
    the same as then; for those that set the threshold also one with pictures that were learnt, or,
    after `blemish calibrate`, one of that name.
    """
    pictures = set(card.data.trained_images)
    rows = data.rows() if pictures else []
    learnt = {row.part for row in rows if _content_name(row.image) in pictures}
    named = set(data.where(pl.col("part") != pl.col("image")).parts)
    anyhow = set(data.parts)
    trained = set(card.data.trained_parts)
    scored = {entry.part for entry in card.calibration.scores}
    same = data.fingerprint() == card.data.fingerprint
    again = card.data.recalibrated_on
    set_on_it = bool(same or learnt) if again is None else again == data.name
    return (
        learnt | trained & (anyhow if same else named) | scored & (anyhow if set_on_it else named)
    )


def _content_name(image: Path) -> str | None:
    """None for a picture that cannot be read: it is told where it is looked at."""
    try:
        return picture_name(image)
    except ImageError:
        return None
