"""Training PatchCore on magnetic_tile with a bank of 1 % and of 10 % of all patches, cold cache.

Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from measuring import absent, data_set, print_line, run_blemish


def measure(data: Path, share: float, folder: Path) -> dict[str, float | None]:
    """Seconds, peak memory and size of one training."""
    model = folder / f"{share:g}.blemish"
    settings = ["--detector", "patchcore", "--set", f"coreset={share:g}"]
    child = run_blemish(
        ["train", data, "-o", model, *settings, "--json", "-"], folder / f"cache{share:g}"
    )
    card = json.loads(child.output)
    return {
        **child.cost,
        "patches": card["fit"]["patches"],
        "bank": card["fit"]["bank"],
        "latency_ms": round(card["latency_ms"]["p50"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1])
    shares = parser.parse_args().shares
    data = data_set("magnetic_tile")
    if data is None:
        print_line("patchcore_coreset", {"skipped": absent("magnetic_tile")})
        return
    with tempfile.TemporaryDirectory() as name:
        figures = {f"{share:g}": measure(data, share, Path(name)) for share in shares}
    print_line("patchcore_coreset", figures)


if __name__ == "__main__":
    main()
