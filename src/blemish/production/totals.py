"""How many parts there are of each decision, in all and in each lot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blemish.production.columns import DECISIONS

if TYPE_CHECKING:
    from blemish.production.entry import Entry


MOST_LOTS = 1000  # more are counted together


@dataclass(eq=False)
class Totals:
    """Counts parts as they come; `lots` is empty where no picture tells its lot."""

    decisions: Counter[str] = field(default_factory=Counter)
    lots: dict[str, Counter[str]] = field(default_factory=dict)
    first: str | None = None  # the times of the first and the last part
    last: str | None = None

    def add(self, entry: Entry) -> None:
        """Count one part."""
        decision, lot = entry.verdict.decision, entry.lot
        self.decisions[decision] += 1
        if lot is not None:
            if lot not in self.lots and len(self.lots) >= MOST_LOTS:
                lot = "further lots"
            self.lots.setdefault(lot, Counter())[decision] += 1
        if (time := entry.time) is not None:
            text = time.isoformat()
            self.first = min(self.first or text, text)
            self.last = max(self.last or text, text)

    @property
    def parts(self) -> int:
        """The number of parts."""
        return self.decisions.total()

    def lines(self) -> Iterator[str]:
        """The counts of each lot, then of all parts, for a person."""
        for lot, counts in self.lots.items():
            yield f"lot {lot}: {_counts(counts)}"
        yield f"{self.parts} parts: {_counts(self.decisions)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in DECISIONS if counts[name])
