"""Any bytes at all are a picture or an ImageError of one sentence, in every format."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import bmp, encoded, png16, tiff
from PIL import Image

from blemish.errors import ImageError
from blemish.images import depth, read_image
from blemish.images.formats import FORMATS

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (9, 13), dtype=np.uint8).cumsum(axis=1).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], 255 - GREY])
DEEP = COLOUR.astype(np.uint16) * 200
SOUND = {
    "grey.png": encoded(GREY, "PNG"),
    "rgb.png": encoded(COLOUR, "PNG"),
    "palette.png": encoded(Image.fromarray(COLOUR).quantize(9), "PNG"),
    "deep.png": png16(DEEP, 2),
    "grey.jpg": encoded(GREY, "JPEG"),
    "rgb.jpg": encoded(COLOUR, "JPEG", restart_marker_blocks=1),
    "progressive.jpg": encoded(COLOUR, "JPEG", progressive=True),
    "grey.bmp": encoded(GREY, "BMP"),
    "rgb.bmp": encoded(COLOUR, "BMP"),
    "runs.bmp": bmp(
        5, 2, b"\3\7\2\x09\0\0\0\5\1\2\3\4\5\0\0\0\0\1", compression=1, palette=bytes(64)
    ),
    "grey.tif": tiff(GREY),
    "deep.tif": tiff(DEEP, photometric=2),
    "float.tif": tiff(GREY.astype(np.float32)),
    "big.tif": encoded(GREY, "TIFF", big_tiff=True),
    **{
        f"{compression}.tif": encoded(COLOUR, "TIFF", compression=compression)
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd")
    },
}
changes = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


def read_or_refuse(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(data)
        try:
            pixels = read_image(path)
        except ImageError as error:
            message = str(error)
        else:
            assert pixels.dtype.name == depth(path)
            assert pixels.shape[2:] in ((), (3,))
            return
        assert str(path) in message
        assert "\n" not in message


@pytest.mark.parametrize("name", SOUND)
@settings(max_examples=60)
@given(changes=changes, cut=st.floats(0, 1), cut_off=st.booleans())
def test_changed_bytes_are_a_picture_or_an_error(
    name: str, changes: list[tuple[float, bytes]], cut: float, cut_off: bool
) -> None:
    data = bytearray(SOUND[name])
    for place, content in changes:
        start = int(place * len(data))
        data[start : start + len(content)] = content
    read_or_refuse(bytes(data[: int(cut * len(data))] if cut_off else data))


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.NAME)
@settings(max_examples=60)
@given(content=st.binary(max_size=300), mark=st.integers(0, 9))
def test_any_bytes_after_a_mark_are_an_error(format_: object, content: bytes, mark: int) -> None:
    magic = format_.MAGIC  # type: ignore[attr-defined]
    read_or_refuse(magic[mark % len(magic)] + content)
