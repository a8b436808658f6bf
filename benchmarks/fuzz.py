"""Damaged pictures, models and tables by the thousand; prints one line of JSON.

    python benchmarks/fuzz.py [--pictures 10000] [--models 2000] [--tables 1000] [--seed 0]

Every one must open or be refused with a BlemishError, within two seconds. Of pictures it is counted
too how many were read with other pixels than they had: none of a format that can tell. Those that
were read with the same pixels were damaged in what nobody needs, such as a note. A model that opens
inspects a picture; what it answers otherwise than the sound one is counted.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import io
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from measuring import ROOT, print_line

sys.path.insert(0, str(ROOT / "tests"))  # whose generators of damaged files are used here

SLOW = 2.0  # seconds
HANG = 120  # seconds, after which the process ends and says where it is
SIDE = 96
ZEROS = 512  # bytes that a bad sector or a lost block leaves

# Formats as Pillow writes them, and whether they have a checksum of their pixels.
FORMATS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "PNG": ("PNG", {}, True),
    "JPEG": ("JPEG", {"quality": 92}, False),
    "JPEG, progressive": ("JPEG", {"quality": 92, "progressive": True}, False),
    "BMP": ("BMP", {}, False),
    "TIFF, not packed": ("TIFF", {}, False),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}, True),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}, False),
    "TIFF, PackBits": ("TIFF", {"compression": "packbits"}, False),
    "TIFF, zstd": ("TIFF", {"compression": "zstd"}, False),
    "TIFF, lzma": ("TIFF", {"compression": "lzma"}, True),
}


class Tally:
    """What became of the files of one kind."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.faults: list[str] = []

    def tries(self, name: str, opens: Callable[[], str]) -> None:
        """Open one file; `opens` returns what became of it where it was not refused."""
        from blemish.errors import BlemishError

        faulthandler.dump_traceback_later(HANG, exit=True)
        start = time.perf_counter()
        try:
            outcome = opens()
        except BlemishError as error:
            outcome = "refused"
            if "\n" in str(error):
                self.faults.append(f"{name}: a refusal of several lines")
        except BaseException as error:  # a panic of a library is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = "traceback"
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.faults.append(f"{name}: {type(error).__name__} at {last.filename}:{last.lineno}")
        seconds = time.perf_counter() - start
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, seconds)
        self.outcomes[outcome] += 1
        if seconds > SLOW:
            self.outcomes["slow"] += 1
            self.faults.append(f"{name}: {seconds:.1f} s")

    @property
    def figures(self) -> dict[str, Any]:
        """The counts, the slowest one's seconds, and the first faults."""
        return {
            "tried": sum(self.outcomes.values()) - self.outcomes["slow"],
            **self.outcomes,
            "slowest": round(self.slowest, 3),
            "faults": self.faults[:5],
        }


def pictures() -> dict[str, NDArray[np.uint8]]:
    """A smooth picture and a noisy one, grey and coloured."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:SIDE, : SIDE + 20]
    smooth = (128 + 60 * np.sin(columns / 9) + 50 * np.cos(rows / 7)).astype(np.uint8)
    noisy = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    both = {"smooth": smooth, "noisy": noisy}
    grey = {f"{name}, grey": pixels for name, pixels in both.items()}
    colour = {f"{n}, RGB": np.dstack([p, p[::-1], 255 - p]) for n, p in both.items()}
    return grey | colour


def pixel_bytes(data: bytes) -> range:
    """Where the pixels lie in a file; all of it but for a TIFF, whose directory has no checksum."""
    with Image.open(io.BytesIO(data)) as image:
        tags = getattr(image, "tag_v2", None)
        if tags is None:
            return range(len(data))
        starts, sizes = tags[273], tags[279]
        return range(min(starts), max(map(sum, zip(starts, sizes, strict=True))))


def damaged(data: bytes, dice: random.Random) -> tuple[str, bytes]:
    """The bytes of a file damaged in one way among those of its pixels, and the way."""
    way = dice.choice(
        ["a flipped bit", "zeros", "cut off", "a byte more", "a block twice", "noise"]
    )
    changed = bytearray(data)
    place = pixel_bytes(data)
    at = dice.choice(place)
    if way == "a flipped bit":
        changed[at] ^= 1 << dice.randrange(8)
    elif way == "zeros":
        end = min(at + ZEROS, place.stop)
        changed[at:end] = bytes(end - at)
    elif way == "cut off":
        del changed[at:]
    elif way == "a byte more":
        changed.insert(at, dice.randrange(256))
    elif way == "a block twice":
        changed[at:at] = changed[at : at + 64]
    else:
        end = min(at + 16, place.stop)
        changed[at:end] = dice.randbytes(end - at)
    return way, bytes(changed)


def damaged_pictures(count: int, seed: int, folder: Path) -> Iterator[tuple[str, Tally]]:
    """Each format with what became of its pictures."""
    from blemish.images import read_image

    path = folder / "picture"
    for name, (kind, options, _) in FORMATS.items():
        tally = Tally()
        sound = []
        for pixels in pictures().values():
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, kind, **options)
            path.write_bytes(buffer.getvalue())
            sound.append((buffer.getvalue(), read_image(path)))
        for number in range(count // len(FORMATS)):
            dice = random.Random(f"{seed} {name} {number}")
            data, pixels = dice.choice(sound)
            way, bent = damaged(data, dice)
            if bent == data:
                continue
            path.write_bytes(bent)

            def opens(pixels: NDArray[Any] = pixels) -> str:
                return "same pixels" if np.array_equal(read_image(path), pixels) else "other pixels"

            tally.tries(f"{name}, {way}, {seed} {number}", opens)
        yield name, tally


def bent_models(count: int, seed: int, folder: Path) -> Iterator[tuple[str, Tally]]:
    """Models with what became of them, by the kind of their bend."""
    from blemish.inspector import Inspector

    models = importlib.import_module("hostile_models")
    sound = ROOT / "tests" / "fixtures" / "old" / "models" / "padim.blemish"
    path = folder / "model.blemish"
    picture = pictures()["noisy, RGB"]
    expected = Inspector.open(sound).inspect(picture)
    tallies = {kind: Tally() for kind in sorted(models.KINDS)}
    for number in range(count):
        bent = models.mutant(sound.read_bytes(), seed * count + number)
        path.write_bytes(bent.data)

        def opens() -> str:
            verdict = Inspector.open(path).inspect(picture)
            same = (verdict.decision, verdict.score) == (expected.decision, expected.score)
            return "same answer" if same else "other answer"

        tallies[bent.kind].tries(f"{bent.kind}, {number}", opens)
    yield from tallies.items()


def damaged_inputs(count: int, seed: int, folder: Path) -> Iterator[tuple[str, Tally]]:
    """Tables, notes, recipes, arrays and HDF5 sets with what became of them."""
    inputs = importlib.import_module("damaged_inputs")
    for name, reader in inputs.INPUTS.items():
        tally = Tally()
        place = folder / name
        place.mkdir()
        path = reader.sound(place)
        data = path.read_bytes()
        for number in range(-(-count // len(inputs.INPUTS))):
            path.write_bytes(inputs.damaged(data, np.random.default_rng([seed, number])))

            def opens() -> str:
                reader.read(path)  # noqa: B023 - called at once
                return "read"

            tally.tries(f"{name}, {seed} {number}", opens)
        yield name, tally


def summed(tallies: dict[str, Tally]) -> dict[str, Any]:
    """The figures of all kinds together, and of each."""
    whole = Tally()
    for tally in tallies.values():
        whole.outcomes += tally.outcomes
        whole.slowest = max(whole.slowest, tally.slowest)
        whole.faults += tally.faults
    each = {name: tally.figures for name, tally in tallies.items()}
    return {**whole.figures, "each": each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=2_000)
    parser.add_argument("--tables", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "pictures": summed(dict(damaged_pictures(options.pictures, options.seed, folder))),
            "models": summed(dict(bent_models(options.models, options.seed, folder))),
            "tables": summed(dict(damaged_inputs(options.tables, options.seed, folder))),
        }
    silent = sum(
        found["pictures"]["each"][name].get("other pixels", 0)
        for name, (_, _, can_tell) in FORMATS.items()
        if can_tell
    )
    tracebacks = sum(one.get("traceback", 0) for one in found.values())
    slow = sum(one.get("slow", 0) for one in found.values())
    print_line("fuzz", {"tracebacks": tracebacks, "slow": slow, "missed": silent, **found})


if __name__ == "__main__":
    main()
