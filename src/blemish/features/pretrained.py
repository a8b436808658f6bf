"""Published weights from timm, downloaded once; needs timm and, the first time, a connection."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass

from blemish.errors import BlemishError
from blemish.features.state_dict import StateDict, as_array

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Pretrained:
    """Weights, where they are from, their licence, and the mean and deviation of their inputs."""

    state: StateDict
    source: str
    licence: str
    mean: Colour
    deviation: Colour


def from_timm(name: str) -> Pretrained:
    """The weights of the timm model `name`, such as `wide_resnet50_2.tv_in1k`.

    Raises BlemishError without timm, without a connection, and for a name that timm does not know.
    """
    way_out = (
        "on a machine with a connection, save its state dict; then "
        f"`blemish backbone import {name} --weights FILE`"
    )
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # asks for weights, says no more
    try:
        timm = importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:  # the latter of a torchvision of another torch
        raise BlemishError(
            f"timm cannot be used ({error}); install it with pip install 'blemish[timm]', or, "
            + way_out
        ) from error
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # of timm, of the hub, of the connection
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise BlemishError(
            f"timm did not give the weights of {name} ({reason}); check the name and the "
            f"connection, or, {way_out}"
        ) from error
    facts = model.pretrained_cfg
    return Pretrained(
        {key: as_array(tensor) for key, tensor in model.state_dict().items()},
        f"timm {timm.__version__}: {facts.get('hf_hub_id') or facts.get('url') or name}",
        facts.get("license") or "unknown",
        tuple(facts["mean"]),
        tuple(facts["std"]),
    )
