"""What the graph of a model takes and gives, held against what everything that runs it relies on.

Inputs: `image` uint8 [n, height, width, 3] and, optional, `valid` float32 [n, 4]. Outputs: `map`
float32 [n, h, w], `score` float32 [n], and what the card names under `fit.latent_channels`, float32
[n, h', w'].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ArtifactError
from blemish.features.session import Session, Tensor
from blemish.images import Recipe
from blemish.util.file_limit import refusal
from blemish.util.names import printable

Shape = tuple[int | None, ...]
"""Sizes; None is any."""

_WAY_OUT = "take the model as it was first written"
_FLOAT = "tensor(float)"
_BYTES = 24  # that a pixel of the input takes: three channels as uint8, some copies, and as float32


def check_graph(session: Session, recipe: Recipe, latents: Iterable[str]) -> None:
    """Raise ArtifactError for a graph that declares other inputs or outputs, or too large ones.

    A dimension that is free, and an output's shape of which nothing is said, is left to
    `check_outputs`.
    """
    name, given = session.name, {tensor.name: tensor for tensor in session.inputs}
    if refused := refusal(_BYTES * recipe.height * recipe.width):
        raise ArtifactError(
            f"{name} declares an input of {recipe.width} x {recipe.height} pixels, which {refused}"
        )
    optional = {tensor.name: tensor for tensor in session.optional_inputs}
    takes: dict[str, tuple[str, Shape]] = {
        "image": ("tensor(uint8)", (None, recipe.height, recipe.width, 3))
    }
    if "valid" in {**optional, **given}:
        takes["valid"] = (_FLOAT, (None, 4))
    for wanted, (kind, shape) in takes.items():
        _check(name, "takes", wanted, kind, shape, {**optional, **given}.get(wanted))
    if more := sorted(given.keys() - takes):
        raise ArtifactError(f"{name}: its graph also takes {_listed(more)}; {_WAY_OUT}")
    outputs = {tensor.name: tensor for tensor in session.outputs}
    gives: dict[str, Shape] = {"map": (None, None, None), "score": (None,)}
    for wanted, rank in {**gives, **dict.fromkeys(latents, (None, None, None))}.items():
        _check(name, "gives", wanted, _FLOAT, rank, outputs.get(wanted))


def check_outputs(name: str, outputs: Sequence[NDArray[Any]]) -> None:
    """Raise ArtifactError unless these are map, score and latents of one image, in this order."""
    map_, score, *latents = outputs
    if score.dtype != np.float32 or score.shape != (1,):
        raise ArtifactError(f"{name}: its graph gives {_shown(score)} as the score; {_WAY_OUT}")
    for values in (map_, *latents):
        if values.dtype != np.float32 or values.ndim != 3 or len(values) != 1:
            raise ArtifactError(f"{name}: its graph gives {_shown(values)} as a map; {_WAY_OUT}")


def _check(
    name: str,
    does: str,
    wanted: str,
    kind: str,
    shape: Shape,
    found: Tensor | None,
) -> None:
    if found is None:
        raise ArtifactError(f"{name}: its graph {does} no {printable(wanted)}; {_WAY_OUT}")
    same = found.shape is None or (
        len(found.shape) == len(shape)
        and all(
            size is None or not isinstance(declared, int) or declared == size
            for size, declared in zip(shape, found.shape, strict=True)
        )
    )
    if found.kind != kind or not same:
        raise ArtifactError(
            f"{name}: its graph {does} {printable(wanted)} as {_declared(found.kind, found.shape)} "
            f"instead of {_declared(kind, shape)}; {_WAY_OUT}"
        )


def _declared(kind: str, shape: tuple[int | str | None, ...] | None) -> str:
    sizes = "" if shape is None else ", ".join("?" if s is None else str(s) for s in shape)
    return printable(f"{kind} [{sizes}]")


def _shown(values: NDArray[Any]) -> str:
    return f"{values.dtype} {list(values.shape)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name) or "one without a name" for name in names[:5])
