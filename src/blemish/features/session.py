"""ONNX Runtime sessions on the CPU, opened the same way everywhere."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from blemish.threads import default_threads


def open_session(
    model: bytes | Path | str, *, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """A CPU session with that many threads (default: one per core, or `BLEMISH_THREADS`)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads that spin would take the cores from image decoding and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
