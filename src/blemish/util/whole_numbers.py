"""How large a whole number may be that somebody gives."""

from __future__ import annotations

LARGEST = 2**48  # sizes of arrays made of such are still whole numbers
IN_WORDS = "2^48"
