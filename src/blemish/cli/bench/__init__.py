"""`blemish bench`: rerun the tables of papers, one file per verb."""

from __future__ import annotations

HELP = "rerun a paper's table, with its figures beside"
