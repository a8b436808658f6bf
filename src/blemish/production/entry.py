"""One inspected part with its time and lot, and the rows that a list has for its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from blemish.dataset.taken import Taken, file_time
from blemish.inspector import Verdict, ViewResult
from blemish.production.columns import COLUMNS
from blemish.util.names import escaped

Cell = str | float | int | None


@dataclass(frozen=True, eq=False)
class Entry:
    """A verdict; `graph` is the sha256 of the model's graph, `taken` what is known by image."""

    verdict: Verdict
    graph: str = ""
    taken: Mapping[str, Taken] = field(default_factory=dict)

    @property
    def time(self) -> datetime | None:
        """When its first picture was taken."""
        times = [time for time in map(self.time_of, self.verdict.views) if time is not None]
        return min(times, key=datetime.timestamp, default=None)

    @property
    def lot(self) -> str | None:
        """The lot that the first picture which knows one is of."""
        lots = (self._taken(view).lot for view in self.verdict.views)
        return next((lot for lot in lots if lot is not None), None)

    def time_of(self, view: ViewResult) -> datetime | None:
        """When a picture was taken; where nothing says it, when its file was written last."""
        return self._taken(view).time or file_time(view.image)

    def to_json(self) -> dict[str, Any]:
        """The verdict as `inspect --json` has it, and with it `time`, `lot` and `graph`."""
        time = self.time
        return {
            **self.verdict.to_json(),
            "time": None if time is None else time.isoformat(),
            "lot": self.lot,
            "graph": self.graph,
        }

    def rows(self) -> Iterator[dict[str, Cell]]:
        """A row for each picture, with the keys COLUMNS; None where nothing is known.

        Its region is the worst of its picture, in the picture's pixels; `regions` counts them all.
        """
        verdict = self.verdict
        for view in verdict.views:
            time = self.time_of(view)
            region: dict[str, Cell] = {}
            if view.regions:
                top, left, bottom, right = view.regions[0].box
                size = {"width": right - left, "height": bottom - top}
                region = {"x": left, "y": top, **size, "area": view.regions[0].area}
            known: dict[str, Cell] = {
                "part": escaped(verdict.part),
                "view": view.view,
                "decision": verdict.decision,
                "score": view.score,
                "threshold": verdict.threshold,
                "time": None if time is None else time.isoformat(),
                "lot": self._taken(view).lot,
                "regions": len(view.regions),
                "missing_views": " ".join(verdict.missing) or None,
                "reason": None if view.reason is None else escaped(view.reason),
                "image": escaped(Path(view.image).name),
                "model": verdict.model,
                "graph": self.graph,
            }
            yield {column: (known | region).get(column) for column in COLUMNS}

    def _taken(self, view: ViewResult) -> Taken:
        return self.taken.get(view.image, Taken())
