"""Open files that are files; write them so that the old or the new one is there, whole.

And nowhere else: a name that came from a file's content becomes a path through `inside` alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import IO

from blemish.errors import ArtifactError, BlemishError
from blemish.util.file_limit import refusal
from blemish.util.leftovers import beside, lock, sweep

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_LONGEST = 200  # bytes of a name that a suffix and more may still follow; a file system takes 255
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# NUL, a back-slash, a drive, or a step that is empty or made of dots and the spaces that Windows
# drops: `..`, a slash at the start, `//`.
_LEADS_OUT = re.compile(r"[\\\x00]|^[A-Za-z]:|(?:^|/)[. ]*(?:/|$)")


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file for reading, without waiting for the other end of a pipe.

    Raises OSError, with a `strerror` to print, for what does not exist or is no regular file, and
    for a name that no file can have.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except ValueError:  # NUL in the name, or half a pair of surrogates
        raise OSError(errno.EINVAL, "no file can have this name") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
        raise OSError(errno.EINVAL, f"it is {what}, no file")
    return os.fdopen(descriptor, "rb")


def open_within_limit(path: str | os.PathLike[str], growth: int = 1) -> BufferedReader:
    """As `open_regular`, and OSError for a file of which use takes more than the file limit.

    `growth` is how many bytes of memory that is for each of its own.
    """
    file = open_regular(path)
    refused = refusal(growth * os.fstat(file.fileno()).st_size)
    if refused is not None:
        file.close()
        raise OSError(errno.EFBIG, f"it {refused}")
    return file


def read_regular(path: str | os.PathLike[str], growth: int = 1) -> bytes:
    """The bytes of a file. Raises OSError as `open_within_limit`."""
    with open_within_limit(path, growth) as file:
        return file.read()


def digest_regular(path: str | os.PathLike[str]) -> bytes:
    """The sha256 of a file. Raises OSError as `open_within_limit`."""
    with open_within_limit(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def leads_out(name: str) -> bool:
    """True for text that is no plain way down from a folder, with forward slashes, to a file.

    By the rules of all systems at once, so that a name is refused on each or on none; only the
    names of devices, such as `CON`, are left to Windows.
    """
    if _LEADS_OUT.search(name):
        return True
    if os.name == "nt" and any(_DEVICE.fullmatch(step) for step in name.split("/")):
        return True
    return not name.isascii() and not _is_encodable(name)


def inside(root: Path, name: str) -> Path:
    """`root / name`, for a name that came from a file's content.

    Raises BlemishError for one that leads out of `root`, by itself or through a link in it.
    """
    if leads_out(name):
        raise BlemishError(f"{name!r} is no name for a file below {root}; rename it")
    path = root / name
    if not lies_in(os.path.realpath(path), os.path.realpath(root)):
        raise BlemishError(
            f"{path} is reached through a link that leads out of {root}; remove the link, or "
            "choose another place"
        )
    return path


def lies_in(path: str, folder: str) -> bool:
    """Whether a real path is that of a folder, or of something below it."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether what lies in a folder is one itself; a link that leads in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether what lies in a folder is a file; a link that leads in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def harmless(name: str) -> str:
    """A name made one step that every system can hold.

    Without separators, control characters, a leading dot, an end that Windows drops, or the name of
    a device. One of more than 200 bytes ends in a piece of its hash instead.
    """
    plain = _FORBIDDEN.sub("_", name).rstrip(". ")
    if not plain or plain.startswith(".") or _DEVICE.fullmatch(plain):
        plain = f"_{plain}"
    if len(plain.encode()) <= _LONGEST:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_cut(plain, _LONGEST - 9)}-{digest}"


def _cut(name: str, most: int) -> str:
    """The start of a name, of at most so many bytes in UTF-8."""
    return name.encode()[:most].decode("utf-8", "ignore")


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a pair of surrogates, as JSON can hold
        return False
    return True


class replacing(contextlib.AbstractContextManager[IO[bytes]]):  # noqa: N801 - reads as a verb
    """Write beside `path`, flush to the disk, then take its place; on an error nothing changes.

    What a killed process left in that folder goes first (see `leftovers`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> IO[bytes]:
        """Open the file beside the old one."""
        try:
            _refuse_no_file(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.path.parent)
            self._temporary, self._file = _new_file(self.path)
        except OSError as error:
            raise _refusal(self.path, error) from error
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Replace the old file, or remove the new one."""
        try:
            if error is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            if error is None and os.name != "nt":  # while it is locked: nobody takes it away
                self._temporary.replace(self.path)
            self._file.close()
            if error is None and os.name == "nt":
                self._temporary.replace(self.path)
        except OSError as failure:
            error = failure
        if error is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _refusal(self.path, error) from error


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Fill a new folder beside `folder`, then give it that name; on an error nothing is left.

    Raises ArtifactError when `folder` cannot be written, or holds something by then.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (. has no name)
    temporary = beside(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        temporary.mkdir()
        with _locked(temporary):
            yield temporary
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
    except OSError as error:
        raise _refusal(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: the last one named takes its place last.

    All of them are on the disk, beside their places, before the first takes its own: a full disk
    leaves the old ones. Raises ArtifactError as `replacing`.
    """
    with contextlib.ExitStack() as stack:
        # An exit stack closes backwards, and each takes its place when it is closed.
        for path, data in reversed(list(files.items())):
            file = stack.enter_context(replacing(path))
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise _refusal(path, error) from error


def _new_file(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside `path`, open and locked."""
    while True:
        temporary = beside(path)
        file = temporary.open("xb")
        if lock(file.fileno()) and temporary.exists():
            return temporary, file
        file.close()  # another process took it for left over, in the moment before it was locked


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    if os.name == "nt":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _refuse_no_file(path: Path) -> None:
    """Raise OSError for a place that a file must not take, such as that of /dev/null."""
    if not path.name:
        raise OSError(errno.EISDIR, "it is a folder")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.EINVAL, "it is a pipe, a device or a socket, no file")


def _refusal(path: Path, error: OSError) -> ArtifactError:
    if error.errno == errno.ENOSPC:
        reason = "the disk is full; free some space"
    elif isinstance(error, PermissionError) and path.exists():
        reason = (
            f"{error.strerror or error}; close it where it is open, such as in a spreadsheet, or "
            "choose another place"
        )
    else:
        reason = f"{error.strerror or error}; choose another place"
    return ArtifactError(f"{path} could not be written: {reason} (what was there before is intact)")


def is_disk_full(error: BaseException) -> bool:
    """True where an error, or one that led to it, is that of a full disk."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno == errno.ENOSPC:
            return True
        chain = chain.__cause__ or chain.__context__
    return False
