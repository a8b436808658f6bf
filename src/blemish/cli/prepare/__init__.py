"""`blemish prepare`: from plates to patches."""

from __future__ import annotations

HELP = "make training data from large scans of plates"
