"""The main job from end to end: train, evaluate, report, heat maps, and what happened in words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.dataset import Dataset
from blemish.detectors.base import ShowProgress
from blemish.evaluation import Evaluation, PartResult, evaluate
from blemish.inspector import Inspector
from blemish.report import write_heatmaps, write_report
from blemish.training import Plan, Trained, train

FIND, PASS = ("defective", "reject"), ("good", "pass")
FINDS_SHOWN, PASSES_SHOWN = 8, 2  # parts with a heat map


@dataclass(frozen=True, eq=False)
class Product:
    """Pictures of a product, and what to call it: one, many, and many "with" defects."""

    data: Dataset
    one: str
    many: str
    defective: str


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demonstration came to, and the files it wrote."""

    product: Product
    trained: Trained
    evaluation: Evaluation
    report: Path
    heatmaps: tuple[Path, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The figures of `evaluate --json`, with the files and the time of the demonstration."""
        written = {
            "model": str(self.trained.path),
            "report": str(self.report),
            "heatmaps": [str(path) for path in self.heatmaps],
            "terms": self.product.data.terms,
            "train_seconds": self.trained.seconds,
            "total_seconds": self.seconds,
        }
        return {**self.evaluation.figures, "demo": written}

    def story(self) -> list[str]:
        """What happened, in plain words, one line each."""
        product, decision = self.product, self.evaluation.figures["decision"]
        card, calibration = self.trained.card, self.trained.calibration
        learnt, held = card.data.trained_on.parts, calibration.good_parts
        tested, found = decision["fn"] + decision["tp"], decision["tp"]
        good, rejected = decision["tn"] + decision["fp"], decision["fp"]
        return [
            f"It learnt from {learnt} good {product.many} and set its threshold on {held} others, "
            f"in {self.trained.seconds:.0f} s. Then it judged {good + tested} that it had never "
            "seen.",
            f"It found {found} of {tested} {product.many} {product.defective}"
            f"{_interval(decision['recall_interval'])}.",
            f"It rejected {rejected} of {good} good {product.many}"
            f"{_interval(decision['fpr_interval'])}.",
            f"The promise: {calibration.sentence()}",
        ]


def run_demo(
    product: Product,
    folder: Path,
    *,
    plan: Plan | None = None,
    progress: ShowProgress | None = None,
) -> Demo:
    """Write `model.blemish`, `report.html` and `heatmaps/` into `folder`; default settings."""
    started = time.monotonic()
    trained = train(product.data, folder / "model.blemish", plan or Plan(), progress=progress)
    inspector = Inspector.open(trained.path)
    evaluation = evaluate(inspector, product.data, progress=progress)
    evaluation.refuse_unreadable()
    report = write_report(evaluation, folder)
    heatmaps = _heatmaps(evaluation, inspector, folder / "heatmaps")
    return Demo(product, trained, evaluation, report, heatmaps, seconds=time.monotonic() - started)


def _heatmaps(evaluation: Evaluation, inspector: Inspector, folder: Path) -> tuple[Path, ...]:
    """Heat maps of finds of every kind, clear and faint ones, and of some good parts."""
    finds = [part for part in evaluation.parts if (part.label, part.decision) == FIND]
    passes = [part for part in evaluation.parts if (part.label, part.decision) == PASS]
    kinds = sorted({part.defects for part in finds})
    shown = _spread(passes, PASSES_SHOWN)
    for kind in kinds:
        such = [part for part in finds if part.defects == kind]
        shown += _spread(such, max(2, FINDS_SHOWN // len(kinds)))
    written: list[Path] = []
    for part in shown:
        image = evaluation.images[part.images[0]].image
        written += write_heatmaps(inspector.inspect(image, part.part), inspector, folder)
    return tuple(written)


def _spread(parts: list[PartResult], count: int) -> list[PartResult]:
    """At most `count` of the parts, evenly spread over their scores."""
    ranked = sorted(parts, key=lambda part: -part.score)
    count = min(count, len(ranked))
    return [ranked[i * (len(ranked) - 1) // max(count - 1, 1)] for i in range(count)]


def _interval(interval: list[float] | None) -> str:
    if interval is None:
        return ""
    low, high = (100 * end for end in interval)
    return f" (95 % interval {low:.1f} to {high:.1f} %)"
