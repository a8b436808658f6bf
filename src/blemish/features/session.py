"""ONNX Runtime sessions on the CPU, opened and run the same way everywhere.

Its telemetry is off since `blemish/__init__.py`, which comes before any import of it. It prints
nothing, and whatever it raises is told in one sentence that names the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from blemish.errors import ArtifactError, ImageError
from blemish.util.file_limit import file_limit, refusal
from blemish.util.finite import all_usable
from blemish.util.names import printable
from blemish.util.threads import default_threads
from blemish.util.time_limit import watched, within

Floats = npt.NDArray[np.float32]

# Opening a graph is stopped after some ten times what it takes: seconds, and bytes in one more.
_OPENING, _OPENED = 10.0, 10_000_000
_SILENT = 4  # only what ends the process is printed
_LONGEST_REASON = 160
_CODE = re.compile(r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )+")
_PLACE = re.compile(r"\S*/onnxruntime/\S+\.(cc|h):\d+ .*?\) (?=\S)|\S+\.(cc|h):\d+ \w+ ")
_MEMORY = re.compile(r"Available memory of (\d+) is smaller than requested bytes of (\d+)")


@dataclass(frozen=True)
class Tensor:
    """An input or output as a graph declares it.

    `kind` is ONNX Runtime's word, such as "tensor(float)"; of `shape`, a number is fixed, and a
    text or None is free. None is a shape of which the graph says nothing.
    """

    name: str
    kind: str
    shape: tuple[int | str | None, ...] | None


@dataclass(eq=False)
class Session:
    """A graph ready to run; whatever leaves a graph passes through `run`.

    `name` is that of the graph's file in sentences; a run that takes longer than `seconds` is
    stopped. The first run is one that can be left behind, for a graph that does not obey.
    """

    runtime: onnxruntime.InferenceSession
    name: str
    seconds: float | None
    _has_run: bool = field(default=False, init=False)

    def run(
        self,
        names: Sequence[str] | None,
        feed: Mapping[str, npt.NDArray[Any]],
        image: object = "an image",
    ) -> list[Floats]:
        """The outputs of these names, or all of them, for the inputs in `feed`.

        Raises ImageError, which names `image`, where an output holds a number that is not finite,
        and ArtifactError for a graph that cannot be run, takes too long or too much memory.
        """
        options = onnxruntime.RunOptions()
        options.log_severity_level = _SILENT

        def work() -> list[Floats]:
            found: list[Floats] = self.runtime.run(names, dict(feed), options)
            return found

        def stop() -> None:
            options.terminate = True

        try:
            outputs = self._in_time(work, stop)
        except TimeoutError:
            raise ArtifactError(
                f"{self.name} was stopped: its graph takes more than {self.seconds:g} s for "
                f"{image}, far longer than its card says; take the model as it was first written"
            ) from None
        except Exception as error:  # ONNX Runtime's own have no common base
            raise ArtifactError(_refused(self.name, error, f"fails on {image}")) from error
        if not all(map(_is_usable, outputs)):
            raise ImageError(
                f"{image} cannot be decided on: what the model computes from it is not finite; "
                "take the picture again, and if that does not help, train the model anew"
            )
        return outputs

    def _in_time(self, work: Callable[[], list[Floats]], stop: Callable[[], None]) -> list[Floats]:
        """What `work` returns or raises; TimeoutError where it was stopped."""
        if self.seconds is None:
            return work()
        if not self._has_run:
            found = within(self.seconds, work, stop)
            self._has_run = True
            return found
        with watched(self.seconds, stop) as one:
            try:
                return work()
            except Exception:
                if one.late:
                    raise TimeoutError from None
                raise

    @property
    def input_names(self) -> set[str]:
        """All inputs, those with a default among them."""
        return {tensor.name for tensor in (*self.inputs, *self.optional_inputs)}

    @property
    def inputs(self) -> list[Tensor]:
        """The inputs that must be fed."""
        return [_tensor(value) for value in self.runtime.get_inputs()]

    @property
    def optional_inputs(self) -> list[Tensor]:
        """The inputs that have a default."""
        return [_tensor(value) for value in self.runtime.get_overridable_initializers()]

    @property
    def outputs(self) -> list[Tensor]:
        """The outputs."""
        return [_tensor(value) for value in self.runtime.get_outputs()]


def open_session(
    model: bytes | Path | str,
    *,
    threads: int | None = None,
    name: object = None,
    seconds: float | None = None,
) -> Session:
    """A CPU session with that many threads (default: one per core, or `BLEMISH_THREADS`).

    `name` is that of its file, for sentences. `seconds` is for a graph that somebody else made: no
    run takes longer, none takes more memory than one file may, and opening it is stopped after a
    while too. Raises ArtifactError for a graph that ONNX Runtime refuses.
    """
    source = model if isinstance(model, bytes) else str(model)
    name = str(name or ("the model" if isinstance(model, bytes) else model))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # Waiting threads that spin would take the cores from image decoding and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The runtime's own format would be recognised too, and nothing here has looked through it.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if seconds is not None:
        _bound_memory(options)

    def work() -> onnxruntime.InferenceSession:
        # Its fallback would print, and open the same graph again.
        return onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )

    def stop() -> None:
        if hasattr(options, "set_load_cancellation_flag"):  # of later versions of the runtime
            options.set_load_cancellation_flag(True)

    longest = _OPENING + (len(model) if isinstance(model, bytes) else 0) / _OPENED
    try:
        runtime = work() if seconds is None else within(longest, work, stop)
    except TimeoutError:
        raise ArtifactError(
            f"{name} was stopped: opening its graph takes more than {longest:.0f} s; take it as it "
            "was first written"
        ) from None
    except Exception as error:  # ONNX Runtime's own have no common base
        raise ArtifactError(_refused(name, error, "is refused")) from error
    return Session(runtime, name, seconds)


def _bound_memory(options: onnxruntime.SessionOptions) -> None:
    """Give the next session an arena of its own, which ends where the file limit is."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": file_limit()})
    onnxruntime.create_and_register_allocator(place, arena)
    options.add_session_config_entry("session.use_env_allocators", "1")


def _refused(name: str, error: Exception, what: str) -> str:
    """The sentence for what ONNX Runtime raised."""
    if (found := _MEMORY.search(str(error))) is not None:
        left, asked = int(found[1]), int(found[2])
        limit = file_limit()
        return f"{name}: running its graph {refusal(max(limit + 1, limit - left + asked))}"
    reason = _PLACE.sub("", _CODE.sub("", " ".join(printable(str(error), keep="\n").split())))
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON].rsplit(" ", 1)[0] + " ..."
    return (
        f"{name}: its graph {what} by ONNX Runtime ({reason.rstrip('. ')}); take it as it was "
        "first written"
    )


def _tensor(value: Any) -> Tensor:
    return Tensor(value.name, value.type, tuple(value.shape) or None)


def _is_usable(output: object) -> bool:
    """False for what is not finite; an output may also be a list, or nothing."""
    return isinstance(output, np.ndarray) and all_usable(output)
