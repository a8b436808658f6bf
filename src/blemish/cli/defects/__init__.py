"""`blemish defects`: what real defects are worth, and which to collect; one file per verb."""

from __future__ import annotations

HELP = "what real defects are worth on your own data, and which to collect"
