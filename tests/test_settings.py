"""Settings: what is declared of them holds, old names are taken, and each one is explained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import Cli

from blemish.errors import BlemishError
from blemish.synthesis import GENERATORS
from blemish.util.settings import (
    Declared,
    check_settings,
    explain,
    paragraphs,
    renamed,
    setting,
    with_settings,
)

UNITS = {  # of all that can be set, so that one thing has one word
    *("pixels", "degrees", "cells", "channels", "grey values"),
    *("images", "inputs", "patches", "presentations", "measurements", "steps"),
    *("blocks", "layers", "heads", "octaves", "pieces"),
    *("share", "factor", "norm of the gradient", "units of the features", "units of the noise"),
}


def in_cells(settings: Any, value: float) -> float:
    return value * float(settings.stride)


@dataclass(frozen=True)
class Sieve:
    """A sieve.

    Attributes:
        stride: Side of a cell.
        keep: Share of the cells that pass; the
            others are dropped.
        mesh: Sides of the holes.
        shape: Of a hole.

    Nothing: more.
    """

    stride: int = setting(8, unit="pixels", least=2, multiple=2)
    keep: float = setting(0.5, unit="share", above=0, most=1)
    mesh: tuple[int, ...] = setting((3, 5), unit="cells", odd=True)
    shape: str = setting("round", choices=("round", "square"))
    smoothing: float = setting(0.0, unit="pixels", least=0, formerly="sigma", convert=in_cells)
    dry: bool = setting(True, formerly="wet")
    limit: int | None = setting(None, below=9)
    plain: float = 1.0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("stride=0", "stride=0 of a sieve must be at least 2 and a multiple of 2"),
        ("stride=7", "a multiple of 2"),
        ("keep=1.5", r"keep=1\.5 of a sieve must be above 0 and at most 1"),
        ("keep=0", "above 0"),
        ("mesh=3,4", "mesh=3,4 of a sieve must be odd"),
        ("shape=oval", "shape=oval of a sieve must be one of round, square"),
        ("limit=9", "below 9"),
        ("stride=1.5", "stride of a sieve cannot be '1.5'"),
        ("plain=inf", "plain of a sieve cannot be 'inf'"),
    ],
)
def test_a_value_that_breaks_what_is_declared_is_refused(text: str, rule: str) -> None:
    key, _, value = text.partition("=")
    with pytest.raises(BlemishError, match=rule):
        with_settings("a sieve", Sieve(), {key: value})


@pytest.mark.parametrize("text", ["stride=2", "keep=1", "mesh=1", "limit=none", "plain=-7"])
def test_a_value_at_its_limit_and_one_without_are_taken(text: str) -> None:
    key, _, value = text.partition("=")
    assert getattr(with_settings("a sieve", Sieve(), {key: value}), key) != getattr(
        Sieve(limit=3), key
    )


ALLOWED: dict[str, Callable[[Any], bool]] = {
    "stride": lambda value: type(value) is int and value >= 2 and value % 2 == 0,
    "keep": lambda value: type(value) in {int, float} and 0 < value <= 1,
    "mesh": lambda value: (
        type(value) is tuple and all(type(side) is int and side % 2 for side in value)
    ),
    "shape": lambda value: value in ("round", "square"),
    "dry": lambda value: type(value) is bool,
    "limit": lambda value: value is None or (type(value) is int and value < 9),
}
NUMBERS = st.one_of(st.integers(-3, 12), st.floats())
VALUES = st.one_of(NUMBERS, st.tuples(NUMBERS), st.sampled_from(["round", "oval", None, True]))


@given(st.sampled_from(sorted(ALLOWED)), VALUES)
def test_a_value_that_is_not_text_keeps_type_and_limits_too(name: str, value: Any) -> None:
    """As from a preset, or from a card."""
    sieve = replace(Sieve(), **{name: value})
    refused = pytest.raises(BlemishError, match=f"setting {name}=")
    with contextlib.nullcontext() if ALLOWED[name](value) else refused:
        check_settings("a sieve", sieve)


# --- former names


def test_a_former_name_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    sieve = with_settings("a sieve", Sieve(), {"wet": "no", "sigma": "0.5", "stride": "4"})
    assert (sieve.dry, sieve.smoothing) == (False, 2.0)  # half a cell of 4 pixels
    assert "setting sigma of a sieve is called smoothing now" in caplog.messages
    assert "setting wet of a sieve is called dry now" in caplog.messages


def test_a_value_under_both_names_is_refused() -> None:
    with pytest.raises(
        BlemishError, match="sigma of a sieve is called smoothing now; give it once"
    ):
        with_settings("a sieve", Sieve(), {"sigma": "1", "smoothing": "1"})


def test_a_value_of_a_former_name_keeps_the_limits() -> None:
    with pytest.raises(BlemishError, match=r"smoothing=-8\.0 of a sieve must be at least 0"):
        with_settings("a sieve", Sieve(), {"sigma": "-1"})


def test_the_values_of_an_old_card_become_those_of_today() -> None:
    old = {"sigma": 0.5, "stride": 4, "wet": False, "unheard": 1}
    assert renamed(Sieve(), old) == {"smoothing": 2.0, "stride": 4, "dry": False, "unheard": 1}


# --- in words


def test_what_is_declared_is_said_in_words() -> None:
    assert Declared(least=1, odd=True).limits == "at least 1 and odd"
    assert Declared().limits == ""
    told = {each.name: each for each in explain(Sieve)}
    assert told["keep"].about == "Share of the cells that pass; the others are dropped."
    assert (told["keep"].type, told["keep"].default, told["keep"].unit) == ("float", 0.5, "share")
    assert told["limit"].type == "int | None"


def test_a_paragraph_ends_with_the_section_and_is_inherited() -> None:
    class Finer(Sieve):
        """A finer one.

        Attributes:
            stride: Finer.
        """

    assert set(paragraphs(Sieve)) == {"stride", "keep", "mesh", "shape"}
    assert paragraphs(Finer) == {**paragraphs(Sieve), "stride": "Finer."}


def test_every_setting_of_every_generator_is_explained() -> None:
    for name in GENERATORS.own_names():
        explained(GENERATORS.settings_class(name))


def test_every_setting_of_every_detector_is_explained() -> None:
    pytest.importorskip("torch")
    from blemish.detectors import DETECTORS

    found: dict[str, set[str]] = {}
    for name in DETECTORS.own_names():
        kind = DETECTORS.settings_class(name)
        explained(kind)
        for each in explain(kind):
            found.setdefault(each.name, set()).add(f"{each.unit} ({each.type})")
    several = {name: kinds for name, kinds in found.items() if len(kinds) > 1}
    assert several == {"hidden": {"channels (int)", "channels (int | None)"}}


def explained(kind: type[Any]) -> None:
    """Each setting has a paragraph, a number has a unit, and nothing else is written of."""
    told = explain(kind)
    for each in told:
        assert each.about.endswith("."), f"{kind.__name__}.{each.name} has no paragraph"
        if any(word in each.type for word in ("int", "float", "Range")):
            assert each.unit in UNITS, f"{kind.__name__}.{each.name} has the unit {each.unit!r}"
    assert set(paragraphs(kind)) <= {each.name for each in fields(kind)}


def test_one_detector_is_explained_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    out = cli("detectors", "patchcore").out
    assert "--set pool=3\n        int, cells, at least 1 and odd\n        Side of the" in out
    assert "padim" not in out
    cli("detectors", "patchcorn").refusal("no detector 'patchcorn'", "patchcore")
