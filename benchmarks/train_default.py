"""Training the default detector on magnetic_tile with a cold cache; prints one line of JSON."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measuring import absent, data_set, print_line, run_blemish


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    data = data_set("magnetic_tile")
    if data is None:
        print_line("train_default", {"skipped": absent("magnetic_tile")})
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.blemish"
        cold = run_blemish(["train", data, "-o", model], folder / "cache")
        warm = run_blemish(["train", data, "-o", model], folder / "cache")
        figures = {
            **cold.cost,
            "with_features_cached": warm.cost,
            "model_mb": round(model.stat().st_size / 2**20, 1),
        }
    print_line("train_default", figures)


if __name__ == "__main__":
    main()
