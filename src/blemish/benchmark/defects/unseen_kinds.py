"""Leave one kind of defect out of training: its recall when unseen, beside that when seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.benchmark.defects.curve import RUNS
from blemish.benchmark.defects.decisions import Decisions, decisions_of, share_interval
from blemish.benchmark.defects.experiment import Experiment, kinds_of
from blemish.benchmark.defects.rate_change import RateChange, rate_change
from blemish.benchmark.execute import Outcome, execute
from blemish.benchmark.runner import BenchProgress, BenchSummary, run_bench
from blemish.benchmark.runs import Job
from blemish.benchmark.store import Result
from blemish.dataset.splits import open_protocol
from blemish.errors import DatasetError

LEAVE_OUT = "leave_one_defect_out"


@dataclass(frozen=True, eq=False)
class LeaveOneKindOutPlan:
    """Jobs by draw: one per kind that is left out, and one per fold with all kinds."""

    kinds: tuple[str, ...]
    without: dict[str, list[list[Job]]]
    seen: list[list[Job]]

    def in_order(self) -> list[Job]:
        """All jobs, draw by draw."""
        return [
            job
            for draw, folds in enumerate(self.seen)
            for jobs in (folds, *(self.without[kind][draw] for kind in self.kinds))
            for job in jobs
        ]


@dataclass(frozen=True, eq=False)
class UnseenKind:
    """Decisions on the parts of one kind and on good ones, by models trained without and with it.

    `seen` is None until all folds are there.
    """

    kind: str
    unseen: Decisions
    seen: Decisions | None

    @property
    def change(self) -> RateChange | None:
        """The change of the kind's recall when it is in training."""
        return None if self.seen is None else rate_change(self.unseen, self.seen, "recall")

    def to_json(self) -> dict[str, Any]:
        """Recall of the kind, and false rejects, unseen and seen, and the change of the recall."""
        found = self.change
        return {
            "kind": self.kind,
            "unseen": _rates(self.unseen),
            "seen": None if self.seen is None else _rates(self.seen),
            "change": None if found is None else vars(found) | {"proven": found.proven},
        }


def plan_unseen(experiment: Experiment, folds: int = 5) -> LeaveOneKindOutPlan:
    """Plan one run without each kind, and a k-fold cross-validation with all kinds.

    Raises DatasetError for data that tell no kinds, and for fewer parts than folds.
    """
    open_protocol("k_fold", {"k": str(folds)})  # refuses a number that is none
    kinds = sorted({kind for of_part in kinds_of(experiment.data).values() for kind in of_part})
    if not kinds:
        raise DatasetError(
            f"{experiment.data.root} tells no kinds of defect, so that none can be left out; put "
            "each kind into a folder of its own, or its name into the column 'defect'"
        )
    without = {
        kind: [
            [experiment.job(f"without {kind}", LEAVE_OUT, (("defect", kind),), seed)]
            for seed in experiment.seeds
        ]
        for kind in kinds
    }
    taught = (("defects", "true"),)
    seen = [experiment.folds("all kinds", folds, taught, seed) for seed in experiment.seeds]
    return LeaveOneKindOutPlan(tuple(kinds), without, seen)


def make_unseen(
    experiment: Experiment,
    plan: LeaveOneKindOutPlan,
    folder: Path,
    *,
    workers: int = 1,
    budget: float | None = None,
    show: Callable[[BenchProgress], None] | None = None,
    execute: Callable[[Job], Outcome] = execute,
) -> tuple[list[UnseenKind], BenchSummary]:
    """Make the runs that `folder` does not hold yet, those that failed again, and read all back."""
    made = run_bench(
        plan.in_order(),
        folder / RUNS,
        workers=workers,
        budget=budget,
        show=show,
        retry=True,
        execute=execute,
    )
    return unseen_of(experiment, plan, made.results), made


def unseen_of(
    experiment: Experiment, plan: LeaveOneKindOutPlan, results: Sequence[Result]
) -> list[UnseenKind]:
    """The kinds whose runs are all there, the lowest recall of an unseen one first."""
    done = {result.key: result for result in results if result.status == "done"}
    kinds = kinds_of(experiment.data)
    good = set(experiment.data.good().parts) - set(kinds)
    seen = _whole(plan.seen, done)
    found = []
    for kind in plan.kinds:
        unseen = _whole(plan.without[kind], done)
        if unseen is not None:
            of_kind = good | {part for part, shown in kinds.items() if kind in shown}
            both = None if seen is None else seen.of(sorted(of_kind))
            found.append(UnseenKind(kind, unseen.of(sorted(of_kind)), both))
    return sorted(found, key=lambda one: (one.unseen.recall() or 0.0, one.kind))


def _whole(draws: Sequence[Sequence[Job]], done: dict[str, Result]) -> Decisions | None:
    """The decisions of all draws; None where a run is missing."""
    keys = [[job.run.key for job in jobs] for jobs in draws]
    if not all(key in done for of_draw in keys for key in of_draw):
        return None
    return decisions_of([[done[key] for key in of_draw] for of_draw in keys])


def _rates(found: Decisions) -> dict[str, Any]:
    caught, parts = found.caught()
    rejected, good = found.false_rejects()
    return {
        "parts": parts,
        "caught": caught,
        "recall": found.recall(),
        "recall_interval": share_interval(caught, parts),
        "good_parts": good,
        "false_rejects": rejected,
        "fpr": rejected / good if good else None,
        "fpr_interval": share_interval(rejected, good),
    }
