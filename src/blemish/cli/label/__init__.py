"""`blemish label`: masks and labels."""

from __future__ import annotations

HELP = "make masks from scribbles, and check labels"
