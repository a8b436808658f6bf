"""Which scribbles belong to which image, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from blemish.dataset.label_words import name_some
from blemish.dataset.layouts.mvtec import MASKS
from blemish.dataset.paths import match_key
from blemish.errors import DatasetError
from blemish.images import image_names

SUFFIX = "_scribbles"  # may follow the image's name


@dataclass(frozen=True)
class ScribbleMatches:
    """Images of a folder, by names relative to it, and the scribbles of those that have any.

    `lost` are scribbles without an image.
    """

    folder: Path
    images: tuple[str, ...]
    scribbles: dict[str, Path]
    lost: tuple[Path, ...]


def match_scribbles(images: Path, scribbles: Path, out: Path) -> ScribbleMatches:
    """Match the scribbles below a folder to the images below another.

    The names without their endings must be alike; of two paths, one must end with the other, so
    that `cut/000.png` is for `test/cut/000.jpg` and `000.png` for the only 000. Masks are no
    images: neither what lies in a folder `ground_truth` nor what lies in `out`.
    Raises DatasetError where no scribbles match, or one file matches several images or the reverse.
    """
    if scribbles.absolute() == images.absolute():
        raise DatasetError(
            f"{scribbles} holds the images too; put the scribbles into a folder of their own"
        )
    names = _images(images, (scribbles, out))
    drawn = image_names(scribbles)
    if not drawn:
        raise DatasetError(
            f"{scribbles} holds no scribbles; put a PNG for some of the images there"
        )
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(_steps(name)[-1], []).append(name)
    found: dict[str, Path] = {}
    lost: list[Path] = []
    for name in drawn:
        image = _image_of(name, by_stem, scribbles)
        if image is None:
            lost.append(scribbles / name)
        elif image in found:
            raise DatasetError(
                f"{found[image]} and {scribbles / name} are both scribbles for {images / image}; "
                "keep one of them"
            )
        else:
            found[image] = scribbles / name
    if not found:
        raise DatasetError(
            f"no scribbles in {scribbles} match an image in {images}: "
            f"{name_some([path.name for path in lost])}; name them like their images"
        )
    return ScribbleMatches(images, tuple(names), found, tuple(lost))


def _images(folder: Path, apart: Sequence[Path]) -> list[str]:
    """The images below a folder that are neither masks nor in one of the other folders."""
    home = folder.absolute()
    inside = [
        f"{other.absolute().relative_to(home).as_posix()}/"
        for other in apart
        if other.absolute() != home and other.absolute().is_relative_to(home)
    ]
    return [
        name
        for name in image_names(folder)
        if not name.startswith(tuple(inside)) and MASKS not in name.split("/")[:-1]
    ]


def _image_of(name: str, by_stem: dict[str, list[str]], scribbles: Path) -> str | None:
    steps = _steps(name)
    stems = dict.fromkeys((steps[-1], steps[-1].removesuffix(SUFFIX)))
    for stem in stems:
        path = (*steps[:-1], stem)
        fits = {image: _fit(_steps(image), path) for image in by_stem.get(stem, ())}
        best = max(fits.values(), default=(0, False))
        near = [image for image, fit in fits.items() if fit == best and fit[0]]
        if len(near) > 1:
            raise DatasetError(
                f"the scribbles {scribbles / name} may be for {name_some(near)}; put them into "
                "folders like those of the images"
            )
        if near:
            return near[0]
    return None


def _fit(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[int, bool]:
    """How many steps two paths share where one ends with the other, and whether that is all."""
    shorter = min(len(one), len(other))
    return (shorter if one[-shorter:] == other[-shorter:] else 0), one == other


def _steps(name: str) -> tuple[str, ...]:
    return PurePosixPath(match_key(name)).with_suffix("").parts
