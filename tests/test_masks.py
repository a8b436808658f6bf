"""Masks as labelling tools write them: which pixels show the defect, and what is odd or refused."""

from __future__ import annotations

import json
import logging
import shutil
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_bytes import bmp, encoded, png_of, tiff
from numpy.typing import NDArray
from PIL import Image
from plates import dent_mask, plate, save, save_set
from running import Cli
from streams import write

from blemish.audit.patch_features import read_mask_cells
from blemish.dataset import open_dataset
from blemish.dataset.image_mask_pairs import masks_with_foreground
from blemish.dataset.mask_findings import MOST_DRAWN, MaskFindings, findings_of
from blemish.dataset.pixel_checks import audit
from blemish.dataset.survey import survey
from blemish.errors import ImageError
from blemish.evaluation import evaluate
from blemish.images import Recipe, look_at_mask, read_image, read_mask
from blemish.images.mask_meaning import FEW_LEVELS, MOST_INDEX, levels_of
from blemish.inspector import Inspector
from blemish.prepare.known_defects import KnownDefects

SHAPE = (20, 30)
CLASSES = np.zeros(SHAPE, np.uint8)
CLASSES[2:6, 3:9] = 1
CLASSES[10:15, 12:20] = 2
DRAWN = CLASSES > 0
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # the colours of its first classes
NEGATIVE = [255, 255, 255, 0, 0, 0, 40, 40, 40]  # index 0 is white, index 1 black


def marked(place: Path, data: bytes) -> NDArray[np.bool_]:
    place.write_bytes(data)
    return read_mask(place, SHAPE)


def refused(place: Path, data: bytes) -> str:
    place.write_bytes(data)
    with pytest.raises(ImageError) as error:
        read_mask(place, SHAPE)
    assert str(error.value).startswith(f"the mask {place} ")
    assert "save it as grey, its defects as 255 and all else as 0" in str(error.value)
    return str(error.value)


def of_levels(*levels: float, dtype: Any = np.uint8) -> NDArray[Any]:
    """A mask [H, W] in which each level fills some of the pixels, the first most of them."""
    values = np.full(SHAPE, levels[0], dtype)
    for number, level in enumerate(levels[1:]):
        values.ravel()[7 + 5 * number : 9 + 5 * number] = level
    return values


def opencv(suffix: str, pixels: NDArray[Any], *options: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    assert done
    return data.tobytes()


# ------------------------------------------------------------------------------- a few values


@pytest.mark.parametrize(
    "levels",
    [
        *((0, 255), (0, 1), (0, 1, 2), (0, 100, 255), (0, 127, 255), (0, 128, 255), (0, 254, 255)),
        *((0, 40, 80, 120, 160, 200, 240), (0, 50, 100), tuple(range(FEW_LEVELS)), (0, 33, 255)),
        (0, 10, 250),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_every_value_but_0_of_a_mask_with_few_is_a_defect(
    tmp_path: Path, levels: tuple[int, ...], kind: str
) -> None:
    values = of_levels(*levels)
    assert np.array_equal(marked(tmp_path / "mask", encoded(values, kind)), values != 0)


@given(levels=st.sets(st.integers(1, 254), max_size=FEW_LEVELS - 1), seed=st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_few_values_are(tmp_path: Path, levels: set[int], seed: int) -> None:
    values = np.random.default_rng(seed).choice(np.array([0, *levels], np.uint8), SHAPE)
    assert np.array_equal(marked(tmp_path / "mask", encoded(values, "PNG")), values != 0)
    deep = values.astype(np.uint16) * 250
    assert np.array_equal(marked(tmp_path / "mask", tiff(deep)), deep != 0)
    parts = values.astype(np.float32) / 256
    assert np.array_equal(marked(tmp_path / "mask", tiff(parts)), parts != 0)


def test_a_stream_of_masks_follows_the_same_rule(tmp_path: Path) -> None:
    stack = np.stack([of_levels(0, 100, 255), of_levels(0, 1, 255)])
    file = write(tmp_path / "a.h5", {"mask": stack, "deep": stack.astype(np.uint16) * 257})
    assert np.array_equal(read_mask(file / "mask/000000", SHAPE), stack[0] != 0)
    assert np.array_equal(read_mask(file / "deep/000000", SHAPE), stack[0] != 0)
    with pytest.raises(ImageError, match="mask/000001 has the value 255 beside 1,"):
        read_mask(file / "mask/000001", SHAPE)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 128), (90, 90, 0), (255, 255, 255)])
def test_of_colours_every_one_but_black_is_a_defect(
    tmp_path: Path, colour: tuple[int, int, int]
) -> None:
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[CLASSES == 1], picture[CLASSES == 2] = colour, (0, 128, 0)
    for data in (encoded(picture, "PNG"), encoded(picture, "TIFF"), opencv(".bmp", picture)):
        assert np.array_equal(marked(tmp_path / "mask", data), DRAWN)


# ------------------------------------------------------------------------------- many values


def soft_brush(largest: int = 255) -> NDArray[np.uint8]:
    drawn = cv2.circle(np.zeros(SHAPE, np.uint8), (15, 10), 6, largest, -1)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 2))


def test_a_soft_edge_is_cut_at_half_the_range(tmp_path: Path) -> None:
    brush = soft_brush()
    assert len(np.unique(brush)) > FEW_LEVELS
    data = encoded(brush, "PNG")
    assert np.array_equal(marked(tmp_path / "mask", data), brush > 127)
    assert look_at_mask(tmp_path / "mask").soft
    assert np.array_equal(
        marked(tmp_path / "mask", tiff(brush.astype(np.uint16) * 257)), brush > 127
    )
    assert np.array_equal(
        marked(tmp_path / "mask", tiff(brush.astype(np.float32) / 255)), brush > 127
    )
    grey_scale = Image.fromarray(brush).convert("P")  # as grey, though with a palette
    assert grey_scale.mode == "P"
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(marked(tmp_path / "mask", encoded(grey_scale, kind)), brush > 127)


def test_many_small_values_are_indices(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[3:13] = np.arange(1, 301).reshape(10, 30) % 100 + 1
    assert np.array_equal(marked(tmp_path / "mask", encoded(values, "PNG")), values != 0)
    assert not look_at_mask(tmp_path / "mask").soft


def test_small_values_of_a_jpeg_are_noise(tmp_path: Path) -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[18:33, 19:47] = 255
    (tmp_path / "mask").write_bytes(encoded(drawn, "JPEG", quality=60))
    stored = read_image(tmp_path / "mask")
    assert ((stored > 0) & (stored < 100)).any()
    assert np.array_equal(read_mask(tmp_path / "mask", drawn.shape), stored > 127)


@given(st.data())
def test_the_different_values_are_found(data: st.DataObject) -> None:
    dtype, largest = data.draw(
        st.sampled_from([(np.uint8, 255), (np.uint16, 65535), (np.float32, 300)])
    )
    choice = sorted(data.draw(st.sets(st.integers(0, largest), min_size=1, max_size=40)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = np.full((300, 200), choice[0], dtype)
    for number in choice[1:]:  # so seldom that a look at some pixels misses it
        values.ravel()[rng.integers(values.size)] = number
    assert levels_of(values).tolist() == np.unique(values).tolist()


# ---------------------------------------------------------------------------------- palettes


def in_palette(indices: NDArray[np.uint8], palette: list[int]) -> Image.Image:
    picture = Image.fromarray(indices, "L").convert("P")
    picture.putpalette(palette)
    return picture


PALETTES = {
    "VOC": VOC,
    "0 is white, 1 is black": NEGATIVE,
    "all of one colour": [9, 9, 9] * 3,
    "256 colours": [*NEGATIVE, *[200] * (3 * 253)],
}
WRITERS: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": lambda picture: encoded(picture, "PNG"),
    "PNG of 2 bits": lambda picture: encoded(picture, "PNG", bits=2),
    "PNG with a transparent colour": lambda picture: encoded(picture, "PNG", transparency=0),
    "BMP": lambda picture: encoded(picture, "BMP"),
    "TIFF": lambda picture: encoded(picture, "TIFF"),
    "TIFF with LZW": lambda picture: encoded(picture, "TIFF", compression="tiff_lzw"),
    "TIFF with deflate": lambda picture: encoded(picture, "TIFF", compression="tiff_deflate"),
    "TIFF with PackBits": lambda picture: encoded(picture, "TIFF", compression="packbits"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("palette", PALETTES)
def test_a_palette_is_read_by_index(tmp_path: Path, writer: str, palette: str) -> None:
    if writer == "PNG of 2 bits" and palette == "256 colours":
        return
    data = WRITERS[writer](in_palette(CLASSES, PALETTES[palette]))
    assert np.array_equal(marked(tmp_path / "mask", data), DRAWN)


def test_every_index_counts_however_many_there_are(tmp_path: Path) -> None:
    indices = np.zeros(SHAPE, np.uint8)
    indices[2:10] = np.arange(240).reshape(8, 30)
    data = encoded(in_palette(indices, [*range(255, -1, -1)] * 3), "PNG")
    assert np.array_equal(marked(tmp_path / "mask", data), indices != 0)
    assert not look_at_mask(tmp_path / "mask").soft


def test_the_pixels_of_a_picture_keep_their_colours(tmp_path: Path) -> None:
    for writer in WRITERS.values():
        (tmp_path / "picture").write_bytes(writer(in_palette(CLASSES, VOC)))
        colours = np.array(VOC, np.uint8).reshape(-1, 3)[CLASSES]
        assert np.array_equal(read_image(tmp_path / "picture"), colours)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_png_palette_of_any_depth(tmp_path: Path, bits: int) -> None:
    indices = np.minimum(CLASSES, (1 << bits) - 1)
    padded = np.pad(indices, ((0, 0), (0, 2)))
    fields = np.unpackbits(padded[..., None], axis=2)[:, :, -bits:].reshape(SHAPE[0], -1)
    rows = np.packbits(fields, axis=1)[:, : -(-SHAPE[1] * bits // 8)]
    stream = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], bits, 3, 0, 0, 0)
    palette = bytes(NEGATIVE[: 3 << bits])
    assert np.array_equal(marked(tmp_path / "mask", png_of(header, stream, palette)), DRAWN)


def test_indices_in_run_lengths(tmp_path: Path) -> None:
    palette = b"".join(bytes([*NEGATIVE[k : k + 3], 0]) for k in (0, 3, 6))
    runs = b"".join(
        b"".join(bytes((1, index)) for index in row) + b"\0\0" for row in CLASSES[::-1].tolist()
    )
    data = bmp(SHAPE[1], SHAPE[0], runs + b"\0\1", compression=1, palette=palette)
    assert np.array_equal(marked(tmp_path / "mask", data), DRAWN)


def test_of_one_bit_white_is_the_defect_in_whichever_order_a_bmp_has_the_two(
    tmp_path: Path,
) -> None:
    one_bit = Image.fromarray(DRAWN)
    for kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(marked(tmp_path / "mask", encoded(one_bit, kind)), DRAWN)
    bilevel = opencv(".png", DRAWN.astype(np.uint8) * 255, cv2.IMWRITE_PNG_BILEVEL, 1)
    assert np.array_equal(marked(tmp_path / "mask", bilevel), DRAWN)
    black, white = bytes(4), b"\xff\xff\xff\0"
    for palette, bits in ((black + white, DRAWN), (white + black, ~DRAWN)):
        rows = np.packbits(bits[::-1], axis=1)
        data = bmp(SHAPE[1], SHAPE[0], rows.tobytes(), bits=1, palette=palette)
        assert np.array_equal(marked(tmp_path / "mask", data), DRAWN)


# ----------------------------------------------------------------------- what cannot be told


@pytest.mark.parametrize(
    "levels",
    [(0, 1, 255), (0, 1, 2, 255), (1, 255), (0, MOST_INDEX, 255), (0, 1, 2, 3, 253, 254, 255)],
)
def test_255_beside_indices_is_refused_with_the_way_out(
    tmp_path: Path, levels: tuple[int, ...]
) -> None:
    values = of_levels(*levels)
    for kind in ("PNG", "BMP", "TIFF"):
        reason = refused(tmp_path / "mask", encoded(values, kind))
        assert f"has the value 255 beside {levels[levels[0] == 0]}" in reason
    refused(tmp_path / "mask", encoded(in_palette(values, VOC * 64), "PNG"))
    refused(tmp_path / "mask", encoded(np.repeat(values[..., None], 3, axis=2), "PNG"))
    deep = values.astype(np.uint16)
    deep[values == 255] = 65535
    if 254 not in levels:
        assert "has the value 65535" in refused(tmp_path / "mask", tiff(deep))
    refused(tmp_path / "mask", tiff(values.astype(np.uint16)))
    refused(tmp_path / "mask", tiff(values.astype(np.float32)))


def test_many_indices_beside_255_are_refused_too(tmp_path: Path) -> None:
    values = of_levels(*range(21), 255)  # the classes of Pascal VOC and their borders
    assert "255 beside 1, 2, 3 and more" in refused(tmp_path / "mask", encoded(values, "PNG"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_mask_in_alpha_is_refused(tmp_path: Path, mode: str, kind: str) -> None:
    if (kind, mode) == ("BMP", "LA"):
        return
    alpha = Image.fromarray(DRAWN.astype(np.uint8) * 255)
    for grey in (0, 255, 90):  # behind transparent pixels, tools leave black, white or the brush
        picture = Image.new(mode[:-1], alpha.size, (grey,) * (len(mode) - 1))
        picture.putalpha(alpha)
        assert picture.mode == mode
        data = opencv(".bmp", np.asarray(picture)) if kind == "BMP" else encoded(picture, kind)
        assert "is drawn in its alpha channel" in refused(tmp_path / "mask", data)


def test_a_deep_mask_in_alpha_is_refused(tmp_path: Path) -> None:
    channels = np.zeros((*SHAPE, 4), np.uint16)
    channels[:, :, 3] = np.where(DRAWN, 65535, 0)
    for data in (
        opencv(".png", channels),
        opencv(".tiff", channels),
        grey_alpha(channels[..., 2:]),
    ):
        assert "is drawn in its alpha channel" in refused(tmp_path / "mask", data)


def grey_alpha(channels: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG of grey and alpha."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 4, 0, 0, 0)
    return png_of(header, zlib.compress(rows))


def test_alpha_that_agrees_with_the_colours_changes_nothing(tmp_path: Path) -> None:
    red = np.zeros((*SHAPE, 4), np.uint8)
    red[DRAWN] = (255, 0, 0, 255)
    opaque, faint = red.copy(), red.copy()
    opaque[..., 3], faint[..., 3] = 255, 0  # as the same everywhere, it tells nothing
    for pixels in (red, opaque, faint):
        for kind in ("PNG", "TIFF"):
            assert np.array_equal(marked(tmp_path / "mask", encoded(pixels, kind)), DRAWN)
    deep = red.astype(np.uint16) * 257
    for suffix in (".png", ".tiff"):
        assert np.array_equal(marked(tmp_path / "mask", opencv(suffix, deep)), DRAWN)


# ---------------------------------------------------------------------------------- findings


def with_masks(plates: Path, root: Path, change: Callable[[NDArray[np.uint8]], Any]) -> Path:
    """The plates with other masks: `change` gives pixels or a Pillow image for a mask 0 and 255."""
    shutil.copytree(plates, root)
    for path in sorted((root / "ground_truth").rglob("*.png")):
        drawn = change(np.asarray(Image.open(path)))
        picture = drawn if isinstance(drawn, Image.Image) else Image.fromarray(drawn)
        picture.save(path)
    return root


def half_levels(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half of each defect of another kind."""
    columns = np.flatnonzero(mask.any(axis=0))
    other = mask.copy()
    other[:, columns[: len(columns) // 2]] //= 2
    return other


def test_figures_with_two_kinds_in_a_mask_are_those_with_one(
    model: Path, plates: Path, tmp_path: Path
) -> None:
    inspector = Inspector.open(model)
    kinds = with_masks(plates, tmp_path / "plates", half_levels)
    one, two = (evaluate(inspector, open_dataset(root)).figures for root in (plates, kinds))
    assert one["pixel"]["auroc"] > 0.9
    assert one["pixel"] == two["pixel"]
    assert "findings" not in two


ODD: dict[str, tuple[Callable[[NDArray[np.uint8]], Any], str]] = {
    "inverted masks": (lambda m: np.where(cv2.dilate(m, np.ones((15, 15))) > 0, 0, 255), "border"),
    "masks of everything": (lambda m: 255 - m, "mark nearly everything"),
    "empty masks": (lambda m: m * 0, "mark nothing"),
    "grey masks": (lambda m: cv2.GaussianBlur(m, (0, 0), 3), "above half the range"),
}


@pytest.mark.parametrize("kind", ODD)
def test_evaluate_tells_what_is_odd_about_masks(
    cli: Cli, model: Path, plates: Path, tmp_path: Path, kind: str
) -> None:
    change, words = ODD[kind]
    root = with_masks(plates, tmp_path / "p", lambda m: np.asarray(change(m), np.uint8))
    run = cli("evaluate", model, root, "--json", "-", "--report", tmp_path / "out")
    assert run.code == 0, run.err
    [finding] = json.loads(run.out)["findings"]
    assert finding["kind"] == kind
    assert finding["severity"] == "warning"
    assert words in finding["message"]
    names = sorted(f"ground_truth/{p.parent.name}/{p.name}" for p in root.rglob("ground_truth/*/*"))
    assert finding["message"].startswith(f"{len(names)} masks ")
    assert finding["file"] == names[0] in finding["message"]
    assert [f"WARNING: {finding['message']}"] == run.err
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert words in page
    seen = audit(open_dataset(root), survey(open_dataset(root)))
    assert len([f for f in seen.findings if f.kind == kind]) == len(names)


def test_a_mask_on_white_is_told(cli: Cli, model: Path, plates: Path, tmp_path: Path) -> None:
    def red_on_white(mask: NDArray[np.uint8]) -> Any:
        return np.where(mask[..., None] > 0, (255, 0, 0), (255, 255, 255)).astype(np.uint8)

    root = with_masks(plates, tmp_path / "p", red_on_white)
    run = cli("evaluate", model, root, "--json", "-")
    assert [f["kind"] for f in json.loads(run.out)["findings"]] == ["masks of everything"]


def test_masks_that_cannot_be_told_end_an_evaluation_with_their_names(
    cli: Cli, model: Path, plates: Path, tmp_path: Path
) -> None:
    def in_alpha(mask: NDArray[np.uint8]) -> Image.Image:
        picture = Image.new("RGB", mask.shape[::-1])
        picture.putalpha(Image.fromarray(mask))
        return picture

    run = cli("evaluate", model, with_masks(plates, tmp_path / "p", in_alpha), "--json", "-")
    assert run.code == 2
    lost = json.loads(run.out)["unreadable_masks"]
    assert len(lost) == len(list((tmp_path / "p/ground_truth").rglob("*.png")))
    assert all("is drawn in its alpha channel" in one["reason"] for one in lost)
    assert lost[0]["reason"] in run.err[-1]
    data = open_dataset(tmp_path / "p")
    found = [f for f in audit(data, survey(data)).findings if f.kind == "unreadable"]
    assert [(f.severity, f.file) for f in found] == [
        ("error", Path(one["mask"]).relative_to(data.root).as_posix()) for one in lost
    ]


def test_the_label_audit_tells_odd_masks(tmp_path: Path) -> None:
    save(tmp_path / "a.png", plate(1))
    save(tmp_path / "mask.png", 255 - dent_mask(1))
    (tmp_path / "a.csv").write_text("image,mask,label\na.png,mask.png,defective\n")
    odd = MaskFindings()
    cells = read_mask_cells(open_dataset(tmp_path / "a.csv"), 0, Recipe(64, 64), odd)
    assert cells is not None
    assert cells.mean() > 0.9
    assert [f.kind for f in odd.findings()] == ["masks of everything"]


def test_a_training_with_masks_tells_them_before_it_learns(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    root = save_set(tmp_path / "set", train=8, good=2, dents=0, shape=(64, 64))
    table = ["image,mask,label,split"]
    table += [f"train/good/{p.name},,good,train" for p in sorted((root / "train/good").iterdir())]
    for seed in (300, 301):
        mask = dent_mask(seed, (64, 64))
        save(
            root / f"bad/{seed}.png", np.where(mask[..., None] > 0, 60, 120) + np.zeros((64, 64, 3))
        )
        save(root / f"masks/{seed}.png", 255 - mask)
        table.append(f"bad/{seed}.png,masks/{seed}.png,defective,train")
    (root / "set.csv").write_text("\n".join(table), encoding="utf-8")
    words = ["--detector", "mixed", "--size", "64", "--tile", "64", "--max-fpr", "20%"]
    words += ["--set", "steps=1", "--set", "batch=4", "--set", "patch_size=64"]
    run = cli("train", root / "set.csv", "-o", tmp_path / "a.blemish", *words)
    assert run.code == 0, run.err
    [told] = [line for line in run.err if "masks" in line]
    assert told.startswith("WARNING: 2 masks mark most of their images")
    assert "masks/300.png, masks/301.png" in told

    save(root / "masks/301.png", np.where(dent_mask(301, (64, 64)) > 0, 1, 0).astype(np.uint8))
    ambiguous = read_image(root / "masks/301.png")
    ambiguous[:3] = 255
    save(root / "masks/301.png", ambiguous)
    run = cli("train", root / "set.csv", "-o", tmp_path / "b.blemish", *words)
    assert run.code == 2
    assert "301.png has the value 255 beside 1" in run.err[-1]


def test_of_very_many_drawn_defects_some_masks_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = MOST_DRAWN + 50
    stack = np.zeros((count, *SHAPE), np.uint8)
    write(tmp_path / "a.h5", {"image": stack + 90, "mask": stack})
    rows = [f"a.h5/image/{k:06},a.h5/mask/{k:06},defective,synthetic" for k in range(count)]
    (tmp_path / "a.csv").write_text("\n".join(["image,mask,label,defect", *rows]))
    [finding] = findings_of(open_dataset(tmp_path / "a.csv"))
    assert finding.message.startswith(f"{MOST_DRAWN} masks mark nothing (a.h5/mask/000000,")


def test_masks_on_plates_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.where(DRAWN, 0, 255).astype(np.uint8)).save(tmp_path / "a_mask.png")
    with caplog.at_level(logging.WARNING):
        KnownDefects(None, {"a": tmp_path / "a_mask.png"}).masks_on("a", SHAPE)
    assert "1 mask marks most of its image and its border (a_mask.png)" in caplog.text


def test_a_layout_in_which_masks_tell_what_is_good_asks_the_same_rule(tmp_path: Path) -> None:
    in_palette(CLASSES * 0, NEGATIVE).save(tmp_path / "good.png")
    in_palette(CLASSES, NEGATIVE).save(tmp_path / "bad.png")
    buffer = BytesIO()
    Image.fromarray(CLASSES).save(buffer, "JPEG", quality=95)
    (tmp_path / "noise.jpg").write_bytes(buffer.getvalue())
    names = ["good.png", "bad.png", "noise.jpg"]
    assert masks_with_foreground(tmp_path, names) == ["bad.png"]
