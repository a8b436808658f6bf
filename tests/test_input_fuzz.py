"""Whatever lies in the place of an input is read or refused: tables, notes, arrays, HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from damaged_inputs import IN_PLACE, INPUTS, damaged, refused

CHANGES = 25  # of each input; benchmarks/fuzz.py makes a thousand


@pytest.mark.parametrize("name", INPUTS)
def test_a_damaged_input_is_read_or_refused(name: str, tmp_path: Path) -> None:
    reader = INPUTS[name]
    path = reader.sound(tmp_path)
    sound = path.read_bytes()
    for seed in range(CHANGES):
        path.write_bytes(damaged(sound, np.random.default_rng(seed)))
        assert "\n" not in (refused(reader, path) or "")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("what", IN_PLACE)
def test_what_lies_in_its_place_is_read_or_refused(name: str, what: str, tmp_path: Path) -> None:
    reader = INPUTS[name]
    path = reader.sound(tmp_path)
    path.unlink()
    IN_PLACE[what](path)
    assert "\n" not in (refused(reader, path) or "")
