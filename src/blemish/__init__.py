"""Blemish finds defects on manufactured parts and proves its false-reject rate."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blemish.api import Model, calibrate, evaluate, fit, train
    from blemish.calibration.promise import Calibration, Promise
    from blemish.dataset import Dataset, open_dataset
    from blemish.detectors.conformance import check_detector
    from blemish.errors import BlemishError
    from blemish.evaluation import Evaluation
    from blemish.inspector import Inspector, Verdict
    from blemish.training import Plan, Trained

__version__ = "0.1.0"

__all__ = [
    "BlemishError",
    "Calibration",
    "Dataset",
    "Evaluation",
    "Inspector",
    "Model",
    "Plan",
    "Promise",
    "Trained",
    "Verdict",
    "calibrate",
    "check_detector",
    "evaluate",
    "fit",
    "open_dataset",
    "train",
]

# Where each of these is; it is imported when it is asked for, so that `import blemish` is fast.
_HOMES = {
    "BlemishError": "blemish.errors",
    "Calibration": "blemish.calibration.promise",
    "Dataset": "blemish.dataset",
    "Evaluation": "blemish.evaluation",
    "Inspector": "blemish.inspector",
    "Model": "blemish.api",
    "Plan": "blemish.training",
    "Promise": "blemish.calibration.promise",
    "Trained": "blemish.training",
    "Verdict": "blemish.inspector",
    "calibrate": "blemish.api",
    "check_detector": "blemish.detectors.conformance",
    "evaluate": "blemish.api",
    "fit": "blemish.api",
    "open_dataset": "blemish.dataset",
    "train": "blemish.api",
}

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


def __getattr__(name: str) -> Any:
    """A public name, from its home. Raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, and what the module has anyway."""
    return sorted({*globals(), *__all__})
