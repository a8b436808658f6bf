"""The report that a person opens: one HTML file that needs no network and no other file."""

from __future__ import annotations

from blemish.report.evaluation_page import write_report
from blemish.report.heatmap import write_heatmaps

__all__ = ["write_heatmaps", "write_report"]
