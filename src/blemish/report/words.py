"""Sentences of the report: false-reject rate and recall, the promise, whether the test agrees."""

from __future__ import annotations

import html
import math

from blemish.calibration.promise import Calibration
from blemish.metrics.bounds import clopper_pearson
from blemish.metrics.decision import Confusion
from blemish.util.names import escaped


def text(words: object) -> str:
    """Words as HTML: escaped, and no line break between a number and its percent sign."""
    return html.escape(escaped(str(words))).replace(" %", "\u00a0%")


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 part", "1,200 parts"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def percentage(share: float) -> str:
    """A share in percent without its sign; more digits near 0 and 100, which only 0 and 1 reach."""
    value = 100 * share
    rest = min(value, 100 - value)
    if rest <= 0:
        return f"{value:.0f}"
    decimals = 0 if rest >= 10 else max(1, math.ceil(-math.log10(rest)))
    shown = f"{value:.{decimals}f}"
    return shown.rstrip("0").rstrip(".") if decimals else shown


def number(value: float) -> str:
    """A score or setting with at most five significant digits."""
    return f"{value:.5g}"


def interval(k: int, n: int) -> str:
    """The 95 % Clopper-Pearson interval of k of n, "0.1 to 20 %"."""
    low, high = clopper_pearson(k, n)
    return f"{percentage(low)} to {percentage(high)} %"


def rates_sentence(counts: Confusion) -> str:
    """False rejects of good parts and recall of defective ones, in one sentence."""
    good = _fate(counts.fp, counts.fp + counts.tn, "good", "rejected")
    defective = _fate(counts.tp, counts.tp + counts.fn, "defective", "caught")
    return f"{good}; {defective[0].lower()}{defective[1:]}."


def agreement(calibration: Calibration, counts: Confusion) -> str | None:
    """Whether the false rejects seen here fit the bound of the calibration; None untested."""
    n = counts.fp + counts.tn
    if n == 0 or calibration.method != "held-out":
        return None
    seen = f"{counts.fp} of {counted(n, 'good part')}"
    low, _ = clopper_pearson(counts.fp, n)
    if low <= calibration.upper_bound:
        return (
            f"The false rejects of this test set ({seen}, 95 % interval {interval(counts.fp, n)}) "
            "do not contradict it."
        )
    return (
        f"This test set contradicts it: {seen} rejected ({interval(counts.fp, n)}). Its good parts "
        "are not like those that the threshold was set on; compare camera, light and batch, look "
        "at the false rejects below, and calibrate again on good parts from the line as it is now."
    )


def _fate(k: int, n: int, label: str, fate: str) -> str:
    if n == 0:
        return f"The test set holds no {label} parts"
    if n == 1:
        return f"The one {label} part was {'' if k else 'not '}{fate}"
    if k == 0:
        return f"Of {n:,} {label} parts none was {fate} (95 % interval {interval(k, n)})"
    if k == n:
        return f"All {n:,} {label} parts were {fate} (95 % interval {interval(k, n)})"
    verb = "was" if k == 1 else "were"
    share = f"{percentage(k / n)} %, 95 % interval {interval(k, n)}"
    return f"Of {n:,} {label} parts {k:,} {verb} {fate} ({share})"
