"""How often a promised false-reject rate is broken in simulation; prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import math

import numpy as np

from blemish.calibration.promise import Promise, calibrate

SIZES = (299, 473, 628, 1000, 3000)
PROMISE = Promise(0.01, 0.95)
# Tied scores are exponential ones rounded up to multiples of STEP. The third multiple is exceeded
# by 1.02 % of good parts: just more than promised, where ties are most likely to do harm.
STEP = -math.log(1.02 * PROMISE.max_fpr) / 3


def broken_share(n: int, draws: int, *, tied: bool) -> float:
    """Share of draws of n good scores whose threshold rejects more good parts than promised."""
    rng = np.random.default_rng(n)
    broken = 0
    for scores in rng.exponential(size=(draws, n)):
        held_out = np.ceil(scores / STEP) * STEP if tied else scores
        # Both kinds exceed a threshold of theirs with probability exp(-threshold).
        broken += math.exp(-calibrate(held_out, PROMISE).threshold) > PROMISE.max_fpr
    return broken / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    share = 1 - PROMISE.confidence
    shares = {
        kind: {str(n): broken_share(n, draws, tied=kind == "tied") for n in SIZES}
        for kind in ("continuous", "tied")
    }
    figures = {
        "benchmark": "promise",
        "draws": draws,
        "broken": shares,
        "allowed": round(share + 2 * math.sqrt(share * (1 - share) / draws), 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
