"""`blemish synth`: defects put on images of good parts; one file per verb."""

from __future__ import annotations

HELP = "put synthetic defects on images of good parts"
