"""Write files so that at any moment either the old or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from blemish.errors import ArtifactError


class replacing(contextlib.AbstractContextManager[IO[bytes]]):  # noqa: N801 - reads as a verb
    """Write beside `path`, flush to the disk, then take its place; on an error nothing changes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> IO[bytes]:
        """Open the file beside the old one."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = _beside(self.path)
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise _refusal(self.path, error) from error
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Replace the old file, or remove the new one."""
        try:
            if error is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if error is None:
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
    temporary = _beside(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise _refusal(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def _refusal(path: Path, error: OSError) -> ArtifactError:
    if error.errno == errno.ENOSPC:
        reason = "the disk is full; free some space"
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
