"""Reading image files: what is read comes back exactly, and what is damaged never comes back."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from image_bytes import encoded, png16, png_of, tiff
from PIL import Image, ImageFile

from blemish.errors import DatasetError, ImageError
from blemish.images import (
    Recipe,
    Window,
    apply_window,
    crops,
    depth,
    find_window,
    image_files,
    read_image,
    read_mask,
    read_rgb,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RNG = np.random.default_rng(7)
GREY = cv2.GaussianBlur(RNG.integers(0, 256, (60, 90), dtype=np.uint8), (0, 0), 1.5)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
GREY16 = RNG.integers(0, 65536, (60, 90), dtype=np.uint16)
COLOUR16 = RNG.integers(0, 65536, (60, 90, 3), dtype=np.uint16)


def alpha(pixels: np.ndarray) -> np.ndarray:
    """The pixels with a channel that must not show."""
    noise = RNG.integers(0, 200, pixels.shape[:2]).astype(pixels.dtype)
    return np.dstack([pixels, noise])


INDEXED = Image.fromarray(COLOUR).quantize(16)

EXACT: dict[str, tuple[bytes, np.ndarray]] = {
    "grey png": (encoded(GREY, "PNG"), GREY),
    "rgb png": (encoded(COLOUR, "PNG"), COLOUR),
    "rgba png": (encoded(Image.fromarray(alpha(COLOUR), "RGBA"), "PNG"), COLOUR),
    "la png": (encoded(Image.fromarray(alpha(GREY), "LA"), "PNG"), GREY),
    "palette png": (encoded(INDEXED, "PNG"), np.asarray(INDEXED.convert("RGB"))),
    "1-bit png": (encoded(Image.fromarray(GREY > 128), "PNG"), np.uint8(255) * (GREY > 128)),
    "16-bit grey png": (png16(GREY16, 0), GREY16),
    "16-bit la png": (png16(alpha(GREY16), 4), GREY16),
    "16-bit rgb png": (png16(COLOUR16, 2), COLOUR16),
    "16-bit rgba png": (png16(alpha(COLOUR16), 6), COLOUR16),
    "12-in-16 png": (png16(GREY16 >> 4, 0), GREY16 >> 4),
    "grey bmp": (encoded(GREY, "BMP"), GREY),
    "rgb bmp": (encoded(COLOUR, "BMP"), COLOUR),
    "palette bmp": (encoded(INDEXED, "BMP"), np.asarray(INDEXED.convert("RGB"))),
    "grey tiff": (encoded(GREY, "TIFF"), GREY),
    "rgb lzw tiff": (encoded(COLOUR, "TIFF", compression="tiff_lzw"), COLOUR),
    "deflate tiff": (encoded(GREY16, "TIFF", compression="tiff_adobe_deflate"), GREY16),
    "big tiff": (encoded(GREY, "TIFF", big_tiff=True), GREY),
    "16-bit tiff": (tiff(GREY16), GREY16),
    "16-bit big-endian tiff": (tiff(GREY16, ">"), GREY16),
    "16-bit rgb tiff": (tiff(COLOUR16, photometric=2), COLOUR16),
    "16-bit big-endian rgb tiff": (tiff(COLOUR16, ">", photometric=2), COLOUR16),
    "int32 tiff": (tiff(GREY16.astype(np.int32)), GREY16),
    "float tiff": (tiff(GREY16.astype(np.float32) / 7), GREY16.astype(np.float32) / 7),
    "big-endian float tiff": (tiff(GREY16.astype(np.float32), ">"), GREY16.astype(np.float32)),
}


@pytest.mark.parametrize("name", EXACT)
def test_pixels_come_back_as_they_were_written(name: str, tmp_path: Path) -> None:
    data, pixels = EXACT[name]
    path = tmp_path / "Prüfling 1 groß.dat"  # neither suffix nor spelling of a name matters
    path.write_bytes(data)
    read = read_image(path)
    assert read.dtype == pixels.dtype
    assert read.dtype.isnative
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, pixels)
    assert depth(path) == pixels.dtype.name


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "rgb"])
def test_a_jpeg_is_read_close_to_what_was_written(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(pixels, "JPEG", quality=97, subsampling=0))
    assert read_image(path).shape == pixels.shape
    assert np.abs(read_image(path).astype(int) - pixels).mean() < 2


def test_a_planar_tiff_is_right_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "planar.tif"
    path.write_bytes(tiff(COLOUR, photometric=2, planar=2))
    np.testing.assert_array_equal(read_image(path), COLOUR)
    path.write_bytes(tiff(COLOUR16, photometric=2, planar=2))
    with pytest.raises(ImageError, match=r"planar\.tif has an unusual layout"):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "TIFF lzw"])
def test_a_stored_orientation_does_not_turn_the_pixels(kind: str, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    options = {"compression": "tiff_lzw"} if "lzw" in kind else {}
    path = tmp_path / "turned.img"
    path.write_bytes(encoded(GREY, kind.split()[0], exif=turned, **options))
    assert read_image(path).shape == GREY.shape
    assert np.abs(read_image(path).astype(int) - GREY).mean() < 3


JPEG = encoded(GREY, "JPEG", quality=90)
FLOATS = GREY16.astype(np.float32)
FLOATS[3, 4:7] = np.nan
FLOATS[0, 0] = np.inf
TALLER = (struct.pack("<HHII", 257, 4, 1, 60), struct.pack("<HHII", 257, 4, 1, 1 << 24))
MADE_WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes"),
    "text": (b"not an image\n" * 9, "no PNG, JPEG, BMP or TIFF"),
    "gif": (encoded(GREY, "GIF"), "no PNG, JPEG, BMP or TIFF"),
    "jpeg with a fake end": (JPEG[: len(JPEG) // 2] + b"\xff\xd9", "damaged"),
    "jpeg without its end": (JPEG[:-2], "damaged"),
    "cmyk jpeg": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "CMYK"),
    "cmyk tiff": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), "CMYK"),
    "jpeg in tiff": (encoded(GREY, "TIFF", compression="jpeg"), "damage goes unnoticed"),
    "too tall for its data": (tiff(GREY).replace(*TALLER), "cut off"),
    "nan": (tiff(FLOATS), "4 pixels that are NaN or infinite"),
    "int32": (tiff(GREY16.astype(np.int32) * 2), "integers from"),
    "negative": (tiff(GREY16.astype(np.int32) - 70000), "integers from -"),
    "pages": (
        encoded(
            Image.fromarray(GREY),
            "TIFF",
            save_all=True,
            append_images=[Image.fromarray(GREY)] * 2,
        ),
        "3 pages",
    ),
}


@pytest.mark.parametrize("name", MADE_WRONG)
def test_what_is_no_sound_image_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    data, reason = MADE_WRONG[name]
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert "image.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.png does not exist"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="is a folder"):
        depth(tmp_path)
    too_long = tmp_path / ("x" * 300)
    for read in (read_image, depth, lambda path: read_mask(path, (4, 4))):
        with pytest.raises(ImageError, match=r"xx cannot be opened \(File name too long\)"):
            read(too_long)


@pytest.mark.parametrize("lenient", [False, True], ids=["strict Pillow", "lenient Pillow"])
@pytest.mark.parametrize(
    "kind",
    ["PNG", "JPEG", "BMP", "TIFF", "16-bit PNG", "16-bit TIFF", "tiff_lzw", "tiff_adobe_deflate"],
)
def test_no_truncated_file_is_ever_read(
    kind: str,
    lenient: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    # Other libraries switch Pillow's global flag on; it must make no difference here.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    if kind.startswith("tiff_"):
        data = encoded(GREY, "TIFF", compression=kind)
    elif kind.startswith("16"):
        data = png16(COLOUR16, 2) if "PNG" in kind else EXACT["16-bit rgb tiff"][0]
    else:
        data = encoded(GREY, kind)
    path = tmp_path / "cut.img"
    cuts = {1, 2, 3, 7, 8, 9, 30, 50, 200, *range(400, len(data), len(data) // 9)}
    for cut in sorted(cuts | {len(data) - back for back in (1, 4, 5, 12, 13, 30)}):
        path.write_bytes(data[:cut])
        with pytest.raises(ImageError, match=r"cut\.img"):
            read_image(path)
    assert not recwarn.list  # an error says it all


def test_a_png_with_a_flipped_bit_is_refused_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "flipped.png"
    for data in (encoded(GREY, "PNG"), png16(COLOUR16, 2)):
        for position in range(0, len(data), len(data) // 40):
            damaged = bytearray(data)
            damaged[position] ^= 16
            path.write_bytes(damaged)
            with pytest.raises(ImageError, match=r"flipped\.png"):
                read_image(path)


def test_a_damaged_jpeg_is_refused_or_decoded_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "flipped.jpg"
    refused = 0
    for position in range(len(JPEG) // 4, len(JPEG) - 2, 23):
        damaged = bytearray(JPEG)
        damaged[position : position + 2] = b"\xff\x00"
        path.write_bytes(damaged)
        try:
            read = read_image(path)
        except ImageError:
            refused += 1
            continue
        clean = simplejpeg.decode_jpeg(bytes(damaged), colorspace="GRAY", strict=True)
        np.testing.assert_array_equal(read, clean[:, :, 0])
    assert refused > 0


def test_a_line_scan_beyond_pillows_limit_is_read_and_tiled(tmp_path: Path) -> None:
    height, width = 12000, 16000
    assert height * width > 2 * (Image.MAX_IMAGE_PIXELS or 0)
    path = tmp_path / "line scan.png"
    compress = zlib.compressobj(1)
    rows = (b"\0" + bytes([90]) * width) * 500
    data = b"".join(compress.compress(rows) for _ in range(height // 500)) + compress.flush()
    path.write_bytes(png_of(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), data))
    image = read_image(path)
    assert image.shape == (height, width)
    assert image.min() == image.max() == 90
    first = next(iter(crops(image, Recipe(256, 256, tile=4096))))
    assert first.shape == (4096, 4096)
    assert (first.tensor == 90).all()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.filterwarnings("error")
def test_pillows_limit_does_not_touch_a_tiff(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "line scan.tif"
    path.write_bytes(encoded(COLOUR, "TIFF", compression=compression))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 3)
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_a_window_brings_a_16_bit_set_to_8_bits_once(tmp_path: Path) -> None:
    dark, bright = tmp_path / "dark.png", tmp_path / "bright.png"
    dark.write_bytes(png16(GREY16 % 1000 + 100, 0))
    bright.write_bytes(png16(GREY16 % 1000 + 3095, 0))
    window = find_window([dark, bright])
    assert window is not None  # 100 to 4094, widened by a tenth, and not below 0
    assert window.low == 0
    assert window.high == pytest.approx(4094 + 0.1 * (4094 - 100), abs=5)
    assert read_rgb(dark, window).shape == (60, 90, 3)
    assert read_rgb(dark, window).max() < read_rgb(bright, window).min()


def test_a_window_clips_and_rounds_alike_for_integers_and_floats() -> None:
    values = np.array([[0, 100, 150, 199, 200, 65535]], np.uint16)
    expected = [[0, 0, 128, 252, 255, 255]]
    for image in (values, values.astype(np.float32)):
        assert apply_window(image, Window(100, 200)).tolist() == expected
    with pytest.raises(ImageError, match="low must be below high"):
        Window(5, 5)


def test_a_window_ignores_a_few_hot_pixels(tmp_path: Path) -> None:
    image = RNG.normal(10, 1, (200, 200)).astype(np.float32)
    image[0, :3] = 1e6
    (tmp_path / "hot.tif").write_bytes(tiff(image))
    window = find_window([tmp_path / "hot.tif"])
    assert window is not None
    assert window.high < 20


def test_depths_do_not_mix(tmp_path: Path) -> None:
    eight, sixteen = tmp_path / "eight.png", tmp_path / "sixteen.png"
    eight.write_bytes(encoded(GREY, "PNG"))
    sixteen.write_bytes(png16(GREY16, 0))
    assert find_window([eight]) is None
    with pytest.raises(ImageError, match=r"sixteen\.png is uint16.*eight\.png is uint8"):
        find_window([eight, sixteen])
    with pytest.raises(ImageError, match=r"sixteen\.png holds uint16.*data set is 8-bit"):
        read_rgb(sixteen)
    with pytest.raises(ImageError, match=r"eight\.png is 8-bit.*data set is 16-bit"):
        read_rgb(eight, Window(0, 4095))
    sixteen.write_bytes(png16(np.full_like(GREY16, 12), 0))
    with pytest.raises(ImageError, match="one grey value, 12"):
        find_window([sixteen])


def test_masks_of_every_kind_say_where_the_defect_is(tmp_path: Path) -> None:
    path = tmp_path / "mask.dat"

    def marked(data: bytes) -> list[int]:
        path.write_bytes(data)
        return np.flatnonzero(read_mask(path, (1, 3))[0]).tolist()

    def row(*values: Any, dtype: Any = np.uint8) -> np.ndarray:
        return np.array([values], dtype)

    assert marked(encoded(row(0, 127, 128), "PNG")) == [1, 2]
    assert marked(encoded(row(0, 1, 2), "PNG")) == [1, 2]  # class indices
    assert marked(encoded(row(0, 0, 0), "PNG")) == []
    assert marked(encoded(row(False, True, True, dtype=bool), "PNG")) == [1, 2]
    assert marked(encoded(row((0, 0, 0), (255, 0, 0), (40, 40, 40)), "PNG")) == [1, 2]
    assert marked(tiff(row(0, 32767, 32768, dtype=np.uint16))) == [1, 2]
    assert marked(tiff(row(0.0, 0.5, 1.0, dtype=np.float32))) == [1, 2]
    assert marked(encoded(row(0, 3, 3), "JPEG")) == []  # noise of the compression


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(encoded(GREY, "PNG"))
    with pytest.raises(ImageError, match=r"mask\.png is 90 x 60.*image is 60 x 90"):
        read_mask(tmp_path / "mask.png", (90, 60))


def test_a_folder_of_masks_is_their_union(tmp_path: Path) -> None:
    for number, columns in enumerate(([0], [2, 3])):
        mask = np.zeros((2, 5), np.uint8)
        mask[0, columns] = 255 - number
        (tmp_path / f"{number:03}.png").write_bytes(encoded(mask, "PNG"))
    union = read_mask(tmp_path, (2, 5))
    assert union.dtype == np.bool_
    assert np.argwhere(union).tolist() == [[0, 0], [0, 2], [0, 3]]
    (tmp_path / "002.png").write_bytes(encoded(GREY, "PNG"))
    with pytest.raises(ImageError, match=r"002\.png is 90 x 60.*image is 5 x 2"):
        read_mask(tmp_path, (2, 5))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"empty is a folder without an image"):
        read_mask(tmp_path / "empty", (2, 5))


def test_image_files_are_found_in_one_order(tmp_path: Path) -> None:
    names = ["b/2.PNG", "b/10.tiff", "a.JPG", "c.txt", ".hidden.png", ".cache/d.png", "ü ß.bmp"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == ["a.JPG", "b/10.tiff", "b/2.PNG", "ü ß.bmp"]
    with pytest.raises(DatasetError, match="is not a folder"):
        image_files(tmp_path / "a.JPG")


@pytest.mark.skipif(not DATA.is_dir(), reason="the development images are not beside this checkout")
def test_the_development_images_are_read() -> None:
    fabric = image_files(DATA / "fabric_04")
    assert len(fabric) == 30
    assert {read_image(path).shape for path in fabric[:3]} == {(256, 4096)}
    for part in ("magnetic_tile", "tire"):
        files = image_files(DATA / part)
        assert files
        assert find_window(files[::20]) is None
        for path in files[::40]:
            assert read_rgb(path).shape[2] == 3
