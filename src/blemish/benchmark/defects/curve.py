"""The learning curve: recall, FPR and MCC against the real defective parts in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.benchmark.defects.curve_plan import CurvePlan, Step
from blemish.benchmark.defects.decisions import (
    Decisions,
    Interval,
    decisions_of,
    means,
    share_interval,
)
from blemish.benchmark.defects.experiment import Experiment, kinds_of
from blemish.benchmark.defects.rate_change import RateChange, in_words, rate_change
from blemish.benchmark.execute import Outcome, execute
from blemish.benchmark.runner import BenchProgress, BenchSummary, run_bench
from blemish.benchmark.runs import Job
from blemish.benchmark.store import Result
from blemish.report.words import percentage

RUNS = "runs"  # folder of the results, below that of the curve


@dataclass(frozen=True, eq=False)
class DefectCurvePoint:
    """Decisions after training on so many real defects; `kinds`: parts caught, and all, by kind."""

    step: Step
    decisions: Decisions
    kinds: dict[str, tuple[float, int]]

    @property
    def honest(self) -> dict[str, float | None]:
        """Means over draws, at the thresholds from good parts held out of training."""
        return means(self.decisions.draws)

    @property
    def paper(self) -> dict[str, float | None] | None:
        """Means over draws at the thresholds with the best F1 on the test itself."""
        return None if self.decisions.oracle is None else means(self.decisions.oracle)

    def kind_interval(self, kind: str) -> Interval | None:
        """95 % for the recall of one kind."""
        return share_interval(*self.kinds[kind])


@dataclass(frozen=True, eq=False)
class DefectCurve:
    """The learning curve: its complete points in the order of the plan, and notes."""

    experiment: Experiment
    plan: CurvePlan
    points: tuple[DefectCurvePoint, ...]
    notes: tuple[str, ...]

    @property
    def mixed(self) -> list[DefectCurvePoint]:
        """The points of all kinds, by rising number of real defects."""
        return [point for point in self.points if point.step.group is None]

    def changes(self) -> list[RateChange]:
        """From the first number of real defects to the last: recall, then FPR."""
        ends = self.mixed[:1] + self.mixed[1:][-1:]
        if len(ends) < 2:
            return []
        found = [
            rate_change(ends[0].decisions, ends[1].decisions, rate) for rate in ("recall", "fpr")
        ]
        return [one for one in found if one is not None]

    def conclusion(self) -> str:
        """The change from the first number of real defects to the last, in one sentence."""
        changes = self.changes()
        if not changes:
            return "There are no two numbers of real defects to compare yet."
        first, last = self.mixed[0], self.mixed[-1]
        intervals = [Decisions.recall_interval, Decisions.fpr_interval]
        said = [
            in_words(one, of(first.decisions), of(last.decisions))
            for one, of in zip(changes, intervals, strict=False)
        ]
        numbers = f"From {first.step.number} to {last.step.number} real defective parts"
        return f"{numbers}: {'; '.join(said)}."


def make_curve(
    experiment: Experiment,
    plan: CurvePlan,
    folder: Path,
    *,
    workers: int = 1,
    budget: float | None = None,
    show: Callable[[BenchProgress], None] | None = None,
    execute: Callable[[Job], Outcome] = execute,
) -> tuple[DefectCurve, BenchSummary]:
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
    return curve_of(experiment, plan, made.results), made


def curve_of(experiment: Experiment, plan: CurvePlan, results: Sequence[Result]) -> DefectCurve:
    """The curve from the results there are; a point needs all of its draws and folds."""
    done = {result.key: result for result in results if result.status == "done"}
    kinds = kinds_of(experiment.data)
    points, missing = [], []
    asked = {job.run.key for job in plan.in_order()}
    for step in plan.steps:
        draws = [[job.run.key for job in jobs] for jobs in plan.jobs[step]]
        whole = [[done[key] for key in keys] for keys in draws if all(key in done for key in keys)]
        if len(whole) < len(draws):
            missing.append(step.name)
        else:
            points.append(_point(step, decisions_of(whole), kinds))
    notes = _notes(experiment, plan, points, missing)
    notes += _promises([result for key, result in done.items() if key in asked])
    return DefectCurve(experiment, plan, tuple(points), tuple(notes))


def by_kind(found: Decisions, kinds: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[float, int]]:
    """Per kind of defect, its tested parts: rejected (mean over draws), and all."""
    names = sorted({kind for part in found.parts for kind in kinds.get(part, ())})
    return {
        kind: found.of([part for part in found.parts if kind in kinds.get(part, ())]).caught()
        for kind in names
    }


def _point(step: Step, found: Decisions, kinds: Mapping[str, tuple[str, ...]]) -> DefectCurvePoint:
    return DefectCurvePoint(step, found, by_kind(found, kinds))


def _notes(
    experiment: Experiment,
    plan: CurvePlan,
    points: Sequence[DefectCurvePoint],
    missing: Sequence[str],
) -> list[str]:
    """Notes on how the figures were measured."""
    draws = experiment.draws
    if plan.folds is None:
        notes = ["The splits on disk: real defects of training are learnt from, the test stays."]
    else:
        notes = [f"{plan.folds} folds by part: every part is tested once in each draw."]
    notes += [
        f"Means over {draws} draws of the real defects (and of the folds and first weights). "
        "Intervals are 95 % over parts: Clopper-Pearson for recall and FPR, a bootstrap for MCC."
        if draws > 1
        else "One draw of the real defects: what another draw would do is in no interval.",
        'Thresholds are those of good parts held out of each training. "Paper protocol": the '
        "threshold with the best F1 on the test itself, as papers tell it; no line can have it.",
    ]
    if incomplete := max((point.decisions.incomplete for point in points), default=0):
        notes.append(f"{incomplete} parts lack a view and are judged by the views that they have.")
    if points and any(point.paper is None for point in points):
        notes.append("No figures of the paper protocol: some fold tests no defective part.")
    if missing:
        notes.append(f"Not there yet, or failed: {', '.join(missing)}.")
    return [*notes, *(note[:1].upper() + note[1:] + "." for note in plan.notes)]


def _promises(results: Sequence[Result]) -> list[str]:
    """A note where too few held-out good parts set the thresholds to prove the promised FPR."""
    told = [((result.figures or {}).get("decision") or {}).get("promise") for result in results]
    short = [promise for promise in told if promise and promise["provisional"]]
    if not short:
        return []
    least = min(promise["good_parts"] for promise in short)
    promise = short[0]
    return [
        f"Thresholds are set by as few as {least} held-out good parts; to prove an FPR of at most "
        f"{percentage(promise['max_fpr'])} % takes {promise['parts_needed']}. With more of them "
        "the FPR comes nearer to it."
    ]


def to_json(curve: DefectCurve) -> dict[str, Any]:
    """The curve as JSON values."""
    experiment, changes = curve.experiment, curve.changes()
    return {
        "data": {"name": experiment.data.name, "category": experiment.data.categories[0]},
        "detector": experiment.learner.detector,
        "preset": experiment.learner.preset,
        "settings": dict(experiment.learner.settings),
        "draws": experiment.draws,
        "folds": curve.plan.folds,
        "real_defective_parts_to_learn_from": curve.plan.pool,
        "conclusion": curve.conclusion(),
        "changes": [vars(one) | {"proven": one.proven} for one in changes],
        "notes": list(curve.notes),
        "points": [_point_json(point) for point in curve.points],
    }


def _point_json(point: DefectCurvePoint) -> dict[str, Any]:
    found = point.decisions
    return {
        "defect_group": group_name(point.step),
        "n_real": point.step.number,
        **point.honest,
        "recall_interval": found.recall_interval(),
        "fpr_interval": found.fpr_interval(),
        "mcc_interval": found.mcc_interval(),
        "draws": [one.to_json() for one in found.draws],
        "paper_protocol": point.paper,
        "kinds": {
            kind: {
                "parts": parts,
                "caught": caught,
                "recall": caught / parts,
                "recall_interval": point.kind_interval(kind),
            }
            for kind, (caught, parts) in point.kinds.items()
        },
    }


def group_name(step: Step) -> str:
    """The defect group in the words of ISP-AD's tables."""
    return "none" if not step.number else step.group or "mixed"
