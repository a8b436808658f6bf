"""`blemish synth preview`: a contact sheet of a generator's defects on images of good parts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.cli.synth import _shared as generators

if TYPE_CHECKING:
    from blemish.dataset import Dataset
    from blemish.synthesis.contact_sheet import Example

HELP = "look at synthetic defects before using them: a contact sheet"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    generators.add_generator(parser)
    parser.add_argument("--count", metavar="N", type=int, default=12, help="default: 12")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True)


def run(options: argparse.Namespace) -> int:
    """Draw, write DIR/NAME.png, and say how many defects can be seen."""
    import cv2
    import numpy as np

    from blemish.images import find_window
    from blemish.synthesis.contact_sheet import contact_sheet, examples, some
    from blemish.util.files import replacing
    from blemish.util.progress import Progress

    single = options.data.is_file() and options.data.suffix.lower() not in (
        ".csv",
        ".parquet",
        ".h5",
    )
    data = None if single else shared.open_data(options)
    generator, _ = generators.generator_of(options, data)
    images = [options.data] if data is None else _not_defective(data)
    images = some(images, count=options.count, seed=options.seed)
    line, visible = shared.ProgressLine(options), []

    def watched() -> Iterator[Example]:
        for number, example in enumerate(examples(images, generator, seed=options.seed), 1):
            visible.append(example.after.mask.any())
            line(Progress("drawing defects", number, options.count))
            yield example

    sheet = contact_sheet(watched(), find_window(set(images)))
    line.end()
    path = options.out / f"{generators.folder_name(options)}.png"
    with replacing(path) as file:
        file.write(np.asarray(cv2.imencode(".png", sheet[..., ::-1])[1]).tobytes())
    print(f"{path}: {options.count} images, {sum(visible)} with a visible defect")
    return 0


def _not_defective(data: Dataset) -> list[Path]:
    """The images that are good, or whose label is not known."""
    import polars as pl

    return data.where(pl.col("label").ne_missing("defective")).images


def _is_picture(path: Path) -> bool:
    """True for one image file, unlike a folder, a table or a stack."""
    from blemish.dataset.paths import is_image_file

    return path.is_file() and is_image_file(path.name)
