"""Arguments that choose the generator of synthetic defects, and its source images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.errors import DatasetError

if TYPE_CHECKING:
    from blemish.dataset import Dataset
    from blemish.synthesis.base import Generator


def add_generator(parser: argparse.ArgumentParser) -> None:
    """Add the generator, its preset, settings and sources, and the seed."""
    parser.add_argument(
        "--generator",
        metavar="NAME",
        required=True,
        help="or a .py file; a name that is none lists them all",
    )
    parser.add_argument("--preset", metavar="P", help="settings by name")
    shared.add_settings(parser, "generator")
    parser.add_argument(
        "--sources", metavar="DIR", type=Path, help="images to take pieces or textures from"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0)


def generator_of(
    options: argparse.Namespace, own: Dataset | None
) -> tuple[Generator, dict[str, Any]]:
    """The generator and its entries in a manifest, with its file where that is from outside.

    A generator that cuts pieces from the same product (CutPaste) takes them from the good training
    images in `own`, unless the options name other sources.
    """
    from blemish.images import image_files
    from blemish.synthesis import GENERATORS, of_same_product, open_generator, settings_of

    sources: list[Path] = []
    named = "none"
    if options.sources is not None:
        shared.tell_left_out([options.sources])
        sources, named = image_files(options.sources), str(options.sources)
        if not sources:
            raise DatasetError(f"{options.sources} holds no image; name a folder of sources.")
    elif own is not None and of_same_product(options.generator):
        sources, named = own.good().split("train").images, "good training images"
    generator = open_generator(
        options.generator, shared.settings(options), preset=options.preset, sources=sources
    )
    source = GENERATORS.source(options.generator)
    told = {
        "generator": source.label,
        **({"outside": source.record()} if source.outside else {}),
        "preset": options.preset,
        "settings": settings_of(generator),
        "sources": named,
    }
    return generator, told


def folder_name(options: argparse.Namespace) -> str:
    """What files and folders of the generator's defects are called."""
    from blemish.dataset.file_names import kind_folders
    from blemish.synthesis import GENERATORS

    stem = GENERATORS.source(options.generator).stem
    return kind_folders([stem])[stem]
