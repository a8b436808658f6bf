"""ONNX Runtime sessions on the CPU, opened and run the same way everywhere.

Its telemetry is off since `blemish/__init__.py`, which comes before any import of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from blemish.errors import ImageError
from blemish.util.finite import all_usable
from blemish.util.threads import default_threads


@dataclass(frozen=True, eq=False)
class Session:
    """A graph ready to run; whatever leaves a graph passes through `run`."""

    runtime: onnxruntime.InferenceSession

    def run(
        self,
        names: Sequence[str] | None,
        feed: Mapping[str, npt.NDArray[Any]],
        image: object = "an image",
    ) -> list[npt.NDArray[np.float32]]:
        """The outputs of these names, or all of them, for the inputs in `feed`.

        Raises ImageError, which names `image`, where an output holds a number that is not finite.
        """
        outputs: list[npt.NDArray[np.float32]] = self.runtime.run(names, dict(feed))
        if not all(map(all_usable, outputs)):
            raise ImageError(
                f"{image} cannot be decided on: what the model computes from it is not finite; "
                "take the picture again, and if that does not help, train the model anew"
            )
        return outputs


def open_session(model: bytes | Path | str, *, threads: int | None = None) -> Session:
    """A CPU session with that many threads (default: one per core, or `BLEMISH_THREADS`)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads that spin would take the cores from image decoding and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return Session(
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    )
