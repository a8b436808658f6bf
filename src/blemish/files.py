"""Write files so that at any moment either the old or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
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
            self._temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.part")
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise self._refusal(error) from error
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
                raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> ArtifactError:
        if error.errno == errno.ENOSPC:
            reason = "the disk is full; free some space"
        else:
            reason = f"{error.strerror or error}; choose another place"
        return ArtifactError(
            f"{self.path} could not be written: {reason} (a file that was there before is intact)"
        )
