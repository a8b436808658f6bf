"""Damage inside the data of a picture: no damaged picture is one where its format can tell."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from image_bytes import bmp, encoded, png16, png_chunk, png_of
from PIL import Image
from tiff_bytes import CODES, compressed_tiff, tiff_of_strips

from blemish.errors import ImageError
from blemish.images import depth, read_image

RNG = np.random.default_rng(11)
GREY = cv2.GaussianBlur(RNG.integers(0, 256, (60, 90), dtype=np.uint8), (0, 0), 1.5)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
DEEP = RNG.integers(0, 65536, (60, 90), dtype=np.uint16)


def refused(path: Path, data: bytes, reason: str = "") -> None:
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"{re.escape(path.name)}.*{reason}"):
        read_image(path)


def png_header(width: int, height: int, bits: int, colour: int, interlaced: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)


# A header, a palette and the rows of a picture, each row with the number of its filter.
PNGS: dict[str, tuple[bytes, bytes, bytes]] = {
    "grey": (png_header(7, 5, 8, 0), b"", bytes(8) * 5),
    "1-bit": (png_header(9, 5, 1, 0), b"", bytes(3) * 5),
    "rgb": (png_header(7, 5, 8, 2), b"", bytes(22) * 5),
    "palette": (png_header(7, 5, 4, 3), bytes(range(12)), (b"\0" + b"\x01\x23" * 2) * 5),
    "16-bit": (png_header(7, 5, 16, 0), b"", bytes(15) * 5),
    "16-bit rgba": (png_header(7, 5, 16, 6), b"", bytes(57) * 5),
    # Seven passes of 1, 1, 2, 4, 8, 16 and 32 pixels in 1, 1, 1, 2, 2, 4 and 4 rows.
    "interlaced": (png_header(8, 8, 8, 0, 1), b"", bytes(64 + 15)),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_has_exactly_the_pixels_it_declares(name: str, tmp_path: Path) -> None:
    header, palette, rows = PNGS[name]
    path = tmp_path / "image.png"
    path.write_bytes(png_of(header, zlib.compress(rows), palette))
    read_image(path)
    stream = zlib.compress(rows)
    unended = zlib.compressobj()
    cut = unended.compress(rows) + unended.flush(zlib.Z_SYNC_FLUSH)
    refused(path, png_of(header, zlib.compress(rows[:-1]), palette), "fewer pixels")
    refused(path, png_of(header, cut, palette), "fewer pixels")
    refused(path, png_of(header, stream[:-1], palette), "fewer pixels")
    refused(path, png_of(header, zlib.compress(rows + b"\0"), palette), "more pixels")
    refused(path, png_of(header, stream + b"\0", palette), "more pixels")
    wrong = stream[:-1] + bytes([stream[-1] ^ 1])
    refused(path, png_of(header, wrong, palette), "incorrect data check")


def test_a_png_whose_checksums_are_those_of_the_damage(tmp_path: Path) -> None:
    """As a faulty writer leaves it: only the stream itself can tell."""
    path = tmp_path / "image.png"
    header = png_header(90, 60, 8, 0)
    stream = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY))
    for position in range(2, len(stream), len(stream) // 60):
        damaged = bytearray(stream)
        damaged[position] ^= 4
        refused(path, png_of(header, bytes(damaged)))
        damaged = bytearray(stream)
        damaged[position : position + 512] = bytes(len(damaged[position : position + 512]))
        refused(path, png_of(header, bytes(damaged)))


def test_a_png_filter_that_does_not_exist(tmp_path: Path) -> None:
    rows = b"".join(b"\5" + row.tobytes() for row in GREY)
    refused(tmp_path / "image.png", png_of(png_header(90, 60, 8, 0), zlib.compress(rows)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_colour_that_the_palette_of_a_png_does_not_have(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    highest = (1 << bits) - 1
    stream = zlib.compress(bytes([0, highest << (8 - bits)]))
    whole = bytes(range(256)) * 3
    path.write_bytes(png_of(png_header(1, 1, bits, 3), stream, whole[: 3 * (highest + 1)]))
    assert read_image(path).tolist() == [[list(whole[3 * highest : 3 * highest + 3])]]
    refused(path, png_of(png_header(1, 1, bits, 3), stream, whole[: 3 * highest]), "palette of")
    refused(path, png_of(png_header(1, 1, bits, 3), stream), "palette of 0")


def test_an_interlaced_png_is_read_as_it_was_written(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (11, 13, 3), dtype=np.uint16)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
    passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for left, top, across, down in passes
        for row in pixels[top::down, left::across]
    )
    path = tmp_path / "image.png"
    path.write_bytes(png_of(png_header(13, 11, 16, 2, 1), zlib.compress(rows)))
    np.testing.assert_array_equal(read_image(path), pixels)


def test_the_chunks_of_a_png_stand_where_they_may(tmp_path: Path) -> None:
    path, header = tmp_path / "image.png", png_header(7, 5, 4, 3)
    stream, palette = zlib.compress((b"\0" + b"\x01\x23" * 2) * 5), bytes(range(12))
    path.write_bytes(png_of(header, stream, palette, before=png_chunk(b"tEXt", b"a\0b")))
    read_image(path)
    for chunk, reason in (
        (png_chunk(b"PLTE", palette), "'PLTE' where it cannot be"),  # a second one
        (png_chunk(b"IHDR", header), "'IHDR' where it cannot be"),
        (png_chunk(b"IEND", b"1"), "'IEND' where it cannot be"),
        (png_chunk(b"ABCD", b""), "needs a chunk 'ABCD', which is not known"),
    ):
        refused(path, png_of(header, stream, palette, before=chunk), reason)
    late = png_chunk(b"IDAT", stream) + png_chunk(b"PLTE", palette)
    refused(path, png_of(header, b"", before=late), "'PLTE' where it cannot be")
    refused(path, png_of(header, stream, palette + b"\0"), "'PLTE' where it cannot be")


GREY_PALETTE = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))
COLOURS = RNG.integers(0, 256, 64, dtype=np.uint8).tobytes()


def test_run_lengths_of_a_bmp_are_read(tmp_path: Path) -> None:
    path = tmp_path / "image.bmp"
    # The lowest row first: a run of three and one of two, then five pixels as they are.
    path.write_bytes(
        bmp(5, 2, b"\3\7\2\x09\0\0\0\5\1\2\3\4\5\0\0\0\0\1", compression=1, palette=GREY_PALETTE)
    )
    assert read_image(path).tolist() == [[1, 2, 3, 4, 5], [7, 7, 7, 9, 9]]
    path.write_bytes(
        bmp(5, 1, b"\5\x12\0\0\0\1", bits=4, compression=2, palette=COLOURS)  # in turn, 1 and 2
    )
    colours = np.frombuffer(COLOURS, np.uint8).reshape(16, 4)[:, 2::-1]
    np.testing.assert_array_equal(read_image(path)[0], colours[[1, 2, 1, 2, 1]])


def packed(row: np.ndarray, bits: int) -> bytes:
    """A row of a BMP, its indices as runs of one to ten of them by turns, and as they are."""
    out, at = b"", 0
    while at < len(row):
        part = row[at : at + 1 + at % 10].tolist()
        indices = bytes(part)
        if bits == 4:
            pairs = zip(part[::2], [*part[1::2], 0], strict=False)
            indices = bytes(upper << 4 | lower for upper, lower in pairs)
        if len(part) > 2:
            out += bytes([0, len(part)]) + indices + bytes(len(indices) % 2)
        else:
            out += b"".join(bytes([1, index << 4 if bits == 4 else index]) for index in part)
        at += len(part)
    return out + b"\0\0"


@pytest.mark.parametrize("bits", [4, 8])
def test_long_run_lengths_of_a_bmp_are_read_as_they_were_written(bits: int, tmp_path: Path) -> None:
    """Among its indices are many that look like counts and escapes."""
    indices = RNG.choice(np.array([0, 0, 1, 2, 3, 5, 15], np.uint8), (150, 500))
    path = tmp_path / "image.bmp"
    data = b"".join(packed(row, bits) for row in indices[::-1]) + b"\0\1"
    palette = GREY_PALETTE[: 4 << bits] if bits == 8 else COLOURS
    path.write_bytes(bmp(500, 150, data, bits=bits, compression=3 - bits // 4, palette=palette))
    expected = indices
    if bits == 4:
        expected = np.frombuffer(COLOURS, np.uint8).reshape(16, 4)[:, 2::-1][indices]
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\6\7\0\0\5\7\0\1", "beyond its row"),
        (b"\4\7\0\0\5\7\0\1", "without a colour"),
        (b"\5\7\0\0\4\7\0\1", "without a colour"),
        (b"\5\7\0\1", "without a colour"),
        (b"\5\7\0\2\1\0\4\7\0\1", "without a colour"),  # a jump
        (b"\5\7\0\0\5\7\0\0\5\7\0\1", "beyond its row"),
        (b"\5\7\0\0\5\7", "cut off"),
        (b"\5\7\0\0\0\5\1\2\3", "cut off"),
        (b"", "more than its bytes can hold"),
    ],
)
def test_run_lengths_of_a_bmp_must_fill_every_row(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bmp"
    refused(path, bmp(5, 2, data, compression=1, palette=GREY_PALETTE), reason)


def test_run_lengths_of_another_size_than_a_bmp_declares(tmp_path: Path) -> None:
    data = b"\5\7\0\0\5\7\0\1"
    refused(
        tmp_path / "image.bmp",
        bmp(5, 2, data, compression=1, palette=GREY_PALETTE, size=len(data) + 40),
        "another size",
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_a_colour_that_the_palette_of_a_bmp_does_not_have(bits: int, tmp_path: Path) -> None:
    row = b"\x30\0\0\0" if bits == 4 else b"\3\0\0\0"
    path = tmp_path / "image.bmp"
    path.write_bytes(bmp(1, 1, row, bits=bits, palette=COLOURS[:16]))
    assert read_image(path).shape == (1, 1, 3)
    refused(path, bmp(1, 1, row, bits=bits, palette=COLOURS[:12]), "colour 3 of a palette of 3")


# A JPEG with the marks after which decoding starts anew, as many cameras write it.
JPEGS = {
    "plain": encoded(GREY, "JPEG", quality=90),
    "rgb": encoded(COLOUR, "JPEG", quality=90),
    "own tables": encoded(COLOUR, "JPEG", optimize=True),
    "restarts": encoded(GREY, "JPEG", restart_marker_blocks=4),
    "progressive": encoded(COLOUR, "JPEG", progressive=True),
}


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x20"])
def test_a_jpeg_that_its_camera_filled_up_is_whole(name: str, fill: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(JPEGS[name])
    pixels = read_image(path)
    for count in (1, 4, 9, 700, 5000):
        if fill == b"\x20" and count < 4:
            continue  # too few of them tell nothing
        path.write_bytes(JPEGS[name][:-2] + fill * count + b"\xff\xd9" + fill * count)
        np.testing.assert_array_equal(read_image(path), pixels)
    path.write_bytes(JPEGS[name] + RNG.bytes(3000))  # what follows its end is none of it
    np.testing.assert_array_equal(read_image(path), pixels)


def test_a_jpeg_filled_up_before_each_restart_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(JPEGS["restarts"])
    pixels = read_image(path)
    path.write_bytes(re.sub(rb"(?=\xff[\xd0-\xd7\xd9])", bytes(11), JPEGS["restarts"]))
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("name", JPEGS)
def test_zeros_in_place_of_the_end_of_a_jpeg_are_no_fill(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    data, warned = JPEGS[name], 0
    for count in range(5, 205, 20):
        damaged = data[: -2 - count] + bytes(count + 40) + b"\xff\xd9"
        try:
            simplejpeg.decode_jpeg(damaged, strict=True)
        except ValueError:  # else the zeros made up codes for just the pixels that were lost
            warned += 1
            refused(path, damaged)
    assert warned > 5


def test_what_a_damaged_scan_left_over_is_no_fill(tmp_path: Path) -> None:
    """A flipped bit may lose a block, and then the codes of the last one are left over."""
    path = tmp_path / "image.jpg"
    data, left_over = JPEGS["plain"], 0
    start = data.index(b"\xff\xda") + 10
    for position in range(start, len(data) - 2, 5):
        damaged = bytearray(data)
        damaged[position] ^= 16
        try:
            simplejpeg.decode_jpeg(bytes(damaged), colorspace="GRAY", strict=True)
        except ValueError as error:
            stray = "extraneous bytes before marker" in str(error)
            left_over += stray
            refused(path, bytes(damaged), "or its camera leaves bytes" if stray else "damaged")
    assert left_over > 20


def test_a_palette_of_a_tiff_is_as_large_as_its_indices_need(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.fromarray(COLOUR).quantize(9), "TIFF"))
    entry = data.index(struct.pack("<HHI", 320, 3, 768))
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    read_image(path)
    data[entry : entry + 8] = struct.pack("<HHI", 320, 3, 765)
    refused(path, bytes(data), "palette")


def test_a_small_copy_is_not_taken_for_its_picture(tmp_path: Path) -> None:
    """As in raw files of cameras, where the picture lies in a directory further inside."""
    path = tmp_path / "image.tif"
    tags = {256: (8,), 257: (8,), 258: (8,), 259: (1,), 262: (1,), 277: (1,), 278: (8,)}
    path.write_bytes(tiff_of_strips(tags | {254: (1,)}, [bytes(64)]))
    assert read_image(path).shape == (8, 8)
    refused(path, tiff_of_strips(tags | {254: (1,), 330: (8,)}, [bytes(64)]), "small copy")


@pytest.mark.parametrize("codec", CODES)
def test_a_tiff_that_has_lost_what_says_how_it_is_compressed(codec: str, tmp_path: Path) -> None:
    """Its strips would be pixels as they stand, of which there are enough where they are noise."""
    noise = RNG.integers(0, 256, (60, 90), dtype=np.uint8)
    data = compressed_tiff(noise, codec, rows=20)
    entry = data.rindex(struct.pack("<HHI", 259, 4, 1))
    for lost in (struct.pack("<HHII", 259, 4, 1, 1), struct.pack("<HHII", 305, 4, 1, 1)):
        changed = data[:entry] + lost + data[entry + 12 :]
        refused(tmp_path / "image.tif", changed, "damaged")


def test_the_last_strip_of_a_tiff_may_be_as_long_as_the_others(tmp_path: Path) -> None:
    tags = {256: (8,), 257: (10,), 258: (8,), 259: (1,), 262: (1,), 277: (1,), 278: (6,)}
    path = tmp_path / "image.tif"
    path.write_bytes(tiff_of_strips(tags, [bytes(48), bytes(48)]))
    assert read_image(path).shape == (10, 8)
    refused(path, tiff_of_strips(tags, [bytes(47), bytes(48)]), "too short")
    refused(path, tiff_of_strips(tags, [bytes(52), bytes(48)]), "more bytes")


def test_strips_that_do_not_cover_a_tiff(tmp_path: Path) -> None:
    data = encoded(GREY, "TIFF")
    rows = struct.pack("<HHII", 278, 4, 1, 60), struct.pack("<HHII", 278, 4, 1, 59)
    short = struct.pack("<HHIHH", 278, 3, 1, 60, 0), struct.pack("<HHIHH", 278, 3, 1, 59, 0)
    changed = data.replace(*rows).replace(*short)
    assert changed != data
    refused(tmp_path / "image.tif", changed, "strips or tiles")


@pytest.mark.parametrize("kind", ["PNG", "16-bit PNG", "JPEG", "BMP", "TIFF"])
def test_a_header_is_read_without_the_pixels(kind: str, tmp_path: Path) -> None:
    data = png16(DEEP, 0) if "16" in kind else encoded(COLOUR, kind)
    path = tmp_path / "image"
    path.write_bytes(data)
    assert depth(path) == ("uint16" if "16" in kind else "uint8")
    assert read_image(path).shape[:2] == (60, 90)


def test_a_panic_of_a_library_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some libraries raise what is no Exception; what stops the program passes."""

    class Panic(BaseException):
        pass

    raised: list[BaseException] = [Panic("at\nthe disco"), KeyboardInterrupt()]

    def decode(*_: object, **__: object) -> None:
        raise raised.pop(0)

    path = tmp_path / "image.jpg"
    path.write_bytes(JPEGS["plain"])
    monkeypatch.setattr(simplejpeg, "decode_jpeg", decode)
    with pytest.raises(ImageError, match=r"image\.jpg is damaged.*\(at the disco\)"):
        read_image(path)
    with pytest.raises(KeyboardInterrupt):
        read_image(path)


def test_a_mistake_of_ours_is_no_damage_in_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(JPEGS["plain"])
    monkeypatch.setattr("blemish.images.formats.jpeg._MOST_FILL", None)
    with pytest.raises(TypeError):
        read_image(path)
    monkeypatch.setattr("blemish.images.reading.MISTAKES", ())
    with pytest.raises(ImageError, match=r"image\.jpg is damaged"):
        read_image(path)


def test_the_pixels_of_no_format_depend_on_a_name(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    path = tmp_path / "really.jpg"
    path.write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_image(path), GREY)
