"""The files that a table or an annotation names, as they are spelt on disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.paths import below, listing, match_key
from blemish.errors import DatasetError
from blemish.util.names import escaped


def find_files(
    source: Path, names: pl.Series, root: Path, base: Path | None = None, *, folders: bool = False
) -> pl.Series:
    """The paths that `source` names, relative to `base` (else `root`), made relative to `root`.

    Nulls stay; with `folders` a name may be that of a folder; what is no name is `escaped`. Raises
    DatasetError for what lies outside `root`, itself or through a link, and for what does not
    exist.
    """
    base = root if base is None else base
    written = names.drop_nulls().to_list()
    inside = below(root, base, written)
    outside = [w for w, i in zip(written, inside, strict=True) if i is None]
    if outside:
        raise DatasetError(
            f"{source} names files outside {root}: {name_some(outside)}; move them into that "
            "folder, or remove their rows."
        )
    spelt = iter(_spelt([name for name in inside if name is not None], source, root, folders))
    values = [None if name is None else escaped(next(spelt)) for name in names]
    return pl.Series(names.name, values, pl.String)


def _spelt(names: list[str], source: Path, root: Path, folders: bool) -> list[str]:
    """The names as they are on disk, where letters may be composed in another way.

    Blanks around a name belong to it only where there is a file of that very name.
    """
    trimmed = [name.strip() for name in names if name != name.strip()]
    on_disk = set(listing(root, [*names, *trimmed], folders=folders))
    if trimmed:
        names = [name if name in on_disk else name.strip() for name in names]
    unlike = {name for name in names if name not in on_disk}
    if not unlike:
        return names
    keys = {match_key(name): name for name in on_disk}
    missing = [name for name in dict.fromkeys(names) if match_key(name) not in keys]
    if missing:
        raise DatasetError(
            f"{source} names files that do not exist ({len(missing)}): {name_some(missing, 10)}; "
            f"put them into {root}, or remove their rows."
        )
    return [keys[match_key(name)] if name in unlike else name for name in names]
