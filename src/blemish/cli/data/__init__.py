"""`blemish data`: what a data set holds, and what is wrong with it; one file per verb."""

from __future__ import annotations

HELP = "show, check or convert a data set before training on it"
