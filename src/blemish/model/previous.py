"""The model that another one replaces, kept beside it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from blemish.errors import ArtifactError
from blemish.util.files import digest_regular, open_regular, replacing


@contextlib.contextmanager
def keeping(path: Path) -> Iterator[Path | None]:
    """Keep the model at `path` beside it, as NAME.<8 of its sha256>.blemish, while it is replaced.

    Gives the place; None where no file is there. Where what follows fails, nothing is kept, and
    the model is where it was. Raises ArtifactError where it cannot be kept.
    """
    if not path.is_file():
        yield None
        return
    try:
        digest = digest_regular(path).hex()[:8]
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    kept = path.with_name(f"{path.stem}.{digest}.blemish")
    known = kept.exists()
    if not known:
        with replacing(kept) as copy, open_regular(path) as file:
            shutil.copyfileobj(file, copy)
    try:
        yield kept
    except BaseException:
        if not known:
            kept.unlink(missing_ok=True)
        raise
