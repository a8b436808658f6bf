"""Room on a disk is asked for before long work begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from blemish.errors import ArtifactError
from blemish.util.disk_space import free_bytes, need_room


def test_what_cannot_fit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"heat maps will take about .*GB, and .* are free"):
        need_room(tmp_path / "not" / "there", 10**21, "heat maps")


def test_what_fits_is_not(tmp_path: Path) -> None:
    need_room(tmp_path, 1, "heat maps")


def test_a_folder_to_come_has_the_room_of_the_one_above(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") is not None
