"""Write a model for programs without blemish: plain ONNX, or OpenVINO after it has agreed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from blemish.errors import BlemishError
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact
from blemish.util.files import inside, write_together

FORMATS = ("onnx", "openvino")


def export(model: Path, to: str, folder: Path, images: Sequence[Path] = ()) -> list[Path]:
    """Write the model, its card and its golden pictures into `folder`; returns the files.

    "openvino" runs generated pictures, and `images` of the user's, through both runtimes first.
    Raises ArtifactError when they disagree, and for a model that does not give its golden picture
    its score, and BlemishError when OpenVINO is not installed.
    """
    if to not in FORMATS:
        raise BlemishError(f"cannot export to {to!r}; choose {' or '.join(FORMATS)}")
    artifact = open_artifact(model)
    inspector = Inspector.of(artifact)
    files = dict(artifact.golden)
    if to == "onnx":
        files["model.onnx"] = artifact.model
    else:
        from blemish.export.openvino import openvino_files

        files.update(openvino_files(inspector, artifact, images))
    files["card.json"] = artifact.card_json  # the last to take its place: it speaks of the graph
    placed = {inside(folder, name): data for name, data in files.items()}
    write_together(placed)
    return list(placed)
