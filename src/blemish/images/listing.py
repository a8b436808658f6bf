"""The image files under a folder, by their names alone."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from blemish.errors import DatasetError, ImageError
from blemish.images.formats import SUFFIXES as SUFFIXES
from blemish.util.files import is_folder, lies_in
from blemish.util.names import escaped, is_name, wrong_name

# Besides what the system's own table of file types calls an image.
_OTHER_PICTURES = frozenset(
    [
        *("webp", "avif", "heic", "heif", "hif", "jxl", "jxr", "wdp", "hdp", "gif", "apng"),
        *("jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm", "jls", "jpe", "jfif", "jif", "jfi"),
        *("pgm", "pbm", "ppm", "pnm", "pam", "pfm", "tga", "pcx", "sgi", "ras", "sun", "dib"),
        *("btf", "tf2", "tf8", "exr", "hdr", "pic", "dds", "ico", "psd", "psb", "xcf", "svg"),
        *("dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "srf", "orf", "rw2", "raf"),
        *("pef", "srw", "x3f", "raw", "3fr", "fff", "iiq", "kdc", "dcr", "mos", "mrw", "erf"),
        *("mef", "rwl", "gpr", "dcm", "dicom", "fits", "fit", "fts", "czi", "lsm", "nd2"),
    ]
)


def image_files(
    folder: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    any_name: bool = False,
) -> list[Path]:
    """List the image files under a folder, by suffix, in one order on every machine.

    Recursive; hidden files and folders (a leading dot) are skipped; a suffix in capitals counts.
    Links are followed. Raises DatasetError when there is no such folder, and for a link that leads
    out of `root`, which is the folder itself unless another is named, or back to where it lies; and
    for a name that is no text in UTF-8 or has control characters, unless `any_name`: it is then
    listed escaped, and cannot be opened (see `util.names`).
    """
    base = Path(folder)
    return [base / name for name in image_names(base, root, any_name=any_name)]


def image_names(
    folder: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    any_name: bool = False,
) -> list[str]:
    """The same files as text, relative to the folder and with forward slashes.

    Quick for 150,000 files: no Path and no stat for each.
    """
    found = [name for name in _files(Path(folder), root) if name.lower().endswith(SUFFIXES)]
    if not any_name and (wrong := [name for name in found if not is_name(name)]):
        raise DatasetError(wrong_name(Path(folder) / wrong[0]))
    # Sorted folder by folder: no character comes before the one that stands for the slash here.
    return sorted(map(escaped, found), key=lambda name: name.replace("/", "\0"))


def left_out(folder: str | os.PathLike[str]) -> dict[str, int]:
    """How many pictures under a folder are not read, by suffix in lower case without the dot.

    What cannot be listed, for its rights or for where its links lead, holds none.
    """
    counts: Counter[str] = Counter()
    with contextlib.suppress(DatasetError):
        for name in _files(Path(folder), Path(Path(folder).absolute().anchor)):
            before, dot, suffix = name.rpartition(".")
            if dot and before[-1:] not in ("", "/"):
                counts[suffix.lower()] += 1
    return {suffix: count for suffix, count in counts.items() if is_left_out(suffix)}


def left_out_sentence(counts: Mapping[str, int]) -> str | None:
    """How many pictures are left out, by their suffixes, and the way out; None for none."""
    if not counts:
        return None
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    each = ", ".join(f"{count} .{suffix}" for suffix, count in ordered)
    are, them = ("picture is", "it") if total == 1 else ("pictures are", "them")
    return f"{total} {are} not read ({each}): save {them} as PNG"


@cache
def is_left_out(suffix: str) -> bool:
    """True for a suffix of pictures, in lower case without the dot, that are not read."""
    if f".{suffix}" in SUFFIXES or not suffix.isalnum():
        return False
    kind = mimetypes.guess_type(f"picture.{suffix}", strict=False)[0] or ""
    return suffix in _OTHER_PICTURES or kind.startswith("image/")


def _files(base: Path, root: str | os.PathLike[str] | None) -> Iterator[str]:
    """Every file under a folder, as text relative to it; raises as `image_files`."""
    if not base.is_dir():
        raise DatasetError(f"{base} is not a folder; give the folder that holds the images")
    limit = os.path.realpath(base if root is None else root)
    refuse_leaving(base, limit)
    waiting: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while waiting:
        inside, links = waiting.pop()
        for entry in _entries(base / inside):
            name = inside + entry.name
            through = links
            if _is_link(entry):
                refuse_leaving(entry.path, limit)
                through = (*links, _without_circle(entry.path, links))
            if is_folder(entry):
                waiting.append((name + "/", through))
            else:
                yield name


def mask_files(mask: Path) -> list[Path]:
    """The files of one mask: the mask itself, or the images in it when it is a folder.

    Raises ImageError for a folder without an image.
    """
    if not mask.is_dir():
        return [mask]
    files = image_files(mask)
    if not files:
        raise ImageError(f"{mask} is a folder without an image; put the masks of its image into it")
    return files


def refuse_leaving(path: str | os.PathLike[str], limit: str) -> None:
    """Raise DatasetError when a link leads out of the folder `limit`, a real path."""
    if not lies_in(os.path.realpath(path), limit):
        raise DatasetError(
            f"{Path(path)} is a link that leads out of {limit}; put the files themselves there"
        )


def _without_circle(link: str, links: tuple[str, ...]) -> str:
    """The real folder that holds a link; DatasetError when the link leads back to it.

    `links` are the real folders of the links that were followed so far.
    """
    target, holder = os.path.realpath(link), os.path.realpath(Path(link).parent)
    if any(lies_in(place, target) for place in (*links, holder)):
        raise DatasetError(f"{Path(link)} is a link to a folder that holds it; remove the link")
    return holder


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed ({error.strerror}); check its rights"
        ) from error


def _is_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or (sys.version_info >= (3, 12) and entry.is_junction())
