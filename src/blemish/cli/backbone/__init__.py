"""`blemish backbone`: the frozen networks that features come from."""

from __future__ import annotations

HELP = "list the backbones on this machine, or import one"
