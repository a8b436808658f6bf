"""Make tests/fixtures/old: models of schema 1 with what the code of their day said of them.

Run it by hand with the code of the commit that the fixture's README names, never with a later one:
later code must open what earlier code wrote. `make_old_models.py DIR` makes them elsewhere, which
shows whether the same trainings still end at the same models. Pictures, backbone and models follow
from seeds alone. What lies in `earlier` and `results` is older still, and is only read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from blemish.cli import main

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "old"
VIEWS = r"(?P<part>\w\d+)_(?P<view>\w+)\.png"
TIMES = ("seconds", "images_per_second")

Pixels = npt.NDArray[Any]

# Each model: its data set, and the arguments of `train`.
SMALL = ("--size", "64")
TINY = ("--set", "backbone=tiny")
SHORT = "batch=4"
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "padim": ("plates", ("--max-fpr", "30%", *SMALL)),
    "padim-cross-fit": ("plates", ("--cross-fit", "3", "--size", "32")),
    "padim-views": ("views", ("--view-scales", "--part-pattern", VIEWS, "--size", "32")),
    "patchcore-tiles": ("wide", ("--tile", "64", "--set", "bank=40", *SMALL)),
    "softpatch-16-bit": ("deep", ("--set", "bank=40", *SMALL)),
    "duet-padded": ("plates", ("--resize", "pad", "--set", "bank=40", *SMALL)),
    "cflow-crop": ("plates", ("--size", "96", "--crop", "64")),
    "uflow": ("plates", SMALL),
    "simplenet": ("plates", SMALL),
    "reverse_distillation": ("plates", SMALL),
    "uniad-categories": ("kinds", SMALL),
    "mixed": ("taught", ("--tile", "64", "--max-fpr", "20%", *SMALL)),
}
EARLIER = {"padim-first": "plates", "padim-views-first": "views", "mixed-first": "taught"}
RESULTS = ("schema-2", "schema-3")  # of the bench
SETTINGS = {
    "cflow": ("steps=4", "fibers=32", "crops=4", "blocks=1", "code=8"),
    "uflow": ("layers=block4,block10", "steps=4", SHORT, "width=0.5"),
    "simplenet": ("steps=4", "hidden=8", "patches=32", SHORT),
    "reverse_distillation": ("steps=4", SHORT, "embedding=1/4"),
    "uniad": ("steps=8", "width=16", "depth=1", "heads=2", "feedforward=16", "warmup=2"),
    "mixed": ("steps=12", SHORT, "patch=64", "hidden=8", "frozen=block14", "every=4"),
}


def plate(seed: int, shape: tuple[int, int] = (56, 72)) -> Pixels:
    """A good plate, grey uint8 [H, W], in few levels so that its file is small."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    start, slope = rng.uniform(0, 40), rng.uniform(-0.3, 0.3)
    waves = 30 * np.sin((columns + slope * rows + start) / 6) + 10 * np.cos((rows + start) / 9)
    grey = 120 + waves + rng.normal(0, 5, shape)
    levels: Pixels = (np.clip(grey, 0, 255) / 8).astype(np.uint8) * 8
    return levels


def dent(seed: int, shape: tuple[int, int] = (56, 72)) -> tuple[Pixels, Pixels]:
    """A plate with a dark square in it, and its mask of 0 and 255."""
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(4, side - 20)) for side in shape)
    mask = np.zeros(shape, np.uint8)
    mask[top : top + 14, left : left + 14] = 255
    return np.where(mask > 0, 8, plate(seed, shape)).astype(np.uint8), mask


def save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def save_set(
    root: Path, train: int, test: int, shape: tuple[int, int] = (56, 72), *, deep: bool = False
) -> None:
    """A data set in the layout of MVTec AD; `deep`: pictures of 12 bits in 16."""
    base = int(hashlib.sha256(root.name.encode()).hexdigest()[:4], 16)

    def kept(name: str, pixels: Pixels) -> None:
        save(root / name, pixels.astype(np.uint16) * 16 if deep else pixels)

    for number in range(train):
        kept(f"train/good/{number:02}.png", plate(base + number, shape))
    for number in range(test):
        kept(f"test/good/{number:02}.png", plate(base + 100 + number, shape))
        pixels, mask = dent(base + 200 + number, shape)
        kept(f"test/dent/{number:02}.png", pixels)
        save(root / f"ground_truth/dent/{number:02}_mask.png", mask)


def save_pictures(root: Path) -> None:
    save_set(root / "plates", 20, 4)
    save_set(root / "wide", 6, 2, (64, 120))
    (root / "wide/license.txt").write_text("Generated pictures, free for all\n", encoding="utf-8")
    save_set(root / "deep", 8, 2, deep=True)
    save_set(root / "kinds/nut", 8, 2, (40, 40))
    save_set(root / "kinds/bolt", 8, 2, (40, 56))
    save_set(root / "taught", 16, 3)
    for number in range(4):
        save(root / f"taught/train/dent/{number:02}.png", dent(700 + number)[0])
    for number in range(2):
        pixels, mask = dent(800 + number)
        save(root / f"new_defects/scratch/{number:02}.png", pixels)
        save(root / f"new_defects/ground_truth/scratch/{number:02}_mask.png", mask)
    for number in range(12):
        save(root / f"new_good/{number:02}.png", plate(900 + number))
    for part in range(12):
        for view in (1, 2):
            save(root / f"views/train/good/a{part:02}_v{view}.png", plate(1000 * view + part))
    for part in range(4):
        # The last good part lacks a view; a dent is seen from one side only.
        for view in (1, 2)[: 1 + (part < 3)]:
            save(root / f"views/test/good/b{part:02}_v{view}.png", plate(1000 * view + 100 + part))
        save(root / f"views/test/dent/c{part:02}_v1.png", plate(1200 + part))
        pixels, mask = dent(2200 + part)
        save(root / f"views/test/dent/c{part:02}_v2.png", pixels)
        save(root / f"views/ground_truth/dent/c{part:02}_v1_mask.png", np.zeros_like(mask))
        save(root / f"views/ground_truth/dent/c{part:02}_v2_mask.png", mask)


def save_backbone(folder: Path) -> None:
    """A few random convolutions with the names and strides of the bundled backbone's layers."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Cast", ["image"], ["float"], "float", to=TensorProto.FLOAT)]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("mean", 127.0), ("scale", 128.0))
    ]
    nodes += [
        helper.make_node("Sub", ["float", "mean"], ["centred"], "centred"),
        helper.make_node("Div", ["centred", "scale"], ["scaled"], "scaled"),
        helper.make_node("Transpose", ["scaled"], ["nchw"], "nchw", perm=[0, 3, 1, 2]),
    ]
    x, inputs, stride, layers = "nchw", 3, 1, []
    for name, channels, step in (
        *(("block0", 6, 2), ("block2", 8, 2), ("block4", 8, 2)),
        *(("block10", 10, 2), ("block14", 12, 2), ("block15", 12, 1)),
    ):
        weight = rng.normal(0, np.sqrt(2 / (9 * inputs)), (channels, inputs, 3, 3))
        bias = rng.normal(0, 0.1, channels)
        for part, values in (("weight", weight), ("bias", bias)):
            constants.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.{part}"))
        nodes += [
            helper.make_node(
                "Conv",
                [x, f"{name}.weight", f"{name}.bias"],
                [f"{name}.conv"],
                f"{name}.conv",
                kernel_shape=[3, 3],
                strides=[step, step],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Relu", [f"{name}.conv"], [f"{name}.relu"], f"{name}.relu"),
            helper.make_node("Identity", [f"{name}.relu"], [name], name),
        ]
        x, inputs, stride = f"{name}.relu", channels, stride * step
        layers.append({"name": name, "channels": channels, "stride": stride})
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "H", "W", 3])
    shape = ["n", None, None, None]
    outputs = [
        helper.make_tensor_value_info(str(layer["name"]), TensorProto.FLOAT, shape)
        for layer in layers
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    folder.mkdir(parents=True)
    (folder / "tiny.onnx").write_bytes(data)
    card = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "source": "random convolutions, seed 0",
        "licence": "none",
        "normalisation": "(x - 127) / 128",
        "layers": layers,
    }
    (folder / "tiny.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def blemish(*argv: object) -> str:
    """What a command prints; a command that fails ends the script."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([str(argument) for argument in argv])
    if code:
        sys.exit(f"{argv}: exit code {code}")
    return out.getvalue()


def train(name: str) -> None:
    data, arguments = MODELS[name]
    detector = name.partition("-")[0]
    settings = [word for text in SETTINGS.get(detector, ()) for word in ("--set", text)]
    out = f"models/{name}.blemish"
    blemish("train", data, "-o", out, "--detector", detector, *TINY, *settings, *arguments)


def relative(found: Any, root: str) -> Any:
    """The same JSON with its file names seen from the folder of the fixture."""
    if isinstance(found, dict):
        return {key: relative(value, root) for key, value in found.items()}
    if isinstance(found, list):
        return [relative(value, root) for value in found]
    return found.removeprefix(root + "/") if isinstance(found, str) else found


def said(model: str, data: str) -> dict[str, Any]:
    """What a model says of its test set: the arguments of each command with the JSON it writes."""
    parts = ["--part-pattern", VIEWS] * (data == "views")
    commands = {"evaluate": ["evaluate", model, data, *parts]}
    for kind in ("nut", "bolt") if data == "kinds" else ("",):
        category = ["--category", kind] if kind else []
        folder = "/".join(filter(None, [data, kind, "test"]))
        commands[f"inspect {kind}".strip()] = ["inspect", model, folder, *parts, *category]
    if data == "plates":
        calibrate = ["calibrate", model, "new_good", "--max-fpr", "30%", "-o", "{out}"]
        commands["calibrate"] = calibrate
    found = {}
    for key, command in commands.items():
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/again.blemish"
            found[key] = answer(command, out)
    return found


def answer(command: list[str], out: str = "") -> dict[str, Any]:
    """A command and the JSON that it prints, without times; `out` takes the place of "{out}"."""
    text = blemish(*(out if word == "{out}" else word for word in command), "--json", "-")
    values = relative(json.loads(text), os.getcwd())  # noqa: PTH109
    if isinstance(values, dict):
        values = {name: value for name, value in values.items() if name not in TIMES}
    return {"command": command, "json": values}


def make_models() -> Iterator[tuple[str, str]]:
    """Every model, made in the working directory or lying there, and its data set."""
    for name, data in EARLIER.items():
        yield f"earlier/{name}", data
    for name, (data, _) in MODELS.items():
        train(name)
        yield f"models/{name}", data
    first = "models/padim.blemish"
    again = ("--max-fpr", "20%", "--confidence", "90%", "-o", "models/padim-recalibrated.blemish")
    blemish("calibrate", first, "new_good", *again)
    yield "models/padim-recalibrated", "plates"
    goes_on = ("--from", "models/mixed.blemish", "--defects", "new_defects")
    blemish("train", "taught", "-o", "models/mixed-continued.blemish", *goes_on)
    yield "models/mixed-continued", "taught"


def split_files() -> dict[str, Any]:
    """Files of `data split`, and what `data show` says of the data set behind each of them."""
    protocols: Iterable[tuple[str, str, tuple[str, ...]]] = (
        ("supervised", "plates", ("share=0.5",)),
        ("fuiad", "plates", ("alpha=0.2", "test_parts=3")),
        ("k_fold", "views", ("k=3", "fold=1")),
    )
    found = {}
    for protocol, data, settings in protocols:
        file = f"splits/{protocol}.json"
        chosen = [word for text in settings for word in ("--set", text)]
        parts = ["--part-pattern", VIEWS] * (data == "views")
        blemish("data", "split", data, "--protocol", protocol, *chosen, *parts, "-o", file)
        command = ["data", "show", data, "--split", file, *parts]
        found[protocol] = answer(command)
    return found


def kept_results() -> dict[str, Any]:
    """What the bench says of its kept results."""
    found = {}
    for schema in RESULTS:
        where = ["dev", "--out", f"results/{schema}"]
        found[f"table of {schema}"] = answer(["bench", "table", *where])
        found[f"compare {schema}"] = answer(["bench", "compare", *where, "--against", "padim"])
    return found


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def make(folder: Path) -> None:
    """All of the fixture but its README, in `folder`."""
    for name in ("backbones", "models", "splits", "said", *(data for data, _ in MODELS.values())):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("earlier", "results"):
        if folder != FOLDER:
            shutil.copytree(FOLDER / name, folder / name, dirs_exist_ok=True)
    save_pictures(folder)
    save_backbone(folder / "backbones")
    (folder / "splits").mkdir()
    with tempfile.TemporaryDirectory() as cache, contextlib.chdir(folder):
        os.environ["BLEMISH_CACHE"] = cache
        os.environ["BLEMISH_BACKBONES"] = str(folder / "backbones")
        os.environ["BLEMISH_THREADS"] = "1"
        for name, data in make_models():
            write(folder / f"said/{Path(name).name}.json", said(f"{name}.blemish", data))
        write(folder / "said/splits.json", split_files())
        write(folder / "said/results.json", kept_results())


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve() if sys.argv[1:] else FOLDER)
