"""Make a backbone of a ResNet's weights and keep it in the user's folder of backbones."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from blemish.errors import BlemishError
from blemish.features import backbone as backbones
from blemish.features.backbone import Backbone, open_backbone
from blemish.features.pretrained import Pretrained, from_timm
from blemish.features.resnet import (
    ARCHITECTURES,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    architecture_named,
    build,
    choose,
    random_state,
)
from blemish.features.state_dict import read_state_dict
from blemish.util.files import inside, open_regular, replacing

TIMM = "timm/"


def import_backbone(name: str, weights: Path | None = None, random: int | None = None) -> Backbone:
    """The new backbone: `timm/MODEL` downloads; otherwise from a file of weights, or a random seed.

    The name is what stands after `timm/`. The same weights again change nothing; other weights
    under a name that is taken, weights of another network, and damaged files raise BlemishError,
    and leave what was there.
    """
    model, from_hub = name.removeprefix(TIMM), name.startswith(TIMM)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", model, re.ASCII):
        raise BlemishError(
            f"a backbone cannot be named {model!r}; use letters, digits, '.', '-' and '_'"
        )
    if from_hub and weights is None and random is None:
        _need_architecture(model, "from timm")
        found, digest = from_timm(model), None
    elif weights is not None:
        found, digest = _from_file(weights), _sha256(weights)
    elif random is not None:
        found, digest = _random(model, random), None
    else:
        raise BlemishError(
            f"say where the weights of {model} are: --weights FILE, or `timm/{model}` as the name "
            "to download them"
        )
    architecture = choose(found.state, model, found.source)
    graph, layers = build(architecture, found.state, found.mean, found.deviation)
    card = {
        "sha256": hashlib.sha256(graph).hexdigest(),
        "source": found.source,
        "source_sha256": digest,
        "licence": found.licence,
        "normalisation": f"(x / 255 - {list(found.mean)}) / {list(found.deviation)}",
        "layers": [asdict(layer) for layer in layers],
    }
    return _keep(model, graph, card)


def _from_file(path: Path) -> Pretrained:
    return Pretrained(
        read_state_dict(path), path.name, "unknown", IMAGENET_MEAN, IMAGENET_DEVIATION
    )


def _random(name: str, seed: int) -> Pretrained:
    if seed < 0:
        raise BlemishError(f"--random {seed} is no seed; use a number from 0 on")
    architecture = _need_architecture(name, "with random weights")
    state = random_state(ARCHITECTURES[architecture], seed)
    source = f"random weights of a {architecture}, seed {seed}"
    return Pretrained(state, source, "none", IMAGENET_MEAN, IMAGENET_DEVIATION)


def _need_architecture(name: str, how: str) -> str:
    """The network that a name begins with."""
    architecture = architecture_named(name)
    if architecture is None:
        raise BlemishError(
            f"a backbone {how} is a {', '.join(ARCHITECTURES)}, and its name begins with that; "
            f"{name!r} does not"
        )
    return architecture


def _sha256(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BlemishError(f"{path} cannot be read: {error.strerror}") from error


def _keep(name: str, graph: bytes, card: Mapping[str, object]) -> Backbone:
    """Write the card, then the graph: a backbone is there once its graph is."""
    path = inside(backbones.user_folder(), f"{name}.onnx")
    if (backbones.ASSETS / path.name).is_file():
        raise BlemishError(f"{name} is the bundled backbone; import under another name")
    if path.exists() and _sha256(path) != card["sha256"]:
        raise BlemishError(
            f"there is a backbone {name} of other weights already; "
            f"delete {path} first, or import under another name"
        )
    with replacing(path.with_suffix(".json")) as file:
        file.write((json.dumps(card, indent=2) + "\n").encode())
    if not path.exists():
        with replacing(path) as file:
            file.write(graph)
    return open_backbone(name)
