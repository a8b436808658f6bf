"""Features in any order are those of a pass, whether a cache keeps them or not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blemish.detectors._planted_defects import good_pictures
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.feature_table import FeatureTable
from blemish.images import Recipe


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = []
    for number, pixels in enumerate(good_pictures(3, 64, seed=0)):
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), pixels)
    return paths


def stream(folder: Path | None, tile: int | None = None) -> FeatureStream:
    recipe = Recipe(64, 64, "squash", tile=tile)
    return FeatureStream(open_backbone(), ["block4", "block10"], recipe, folder=folder)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("tile", [None, 48])
def test_rows_read_at_random_are_those_of_a_pass(
    images: list[Path], tmp_path: Path, cached: bool, tile: int | None
) -> None:
    features = stream(tmp_path / "cache" if cached else None, tile)
    (whole,) = stream(None, tile).batches(images, size=100)
    told: list[tuple[int, int]] = []
    for _ in range(2):  # the second time, from the cache
        table = FeatureTable.of(features, images, lambda done, total: told.append((done, total)))
        order = np.random.default_rng(0).permutation(len(table))
        taken = table.take(order)
        table.close()
        for name, values in whole.layers.items():
            assert np.array_equal(values[order], taken.layers[name])
        assert np.array_equal(whole.valid[order], taken.valid)
        assert np.array_equal(whole.valid, table.valid)
        assert np.array_equal(whole.image, table.image)
    assert told == [(1, 3), (2, 3), (3, 3)] * 2


def test_a_row_cut_short_is_computed_again_and_said(
    images: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    FeatureTable.of(stream(folder), images).close()
    (rows,) = folder.rglob("*.rows")
    rows.write_bytes(rows.read_bytes()[:-7])
    caplog.clear()
    table = FeatureTable.of(stream(folder), images)
    taken = table.take(range(3))
    table.close()
    [told] = caplog.messages
    assert str(folder) in told
    assert "is damaged; what is lost is computed again" in told
    (whole,) = stream(None).batches(images)
    assert all(np.array_equal(whole.layers[name], taken.layers[name]) for name in whole.layers)
