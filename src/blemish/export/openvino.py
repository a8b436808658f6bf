"""OpenVINO files of a model, written once OpenVINO and ONNX Runtime have agreed."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from blemish.errors import ArtifactError, BlemishError
from blemish.images import crops, read_eight_bit
from blemish.inspector import Inspector
from blemish.model.artifact import Artifact
from blemish.model.golden import golden_picture
from blemish.util.names import printable

TOLERANCE = 1e-3  # of the largest score; half of the last digit that a threshold is printed with

Pixels = npt.NDArray[np.uint8]
Feed = dict[str, npt.NDArray[Any]]


def import_openvino() -> ModuleType:
    """The package openvino, without its telemetry; raises BlemishError when it is not installed.

    Its import alone writes into the home folder and sends a message, unless openvino_telemetry is
    missing: for as long as the import takes, it is. An openvino that is imported already has sent.
    """
    name = "openvino_telemetry"
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        return importlib.import_module("openvino")
    except ImportError:
        raise BlemishError(
            "OpenVINO is not installed; install it with: pip install 'blemish[openvino]'"
        ) from None
    finally:
        del sys.modules[name]
        sys.modules.update(before)


def _feeds(inspector: Inspector, artifact: Artifact, images: Sequence[Path]) -> list[Feed]:
    """What both runtimes are shown: the golden picture, changed in ways that move scores, and
    the user's own images.
    """
    raw = golden_picture(artifact)
    noise = np.random.default_rng(0).integers(0, 256, raw.shape, dtype=np.uint8)
    shown: list[Pixels] = [raw, raw[::-1].copy(), noise, np.zeros_like(raw), np.full_like(raw, 255)]
    shown += [np.asarray(cv2.GaussianBlur(raw, (0, 0), sigma)) for sigma in (1.0, 3.0)]
    shown += [read_eight_bit(path, inspector.recipe.window) for path in images]
    return [
        {"image": crop.tensor[None], "valid": crop.valid[None]}
        for pixels in shown
        for crop in list(crops(pixels, inspector.recipe))[:4]
    ]


def openvino_files(
    inspector: Inspector, artifact: Artifact, images: Sequence[Path]
) -> dict[str, bytes]:
    """The model as OpenVINO files, once both runtimes have agreed on generated pictures and images.

    Raises ArtifactError when they disagree, and BlemishError when OpenVINO is not installed.
    """
    openvino = import_openvino()
    try:
        return _agreed(openvino, inspector, artifact, images)
    except BlemishError:
        raise
    except Exception as error:  # OpenVINO's own are of any type
        raise ArtifactError(
            f"{artifact.path} was not exported: OpenVINO cannot run its graph "
            f"({printable(str(error).strip().rpartition(chr(10))[2])})"
        ) from error


def _agreed(
    openvino: ModuleType, inspector: Inspector, artifact: Artifact, images: Sequence[Path]
) -> dict[str, bytes]:
    proto = onnx.load_from_string(artifact.model)
    if artifact.card.recipe.resize == "pad":
        # OpenVINO would freeze an input that has a default; padded pictures need to feed it.
        kept = [values for values in proto.graph.initializer if values.name != "valid"]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(kept)
    core = openvino.Core()
    network = core.read_model(proto.SerializeToString())
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = {name for port in compiled.inputs for name in port.names}
    session, taken = inspector.session, inspector.session.input_names
    gaps = []
    for feed in _feeds(inspector, artifact, images):
        known = {name: value for name, value in feed.items() if name in taken}
        expected = session.run(["score", "map"], known)
        found = compiled({name: value for name, value in feed.items() if name in names})
        for name, value in zip(("score", "map"), expected, strict=True):
            gap = np.abs(found[name] - value).max() / max(1.0, float(np.abs(value).max()))
            gaps.append(float(gap))
    worst = float(np.max(gaps))  # NaN where OpenVINO computes one, which Python's max may drop
    if not worst <= TOLERANCE:
        raise ArtifactError(
            f"{artifact.path} was not exported: OpenVINO differs from ONNX Runtime by {worst:.2g} "
            f"of the largest value, more than {TOLERANCE:g}"
        )
    return _serialized(openvino, network)


def _serialized(openvino: ModuleType, network: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(network, str(path), compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
