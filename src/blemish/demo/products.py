"""The two products of the demonstration, and where their pictures come from."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from blemish.dataset import open_dataset
from blemish.demo.job import Product
from blemish.demo.steel_plate_set import SplitSizes, draw_plates
from blemish.detectors.base import ShowProgress
from blemish.errors import DatasetError


def solar_cells() -> Product:
    """The monocrystalline cells of the package `elpv-dataset`.

    Raises DatasetError where it is not installed.
    """
    spec = find_spec("elpv_dataset")  # not imported: its import reads nothing we need
    if spec is None or spec.origin is None:
        raise DatasetError(
            "the solar cells are not installed; get them with pip install 'blemish[demo]', or use "
            "--synthetic, which draws its own pictures."
        )
    data = open_dataset(Path(spec.origin).parent / "data", layout="elpv", category="mono")
    return Product(
        replace(data, name="Solar cells (ELPV, monocrystalline)"),
        one="solar cell",
        many="solar cells",
        defective="with cracks or dead areas",
    )


def drawn_plates(
    folder: Path, counts: SplitSizes | None = None, *, progress: ShowProgress | None = None
) -> Product:
    """Metal plates, drawn into `folder`. Raises DatasetError if that holds something else."""
    data = open_dataset(draw_plates(folder, counts, progress=progress), layout="mvtec")
    return Product(
        replace(data, name="Metal plates (drawn)"),
        one="plate",
        many="plates",
        defective="with a scratch, a dent, a stain or missing print",
    )
