"""An imported backbone computes what its network computes in torch, and bad weights are named."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from running import Cli, finished, started

from blemish.errors import BlemishError
from blemish.features import backbone as backbones
from blemish.features import cache, device
from blemish.features.backbone import BUNDLED, backbone_names, open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.import_backbone import import_backbone
from blemish.features.resnet import ARCHITECTURES, Architecture, choose, random_state, tensors
from blemish.features.session import open_session
from blemish.features.state_dict import read_state_dict
from blemish.images import Recipe
from blemish.model.artifact import open_artifact
from blemish.model.card import BackboneEntry

RANDOM = "resnet18-random"
STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
ODD = np.random.default_rng(1).integers(0, 256, (1, 67, 45, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Torch's threads would wait for each other longer than these small images take."""
    try:
        import torch
    except ImportError:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of backbones."""
    monkeypatch.setenv("BLEMISH_BACKBONES", str(tmp_path / "backbones"))
    return tmp_path / "backbones"


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Weights with a batch norm that is not the identity; nobody changes them."""
    return unsettled(random_state(ARCHITECTURES["resnet18"], 0))


def unsettled(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state with running statistics, scales and shifts as training leaves them."""
    rng = np.random.default_rng(1)
    for name, values in state.items():
        if name.endswith(("running_var", ".weight")) and values.ndim == 1:
            state[name] = rng.uniform(0.5, 1.5, values.shape).astype("f4") * values
        elif values.ndim == 1:
            state[name] = rng.normal(0, 0.1, values.shape).astype("f4")
    return {**state, "bn1.num_batches_tracked": np.array(7), "fc.bias": np.zeros(1000, "f4")}


def save_safetensors(path: Path, state: dict[str, np.ndarray]) -> Path:
    """As the format's definition has it: length, JSON, tensors."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    parts = []
    place = 0
    for name, values in state.items():
        parts.append(values.tobytes())
        header[name] = {
            "dtype": kinds[str(values.dtype)],
            "shape": list(values.shape),
            "data_offsets": [place, place + values.nbytes],
        }
        place += values.nbytes
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data + b"".join(parts))
    return path


def save_torch(path: Path, state: dict[str, np.ndarray], **wrapped: object) -> Path:
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    values = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    torch.save({"state_dict": values, **wrapped} if wrapped else values, path)
    return path


def reference(state: dict[str, np.ndarray], images: np.ndarray) -> dict[str, np.ndarray]:
    """A ResNet in torch from its paper, with batch norm as it is trained: layer1 to layer4."""
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    from torch.nn import functional

    held = {name: torch.from_numpy(np.array(values)) for name, values in state.items()}

    def convolve(x, conv: str, norm: str, stride: int = 1):
        weight = held[f"{conv}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        statistics = [held[f"{norm}.{key}"] for key in ("running_mean", "running_var")]
        affine = [held[f"{norm}.{key}"] for key in ("weight", "bias")]
        return functional.batch_norm(x, *statistics, *affine, training=False, eps=1e-5)

    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    x = (x - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    x = functional.max_pool2d(functional.relu(convolve(x, "conv1", "bn1", 2)), 3, 2, 1)
    layers = {}
    for layer in STRIDES:
        block = 0
        while f"{layer}.{block}.conv1.weight" in held:
            name, before = f"{layer}.{block}", x
            stride = 2 if block == 0 and layer != "layer1" else 1
            if f"{name}.conv3.weight" in held:
                x = functional.relu(convolve(x, f"{name}.conv1", f"{name}.bn1"))
                x = functional.relu(convolve(x, f"{name}.conv2", f"{name}.bn2", stride))
                x = convolve(x, f"{name}.conv3", f"{name}.bn3")
            else:
                x = functional.relu(convolve(x, f"{name}.conv1", f"{name}.bn1", stride))
                x = convolve(x, f"{name}.conv2", f"{name}.bn2")
            if f"{name}.downsample.0.weight" in held:
                downsample = f"{name}.downsample.0", f"{name}.downsample.1"
                before = convolve(before, *downsample, stride)
            x, block = functional.relu(x + before), block + 1
        layers[layer] = x.numpy()
    return layers


def layers_of(name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """All layers of a backbone in ONNX Runtime."""
    backbone = open_backbone(name)
    names = [layer.name for layer in backbone.layers]
    return dict(zip(names, open_session(backbone.path).run(names, {"image": images}), strict=True))


def agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    assert list(found) == list(expected)
    return all(
        found[name].shape == values.shape
        and np.abs(found[name] - values).max() <= 1e-4 * np.abs(values).max()
        for name, values in expected.items()
    )


# --- what is imported


@pytest.mark.parametrize("images", [IMAGES, ODD], ids=["even", "odd"])
def test_an_imported_resnet_computes_what_torch_computes(
    folder: Path, tmp_path: Path, resnet18: dict[str, np.ndarray], images: np.ndarray
) -> None:
    weights = save_torch(tmp_path / "r18.pth", resnet18)
    backbone = import_backbone("resnet18.tv_in1k", weights)
    found = layers_of("resnet18.tv_in1k", images)
    assert agree(found, reference(resnet18, images))
    for layer in backbone.layers:
        assert layer.stride == STRIDES[layer.name]
        assert found[layer.name].shape[1:] == (
            layer.channels,
            -(-images.shape[1] // layer.stride),
            -(-images.shape[2] // layer.stride),
        )
        assert found[layer.name].dtype == np.float32


def test_a_wide_resnet_from_a_file_of_safetensors_computes_what_torch_computes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = Architecture((2, 1, 1, 1), 128)  # as wide, with fewer of the same blocks
    monkeypatch.setitem(ARCHITECTURES, "wide_resnet50_2", shallow)
    state = unsettled(random_state(shallow, 0))
    weights = save_safetensors(tmp_path / "model.safetensors", state)
    backbone = import_backbone("wide_resnet50_2.tv_in1k", weights)
    assert [layer.channels for layer in backbone.layers] == [256, 512, 1024, 2048]
    onnx.checker.check_model(backbone.path, full_check=True)
    images = IMAGES[:1, :64, :64]
    assert agree(layers_of(backbone.name, images), reference(state, images))


def test_the_card_says_where_the_weights_are_from(
    cli: Cli, folder: Path, tmp_path: Path, resnet18: dict[str, np.ndarray]
) -> None:
    weights = save_safetensors(tmp_path / "r18.safetensors", resnet18)
    run = cli("backbone", "import", "line4", "--weights", weights, "--json", "-")
    assert run.code == 0
    card = json.loads((folder / "line4.json").read_text(encoding="utf-8"))
    assert card == json.loads(run.out)["card"]
    assert card == {
        "sha256": hashlib.sha256((folder / "line4.onnx").read_bytes()).hexdigest(),
        "source": "r18.safetensors",
        "source_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "licence": "unknown",
        "normalisation": "(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]",
        "layers": [
            {"name": name, "channels": channels, "stride": stride}
            for (name, stride), channels in zip(STRIDES.items(), (64, 128, 256, 512), strict=True)
        ],
    }
    assert backbone_names() == [BUNDLED, "line4"]
    assert f"line4  sha256 {card['sha256']}" in cli("backbone", "list").out


def test_one_network_is_one_backbone_whatever_file_holds_it(
    folder: Path, tmp_path: Path, resnet18: dict[str, np.ndarray]
) -> None:
    parallel = {f"module.{name}": values for name, values in resnet18.items()}
    files = [
        save_safetensors(tmp_path / "a.safetensors", resnet18),
        save_torch(tmp_path / "b.pth", resnet18),
        save_torch(tmp_path / "c.bin", resnet18, epoch=3),
        save_torch(tmp_path / "d.pth", parallel),
    ]
    hashes = {import_backbone(f"net{i}", file).sha256 for i, file in enumerate(files)}
    assert len(hashes) == 1


def test_half_precision_is_read(folder: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("f2")
    [found] = read_state_dict(save_safetensors(tmp_path / "a", {"x": values})).values()
    assert np.array_equal(found, values)

    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    brain = torch.from_numpy(values.astype("f4")).bfloat16()
    header = json.dumps({"x": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]}}).encode()
    raw = brain.view(torch.int16).numpy().tobytes()
    (tmp_path / "b").write_bytes(struct.pack("<Q", len(header)) + header + raw)
    torch.save({"x": brain}, tmp_path / "c")
    for name in "bc":
        [found] = read_state_dict(tmp_path / name).values()
        assert np.array_equal(found, brain.float().numpy())


def test_the_network_is_told_by_its_tensors() -> None:
    for name, architecture in ARCHITECTURES.items():
        shapes = tensors(architecture)
        state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
        assert choose(state, "any", "a file") is architecture
        assert choose(state, f"{name}.tv_in1k", "a file") is architecture


def test_random_weights_come_from_their_seed_and_fit_into_half_precision(
    cli: Cli, folder: Path
) -> None:
    for name, seed in (("resnet18-a", 0), ("resnet18-b", 0), ("resnet18-c", 1)):
        assert cli("backbone", "import", name, "--random", seed).code == 0
    a, b, c = (open_backbone(f"resnet18-{letter}").sha256 for letter in "abc")
    assert a == b != c
    card = json.loads((folder / "resnet18-a.json").read_text(encoding="utf-8"))
    assert card["source"] == "random weights of a resnet18, seed 0"
    for values in layers_of("resnet18-a", IMAGES).values():
        assert 0.1 < values.std() < 100
        assert values.max() < 1000
    cli("backbone", "import", "line4", "--random", 0).refusal("line4", "resnet18, resnet34")
    cli("backbone", "import", "resnet18-d", "--random", -1).refusal("--random -1")


def test_a_detector_learns_on_an_imported_backbone_and_its_model_names_it(
    cli: Cli, folder: Path, plates: Path, tmp_path: Path
) -> None:
    sha256 = import_backbone(RANDOM, random=0).sha256
    model = tmp_path / "plates.blemish"
    settings = ["--set", f"backbone={RANDOM}", "--set", "layers=layer1,layer2"]
    detector = ["--detector", "padim", "--size", "64"]
    assert cli("train", plates, "-o", model, *detector, *settings).code == 0
    assert open_artifact(model).card.backbone == BackboneEntry(RANDOM, sha256)
    open_backbone(RANDOM).path.unlink()  # the model has all that it needs
    run = cli("evaluate", model, plates, "--json", "-")
    assert json.loads(run.out)["image"]["auroc"] > 0.9


# --- timm, which stands in for itself


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch, resnet18: dict[str, np.ndarray]) -> SimpleNamespace:
    """A timm that has one model."""
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

    class Model:
        pretrained_cfg = {  # noqa: RUF012
            "mean": (0.5, 0.5, 0.5),
            "std": (0.25, 0.25, 0.25),
            "hf_hub_id": "timm/resnet18.tv_in1k",
            "license": "bsd-3-clause",
        }

        def state_dict(self) -> dict[str, torch.Tensor]:
            return {name: torch.from_numpy(np.array(x)) for name, x in resnet18.items()}

    def create_model(name: str, pretrained: bool) -> Model:
        if name != "resnet18.tv_in1k":
            raise RuntimeError(f"Invalid pretrained tag for {name}.\nA second line")
        assert pretrained
        assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
        return Model()

    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    stand_in = SimpleNamespace(create_model=create_model, __version__="1.0.9")
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    return stand_in


def test_timm_gives_weights_licence_and_normalisation(
    cli: Cli, folder: Path, timm: SimpleNamespace
) -> None:
    run = cli("backbone", "import", "timm/resnet18.tv_in1k")
    assert run.code == 0, run.err
    assert "licence: bsd-3-clause" in run.out
    card = json.loads((folder / "resnet18.tv_in1k.json").read_text(encoding="utf-8"))
    assert card["source"] == "timm 1.0.9: timm/resnet18.tv_in1k"
    assert card["normalisation"] == "(x / 255 - [0.5, 0.5, 0.5]) / [0.25, 0.25, 0.25]"
    graph = onnx.load(open_backbone("resnet18.tv_in1k").path).graph
    mean = next(values for values in graph.initializer if values.name == "mean")
    assert onnx.numpy_helper.to_array(mean).tolist() == [127.5] * 3


def test_without_timm_or_a_connection_one_sentence_says_what_to_do(
    cli: Cli, folder: Path, timm: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "timm/resnet50.tv_in1k"
    sentence = cli("backbone", "import", name).refusal("Invalid pretrained tag", "connection")
    assert "backbone import resnet50.tv_in1k --weights FILE" in sentence
    assert "second line" not in sentence

    def offline(name: str, pretrained: bool) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    cli("backbone", "import", name).refusal("no route to the hub", "--weights FILE")
    monkeypatch.setitem(sys.modules, "timm", None)
    cli("backbone", "import", name).refusal("blemish[timm]", "--weights FILE")
    cli("backbone", "import", "timm/convnext_tiny").refusal("convnext_tiny", "wide_resnet50_2")
    assert not folder.exists()


# --- what is refused


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def bad_files(folder: Path, good: dict[str, np.ndarray]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files that are no ResNet's weights, and words of the sentence that refuses each."""
    folder.mkdir()
    tensor = save_safetensors(folder / "cut.safetensors", good)
    yield cut(tensor, tensor.stat().st_size - 1), ("damaged", "cut short")
    yield cut(save_safetensors(folder / "head.safetensors", good), 100), ("damaged", "cut short")
    archive = save_torch(folder / "cut.pth", good)
    yield cut(archive, archive.stat().st_size // 2), ("damaged",)
    contents = {"empty.pth": b"", "picture.pth": b"\xff\xd8\xff\xe0 and so on", "list": b"[1, 2]"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, ("holds no weights", ".safetensors")
    for name, header in {"a": b"{]", "b": b"{}{", "c": b'{"x": 1}', "d": b'{"x": {}}'}.items():
        (folder / name).write_bytes(struct.pack("<Q", len(header)) + header)
        yield folder / name, ("damaged safetensors",)
    yield folder / "not-there.pth", ("cannot be read",)
    yield folder, ("cannot be read",)
    changes: dict[str, tuple[dict[str, np.ndarray], str]] = {
        "missing": ({}, "layer3.1.bn2.running_var is missing"),
        "shape": ({"conv1.weight": np.zeros((64, 1, 7, 7), "f4")}, "[64, 1, 7, 7], not [64, 3"),
        "more": ({"layer1.0.se.fc1.weight": np.zeros(3, "f4")}, "a tensor layer1.0.se.fc1.weight"),
        "number": ({"layer2.0.bn1.running_var": np.full(128, np.nan, "f4")}, "not finite"),
        "negative": ({"layer2.0.bn1.running_var": np.full(128, -1, "f4")}, "not finite"),
    }
    for name, (change, words) in changes.items():
        state = {**good, **change}
        if name == "missing":
            del state["layer3.1.bn2.running_var"]
        yield save_safetensors(folder / name, state), (words,)


def test_a_file_that_is_no_resnet_is_refused_in_a_sentence(
    cli: Cli, folder: Path, tmp_path: Path, resnet18: dict[str, np.ndarray]
) -> None:
    for file, words in bad_files(tmp_path / "bad", resnet18):
        sentence = cli("backbone", "import", "resnet18.mine", "--weights", file).refusal(*words)
        assert file.name in sentence or "not finite" in sentence
    assert not folder.exists()


class Stranger:
    """An object that a pickle could hold, and that would run a program when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("exit 1",)


def test_a_pickle_that_holds_more_than_tensors_is_refused(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    values = {"program": Stranger(), "text": {"a": "b"}, "list": [1, 2]}
    for name, value in values.items():
        torch.save(value, tmp_path / name)
        cli("backbone", "import", "net", "--weights", tmp_path / name).refusal(
            tmp_path / name, "model.state_dict()"
        )


def test_weights_of_another_network_than_the_name_says_are_refused(
    cli: Cli, folder: Path, tmp_path: Path, resnet18: dict[str, np.ndarray]
) -> None:
    weights = save_safetensors(tmp_path / "r18.safetensors", resnet18)
    cli("backbone", "import", "wide_resnet50_2.tv_in1k", "--weights", weights).refusal(
        "r18.safetensors is no wide_resnet50_2", "the tensor layer1.0.", "those of a resnet18"
    )


def test_a_pth_without_torch_says_what_to_install(
    cli: Cli,
    folder: Path,
    tmp_path: Path,
    resnet18: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = save_torch(tmp_path / "r18.pth", resnet18)
    monkeypatch.setitem(sys.modules, "torch", None)
    cli("backbone", "import", "r18", "--weights", weights).refusal(weights, "blemish[train]")


def test_a_name_must_be_a_file_name_and_weights_must_be_named(cli: Cli, folder: Path) -> None:
    for name in ("../up", "a/b", "", ".hidden", "timm/"):
        cli("backbone", "import", name, "--random", 0).refusal("cannot be named")
    cli("backbone", "import", "resnet18").refusal("--weights FILE", "timm/resnet18")


def test_other_weights_under_a_taken_name_change_nothing(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = import_backbone(RANDOM, random=0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert import_backbone(RANDOM, random=0) == first
    cli("backbone", "import", RANDOM, "--random", 1).refusal("already", first.path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    first.path.unlink()
    assert import_backbone(RANDOM, random=1).sha256 != first.sha256 == sha_of(before)

    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "resnet18-ours.onnx").touch()
    monkeypatch.setattr(backbones, "ASSETS", assets)
    cli("backbone", "import", "resnet18-ours", "--random", 1).refusal("is the bundled backbone")


def sha_of(files: dict[str, bytes]) -> str:
    return str(json.loads(files[f"{RANDOM}.json"])["sha256"])


def test_an_unknown_backbone_says_how_to_import_it(folder: Path) -> None:
    words = "import timm/wide_resnet50_2.tv_in1k`.*import wide_resnet50_2.tv_in1k --weights FILE`"
    with pytest.raises(BlemishError, match=words):
        open_backbone("wide_resnet50_2.tv_in1k")


def test_a_damaged_backbone_is_named_and_the_others_stay(cli: Cli, folder: Path) -> None:
    path = import_backbone(RANDOM, random=0).path
    whole, card = path.read_bytes(), path.with_suffix(".json").read_text(encoding="utf-8")
    for damage in (whole[:-1], whole[:-1] + b"?", b""):
        path.write_bytes(damage)
        with pytest.raises(BlemishError, match=f"{RANDOM} is damaged.*delete it and import it"):
            open_backbone(RANDOM)
    path.write_bytes(whole)
    assert open_backbone(RANDOM).path == path
    for text in ("", "[]", "{}", card.replace("layer1", "block9").replace("sha256", "hash")):
        path.with_suffix(".json").write_text(text, encoding="utf-8")
        os.utime(path)
        run = cli("backbone", "list")
        assert (run.code, BUNDLED in run.out, RANDOM in run.out) == (0, True, False)
        assert f"{RANDOM} is damaged" in run.err[0]


def test_a_kill_leaves_no_backbone_or_a_whole_one(folder: Path) -> None:
    stop = (
        "import time; from pathlib import Path; from blemish.util import files; "
        "from blemish.cli import main\n"
        "def stop(path, target):\n"
        "    if str(target).endswith('.onnx'): print('writing', flush=True); time.sleep(60)\n"
        "    return path.rename(target)\n"
        "Path.replace = stop\n"
        f"main(['backbone', 'import', '{RANDOM}', '--random', '0'])"
    )
    process = started([], code=stop)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert backbone_names() == [BUNDLED]
    assert finished(["backbone", "import", RANDOM, "--random", 0]).code == 0
    assert open_backbone(RANDOM).layers


# --- in torch


@pytest.fixture(scope="module")
def torch_backbone():
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from blemish.features import torch_backbone

    return torch_backbone


def numpy_of(layers: dict) -> dict[str, np.ndarray]:
    return {name: values.detach().numpy() for name, values in layers.items()}


@pytest.mark.parametrize("name", [BUNDLED, RANDOM])
def test_torch_computes_every_layer_as_onnx_runtime_does(
    torch_backbone, folder: Path, name: str
) -> None:
    import torch

    import_backbone(RANDOM, random=0)
    expected = layers_of(name, IMAGES)
    network = torch_backbone.TorchBackbone(open_backbone(name).path, list(expected))
    assert agree(numpy_of(network(torch.from_numpy(IMAGES))), expected)


@pytest.mark.parametrize(("start", "end"), [("block10", "block15"), ("block2", "block7")])
def test_a_part_of_the_graph_runs_from_one_layer_to_another(
    torch_backbone, start: str, end: str
) -> None:
    import torch

    layers = layers_of(BUNDLED, IMAGES)
    part = torch_backbone.TorchBackbone(open_backbone().path, [end], start=start)
    whole = torch_backbone.TorchBackbone(open_backbone().path, [end])
    assert 0 < len(list(part.parameters())) < len(list(whole.parameters()))
    found = part(torch.from_numpy(layers[start]))
    assert agree(numpy_of(found), {end: layers[end]})


def test_a_part_that_begins_too_late_and_a_layer_that_is_not_there_are_refused(
    torch_backbone,
) -> None:
    path = open_backbone().path
    with pytest.raises(BlemishError, match=r"block4 .* cannot be computed from 'block10' alone"):
        torch_backbone.TorchBackbone(path, ["block4"], start="block10")
    for layers, start in ((["block3"], "image"), (["block4"], "block3")):
        with pytest.raises(BlemishError, match="no layer 'block3'; it has block0, block2"):
            torch_backbone.TorchBackbone(path, layers, start=start)


def test_the_last_stage_learns_once_it_is_told_to_and_its_weights_go_back_into_the_graph(
    torch_backbone, tmp_path: Path
) -> None:
    import torch

    part = torch_backbone.TorchBackbone(open_backbone().path, ["block15"], start="block10")
    assert not any(weight.requires_grad for weight in part.parameters())
    x = torch.from_numpy(layers_of(BUNDLED, IMAGES)["block10"])
    before = part.weights()
    part.requires_grad_(True)
    optimiser = torch.optim.SGD(part.parameters(), lr=1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        part(x)["block15"].square().mean().backward()
        optimiser.step()
    after = part.weights()
    assert all(np.any(after[name] != before[name]) for name in before)

    model = onnx.load(open_backbone().path)
    for values in model.graph.initializer:
        if values.name in after:
            values.CopyFrom(onnx.numpy_helper.from_array(after[values.name], values.name))
    session = open_session(model.SerializeToString())
    (found,) = session.run(["block15"], {"image": IMAGES})
    assert agree({"block15": found}, numpy_of(part(x)))


def small_graph(path: Path, *nodes: onnx.NodeProto) -> Path:
    """`x` float32 [1, 2, 15, 13] -> `y`, with random weights `w`, `b` and the bounds 0 and 6."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 1, 3, 3)).astype("f4"),
        "b": rng.normal(size=4).astype("f4"),
        "low": np.array(0, "f4"),
        "high": np.array(6, "f4"),
        "two": np.array(2, "f4"),
    }
    x = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 2, 15, 13])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    values = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    first = helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    graph = helper.make_graph([first, *nodes], "small", [x], [y], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@settings(max_examples=25)
@given(
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    strides=st.lists(st.integers(1, 3), min_size=2, max_size=2),
    dilation=st.integers(1, 2),
)
def test_windows_are_padded_and_moved_as_in_onnx(
    tmp_path_factory: pytest.TempPathFactory,
    torch_backbone,
    pads: list[int],
    strides: list[int],
    dilation: int,
) -> None:
    import torch

    path = small_graph(
        tmp_path_factory.mktemp("graph") / "small.onnx",
        helper.make_node(
            "Conv",
            ["x", "w", "b"],
            ["c"],
            pads=pads,
            strides=strides,
            dilations=[dilation] * 2,
            group=2,
        ),
        helper.make_node("Sub", ["c", "two"], ["s"]),
        helper.make_node("Div", ["s", "two"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["y"], kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
    )
    image = np.random.default_rng(1).integers(0, 9, (1, 2, 15, 13), np.uint8)
    (expected,) = open_session(path).run(["y"], {"image": image})
    found = torch_backbone.TorchBackbone(path, ["y"])(torch.from_numpy(image))
    assert agree(numpy_of(found), {"y": expected})


def test_an_operator_or_attribute_that_torch_is_not_told_of_is_refused(
    torch_backbone, tmp_path: Path
) -> None:
    path = small_graph(tmp_path / "a.onnx", helper.make_node("Erf", ["x"], ["y"], "last"))
    with pytest.raises(BlemishError, match=r"a\.onnx.*operator Erf of last.*Add, Cast, Clip"):
        torch_backbone.TorchBackbone(path, ["y"])
    pool = helper.make_node("MaxPool", ["x"], ["y"], "last", kernel_shape=[2, 2], ceil_mode=1)
    with pytest.raises(BlemishError, match="its attribute ceil_mode"):
        torch_backbone.TorchBackbone(small_graph(tmp_path / "b.onnx", pool), ["y"])


# --- the stream of features on a device

RECIPE = Recipe(64, 64, "pad")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "part.png"
    cv2.imwrite(str(path), IMAGES[0])
    return path


def test_a_stream_on_a_gpu_gives_the_same_features_under_another_key(
    torch_backbone, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is the processor under another name: torch's half of the stream, everywhere."""

    def on_the_processor(path: Path, layers: list[str], _: str):
        return session(path, layers, "cpu")

    session = torch_backbone.TorchSession
    monkeypatch.setattr(device, "find_device", lambda: "cuda")
    monkeypatch.setattr(torch_backbone, "TorchSession", on_the_processor)
    layers = ("block0", "block10")
    cpu, gpu = (
        FeatureStream(open_backbone(), layers, RECIPE, folder=tmp_path / "cache", device=name)
        for name in ("cpu", "cuda")
    )
    assert cpu.key != gpu.key
    [expected], [found] = list(cpu.batches([picture])), list(gpu.batches([picture]))
    for name, values in expected.layers.items():
        assert np.abs(found.layers[name] - values).max() <= 1e-3 * np.abs(values).max()
    assert len(list(cache.shelves(tmp_path / "cache"))) == 2


def test_the_keys_of_features_on_the_processor_are_the_old_ones() -> None:
    import onnxruntime

    parts = [RECIPE.to_json(), open_backbone().sha256, ["block0"], onnxruntime.__version__]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    assert FeatureStream(open_backbone(), ["block0"], RECIPE).key == key


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert device.find_device() == "cpu"
    for name, words in (("cuda", "not installed or sees no GPU"), ("tpu", "use cpu or cuda")):
        with pytest.raises(BlemishError, match=words):
            FeatureStream(open_backbone(), ["block0"], RECIPE, device=name)


def test_the_device_is_the_gpu_that_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    for seen, name in ((True, "cuda"), (False, "cpu")):
        gpu = SimpleNamespace(is_available=lambda seen=seen: seen)
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=gpu))
        assert device.find_device() == name


@pytest.mark.skipif(device.find_device() != "cuda", reason="torch sees no GPU here")
def test_a_real_gpu_agrees_with_onnx_runtime(torch_backbone) -> None:
    expected = layers_of(BUNDLED, IMAGES)
    session = torch_backbone.TorchSession(open_backbone().path, list(expected), "cuda")
    assert agree(dict(zip(expected, session.run(IMAGES), strict=True)), expected)


def test_listing_backbones_imports_no_torch(folder: Path) -> None:
    program = "import sys; from blemish.cli import main; main(['backbone', 'list']); "
    run = finished([], code=program + "print('torch' in sys.modules)")
    assert run.out.splitlines()[-1] == "False"
