"""The card of a model: read with types, refused by the name of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from cards import sound_card, sound_values
from hypothesis import given
from hypothesis import strategies as st

from blemish.errors import BlemishError
from blemish.model.card import SCHEMA_FILE, Card, card_schema

# What a card says only of a model that learnt it, beside what all cards say.
MORE: dict[str, Any] = {
    "device": "cuda",
    "views": {
        "scales": {"top": {"median": 1.0, "mad": 0.5, "scores": 9}},
        "together": {"median": 1.0, "mad": 0.5, "scores": 9},
    },
    "defects": [
        {"member": "defects/0000.png", "part": "p", "kind": None, "image": "k", "mask": True}
    ],
    "continued_from": {"sha256": "ab", "taught": 1, "defects": {"dent": 1}},
    "comparison": {
        "parts": 2,
        "good": 1,
        "defective": 1,
        "escapes": {"before": 1, "after": 0, "gone": ["p"], "new": [], "p": 1.0},
        "false_rejects": {"before": 0, "after": 0, "gone": [], "new": [], "p": 1.0},
        "kinds": {"dent": {"parts": 1, "escapes": [1, 0]}},
        "incomplete": 0,
        "taken_out": [],
    },
}


def steps_to(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every entry of a JSON value but those that may hold anything."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if (*steps, key) in (("detector", "settings"), ("fit",)):
            continue
        yield (*steps, key)
        if isinstance(inner, dict | list):
            yield from steps_to(inner, (*steps, key))


def changed(values: Any, steps: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(values))
    inner = copy
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = new
    return copy


def refusal(values: Any) -> Exception | None:
    """What a card of these values is refused with, by its reader or by the domain."""
    try:
        Card.from_json(values)
    except (BlemishError, ValueError) as error:
        return error
    return None


WHOLE = sound_values() | MORE
ENTRIES = sorted(steps_to(WHOLE), key=str)


@pytest.mark.parametrize("more", [{}, MORE], ids=["usual", "everything"])
def test_a_card_is_written_as_it_was_read(more: dict[str, Any]) -> None:
    card = Card.from_json(sound_values() | more)
    values = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert Card.from_json(values) == card
    assert values.keys() == (sound_values() | more).keys() | {"device"}
    for key in more:
        assert values[key] == more[key]


def test_what_a_model_lacks_is_not_in_its_card() -> None:
    values = sound_card().to_json()
    assert not MORE.keys() & values.keys() - {"device"}
    assert not {"taught", "recalibrated_on"} & values["data"].keys()
    assert "categories" not in values["calibration"]


@given(
    st.sampled_from(ENTRIES),
    st.sampled_from([None, True, -1, 0.5, "top", [], ["top", 1], {}, {"a": [1]}, [[[]]]]),
)
def test_another_value_is_read_or_refused_by_its_name(steps: tuple[Any, ...], new: Any) -> None:
    values = changed(WHOLE, steps, new)
    refused = refusal(values)
    if refused is not None:
        assert isinstance(refused, BlemishError) or str(steps[0]) in str(refused)
        return
    inner = Card.from_json(values).to_json()
    for step in steps[:-1]:
        inner = inner[step]
    absent = isinstance(steps[-1], str) and steps[-1] not in inner
    assert new in (None, [], {}) if absent else inner[steps[-1]] == new


@pytest.mark.parametrize("key", sorted(sound_values().keys() - {"schema"}))
def test_an_entry_that_is_missing_is_named(key: str) -> None:
    values = sound_values()
    del values[key]
    with pytest.raises(ValueError, match=key):
        Card.from_json(values)


@pytest.mark.parametrize(
    "steps",
    [("colour",), ("data", "colour"), ("calibration", "scores", 0, "colour"), ("recipe", "tyle")],
)
def test_an_entry_that_nobody_knows_is_named(steps: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{steps[-1]} is unknown"):
        Card.from_json(changed(sound_values(), steps, 1))


@pytest.mark.parametrize(
    ("steps", "new", "said"),
    [
        (("calibration", "required_views"), "top", "calibration.required_views"),
        (("calibration", "threshold"), "1.0", "calibration.threshold"),
        (("calibration", "provisional"), 1, "calibration.provisional"),
        (("calibration", "method"), "guessed", "calibration.method"),
        (("calibration", "good_parts"), 1.5, "calibration.good_parts"),
        (("fit", "latent_channels"), {"aux.z0": "many"}, "fit.latent_channels"),
        (("recipe", "height"), "64", "recipe.height"),
    ],
)
def test_a_wrong_type_is_named(steps: tuple[Any, ...], new: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Card.from_json(changed(sound_values(), steps, new))


@pytest.mark.parametrize("depth", [200, 100_000])
def test_values_without_end_are_refused(depth: int) -> None:
    value: Any = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(ValueError, match=r"nested|defects"):
        Card.from_json(sound_values() | {"defects": value})
    with pytest.raises(ValueError, match=r"nested|fit"):
        Card.from_json(sound_values() | {"fit": value})


def test_the_schema_that_is_shipped_is_that_of_the_code() -> None:
    """Made anew by `python scripts/make_card_schema.py`."""
    shipped = (files("blemish.model") / SCHEMA_FILE).read_text(encoding="utf-8")
    assert json.loads(shipped) == card_schema()


def test_the_schema_knows_the_same_entries_as_the_reader() -> None:
    jsonschema.validate(WHOLE, card_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(WHOLE, ("data", "colour"), 1), card_schema())
