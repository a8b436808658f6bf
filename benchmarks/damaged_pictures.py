"""How much damage inside the data of a picture is noticed, by format and compression.

    python benchmarks/damaged_pictures.py                # one line of JSON
    python benchmarks/damaged_pictures.py --table        # the table of docs/guide.md

Each format holds a smooth picture and a noisy one. Each is damaged many times, inside its
compressed data and nowhere else: one bit flipped, or 512 bytes set to zero. Told is the share that
`read_image` refuses of the damage that it refuses or that changes a pixel, and beside it the time
of reading the sound picture.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from blemish.errors import ImageError
from blemish.images import read_image
from measuring import print_line

Pixels = NDArray[np.uint8]

ZEROS = 512
DAMAGES = ("bit", "zeros")
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("PNG", {}),
    "JPEG": ("JPEG", {"quality": 92}),
    "progressive JPEG": ("JPEG", {"quality": 92, "progressive": True}),
    "BMP": ("BMP", {}),
    "TIFF, no compression": ("TIFF", {}),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF, LZMA": ("TIFF", {"compression": "lzma"}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF, LZW, differences": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    "TIFF, zstd": ("TIFF", {"compression": "zstd"}),
    "TIFF, PackBits": ("TIFF", {"compression": "packbits"}),
}


def pictures(side: int = 400) -> dict[str, Pixels]:
    """A smooth picture and the same with noise of 4 grey values, uint8 [side, side]."""
    y, x = np.mgrid[:side, :side]
    smooth = 128 + 60 * np.sin(x / 37) + 50 * np.cos(y / 23)
    noise = np.random.default_rng(0).normal(0, 4, smooth.shape)
    return {"smooth": smooth.astype(np.uint8), "noisy": (smooth + noise).astype(np.uint8)}


def encoded(pixels: Pixels, name: str) -> bytes:
    """The picture as a file of that format."""
    kind, options = FORMATS[name]
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def data_of(content: bytes, kind: str) -> list[range]:
    """Where the compressed data lies in a file."""
    if kind == "PNG":
        return list(_idat(content))
    if kind == "JPEG":
        scan = content.index(b"\xff\xda")
        (length,) = struct.unpack_from(">H", content, scan + 2)
        return [range(scan + 2 + length, len(content) - 2)]
    if kind == "BMP":
        return [range(struct.unpack_from("<I", content, 10)[0], len(content))]
    tags = TiffImageFile(BytesIO(content)).tag_v2
    return [range(at, at + size) for at, size in zip(tags[273], tags[279], strict=True)]


def damaged(content: bytes, places: list[range], damage: str, rng: np.random.Generator) -> bytes:
    """A copy with one bit flipped or with zeros in one of these places."""
    place = places[rng.integers(len(places))]
    copy = bytearray(content)
    if damage == "bit":
        copy[rng.integers(place.start, place.stop)] ^= 1 << int(rng.integers(8))
        return bytes(copy)
    at = int(rng.integers(place.start, max(place.start + 1, place.stop - ZEROS)))
    end = min(at + ZEROS, place.stop)
    copy[at:end] = bytes(end - at)
    return bytes(copy)


def noticed(path: Path, sound: bytes, kind: str, damage: str, tries: int) -> tuple[int, int]:
    """Of so many damaged copies those that are refused, and those that are read with other pixels.

    The rest is read with the pixels of the sound picture.
    """
    rng = np.random.default_rng(1)
    places = data_of(sound, kind)
    path.write_bytes(sound)
    pixels = read_image(path)
    refused = wrong = 0
    for _ in range(tries):
        path.write_bytes(damaged(sound, places, damage, rng))
        try:
            wrong += not np.array_equal(read_image(path), pixels)
        except ImageError:
            refused += 1
    return refused, wrong


def milliseconds(path: Path, sound: bytes, rounds: int = 7) -> float:
    """Processor time of reading the sound picture: the least of some rounds."""
    path.write_bytes(sound)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        read_image(path)
        times.append(time.process_time() - start)
    return round(1000 * min(times), 2)


def table(line: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The shares in per cent, smooth and noisy, as Markdown."""
    yield "| format | one flipped bit: smooth, noisy | 512 bytes of zeros: smooth, noisy |"
    yield "|---|---|---|"
    for name, found in line.items():
        cells = (
            ", ".join(f"{found[picture][damage]:.0f} %" for picture in ("smooth", "noisy"))
            for damage in DAMAGES
        )
        yield f"| {name} | {' | '.join(cells)} |"


def _idat(content: bytes) -> Iterator[range]:
    at = 8
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"IDAT":
            yield range(at + 8, at + 8 + length)
        at += 12 + length


def main() -> None:
    """Damage, read, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=400, help="damaged copies of each kind")
    parser.add_argument("--table", action="store_true", help="print Markdown")
    options = parser.parse_args()
    line: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        for name, (kind, _) in FORMATS.items():
            line[name] = {}
            for picture, pixels in pictures().items():
                sound = encoded(pixels, name)
                found: dict[str, float] = {"ms": milliseconds(path, sound)}
                for damage in DAMAGES:
                    refused, wrong = noticed(path, sound, kind, damage, options.tries)
                    found[damage] = round(100 * refused / max(1, refused + wrong), 1)
                line[name][picture] = found
    if options.table:
        print("\n".join(table(line)))
    else:
        print_line("damaged_pictures", line)


if __name__ == "__main__":
    main()
