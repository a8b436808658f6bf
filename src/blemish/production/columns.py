"""The columns of a list that has one row for each picture, and the decisions in their order."""

from __future__ import annotations

# `x` and `y` are the left and the top of the picture's worst region, in its pixels.
COLUMNS = (
    *("part", "view", "decision", "score", "threshold", "time", "lot"),
    *("x", "y", "width", "height", "area", "regions"),
    *("missing_views", "reason", "image", "model", "graph"),
)

DECISIONS = ("pass", "reject", "unreadable", "incomplete")
