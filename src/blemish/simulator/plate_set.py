"""Write a set of simulated plates: scans, masks, and a table of the defects on them."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from blemish.errors import BlemishError, DatasetError
from blemish.simulator.folder import claim, seed_of, write_png
from blemish.simulator.modalities import checked
from blemish.simulator.simulate import SimulatedPlate, check_size, simulate_plate
from blemish.util.files import replacing
from blemish.util.progress import Progress, ShowProgress
from blemish.util.text_files import read_text

TABLE = "defects.csv"
COLUMNS = ("plate", "split", "kind", "group", "x", "y", "left", "top", "width", "height", "area")
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class PlateSet:
    """What is drawn: so many plates of a size in pixels, each with so many defects.

    The plates of a batch share a design, whether they train or test; no print is in both.
    """

    modality: str
    height: int = 6000
    width: int = 8000
    plates: int = 4
    test_plates: int = 2
    defects: int = 12
    batches: int = 1
    seed: int = 0

    def check(self) -> None:
        """Raise BlemishError for what cannot be drawn."""
        checked(self.modality)
        check_size(self.height, self.width)
        for what, least in (
            ("plates", 1), ("test_plates", 0), ("defects", 0), ("batches", 1), ("seed", 0),
        ):  # fmt: skip
            if getattr(self, what) < least:
                option = what.replace("_", "-")
                raise BlemishError(
                    f"--{option} is {getattr(self, what)}; it must be at least {least}"
                )


@dataclass(frozen=True)
class _Plate:
    split: str
    number: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.split}_{self.number:04}"

    def image(self, folder: Path) -> Path:
        return folder / self.split / f"{self.name}.png"


def write_plates(
    folder: Path, what: PlateSet, *, progress: ShowProgress | None = None
) -> list[dict[str, str]]:
    """Draw what is not drawn yet; the rows of the table of defects.

    A plate's image `train|test/PLATE.png` is written last, after its mask 0 or 255 under `masks/`
    and its rows in the table, so that an image that is there is done.
    Raises BlemishError for settings that cannot be, DatasetError for a folder of something else.
    """
    what.check()
    claim(folder, asdict(what))
    plates = _plates(what)
    finished = {plate.name for plate in plates if plate.image(folder).is_file()}
    rows = [row for row in _rows(folder / TABLE) if row["plate"] in finished]
    for done, plate in enumerate(plates):
        if progress:
            progress(Progress("drawing plates", done, len(plates)))
        if plate.name in finished:
            continue
        drawn = _drawn(what, plate)
        write_png(folder / "masks" / plate.split / f"{plate.name}.png", drawn.mask * np.uint8(255))
        rows += _described(plate, drawn)
        _write_table(folder / TABLE, rows)
        write_png(plate.image(folder), drawn.image)
    if progress:
        progress(Progress("drawing plates", len(plates), len(plates)))
    return rows


def _plates(what: PlateSet) -> list[_Plate]:
    """All plates, those of a batch one after the other, so that its design is drawn once."""
    plates = [
        _Plate(split, number + 1, number * what.batches // count)
        for split, count in zip(_SPLITS, (what.plates, what.test_plates), strict=True)
        for number in range(count)
    ]
    return sorted(plates, key=lambda plate: plate.batch)


def _drawn(what: PlateSet, plate: _Plate) -> SimulatedPlate:
    return simulate_plate(
        seed_of(what.seed, 1, plate.batch),
        seed_of(what.seed, 2 + _SPLITS.index(plate.split), plate.number),
        what.modality,
        what.height,
        what.width,
        what.defects,
    )


def _described(plate: _Plate, drawn: SimulatedPlate) -> list[dict[str, str]]:
    return [
        {
            "plate": plate.name,
            "split": plate.split,
            "kind": found.kind,
            "group": found.group,
            "x": f"{found.centre[1]:.1f}",
            "y": f"{found.centre[0]:.1f}",
            "left": str(found.window.left),
            "top": str(found.window.top),
            "width": str(found.window.width),
            "height": str(found.window.height),
            "area": str(found.area),
        }
        for found in drawn.defects
    ]


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    way_out = "draw the set into a new folder."
    try:
        reader = csv.DictReader(io.StringIO(read_text(table, way_out, growth=16), newline=""))
        rows = [dict(row) for row in reader]
        whole = all(None not in row.values() for row in rows)
        if whole and tuple(reader.fieldnames or ()) == COLUMNS:
            return rows
    except csv.Error:
        pass
    raise DatasetError(f"{table} was changed and cannot be read; {way_out}")


def _write_table(table: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(table) as file:
        file.write(text.getvalue().encode("utf-8"))
