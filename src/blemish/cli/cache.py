"""`blemish cache`: the features kept on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "show or clear the features kept on disk"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("action", choices=("show", "clear"))
    parser.add_argument(
        "--cache", metavar="DIR", type=Path, help="default: the user's cache folder"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Show what is kept, or delete it."""
    import time

    from blemish.features import cache

    folder = options.cache or cache.default_folder()
    if options.action == "clear":
        freed = cache.clear(folder)
        shared.write_json({"folder": str(folder), "freed": freed}, options.json)
        if options.json != "-":
            print(f"{folder}: {freed / 2**20:.0f} MiB freed")
        return 0
    kept = [
        {"shelf": path.name, "bytes": size, "days_unused": (time.time() - used) / 86400}
        for path, size, used in cache.shelves(folder)
    ]
    total = sum(size for _, size, _ in cache.shelves(folder))
    shared.write_json(
        {"folder": str(folder), "bytes": total, "limit": cache.DEFAULT_LIMIT, "shelves": kept},
        options.json,
    )
    if options.json != "-":
        limit = cache.DEFAULT_LIMIT / 2**20
        print(f"{folder}: {total / 2**20:.0f} MiB in {len(kept)} shelves, limit {limit:.0f} MiB")
    return 0
