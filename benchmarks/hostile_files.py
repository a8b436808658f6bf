"""What files that lie about their size cost until they are refused; prints one line of JSON.

    python benchmarks/hostile_files.py [--table]

Each file is small, or sparse, or no file at all, and declares pictures, rows, members or weights of
gigabytes. A process of its own opens a sound file of the kind first, so that what is measured is
the refusal alone: seconds, and megabytes above what the process had at its peak before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import print_line, run_child

SIDE = 100_000  # pixels that a header declares, each way
MANY = 1_000_000


@dataclass(frozen=True)
class HostileFile:
    """A file that must be refused at once, or read, where its lie is in what nobody needs.

    `kind` says what opens it (see `OPENERS`).
    """

    name: str
    kind: str
    declares: str
    write: Callable[[Path], object]
    refused: bool = True


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, before: bytes = b"") -> bytes:
    """A grey PNG of 8 bits, `pixels` as they lie in its IDAT; `before` are chunks before that."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    end = png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + before + png_chunk(b"IDAT", pixels) + end


def zeros_deflated(size: int) -> bytes:
    """A zlib stream of that many zeros, a thousandth of them long: one packed piece, repeated."""
    packer = zlib.compressobj(9)
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(size & (1 << 20) - 1)) + packer.flush()
    checksum = struct.pack(">I", size % 65521 << 16 | 1)  # Adler-32 of zeros
    return start + piece * (size >> 20) + rest[:-4] + checksum


def tiff(width: int, height: int, compression: int, strip: bytes) -> bytes:
    """A grey TIFF of one strip."""
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(strip)),
    ]
    directory = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + (struct.pack("<I", value) if kind == 4 else struct.pack("<HH", value, 0))
        for tag, kind, value in entries
    )
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(strip))
        + strip
        + struct.pack("<H", len(entries))
        + directory
        + bytes(4)
    )


def tiff_directories(count: int) -> bytes:
    """A TIFF of one pixel, followed by that many further directories without one."""
    first = bytearray(tiff(1, 1, 1, b"\0"))
    first[-4:] = struct.pack("<I", len(first))
    more = [
        struct.pack("<HHHIHHI", 1, 254, 3, 1, 0, 0, len(first) + 18 * (number + 1))
        for number in range(count)
    ]
    return bytes(first) + b"".join(more)[:-4] + bytes(4)


def jpeg(width: int, height: int, scans: int = 1) -> bytes:
    """A JPEG whose header declares that size; a progressive one with so many scans."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (64, 64), 90).save(buffer, "JPEG", progressive=scans > 1)
    data = buffer.getvalue()
    frame = data.index(b"\xff\xc2" if scans > 1 else b"\xff\xc0")
    data = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    if scans > 1:
        last = data.rindex(b"\xff\xda")
        data = data[:last] + data[last:-2] * scans + data[-2:]
    return data


def bmp_rle(width: int, height: int) -> bytes:
    """A run-length BMP of that size that ends at once."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 2, 2)
    palette = bytes(4) + b"\xff\xff\xff\0"
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + 2, 0, 0, start) + head + palette + b"\0\1"


def sparse(size: int, start: bytes = b"") -> Callable[[Path], object]:
    """A writer of a file of `size` bytes of which the disk holds none but its start."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def link_to(target: str) -> Callable[[Path], object]:
    """A writer of a link, such as to a device that never ends."""
    return lambda path: path.symlink_to(target)


def listening(path: Path) -> None:
    """A socket in a file's place."""
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def hdf5(path: Path, shape: tuple[int, ...], **options: Any) -> None:
    """A stack of that shape in which no pixel was ever written."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("image", shape, "u1", **options)


def packed_member(path: Path) -> None:
    """A model whose graph is packed, 1 GB when it is not."""
    block = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("model.onnx", "w", force_zip64=True) as member:
            for _ in range(1000):
                member.write(block)
        archive.writestr("card.json", "{}")
        archive.writestr("sha256", "{}")


def many_members(path: Path) -> None:
    """A model of so many empty members that their names alone take a hundred megabytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"")
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    entry = data[at : data.index(b"PK\x05\x06")]
    entries = entry * MANY
    zip64 = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, MANY, MANY, len(entries), at
    )
    end = struct.pack("<4sIQI", b"PK\x06\x07", 0, at + len(entries), 1)
    last = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(data[:at] + entries + zip64 + end + last)


def parquet_of_one_value(path: Path) -> None:
    """A table of 40 million rows in some kilobytes."""
    import polars as pl

    pl.select(image=pl.repeat("a.png", 40 * MANY)).write_parquet(path)


def written(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """A writer of what `content` makes when it is asked."""
    return lambda path: path.write_bytes(content())


PICTURES = (
    HostileFile(
        "tiff.tif",
        "picture",
        "156 bytes, 100,000 x 100,000",
        written(lambda: tiff(SIDE, SIDE, 1, b"\0\0")),
    ),
    HostileFile(
        "deflate.tif",
        "picture",
        "deflate, 60,000 x 60,000, and holds it",
        written(lambda: tiff(60_000, 60_000, 8, zeros_deflated(60_000**2))),
    ),
    HostileFile(
        "directories.tif", "picture", "a million pages", written(lambda: tiff_directories(MANY))
    ),
    HostileFile(
        "png.png",
        "picture",
        "69 bytes, 100,000 x 100,000",
        written(lambda: png(SIDE, SIDE, zlib.compress(b""))),
    ),
    HostileFile(
        "whole.png",
        "picture",
        "60,000 x 60,000, and holds it",
        written(lambda: png(60_000, 60_000, zeros_deflated(60_001 * 60_000))),
    ),
    HostileFile(
        "text.png",
        "picture",
        "a note that inflates to 3 GB",
        written(
            lambda: png(
                1,
                1,
                zlib.compress(bytes(2)),
                png_chunk(b"zTXt", b"a\0\0" + zeros_deflated(3 << 30)),
            )
        ),
        refused=False,
    ),
    HostileFile(
        "more.png",
        "picture",
        "one pixel, and pixels of 3 GB",
        written(lambda: png(1, 1, zeros_deflated(3 << 30))),
    ),
    HostileFile("jpeg.jpg", "picture", "65,500 x 65,500", written(lambda: jpeg(65_500, 65_500))),
    HostileFile(
        "scans.jpg",
        "picture",
        "2,000 scans of 200 x 200",
        written(lambda: jpeg(200, 200, 2000)),
    ),
    HostileFile(
        "rle.bmp",
        "picture",
        "run-length, 60,000 x 60,000",
        written(lambda: bmp_rle(60_000, 60_000)),
    ),
    HostileFile("pipe.png", "picture", "a pipe with nobody at its end", os.mkfifo),
    HostileFile("zero.png", "picture", "a device that never ends", link_to("/dev/zero")),
    HostileFile("socket.png", "picture", "a socket", listening),
    HostileFile("sparse.png", "picture", "1 TB", sparse(10**12, b"\x89PNG\r\n\x1a\n")),
    HostileFile("sparse.jpg", "picture", "1 TB", sparse(10**12, b"\xff\xd8\xff\xe0")),
    HostileFile("sparse.tif", "picture", "1 TB", sparse(10**12, b"II*\0\x08\0\0\0")),
)
SETS = (
    HostileFile(
        "stack.h5",
        "set",
        "49 million pictures, none stored",
        lambda path: hdf5(path, (49_000_000, 8, 8), chunks=(1, 8, 8)),
    ),
    HostileFile(
        "picture.h5",
        "set",
        "one picture of 2,000,000 x 2,000,000",
        lambda path: hdf5(path, (1, 2_000_000, 2_000_000), chunks=(1, 1024, 1024)),
    ),
    HostileFile("pipe.h5", "set", "a pipe", os.mkfifo),
    HostileFile("zero.csv", "set", "a device that never ends", link_to("/dev/zero")),
    HostileFile("pipe.parquet", "set", "a pipe", os.mkfifo),
    HostileFile("sparse.csv", "set", "1 TB", sparse(10**12, b"image,label\n")),
    HostileFile("rows.parquet", "set", "40 million rows in some kilobytes", parquet_of_one_value),
)
SPLITS = (
    HostileFile("zero.json", "split", "a device that never ends", link_to("/dev/zero")),
    HostileFile("pipe.json", "split", "a pipe", os.mkfifo),
    HostileFile("sparse.json", "split", "1 TB", sparse(10**12, b"{")),
    HostileFile(
        "deep.json", "split", "a million levels", written(lambda: b"[" * MANY + b"]" * MANY)
    ),
)
MODELS = (
    HostileFile("zero.blemish", "model", "a device that never ends", link_to("/dev/zero")),
    HostileFile("pipe.blemish", "model", "a pipe", os.mkfifo),
    HostileFile("sparse.blemish", "model", "1 TB", sparse(10**12, b"PK\x03\x04")),
    HostileFile("packed.blemish", "model", "a graph that inflates to 1 GB", packed_member),
    HostileFile("members.blemish", "model", "a million members", many_members),
)
FILES = (*PICTURES, *SETS, *SPLITS, *MODELS)

# What opens a file of each kind, as code of the process that is measured; `path` is the file's, and
# `sound` that of a file of the kind that opens.
OPENERS = {
    "picture": "from blemish.images import read_image as opens",
    "set": "from blemish import open_dataset as opens",
    "split": """
from pathlib import Path
from blemish import open_dataset
def opens(path):
    open_dataset(Path(path).parent / "sound.csv", split=Path(path))
""",
    "model": "from blemish import Inspector\nopens = Inspector.open",
}
MEASURED = """
import json, resource, sys, time
from blemish.errors import BlemishError
{opener}
from blemish.images import read_image
read_image(sys.argv[2])
try:
    opens(sys.argv[1] + ".none")  # imports what opening imports
except BlemishError:
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    opens(sys.argv[1])
    said = None
except BlemishError as error:
    said = str(error)
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"said": said, "seconds": seconds, "mb": (after - before) / 1024}}))
"""


def write_sound(folder: Path) -> None:
    """A picture, and a table of it, that open."""
    (folder / "sound.png").write_bytes(png(8, 8, zlib.compress(bytes(72))))
    (folder / "sound.csv").write_text("image,label\nsound.png,good\n", encoding="utf-8")


def refusal_of(file: HostileFile, folder: Path) -> dict[str, Any]:
    """What the refusal of a file costs in a process of its own, and what it says."""
    path = folder / file.name
    file.write(path)
    write_sound(folder)
    code = MEASURED.format(opener=OPENERS[file.kind])
    sound = folder / "sound.png"
    found: dict[str, Any] = json.loads(run_child(["-c", code, path, sound], {}).output)
    if path.is_file() and path.is_symlink() is False:
        found["bytes"] = path.stat().st_size
    path.unlink()
    return found


def _is_right(file: HostileFile, found: dict[str, Any]) -> bool:
    return file.refused == (found["said"] is not None)


def table(found: dict[str, dict[str, Any]]) -> str:
    """The refusals as a table of the docs."""
    lines = ["| file | declares | seconds | MB |", "|---|---|---|---|"]
    for file in FILES:
        one = found[file.name]
        lines.append(
            f"| {file.name} | {file.declares} | {one['seconds']:.2f} | {one['mb']:.0f} |"
            + ("" if _is_right(file, one) else " **opened**")
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="print a table instead")
    parser.add_argument("--only", metavar="NAME", help="this file alone")
    options = parser.parse_args()
    chosen = [file for file in FILES if options.only in (None, file.name)]
    with tempfile.TemporaryDirectory() as folder:
        found = {file.name: refusal_of(file, Path(folder)) for file in chosen}
    if options.table:
        print(table(found))
        return
    print_line(
        "hostile_files",
        {
            "seconds": max(one["seconds"] for one in found.values()),
            "mb": max(one["mb"] for one in found.values()),
            "wrong": sum(not _is_right(file, found[file.name]) for file in chosen),
            "files": found,
        },
    )


if __name__ == "__main__":
    main()
