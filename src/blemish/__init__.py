"""Blemish finds defects on manufactured parts and proves its false-reject rate."""

from __future__ import annotations

import os
import sys
import warnings

__version__ = "0.1.0"

_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_YES = ("1", "true", "yes", "on")  # what ONNX Runtime takes for a yes

# ONNX Runtime reads this once, while it is imported: then it writes into the user's cache folder,
# and looks a host up a while later. Every module of ours comes after this file, and a process that
# one of ours starts inherits it. Set whatever it was: nothing of Blemish calls out.
if "onnxruntime" in sys.modules and os.environ.get(_NO_TELEMETRY, "").lower() not in _YES:
    warnings.warn(
        "onnxruntime was imported before blemish, so its telemetry may be on, and nothing turns it "
        f"off now; import blemish first, or set {_NO_TELEMETRY}=1",
        stacklevel=2,
    )
os.environ[_NO_TELEMETRY] = "1"
