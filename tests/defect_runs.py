"""Trainings that never were: a planted share of the defects is found, more with more real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from plates import save, save_good

from blemish.benchmark.code import this_machine
from blemish.benchmark.execute import Outcome
from blemish.benchmark.runs import Job
from blemish.benchmark.sources import open_category
from blemish.benchmark.store import Result, write_result
from blemish.dataset.splits import divide
from blemish.metrics.decision import confusion, oracle_f1_threshold

THRESHOLD = 0.5
SHAPE = (8, 9)


def defective_set(
    root: Path, *, good: int = 10, kinds: dict[str, int] | None = None, learnt: int = 0
) -> Path:
    """Good parts in train and test, and real defects: `learnt` of each kind in training."""
    save_good(root / "train/good", range(good), SHAPE)
    save_good(root / "test/good", range(100, 100 + good), SHAPE)
    for place, (kind, number) in enumerate((kinds or {"dent": 8, "scratch": 8}).items()):
        for i in range(number):
            side = "train" if i < learnt else "test"
            rng = np.random.default_rng(1000 * (place + 2) + i)
            pixels = rng.integers(0, 255, (*SHAPE, 3), np.uint8)
            save(root / side / kind / f"{i:03}.png", pixels)
    return root


def ease(part: str) -> float:
    """How easily a part is judged: a number from 0 to 1 that its name alone decides."""
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:4], "big") / 2**32


def execute(job: Job) -> Outcome:
    """A defective part is found where the real ones learnt from outnumber its difficulty.

    Of a kind that no part of training shows nothing is found.
    """
    run = job.run
    data = open_category(job.location, run.category)[0]
    sides = divide(data, str(run.split), run.seed, dict(run.split_settings)).data
    taught = sides.split("train").real()
    kinds = set(taught.table["defect"].drop_nulls())
    rows = sides.split("test").rows()
    scores = []
    for row in rows:
        found = row.defect in kinds and ease(row.part) < len(taught.parts) / 10
        rejected = found if row.label == "defective" else ease(row.part) < 0.05
        scores.append(0.7 + 0.1 * ease(row.part) if rejected else 0.3 * ease(row.part))
    labels = np.array([row.label == "defective" for row in rows])
    values = np.array(scores)
    arrays = {
        "image": np.array([row.image.name for row in rows]),
        "part": np.array([row.part for row in rows]),
        "view": np.array(["" for _ in rows]),
        "label": labels,
        "score": values,
        "localised": np.full(len(rows), -1, np.int8),
    }
    decided = {"threshold": THRESHOLD, "incomplete": 0}
    figures = {"decision": decided | confusion(values, labels, THRESHOLD).to_json()}
    if labels.any():
        best = oracle_f1_threshold(values, labels)
        figures["oracle_f1"] = confusion(values, labels, best).to_json()
    cost = {"train_seconds": 1.0, "evaluate_seconds": 0.1, "peak_rss_mb": None, "latency_ms": 1.0}
    return Outcome(None, figures, cost, arrays, this_machine())


def fails(job: Job) -> Outcome:
    """A training of no more than three real defects fails."""
    if dict(job.run.split_settings).get("taught", "9") <= "3":
        return Outcome("it was to fail", None, None, None, this_machine())
    return execute(job)


def results(jobs: Sequence[Job], folder: Path) -> list[Result]:
    """The results of all jobs, made in this process and written as a bench leaves them."""
    found = []
    for job in jobs:
        made = execute(job)
        values = (made.reason, job.run.code, made.figures, made.cost, made.machine)
        result = Result(job.run.key, job.run, "done", *values, "2026-01-01T00:00:00+00:00", folder)
        write_result(result, made.arrays)
        found.append(result)
    return found
