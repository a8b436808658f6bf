"""Results of the bench with planted scores, written as a run leaves them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.benchmark.code import Code
from blemish.benchmark.runs import Pairs, Run
from blemish.benchmark.store import Result, write_result
from blemish.metrics.decision import confusion, oracle_f1_threshold
from blemish.metrics.image import auroc, bootstrap_auroc
from blemish.metrics.sample import sample_scores

OTHER_CODE = (
    "note: results shown are of other code than is installed: blemish 0.1 (0123456789abcdef)"
)
MACHINE = {"system": "Linux x86_64", "processor": "A CPU", "threads": 2}
GOOD = 40
DEFECTIVE = 40

Floats = npt.NDArray[np.float64]


def planted(strength: float, seed: int = 0, noise: float = 0.0) -> Floats:
    """Scores of 40 good and 40 defective images that the same hard images make difficult."""
    common = np.random.default_rng(99).normal(size=GOOD + DEFECTIVE)
    own = np.random.default_rng(seed).normal(size=GOOD + DEFECTIVE)
    return common + noise * own + strength * np.repeat([0.0, 1.0], [GOOD, DEFECTIVE])


def leave(
    folder: Path,
    detector: str,
    scores: Floats,
    *,
    protocol: str = "dev",
    data: str = "tire",
    category: str = "tire",
    variant: str = "",
    split: str | None = "pooled",
    split_settings: Pairs = (),
    settings: Pairs = (),
    seed: int = 0,
    views: int = 1,
    threshold: float = 2.0,
    code: str = "0123456789abcdef",
    method: str = "m" * 16,
    finished: str = "2026-01-01T00:00:00+00:00",
    machine: dict[str, Any] = MACHINE,
    failed: str | None = None,
    budget: float | None = None,
    fit: dict[str, float] | None = None,
) -> Result:
    """Write one result; `views` consecutive images are one part, the latter half are defective."""
    run = Run(
        *(protocol, data, category, variant, split, split_settings, detector, None, settings),
        *(None, "squash", None, seed, "images", None, budget),
    )
    key = f"{detector}-{data}-{category}-{variant}-{seed}-{code[:4]}".replace(" ", "_")
    key += "" if method == "m" * 16 else f"-{method[:4]}"
    key += "" if budget is None else f"-{budget:g}s"
    parts = np.array([f"part {i // views}" for i in range(len(scores))])
    labels = np.arange(len(scores)) >= len(scores) // 2
    figures, cost, arrays = None, None, None
    if failed is None:
        figures = evaluated(scores, labels, parts, threshold, views)
        cost = {
            "train_seconds": 10.0 + seed,
            "evaluate_seconds": 2.0,
            "peak_rss_mb": 500.0 + seed,
            "latency_ms": 30.0,
        }
        arrays = {
            "image": np.array([f"test/{i:03}.png" for i in range(len(scores))]),
            "part": parts,
            "view": np.array([str(i % views) for i in range(len(scores))]),
            "label": labels,
            "score": scores,
            "localised": np.full(len(scores), -1, np.int8),
        }
    status = "done" if failed is None else "failed"
    result = Result(
        *(
            key,
            run,
            status,
            failed,
            Code("0.1", code, method),
            figures,
            cost,
            machine,
            finished,
            folder,
            fit,
        )
    )
    write_result(result, arrays)
    return result


def evaluated(
    scores: Floats,
    labels: npt.NDArray[np.bool_],
    parts: npt.NDArray[np.str_],
    threshold: float,
    views: int,
) -> dict[str, Any]:
    """The figures of an evaluation that the tests look at."""
    samples = sample_scores(scores, parts, labels)
    oracle = oracle_f1_threshold(samples.scores, samples.labels)

    def at(threshold: float) -> dict[str, Any]:
        counts = confusion(samples.scores, samples.labels, threshold)
        return {"threshold": threshold if math.isfinite(threshold) else None, **counts.to_json()}

    sample = {
        "auroc": auroc(samples.scores, samples.labels),
        "auroc_interval": bootstrap_auroc(samples.scores, samples.labels, samples.parts),
    }
    return {
        "image": {
            "auroc": auroc(scores, labels),
            "auroc_interval": bootstrap_auroc(scores, labels, parts, draws=200),
        },
        "pixel": {"auroc": None, "aupro": None},
        "sample": sample if views > 1 else None,
        "decision": at(threshold),
        "oracle_f1": at(oracle),
    }
