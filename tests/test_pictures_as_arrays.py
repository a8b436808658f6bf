"""Two doors, one lock: an array is held to the rules of a file, and text is a path."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_bytes import tiff
from plates import dented, plate, save

import blemish
from blemish.errors import ImageError
from blemish.images.picture import as_stored
from blemish.inspector import Inspector

DEPTHS = ("uint8", "uint16", "float32")


def grey(pixels: Any, depth: str) -> Any:
    """A grey picture in that depth: 12 bits in 16, or shares."""
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if depth == "uint16":
        return values.astype(np.uint16) * 16
    return values.astype(np.float32) / 255 if depth == "float32" else values


def save_as(path: Path, pixels: Any) -> Path:
    """A file of those pixels: PNG, or TIFF for floats."""
    if pixels.dtype != np.float32:
        return save(path.with_suffix(".png"), pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tiff").write_bytes(tiff(pixels))
    return path.with_suffix(".tiff")


@dataclass(frozen=True)
class Trained:
    """A model of grey plates of one depth."""

    depth: str
    inspector: Inspector

    def refuses(self, picture: Any, word: str) -> None:
        with pytest.raises(ImageError, match=word) as refused:
            self.inspector.inspect(picture)
        assert "\n" not in str(refused.value)


@pytest.fixture(scope="module", params=DEPTHS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp(request.param)
    for seed in range(12):
        save_as(folder / f"good/{seed}", grey(plate(seed), request.param))
    plan = blemish.Plan("patchcore", settings={"bank": "100"}, size=64, cache=None)
    return Trained(request.param, blemish.fit(folder / "good", plan).inspector)


# What both doors take.


@pytest.mark.parametrize("picture", [plate(104), dented(200)], ids=["good", "dented"])
def test_an_array_scores_like_the_file_of_it(
    trained: Trained, tmp_path: Path, picture: Any
) -> None:
    pixels = grey(picture, trained.depth)
    expected = trained.inspector.inspect(save_as(tmp_path / "a", pixels), "p")
    rgb = np.repeat(pixels[..., None], 3, axis=2)
    wide = np.zeros((*pixels.shape, 2), pixels.dtype)
    wide[..., 0] = pixels
    for array in (
        *(pixels, pixels[..., None], rgb, wide[..., 0], np.asfortranarray(pixels)),
        *(rgb[:, ::-1][:, ::-1], pixels.astype(pixels.dtype.newbyteorder(">"))),
    ):
        verdict = trained.inspector.inspect(array, "p")
        assert (verdict.decision, verdict.score) == (expected.decision, expected.score)


def test_the_channels_are_red_green_and_blue(model: Path, tmp_path: Path) -> None:
    inspector = Inspector.open(model)
    coloured = dented(200)
    coloured[..., 0] //= 2
    file = tmp_path / "a.png"
    assert cv2.imwrite(str(file), coloured[..., ::-1])  # OpenCV takes blue first
    assert inspector.look(coloured).score == inspector.look(file).score
    assert inspector.look(coloured[..., ::-1]).score != inspector.look(file).score


def test_black_and_white_is_0_and_255(model: Path, tmp_path: Path) -> None:
    inspector, mask = Inspector.open(model), plate(3)[..., 0] > 120
    whole = mask.astype(np.uint8) * 255
    assert inspector.look(mask).score == inspector.look(whole).score


def test_a_path_is_text_or_has_one(model: Path, tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return os.fspath(tmp_path / "a.png")

    save(tmp_path / "a.png", dented(200))
    inspector = Inspector.open(str(model))
    paths: list[Any] = [tmp_path / "a.png", str(tmp_path / "a.png"), Place()]
    found = [inspector.inspect(path).to_json() for path in paths]
    assert found[0] == found[1] == found[2]
    assert inspector.inspect([("top", str(tmp_path / "a.png"))]).decision == "reject"
    assert inspector.inspect(zip("ab", paths, strict=False), "p").decision == "reject"  # type: ignore[arg-type]


# What neither takes.


def test_another_depth_is_refused_by_both_doors(trained: Trained, tmp_path: Path) -> None:
    for depth in DEPTHS:
        pixels = grey(plate(104), depth)
        kind = "float" if depth == "float32" else depth
        windowed = trained.depth != "uint8"
        if (depth == "uint8") != (trained.depth == "uint8"):
            file = trained.inspector.inspect(save_as(tmp_path / depth, pixels))
            assert file.decision == "unreadable"
            trained.refuses(pixels, "8-bit" if windowed else kind)


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda _: None, "None"),
    "a number": (lambda _: 7, "int"),
    "bytes": (lambda pixels: pixels.tobytes(), "bytes"),
    "bytes as a path": (lambda _: [("top", b"a.png")], "bytes"),
    "pictures without views": (lambda pixels: [pixels, pixels], "pairs"),
    "a pair of three": (lambda pixels: [("a", pixels, 1)], "pairs"),
    "a view that is a number": (lambda pixels: [(1, pixels)], "a view must be a text"),
    "no picture": (lambda _: [], "no view"),
    "one row": (lambda pixels: pixels[0], "shape"),
    "a stack": (lambda pixels: pixels[None, ..., None], "shape"),
    "two channels": (lambda pixels: np.stack([pixels, pixels], axis=2), "shape"),
    "four channels": (lambda pixels: np.stack([pixels] * 4, axis=2), "shape"),
    "no channel": (lambda pixels: pixels[..., None][..., :0], "shape"),
    "no pixels": (lambda pixels: pixels[:0], "no pixels"),
    "whole numbers": (lambda pixels: pixels.astype(np.int64), "int64"),
    "complex numbers": (lambda pixels: pixels.astype(np.complex64), "complex64"),
    "objects": (lambda pixels: pixels.astype(object), "object"),
    "words": (lambda pixels: pixels.astype(str), "no image"),
    "times": (lambda pixels: pixels.astype("datetime64[s]"), "no image"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_picture_is_refused_in_one_sentence(trained: Trained, kind: str) -> None:
    make, word = WRONG[kind]
    trained.refuses(make(grey(plate(104), trained.depth)), word)


@pytest.mark.parametrize("trained", ["float32"], indirect=True)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_refused(trained: Trained, value: float) -> None:
    pixels = grey(plate(104), trained.depth)
    pixels[3, 4] = value
    trained.refuses(pixels, "1 pixels that are NaN or infinite")
    large = pixels.astype(np.float64)
    large[3, 4] = 1e300  # of which float32 would make infinity
    trained.refuses(large, "infinite")


shapes = st.lists(st.integers(0, 5), max_size=4)
types = st.sampled_from(["u1", "u2", ">u2", "f2", "f4", "f8", "i4", "?", "c8", "O", "U1", "M8[s]"])


@given(shapes, types)
def test_any_array_is_a_picture_or_an_image_error(shape: list[int], kind: str) -> None:
    try:
        stored = as_stored(np.zeros(shape, kind))
    except ImageError:
        return
    assert stored.dtype.name in DEPTHS
    assert stored.size
    assert stored.ndim == 2 or stored.shape[2:] == (3,)
    assert stored.dtype.isnative
