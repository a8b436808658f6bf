"""Compressed TIFF: sound ones are read exactly, damage inside their strips is noticed."""

from __future__ import annotations

import lzma
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiff_bytes import CODES, Encode, compressed_tiff, encoder, strips_of, tiff_of_strips

from blemish.errors import ImageError
from blemish.images import read_image

RNG = np.random.default_rng(5)
Y, X = np.mgrid[:75, :90]
SMOOTH = (128 + 60 * np.sin(X / 7) + 50 * np.cos(Y / 5)).astype(np.uint8)
GREY = (SMOOTH + RNG.normal(0, 4, SMOOTH.shape)).clip(0, 255).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
DEEP = GREY * np.uint16(250) + np.uint16(7)
FLOAT = DEEP.astype(np.float32) / 7
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rows": 16},
    "single rows": {"rows": 1},
    "tiles": {"tile": (32, 48)},
}
SOUND = {c: compressed_tiff(GREY, c, rows=30) for c in ("deflate", "old deflate", "lzma")}
WITH_PREDICTOR = ("deflate", "old deflate", "tiff_lzw", "zstd", "lzma")


def read(path: Path, data: bytes) -> np.ndarray[Any, Any]:
    path.write_bytes(data)
    return read_image(path)


def is_refused(path: Path, data: bytes) -> bool:
    try:
        read(path, data)
    except ImageError:
        return True
    return False


def refused(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason):
        read_image(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", CODES)
def test_a_sound_picture_is_read_as_it_was_written(
    codec: str, layout: str, order: Literal["<", ">"], tmp_path: Path
) -> None:
    path = tmp_path / "image.tif"
    kinds: list[tuple[np.ndarray[Any, Any], bool]] = [(GREY, False), (COLOUR, False)]
    kinds += [(COLOUR, True), (DEEP, False), (FLOAT, False)]
    kinds += [(DEEP.astype(np.int32), False), (GREY.astype(np.int16), False)]
    for pixels, planar in kinds:
        predictors = (1, 3 if pixels.dtype.kind == "f" else 2) if codec in WITH_PREDICTOR else (1,)
        for predictor in predictors:
            data = compressed_tiff(
                pixels, codec, planar=planar, predictor=predictor, order=order, **LAYOUTS[layout]
            )
            assert np.array_equal(read(path, data), pixels), (pixels.dtype, planar, predictor)


def test_nothing_is_printed_of_what_a_tiff_has_unusual(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    deep = np.stack([DEEP] * 3, axis=2)
    path = tmp_path / "image.tif"
    odd = {34675: (1, 2, 3), 296: (9, 9)}  # a profile and a unit, both of several numbers
    np.testing.assert_array_equal(
        read(path, compressed_tiff(deep, "deflate", tile=(33, 49), tags=odd)), deep
    )
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("codec", [codec for codec in CODES if codec != "zstd"])
def test_sound_colour_of_16_bits(codec: str, tmp_path: Path) -> None:
    deep = np.stack([DEEP, DEEP[::-1], DEEP // 3], axis=2)
    for order in ("<", ">"):
        data = compressed_tiff(deep, codec, rows=16, order=order)
        assert np.array_equal(read(tmp_path / "image.tif", data), deep)


@pytest.mark.parametrize("codec", CODES)
def test_sound_pictures_of_every_mode(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    compression = "tiff_adobe_deflate" if "deflate" in codec else codec
    grey = Image.fromarray(GREY)
    alpha = [Image.merge(m, [grey] * len(m)) for m in ("LA", "RGBA")]
    for image in (grey.convert("1"), grey.convert("RGB").quantize(200), *alpha):
        image.save(path, compression=compression)
        known = np.asarray(image.convert("RGB" if image.mode in ("P", "RGBA") else "L"))
        assert np.array_equal(read_image(path), known), image.mode


@pytest.mark.parametrize("codec", CODES)
def test_sound_pictures_of_odd_shapes(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    wide = RNG.integers(0, 9, (3, 70_000), dtype=np.uint8)
    for pixels in (GREY[:1, :1], GREY[:, :1], GREY[:, :3], GREY[:1], wide):
        for rows in (1, 2, None):
            assert np.array_equal(read(path, compressed_tiff(pixels, codec, rows=rows)), pixels)


@pytest.mark.parametrize("codec", CODES)
def test_bits_in_the_other_order(codec: str, tmp_path: Path) -> None:
    def reversed_bits(content: bytes) -> bytes:
        return bytes(int(f"{byte:08b}"[::-1], 2) for byte in encoder(codec)(content))

    tags = {266: (2,), 258: (1,), 256: (720,)}
    data = compressed_tiff(GREY, codec, encode=reversed_bits, rows=16, tags=tags)
    bits = np.unpackbits(GREY, axis=1) * np.uint8(255)
    assert np.array_equal(read(tmp_path / "image.tif", data), bits)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", CODES)
@pytest.mark.parametrize("wrong", [-90, -1, 1, 90])
def test_a_strip_holds_exactly_its_rows(
    codec: str, layout: str, wrong: int, tmp_path: Path
) -> None:
    """Whichever strip it is, and whatever it holds too many or too few."""
    path = tmp_path / "image.tif"
    options = LAYOUTS[layout]
    count = len(strips_of(compressed_tiff(GREY, codec, **options)))
    for number in {0, count // 2, count - 1}:
        seen = []

        def encode(content: bytes, number: int = number, seen: list[int] = seen) -> bytes:
            seen.append(1)
            changed = content + bytes(wrong) if wrong > 0 else content[:wrong] or b"\0\0"
            return encoder(codec)(changed if len(seen) == number + 1 else content)

        data = compressed_tiff(GREY, codec, encode=encode, **options)
        refused(path, data, "damaged")


@pytest.mark.parametrize("codec", CODES)
def test_a_strip_that_is_cut_or_goes_on(codec: str, tmp_path: Path) -> None:
    whole = compressed_tiff(GREY, codec, rows=16)
    tags = {256: (90,), 257: (75,), 258: (8,), 259: (CODES[codec],), 262: (1,), 278: (16,)}
    strips = [whole[strip] for strip in strips_of(whole)]
    path = tmp_path / "image.tif"
    assert np.array_equal(read(path, tiff_of_strips(tags, strips)), GREY)
    for cut in (1, 2, 3, 5, len(strips[1]) // 2, len(strips[1])):
        changed = [strips[0], strips[1][:-cut], *strips[2:]]
        refused(path, tiff_of_strips(tags, changed), "damaged|cut off")
    changed = [strips[0], strips[1] + strips[1], *strips[2:]]
    refused(path, tiff_of_strips(tags, changed), "damaged")
    if codec != "packbits":  # in which any byte goes on with the pixels
        padded = [strip + b"\0" for strip in strips]
        assert np.array_equal(read(path, tiff_of_strips(tags, padded)), GREY)


# Of the damage that changes a pixel: the least share that is noticed, in per cent, of single bits
# and of 512 bytes of zeros. What is missing cannot be known: these codecs have no checksum.
NOTICED = {
    "deflate": (100, 100),
    "lzma": (95, 100),
    "tiff_lzw": (20, 99),
    "zstd": (0, 60),
    "packbits": (0, 95),
}


@pytest.mark.parametrize("codec", NOTICED)
def test_damage_inside_the_strips(codec: str, tmp_path: Path) -> None:
    path, rng = tmp_path / "image.tif", np.random.default_rng(3)
    y, x = np.mgrid[:160, :200]
    wave = 128 + 60 * np.sin(x / 31) + 50 * np.cos(y / 23)
    for noise in (0, 4):
        pixels = (wave + rng.normal(0, noise, wave.shape)).clip(0, 255).astype(np.uint8)
        sound = compressed_tiff(pixels, codec, rows=40)
        strips = strips_of(sound)
        for zeros, least in zip((False, True), NOTICED[codec], strict=True):
            noticed = changed = 0
            for _ in range(80):
                strip = strips[rng.integers(len(strips))]
                damaged = bytearray(sound)
                at = int(rng.integers(strip.start, strip.stop - (512 if zeros else 0)))
                if zeros:
                    damaged[at : at + 512] = bytes(512)
                else:
                    damaged[at] ^= 1 << int(rng.integers(8))
                path.write_bytes(damaged)
                try:
                    changed += not np.array_equal(read_image(path), pixels)
                except ImageError:
                    noticed += 1
            assert noticed >= least / 100 * (noticed + changed), (noise, zeros, noticed, changed)


@settings(max_examples=60)
@given(st.data())
def test_any_change_of_a_deflate_or_lzma_strip(data: st.DataObject) -> None:
    sound = SOUND[data.draw(st.sampled_from(sorted(SOUND)))]
    strip = data.draw(st.sampled_from(strips_of(sound)))
    at = data.draw(st.integers(strip.start, strip.stop - 1))
    new = data.draw(st.binary(min_size=1, max_size=strip.stop - at))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        damaged = sound[:at] + new + sound[at + len(new) :]
        assert is_refused(path, damaged) or np.array_equal(read_image(path), GREY)


def lzw_of_single_bytes(content: bytes, end_bits: int) -> bytes:
    """LZW that never uses a code for more than a byte, up to 254 of them, and its end code."""
    bits = "".join(f"{code:09b}" for code in (256, *content)) + f"{257:0{end_bits}b}"
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def test_end_codes_of_lzw_as_libtiff_wrote_them_up_to_2017(tmp_path: Path) -> None:
    """Behind 254 codes the next has 10 bits; that of the end had 9."""
    path = tmp_path / "image.tif"
    pixels = RNG.integers(0, 256, (12, 127), dtype=np.uint8)
    for widths in ((10, 10, 10, 10, 10, 10), (9, 9, 9, 9, 9, 9), (10, 10, 9, 10, 9, 10)):
        left = list(widths)

        def encode(content: bytes, left: list[int] = left) -> bytes:
            return lzw_of_single_bytes(content, left.pop(0))

        data = compressed_tiff(pixels, "tiff_lzw", encode=encode, rows=2)
        assert np.array_equal(read(path, data), pixels)
        strip = strips_of(data)[3]
        refused(path, data[: strip.stop - 9] + b"\xff" * 9 + data[strip.stop :], "damaged")


def zstd_frame(content: bytes, *, size: int | None, checksum: bytes = b"") -> bytes:
    """A frame of one block, stored as it is, that declares `size`."""
    head = bytes([(0xA0 if size is not None else 0) | (4 if checksum else 0)])
    head += b"\x58" if size is None else struct.pack("<I", size)
    return (
        b"\x28\xb5\x2f\xfd"
        + head
        + (len(content) << 3 | 1).to_bytes(3, "little")
        + content
        + checksum
    )


def xxh64_of_few(content: bytes) -> bytes:
    """The checksum of zstd, for 16 bytes: the lower half of XXH64, from its specification."""
    p1, p2, p3, p4, p5 = PRIMES
    whole = (1 << 64) - 1

    def turned(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & whole

    value = p5 + len(content)
    for (lane,) in struct.iter_unpack("<Q", content):
        value ^= turned(lane * p2 & whole, 31) * p1 & whole
        value = turned(value, 27) * p1 + p4 & whole
    value = (value ^ value >> 33) * p2 & whole
    value = (value ^ value >> 29) * p3 & whole
    return ((value ^ value >> 32) & 0xFFFFFFFF).to_bytes(4, "little")


PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


@pytest.mark.parametrize("size", [16, None])
def test_a_zstd_frame_that_has_a_checksum_or_a_size(size: int | None, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    pixels = GREY[:4, :4].copy()
    content = pixels.tobytes()
    checksum = xxh64_of_few(content)

    def of(frame: bytes) -> bytes:
        return compressed_tiff(pixels, "zstd", encode=lambda _: frame)

    assert np.array_equal(read(path, of(zstd_frame(content, size=size))), pixels)
    whole = zstd_frame(content, size=size, checksum=checksum)
    assert np.array_equal(read(path, of(whole)), pixels)
    for at in range(len(whole) - 20, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 64
        refused(path, of(bytes(damaged)), "damaged")
    refused(path, of(zstd_frame(content + b"\0", size=size)), "damaged")
    refused(path, of(zstd_frame(content[:-1], size=size)), "damaged")
    refused(path, of(zstd_frame(content, size=17)), "damaged")
    refused(path, of(whole + whole), "damaged")


def lzma_of_zeros(size: int) -> bytes:
    stream = lzma.LZMACompressor(preset=0)
    return b"".join(stream.compress(bytes(1 << 20)) for _ in range(size >> 20)) + stream.flush()


def deflate_of_zeros(size: int) -> bytes:
    stream = zlib.compressobj(1)
    return b"".join(stream.compress(bytes(1 << 20)) for _ in range(size >> 20)) + stream.flush()


def lzw_of_zeros(size: int) -> bytes:
    return encoder("tiff_lzw")(bytes(1 << 20)) * (size >> 20)


BOMBS: dict[str, Encode] = {
    "deflate": lambda _: deflate_of_zeros(1 << 29),
    "lzma": lambda _: lzma_of_zeros(1 << 29),
    "tiff_lzw": lambda _: lzw_of_zeros(1 << 26),
    "packbits": lambda _: b"\x81\0" * (1 << 22),
    # Blocks of 128 KiB that repeat a zero.
    "zstd": lambda _: b"\x28\xb5\x2f\xfd\0\x58" + b"\x02\0\x10\0" * 8192 + b"\1\0\0",
}


@pytest.mark.parametrize("codec", BOMBS)
def test_what_inflates_without_end_takes_no_memory(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(compressed_tiff(GREY, codec, encode=BOMBS[codec]))
    code = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (6 << 26, 6 << 26));"
    code += "import sys; from blemish.images import read_image; read_image(sys.argv[1])"
    out = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60
    )
    assert "ImageError" in out.stderr.splitlines()[-1]
    assert "damaged" in out.stderr.splitlines()[-1]


NO_STRIPS: dict[int, tuple[int, ...]] = {273: (), 278: (), 279: ()}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({278: (0,)}, "without rows"),
        ({278: (80,)}, "5 strips or tiles, of which 1"),
        ({279: (0,) * 5}, "too short"),
        ({279: (4_000_000_000,) * 5}, "cut off"),
        ({279: (5000,) * 5, 273: (8,) * 5}, "overlap"),
        ({258: (7,)}, "damaged"),
        ({258: (0,)}, "damaged"),
        (NO_STRIPS | {322: (1 << 30,), 323: (1 << 30,), 324: (8,), 325: (1400,)}, "declares"),
        (NO_STRIPS | {322: (1 << 31,), 323: (16,), 324: (8,) * 5, 325: (140,) * 5}, "declares"),
        (NO_STRIPS | {322: (96,), 323: (1 << 22,), 324: (8,), 325: (140,)}, "too short"),
        (NO_STRIPS | {322: (16,), 323: (0,), 324: (8,), 325: (1400,)}, "without rows"),
        ({256: (1 << 31,), 257: (1,), 273: (8,), 279: (1400,)}, "more than its bytes can hold"),
    ],
)
@pytest.mark.parametrize("codec", CODES)
def test_tags_that_lie(
    codec: str, tags: dict[int, tuple[int, ...]], reason: str, tmp_path: Path
) -> None:
    sound = compressed_tiff(GREY, codec, rows=16)
    own = {256: (90,), 257: (75,), 258: (8,), 259: (CODES[codec],), 262: (1,), 278: (16,)}
    strips = [sound[strip] for strip in strips_of(sound)]
    refused(tmp_path / "image.tif", tiff_of_strips(own, strips, over=tags), reason)


@pytest.mark.parametrize("codec", WITH_PREDICTOR)
def test_an_unknown_predictor(codec: str, tmp_path: Path) -> None:
    data = compressed_tiff(GREY, codec, tags={317: (9,)})
    refused(tmp_path / "image.tif", data, "damaged")


def test_one_strip_may_say_that_it_has_more_rows_than_there_are(tmp_path: Path) -> None:
    for rows in (76, (1 << 32) - 1):
        data = compressed_tiff(GREY, "tiff_lzw", tags={278: (rows,)})
        assert np.array_equal(read(tmp_path / "image.tif", data), GREY)


def test_libtiff_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for codec in CODES:
        data = compressed_tiff(
            GREY, codec, encode=lambda content, c=codec: encoder(c)(content[:90])
        )
        refused(tmp_path / "image.tif", data, "damaged|cut off")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("tag", [256, 257, 259, 277, 284])
def test_several_values_where_a_tiff_has_one(
    tag: int, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    data = bytearray(compressed_tiff(np.full((9, 13, 3), 60, np.uint8), "deflate"))
    at = data.index(struct.pack("<H", tag), struct.unpack_from("<I", data, 4)[0])
    data[at + 4] = 3  # how many there are
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.tif")
    assert not recwarn.list
