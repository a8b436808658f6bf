"""Wall time of `blemish demo` on real solar cells, cold cache; prints one line of JSON."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import absent, data_set, print_line, run_blemish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synthetic", action="store_true", help="drawn parts instead of real ones")
    options = parser.parse_args()
    if data_set("elpv") is None and not options.synthetic:
        print_line("demo", {"skipped": absent("elpv")})
        return
    kind = ["--synthetic"] if options.synthetic else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = run_blemish(["demo", "--out", folder / "demo", *kind], folder / "cache")
    print_line("demo", {"synthetic": options.synthetic, **child.cost})


if __name__ == "__main__":
    main()
