"""The image files under a folder, by their names alone."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

# Folders that storage, desktops and cameras keep beside the pictures: thumbnails, copies, bins.
SYSTEM_FOLDERS = frozenset(
    [
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", ".@__thumb"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
        *(".thumbnails", ".thumb", ".thumbs", ".trash", ".trashes", "lost+found", "~snapshot"),
        *(".snapshot", ".snapshots", ".zfs", ".appledouble", "__macosx", ".temporaryitems"),
        *(".spotlight-v100", ".fseventsd", ".picasaoriginals", ".dropbox.cache"),
    ]
)


@dataclass(frozen=True)
class FolderContents:
    """What lies under a folder, from one walk.

    `images` are names as of `image_names`, in no order; `left_out` counts pictures that are not
    read, by suffix; `skipped` counts pictures in `SYSTEM_FOLDERS`, by the folder's name;
    `like_pictures` are folders whose names end like that of an image.
    """

    images: Sequence[str] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    like_pictures: Sequence[str] = ()


def image_files(
    folder: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    any_name: bool = False,
) -> list[Path]:
    """List the image files under a folder, by suffix, in one order on every machine.

    Recursive; hidden files and folders (a leading dot) and `SYSTEM_FOLDERS` are skipped; a suffix
    in capitals counts.
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


def has_image(folder: str | os.PathLike[str]) -> bool:
    """True where an image file lies under the folder; raises DatasetError as `image_files`."""
    return any(name.lower().endswith(SUFFIXES) for name in _files(Path(folder), None))


def contents(folder: str | os.PathLike[str]) -> FolderContents:
    """What lies under a folder; nothing in what cannot be listed, for its rights or its links."""
    base = Path(folder)
    images: list[str] = []
    like_pictures: list[str] = []
    suffixes: Counter[str] = Counter()
    system: list[tuple[str, str]] = []
    with contextlib.suppress(DatasetError):
        for name in _files(base, Path(base.absolute().anchor), system, like_pictures):
            if name.lower().endswith(SUFFIXES):
                images.append(escaped(name))
                continue
            before, dot, suffix = name.rpartition(".")
            if dot and before[-1:] not in ("", "/"):
                suffixes[suffix.lower()] += 1
    left_out = {suffix: count for suffix, count in suffixes.items() if is_left_out(suffix)}
    skipped: Counter[str] = Counter()
    for name, path in system:
        skipped[name] += _pictures_in(path)
    return FolderContents(images, left_out, +skipped, list(map(escaped, like_pictures)))


def left_out(folder: str | os.PathLike[str]) -> Mapping[str, int]:
    """How many pictures under a folder are not read, by suffix in lower case without the dot.

    What cannot be listed, for its rights or for where its links lead, holds none.
    """
    return contents(folder).left_out


def left_out_sentence(counts: Mapping[str, int]) -> str | None:
    """How many pictures are left out, by their suffixes, and the way out; None for none."""
    if not counts:
        return None
    total, each = _counted(counts, " .")
    are, them = ("picture is", "it") if total == 1 else ("pictures are", "them")
    return f"{total} {are} not read ({each}): save {them} as PNG"


def skipped_sentence(counts: Mapping[str, int]) -> str | None:
    """How many pictures are skipped in folders of the system; None for none."""
    if not counts:
        return None
    total, each = _counted(counts, " in ")
    if len(counts) == 1:
        each = f"in {escaped(next(iter(counts)))}"
        return f"{total} {'picture' if total == 1 else 'pictures'} {each} {_are(total)} skipped"
    return f"{total} pictures in folders of the system are skipped ({each})"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _counted(counts: Mapping[str, int], between: str) -> tuple[int, str]:
    """The sum, and each count with its name, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return sum(counts.values()), ", ".join(f"{n}{between}{escaped(name)}" for name, n in ordered)


def is_system_folder(name: str) -> bool:
    """True for a folder that is never looked into: hidden, or of the system."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _pictures_in(folder: str) -> int:
    """The pictures of any kind under a folder, links not followed."""
    return sum(
        name.lower().endswith(SUFFIXES) or is_left_out(name.rpartition(".")[2].lower())
        for _, _, names in os.walk(folder)
        for name in names
    )


@cache
def is_left_out(suffix: str) -> bool:
    """True for a suffix of pictures, in lower case without the dot, that are not read."""
    if f".{suffix}" in SUFFIXES or not suffix.isalnum():
        return False
    kind = mimetypes.guess_type(f"picture.{suffix}", strict=False)[0] or ""
    return suffix in _OTHER_PICTURES or kind.startswith("image/")


def _files(
    base: Path,
    root: str | os.PathLike[str] | None,
    system: list[tuple[str, str]] | None = None,
    like_pictures: list[str] | None = None,
) -> Iterator[str]:
    """Every file under a folder, as text relative to it; raises as `image_files`.

    `system` takes the name and path of each folder of the system, `like_pictures` the folders that
    are named like a picture.
    """
    if not base.is_dir():
        raise DatasetError(f"{base} is not a folder; give the folder that holds the images")
    limit = os.path.realpath(base if root is None else root)
    refuse_leaving(base, limit)
    waiting: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while waiting:
        inside, links = waiting.pop()
        for entry in _entries(base / inside, system):
            name = inside + entry.name
            through = links
            if _is_link(entry):
                refuse_leaving(entry.path, limit)
                through = (*links, _without_circle(entry.path, links))
            if is_folder(entry):
                waiting.append((name + "/", through))
                if like_pictures is not None and name.lower().endswith(SUFFIXES):
                    like_pictures.append(name)
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


def _entries(
    folder: Path, system: list[tuple[str, str]] | None = None
) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_system_folder(entry.name):
                    yield entry
                elif (
                    system is not None
                    and entry.name.lower() in SYSTEM_FOLDERS
                    and entry.is_dir(follow_symlinks=False)
                ):
                    system.append((entry.name, entry.path))
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed ({error.strerror}); check its rights"
        ) from error


def _is_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or (sys.version_info >= (3, 12) and entry.is_junction())
