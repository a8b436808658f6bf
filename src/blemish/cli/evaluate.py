"""`blemish evaluate`: how well a model tells good from defective on a labelled test set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blemish.cli import _shared as shared

HELP = "measure a model on a labelled test set, and write a report"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", type=Path)
    shared.add_data(parser)
    shared.add_json(parser)
    parser.add_argument("--report", metavar="DIR", type=Path, help="write DIR/report.html")


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the figures, write what was asked for; 2 where a file cannot be read."""
    from blemish.evaluation import evaluate
    from blemish.inspector import Inspector

    progress = shared.ProgressLine(options)
    evaluation = evaluate(
        Inspector.open(options.model), shared.open_data(options, any_name=True), progress=progress
    )
    progress.end()
    shared.tell_findings(evaluation.findings)
    shared.write_json(evaluation.figures, options.json)
    if options.json != "-":
        print("\n".join(summary(evaluation.figures)))
    if options.report is not None:
        from blemish.report import write_report

        path = write_report(evaluation, options.report)
        if options.json != "-":
            print(f"report: {path}")
    evaluation.refuse_unreadable()
    return 0


def summary(figures: dict[str, Any]) -> list[str]:
    """The figures as a few lines for a person."""
    from blemish.evaluation.copies import copies_sentence

    image, pixel, decision = figures["image"], figures["pixel"], figures["decision"]
    lines = [
        f"images: {image['n_good']} good, {image['n_defective']} defective; "
        f"AUROC {_number(image['auroc'])}, average precision {_number(image['average_precision'])}",
        f"pixels: AUROC {_number(pixel['auroc'])}, AUPRO {_number(pixel['aupro'])}",
    ]
    if pixel["hidden"]:
        lines.append(
            f"{pixel['hidden']} images have their marked defects outside of the centre crop: "
            "AUROC and AUPRO of the pixels do not count those"
        )
    if left_out := figures.get("known", {}).get("images"):
        lines.append(
            f"{left_out} images of {figures['known']['parts']} parts are left out: the model learnt"
            " from them, or they set its threshold"
        )
    if figures["sample"]:
        lines.append(_parts(figures["sample"]))
    lines.append(f"at threshold {decision['threshold']:.4g}: {_decided(decision)}")
    if "a_contrario" in figures:
        chance = figures["a_contrario"]
        lines.append(
            f"without a threshold, at log10 NFA < 0: {chance['fp']} of "
            f"{chance['tn'] + chance['fp']} good parts rejected, {chance['tp']} of "
            f"{chance['fn'] + chance['tp']} defective parts caught"
        )
    if "copies" in figures:
        lines.append(copies_sentence(figures["copies"]))
    if decision["incomplete"]:
        lines.append(f"{decision['incomplete']} parts lack a view and were not passed")
    if "unreadable" in figures:
        lines.append(
            f"{len(figures['unreadable'])} images could not be read and count in no figure; "
            f"{decision.get('unreadable', 0)} parts are unreadable: not passed, and in no rate"
        )
    if "unreadable_masks" in figures:
        lines.append(
            f"{len(figures['unreadable_masks'])} masks could not be read: their images count, but "
            "not their pixels"
        )
    if "categories" in figures:
        lines += _categories(figures["categories"], figures["mean"])
    return lines


def _categories(categories: dict[str, Any], mean: dict[str, Any]) -> list[str]:
    lines = ["the above pools the categories; each at its own threshold, where it has one:"]
    for name, own in categories.items():
        lines.append(f"  {name}: {_ranked(own)}; {_decided(own['decision'])}")
    return [*lines, f"  mean of {len(categories)} categories: {_ranked(mean)}"]


def _ranked(figures: dict[str, Any]) -> str:
    """The AUROC of images, and AUPRO, on one line."""
    return (
        f"image AUROC {_number(figures['image']['auroc'])}, AUPRO "
        f"{_number(figures['pixel']['aupro'])}"
    )


def _decided(decision: dict[str, Any]) -> str:
    good, defective = decision["tn"] + decision["fp"], decision["fn"] + decision["tp"]
    return (
        f"{decision['fp']} of {good} good parts rejected{_interval(decision['fpr_interval'])}, "
        f"{decision['tp']} of {defective} defective parts caught"
        f"{_interval(decision['recall_interval'])}"
    )


def _parts(sample: dict[str, Any]) -> str:
    line = f"parts: AUROC {_number(sample['auroc'])} (largest of the views)"
    if sample["auroc_calibrated"] is not None:
        line += f", {_number(sample['auroc_calibrated'])} (each on the scale of its view)"
    return line


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(interval: list[float] | None) -> str:
    if interval is None:
        return ""
    return f" (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)"
