"""The plan of a learning curve: numbers of real defective parts, and the runs for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from blemish.benchmark.defects.experiment import Experiment, kinds_of
from blemish.benchmark.runs import Job
from blemish.dataset.label_words import name_some
from blemish.dataset.splits import divide, open_protocol
from blemish.errors import BlemishError, DatasetError

SHARES = (16, 8, 4, 2, 1)  # of which one is learnt from, as in the tables of ISP-AD
FOLDS = 5


@dataclass(frozen=True)
class Step:
    """A number of real defective parts to train on: of any kind, or of that `group` only."""

    number: int
    group: str | None = None

    @property
    def name(self) -> str:
        """What the table calls it."""
        of = "none" if not self.number else "mixed" if self.group is None else self.group
        return f"{self.number} ({of})"


@dataclass(frozen=True, eq=False)
class CurvePlan:
    """The steps of a curve, and the jobs of each by draw: `jobs[step][draw]` is a job per fold.

    `folds` None: the splits on disk. `pool`: the real defective parts that can be learnt from.
    """

    steps: tuple[Step, ...]
    jobs: dict[Step, list[list[Job]]]
    folds: int | None
    pool: int
    notes: tuple[str, ...]

    def in_order(self) -> list[Job]:
        """All jobs, draw by draw, so that the first draw already gives a whole curve."""
        draws = len(self.jobs[self.steps[0]])
        return [job for d in range(draws) for step in self.steps for job in self.jobs[step][d]]


def plan_curve(
    experiment: Experiment,
    numbers: Sequence[int] | None = None,
    *,
    groups: bool = False,
    folds: int | None = None,
) -> CurvePlan:
    """Plan a curve over `numbers`, or over 0 and the fractions of ISP-AD; `groups`: also by kind.

    The splits on disk are kept where real defects lie in training, and good and defective parts in
    the test; else, and where `folds` are asked for, every part is tested once, in so many folds
    (usually five). Raises BlemishError for numbers that the data cannot give.
    """
    if folds is None and not _trains_and_tests(experiment):
        folds = FOLDS
    of_group = _pools(experiment, folds)
    pool = of_group.pop(None)
    chosen = sorted({0, *(pool // share for share in SHARES)} if numbers is None else set(numbers))
    _check(experiment, chosen, pool, folds)
    steps = [Step(number) for number in chosen]
    notes: list[str] = []
    if groups:
        made, notes = _group_steps(chosen, of_group)
        steps += made
    jobs = {
        step: [_jobs(experiment, step, pool, folds, s) for s in experiment.seeds] for step in steps
    }
    return CurvePlan(tuple(steps), jobs, folds, pool, tuple(notes))


def _trains_and_tests(experiment: Experiment) -> bool:
    train, test = experiment.data.split("train"), experiment.data.split("test")
    return bool(len(train.real()) and len(train.good()) and len(test.real()) and len(test.good()))


def _pools(experiment: Experiment, folds: int | None) -> dict[str | None, int]:
    """The number of real defective parts in training of every draw and fold, by kind and in all."""
    found: dict[str | None, int] = {}
    kinds = kinds_of(experiment.data)
    every = {kind for of_part in kinds.values() for kind in of_part}
    for number, job in enumerate(_widest(experiment, folds)):
        run = job.run
        data = divide(experiment.data, str(run.split), run.seed, dict(run.split_settings)).data
        taught = data.split("train").real().parts
        counts: Counter[str | None] = Counter(k for part in taught for k in kinds.get(part, ()))
        counts[None] = len(taught)
        for kind in (None, *every):
            least = counts[kind] if not number else min(found[kind], counts[kind])
            found[kind] = least
    return found


def _widest(experiment: Experiment, folds: int | None) -> list[Job]:
    """The jobs with all real defects in training; one job for the splits on disk."""
    if folds is None:
        return [experiment.job("", "fractions", (("fraction", "1"),), experiment.seed)]
    open_protocol("k_fold", {"k": str(folds)})
    all_taught = (("defects", "true"),)
    return [
        job for seed in experiment.seeds for job in experiment.folds("", folds, all_taught, seed)
    ]


def _check(experiment: Experiment, numbers: Sequence[int], pool: int, folds: int | None) -> None:
    if not numbers or numbers[0] < 0:
        raise BlemishError("--numbers are numbers of defective parts, such as 0,5,10,20")
    if numbers[-1] > pool:
        parts = len(kinds_of(experiment.data))
        where = "in training" if folds is None else f"outside of the largest of {folds} folds"
        raise DatasetError(
            f"{experiment.data.root} has {parts} real defective parts, {pool} of them {where} to "
            f"be learnt from, fewer than the {numbers[-1]} asked for; ask for {pool} at most"
        )


def _group_steps(
    numbers: Sequence[int], pools: dict[str | None, int]
) -> tuple[list[Step], list[str]]:
    """Each kind at the numbers that it can give, and what is left out."""
    steps, short = [], []
    least = min((n for n in numbers if n), default=0)
    for kind, parts in sorted((str(kind), parts) for kind, parts in pools.items()):
        steps += [Step(number, kind) for number in numbers if 0 < number <= parts]
        if least > parts:
            short.append(f"{kind} ({parts})")
    notes = [f"too few parts for a group of their own: {name_some(short, 10)}"] if short else []
    if not pools:
        notes = ["the data tell no kinds of defect, so that there are no groups to compare"]
    return steps, notes


def _jobs(experiment: Experiment, step: Step, pool: int, folds: int | None, seed: int) -> list[Job]:
    group = () if step.group is None else (("group", step.group),)
    if folds is None:
        fraction = ("fraction", f"{step.number}/{pool}")
        return [experiment.job(step.name, "fractions", (fraction, *group), seed)]
    taught = (("defects", "true"), ("taught", str(step.number)))
    return experiment.folds(step.name, folds, (*taught, *group), seed)
