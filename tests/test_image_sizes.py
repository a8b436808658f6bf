"""What a header declares is not believed: it is refused before memory is taken for it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from image_bytes import bmp, encoded, png_chunk, png_of, tiff

from blemish.errors import ImageError
from blemish.images import depth, read_image, read_mask
from blemish.images.reading import read_header
from blemish.util.file_limit import NAME

SMALL = np.zeros((16, 16), np.uint8)
# Runs of a 2,000 x 2,000 picture of one grey: many pixels in few bytes, and true.
LARGE = {
    "PNG": encoded(np.zeros((2000, 2000), np.uint8), "PNG"),
    "16-bit PNG": png_of(
        struct.pack(">IIBBBBB", 2000, 2000, 16, 2, 0, 0, 0), zlib.compress(bytes(2000 * 12001))
    ),
    "JPEG": encoded(np.zeros((2000, 2000), np.uint8), "JPEG"),
    "progressive JPEG": encoded(np.zeros((2000, 2000), np.uint8), "JPEG", progressive=True),
    "BMP": encoded(np.zeros((2000, 2000), np.uint8), "BMP"),
    "TIFF": tiff(np.zeros((2000, 2000), np.uint8)),
    **{
        f"{codec} TIFF": encoded(np.zeros((2000, 2000), np.uint8), "TIFF", compression=codec)
        for codec in ("tiff_adobe_deflate", "tiff_lzw", "packbits", "zstd", "lzma")
    },
    "16-bit TIFF": tiff(np.zeros((2000, 2000, 3), np.uint16), photometric=2),
}


def tiff_of(width: int, height: int, compression: int, data: bytes) -> bytes:
    start = 8 + 2 + 9 * 12 + 4
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1)]
    tags += [(273, 4, start), (277, 3, 1), (278, 4, height), (279, 4, len(data))]
    listed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4) + data


def jpeg_of(width: int, height: int, image: np.ndarray, **options: bool) -> bytes:
    data = bytearray(encoded(image, "JPEG", **options))
    frame = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


LIES = {
    "png": png_of(struct.pack(">IIBBBBB", 60000, 80000, 8, 0, 0, 0, 0), zlib.compress(b"")),
    "interlaced png": png_of(struct.pack(">IIBBBBB", 60000, 80000, 8, 2, 0, 0, 1), b"x" * 50),
    "jpeg": jpeg_of(65500, 65500, SMALL),
    "rgb jpeg": jpeg_of(65500, 65500, np.dstack([SMALL] * 3)),
    "progressive jpeg": jpeg_of(65500, 65500, SMALL, progressive=True),
    "bmp": bmp(100000, 100000, bytes(90), palette=bytes(1024)),
    "bmp from top to bottom": bmp(100000, -100000, bytes(90), palette=bytes(1024)),
    "bmp with runs": bmp(100000, 100000, b"\xff\1" * 50, compression=1, palette=bytes(1024)),
    **{
        f"tiff with compression {compression}": tiff_of(100000, 100000, compression, b"x" * 90)
        for compression in (1, 5, 8, 32773, 34925, 50000)
    },
}


@pytest.mark.parametrize("name", LIES)
def test_more_pixels_than_the_bytes_can_hold(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(LIES[name])
    with pytest.raises(ImageError, match=r"declares \d+ x \d+ pixels, more than its bytes"):
        read_image(path)


@pytest.mark.parametrize("name", LARGE)
def test_a_picture_beyond_the_limit_is_refused_and_the_limit_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(LARGE[name])
    assert read_image(path).shape[:2] == (2000, 2000)
    monkeypatch.setenv(NAME, "4MB")
    with pytest.raises(ImageError, match=rf"declares 2000 x 2000 pixels, which .*{NAME}="):
        read_image(path)
    with pytest.raises(ImageError, match=NAME):
        read_mask(path, (2000, 2000))
    assert depth(path) in ("uint8", "uint16")  # its header alone takes nothing


MEASURED = """
import sys
from blemish.images import read_image
from blemish.images.reading import read_header
import simplejpeg, cv2

def told(word):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(word))

declared = read_header(sys.argv[1]).memory
open("/proc/self/clear_refs", "w").write("5")
before = told("VmRSS")
read_image(sys.argv[1])
print(declared, told("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak")
@pytest.mark.parametrize("name", LARGE)
def test_reading_takes_no_more_memory_than_was_declared(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(LARGE[name])
    out = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True
    )
    declared, taken = map(int, out.stdout.split())
    assert taken < 1.25 * declared + 12_000_000


def inflating_to(size: int) -> bytes:
    block = zlib.compressobj(1)
    return b"".join(block.compress(bytes(1 << 20)) for _ in range(size >> 20)) + block.flush()


@cache
def endless() -> dict[str, tuple[bytes, str]]:
    """Files whose content inflates, or goes on, far beyond the picture."""
    header = struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0)
    rows, bomb = zlib.compress(bytes(110)), inflating_to(1 << 29)
    text = png_chunk(b"zTXt", b"k\0\0" + bomb) + png_chunk(b"iCCP", b"k\0\0" + bomb)
    scans = encoded(np.zeros((64, 64), np.uint8), "JPEG", progressive=True)
    scan = scans[scans.rindex(b"\xff\xda") : -2]
    page = bytearray(tiff_of(4, 4, 1, bytes(16)))
    struct.pack_into("<I", page, 8 + 2 + 9 * 12, len(page))
    chain = [struct.pack("<HI", 0, len(page) + 6 * number) for number in range(1, 200_000)]
    values = struct.pack("<HHII", 273, 4, 5_000_000, 8)
    strips = tiff_of(4, 4, 8, bytes(20_000_000)).replace(
        struct.pack("<HHII", 273, 4, 1, 122), values
    )
    jpeg = encoded(np.zeros((64, 64), np.uint8), "JPEG")
    tiles = tiff_of(1 << 14, 1 << 14, 8, bytes(90)).replace(
        struct.pack("<HHII", 278, 4, 1, 1 << 14), struct.pack("<HHII", 322, 4, 1, 1)
    )
    tiles = tiles.replace(struct.pack("<HH", 273, 4), struct.pack("<HH", 324, 4))
    tiles = tiles.replace(struct.pack("<HHII", 277, 3, 1, 1), struct.pack("<HHII", 323, 4, 1, 1))
    tiles = tiles.replace(struct.pack("<HH", 279, 4), struct.pack("<HH", 325, 4))
    return {
        "samples": (
            tiff_of(4, 4, 1, bytes(16)).replace(
                struct.pack("<HHII", 277, 3, 1, 1), struct.pack("<HHII", 277, 4, 1, 1 << 31)
            ),
            "2147483648 values a pixel",
        ),
        "tiles": (tiles, "1 strips or tiles, of which 268435456 cover"),
        "resolutions": (
            tiff_of(4, 4, 1, bytes(16)).replace(
                struct.pack("<HHII", 277, 3, 1, 1), struct.pack("<HHII", 282, 5, 5_000_000, 138)
            )
            + bytes(48_000_000),
            "(4, 4)",
        ),
        "stray": (jpeg[:-2] + b"\xff\0" * 20_000_000 + jpeg[-2:], "Premature end"),
        "behind": (jpeg + bytes(300_000_000), "(64, 64)"),
        "notes": (
            png_of(header, rows, before=png_chunk(b"tEXt", bytes(1 << 20)) * 300),
            "far more than its pixels",
        ),
        "rows": (png_of(header, bomb), "more pixels"),
        "text": (png_of(header, rows, before=text), "(10, 10)"),  # nothing of it is inflated
        "chunks": (png_of(header, rows, before=png_chunk(b"tEXt", b"") * 100_000), "without end"),
        "animation": (png_of(header, rows, before=png_chunk(b"acTL", b"\xff" * 8)), "pages"),
        "scans": (scans[:-2] + scan * 2000 + b"\xff\xd9", "2006 scans"),
        "fill": (b"\xff\xd8" + b"\xff" * 1_000_000, "fill"),
        "segments": (b"\xff\xd8" + b"\xff\xfe\0\2" * 50_000, "no header"),
        "pages": (bytes(page) + b"".join(chain) + bytes(6), "more than 1000 pages"),
        "strips": (strips, "5000000 values"),
        "tags": (b"II*\0" + struct.pack("<IH", 8, 65535) + b"\xff" * 12 * 65535 + bytes(4), ""),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("rows", "text", "chunks", "notes", "animation", "scans", "fill", "segments", "stray"),
        *("behind", "pages", "strips", "tags", "samples", "tiles", "resolutions"),
    ],
)
def test_what_goes_on_without_end_is_bounded(name: str, tmp_path: Path) -> None:
    data, reason = endless()[name]
    path = tmp_path / "image"
    path.write_bytes(data)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (7 << 26, 7 << 26));"
    code = "import sys; from blemish.images import read_image; print(read_image(sys.argv[1]).shape)"
    out = subprocess.run(
        [sys.executable, "-c", limited + code, path], capture_output=True, text=True, timeout=120
    )
    if reason.startswith("("):  # what goes on is of no use to anybody, and left out
        assert out.stdout == f"{reason}\n"
    else:
        assert "ImageError" in out.stderr.splitlines()[-1]
        assert reason in out.stderr.splitlines()[-1]


def test_a_circle_of_directories_is_one_page(tmp_path: Path) -> None:
    data = bytearray(tiff_of(4, 4, 1, bytes(range(16))))
    struct.pack_into("<I", data, 8 + 2 + 9 * 12, 8)
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    assert read_image(path).tolist() == np.arange(16).reshape(4, 4).tolist()


def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # nobody will ever write to it
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # an address is short
        listening.bind("socket.png")
        for path in (tmp_path / "pipe.png", Path("/dev/zero"), tmp_path / "socket.png"):
            for read in (read_image, depth, read_header):
                with pytest.raises(ImageError, match=f"{path.name} cannot be opened"):
                    read(path)
            with pytest.raises(ImageError, match=f"{path.name} cannot be opened"):
                read_mask(path, (4, 4))


def test_a_limit_that_is_no_size_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(SMALL, "PNG"))
    monkeypatch.setenv(NAME, "much")
    with pytest.raises(Exception, match=f'^{NAME} is "much"'):
        read_image(path)
