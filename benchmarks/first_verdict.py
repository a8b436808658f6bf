"""A cold process: import, open a model, first verdict, end; prints one line of JSON.

Opening replays the model's golden picture, which is told apart: `seconds_replay`.
The models are of their usual size, with a bank of 2,000, learnt from a few generated pictures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from measuring import print_line, run_blemish, run_child
from pictures import write_plates

DETECTORS = ("padim", "duet")
COLD = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from blemish import inspector as module
imported = time.perf_counter()
replay, replays = module.replay, []
def timed(*given):
    began = time.perf_counter()
    replay(*given)
    replays.append(time.perf_counter() - began)
module.replay = timed
inspector = module.Inspector.open(sys.argv[1])
opened = time.perf_counter()
verdict = inspector.inspect(Path(sys.argv[2]))
seen = time.perf_counter()
import json
times = {
    "import": imported - start,
    "open": opened - imported - sum(replays),
    "replay": sum(replays),
    "verdict": seen - opened,
}
heavy = [name for name in ("torch", "polars") if name in sys.modules]
print(json.dumps({"decision": verdict.decision, "heavy_imports": heavy, "inside": times}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    figures: dict[str, Any] = {"runs": runs, "heavy_imports": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = write_plates(folder / "set", 12)
        for detector in DETECTORS:
            model = folder / f"{detector}.blemish"
            run_blemish(
                ["train", folder / "set", "-o", model, "--detector", detector], folder / "cache"
            )
            children = [run_child(["-c", COLD, model, images[0]], {}) for _ in range(runs)]
            said = [json.loads(child.output) for child in children]
            figures[detector] = {
                "seconds": round(statistics.median(child.seconds for child in children), 3),
                "seconds_worst": round(max(child.seconds for child in children), 3),
                **{
                    f"seconds_{step}": round(statistics.median(s["inside"][step] for s in said), 3)
                    for step in said[0]["inside"]
                },
                "peak_rss_mb": max(child.peak_rss_mb for child in children),
                "model_mb": round(model.stat().st_size / 2**20, 1),
            }
            figures["heavy_imports"] += len({name for s in said for name in s["heavy_imports"]})
    print_line("first_verdict", figures)


if __name__ == "__main__":
    main()
