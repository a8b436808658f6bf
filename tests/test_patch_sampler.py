"""What a patch classifier is shown: its shares, its places, and what is known of each patch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictured import dataset, save, surface
from scipy import stats
from streams import write

from blemish.dataset import Dataset, open_dataset, scaled_images
from blemish.dataset.scaled_images import ScaledImages, refuse_small_patches
from blemish.detectors._patch_sampler import PatchBatch, PatchSample, PatchSampler
from blemish.errors import DatasetError, ImageError
from blemish.images import Recipe, Window, crops
from blemish.prepare.patch_recipe import Augmentation
from blemish.synthesis import Synthetic

SIZE = 32
TILED = Recipe(64, 64, "squash", tile=64)
PLAIN = Augmentation(share=0.0)
Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Spot:
    """A generator that leaves one white pixel, wherever it may."""

    def __call__(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> Synthetic:
        mask = np.zeros(image.shape[:2], bool)
        mask[tuple(rng.integers(0, image.shape[:2]))] = True
        changed = image.copy()
        changed[mask] = 255
        return Synthetic(changed, mask)


def flat(root: Path, count: int, shape: tuple[int, int] = (64, 80)) -> list[Row]:
    """Good pictures, each of another grey: 20, 21, ..."""
    for number in range(count):
        save(root / f"good/{number:03}.png", np.full(shape, 20 + number, np.uint8))
    return [{"image": f"good/{number:03}.png", "split": "train"} for number in range(count)]


def defect(
    root: Path,
    name: str,
    box: tuple[int, int, int, int] | None,
    *,
    shape: tuple[int, int] = (64, 80),
    part: str | None = None,
    kind: str = "dent",
) -> Row:
    """A picture of grey 100 with a box of 200, marked; the whole is 200 where there is no box."""
    pixels, mask = np.full(shape, 100, np.uint8), np.zeros(shape, np.uint8)
    inside = (slice(None),) if box is None else (slice(box[0], box[2]), slice(box[1], box[3]))
    pixels[inside], mask[inside] = 200, 255
    save(root / f"{kind}/{name}.png", pixels)
    row: dict[str, str | None] = {"image": f"{kind}/{name}.png", "split": "train", "defect": kind}
    if box is not None:
        save(root / f"masks/{kind}_{name}.png", mask)
        row["mask"] = f"masks/{kind}_{name}.png"
    return {**row, "label": "defective", "part": part or f"{kind} {name}"}


def presentations(root: Path, rows: Sequence[Row], **more: object) -> PatchSampler:
    usual = {"recipe": TILED, "size": SIZE, "seed": 0, "generator": Spot(), "augmentation": PLAIN}
    return PatchSampler(dataset(root, rows), **{**usual, **more})  # type: ignore[arg-type]


def kind_of(shown: PatchSample) -> str:
    """Told by its greys: see `flat` and `defect`."""
    if not shown.defective:
        return "good"
    return "real" if np.median(shown.patches) >= 100 else "drawn"


def same(one: PatchSample, other: PatchSample) -> bool:
    alike = np.array_equal(one.patches, other.patches) and one.defective == other.defective
    if one.masks is None or other.masks is None:
        return alike and one.masks is other.masks
    return alike and np.array_equal(one.masks, other.masks)


# What is shown, and how often.


def test_a_number_and_the_seed_alone_say_what_is_shown(tmp_path: Path) -> None:
    rows = [*flat(tmp_path, 5), defect(tmp_path, "a", (10, 10, 20, 20))]
    turned = Augmentation.published("LSM-1")
    one, other, third = (
        presentations(tmp_path, rows, real=0.3, seed=seed, augmentation=turned)
        for seed in (7, 7, 8)
    )
    forwards = [one[number] for number in range(30)]
    backwards = [other[number] for number in reversed(range(30))][::-1]
    assert all(map(same, forwards, backwards))
    assert not all(same(shown, third[number]) for number, shown in enumerate(forwards))


def test_a_batch_is_the_same_presentations(tmp_path: Path) -> None:
    rows = [*flat(tmp_path, 3), defect(tmp_path, "weak", None, shape=(64, 64))]
    shown = presentations(tmp_path, rows, real=0.5)
    items = [shown[number] for number in range(4, 16)]
    batch = shown.batch(4, 12)
    assert isinstance(batch, PatchBatch)
    assert Counter(batch.owner.tolist()) == {i: len(x.patches) for i, x in enumerate(items)}
    assert {1, 4} == {len(x.patches) for x in items}
    for number, item in enumerate(items):
        mine = batch.owner == number
        assert np.array_equal(batch.patches[mine], item.patches)
        assert batch.labels[number] == item.defective
        assert (batch.known[mine] == (item.masks is not None)).all()


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    real=st.sampled_from([0, 1 / 32, 0.25, 0.9]),
    synthetic=st.sampled_from([0.1, 0.5, 0.9]),
    seed=st.integers(0, 2**31),
)
def test_the_shares_come_out_as_asked(
    tmp_path_factory: pytest.TempPathFactory, real: float, synthetic: float, seed: int
) -> None:
    """Within bounds that one run in a million passes over."""
    root, count = tmp_path_factory.mktemp("shares"), 400
    rows = [*flat(root, 4), defect(root, "a", (10, 10, 20, 20))]
    shown = presentations(root, rows, real=real, synthetic=synthetic, seed=seed)
    found = Counter(kind_of(shown[number]) for number in range(count))
    for kind, share in (("real", real), ("drawn", (1 - real) * synthetic)):
        low, high = stats.binom.interval(1 - 1e-6, count, share)
        assert low <= found[kind] <= high, (kind, found)


def test_every_good_picture_is_shown_once_before_any_is_again(tmp_path: Path) -> None:
    shown = presentations(tmp_path, flat(tmp_path, 7), synthetic=0.5)
    greys = [int(np.median(shown[number].patches)) for number in range(21)]
    epochs = [greys[start : start + 7] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(20, 27)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_part_with_many_pictures_is_shown_no_more_than_another(tmp_path: Path) -> None:
    """Nine pictures of one scratch, told by their box, and one of another."""
    rows = [*flat(tmp_path, 2), defect(tmp_path, "one", (4, 4, 12, 12), part="one")]
    rows += [
        defect(tmp_path, f"many{n}", (4, 4, 12, 14 + n), part="many", kind="scratch")
        for n in range(9)
    ]
    shown = presentations(tmp_path, rows, real=0.9, size=64)
    widths = [
        int(x.masks.any((0, 1)).sum())
        for x in (shown[n] for n in range(600))
        if kind_of(x) == "real" and x.masks is not None
    ]
    low, high = stats.binom.interval(1 - 1e-6, len(widths), 0.5)
    assert low <= widths.count(8) <= high
    assert set(widths) == {8, *range(10, 19)}


def test_drawn_defects_of_the_data_and_of_a_generator_are_shown_equally_often(
    tmp_path: Path,
) -> None:
    rows = [*flat(tmp_path, 3), defect(tmp_path, "a", (4, 4, 12, 12), kind="Synthetic")]
    shown = presentations(tmp_path, rows, real=0.0, synthetic=0.8)
    assert shown.counts() == {"good_images": 3, "synthetic_images": 1, "real_images": 0}
    bad = [kind_of(x) for x in (shown[number] for number in range(500)) if x.defective]
    low, high = stats.binom.interval(1 - 1e-6, len(bad), 0.5)
    assert low <= bad.count("real") <= high  # by its greys: it is of the data
    alone = presentations(tmp_path, rows, real=0.0, synthetic=0.8, generator=None)
    bad = [kind_of(x) for x in (alone[number] for number in range(60)) if x.defective]
    assert set(bad) == {"real"}


# Where.


CORNERS = [(0, 0), (0, 76), (60, 0), (60, 76), (30, 40), (0, 40), (30, 76)]


@pytest.mark.parametrize("modality", [None, "LSM-1", "LSM-2", "ASM"])
@pytest.mark.parametrize(("top", "left"), CORNERS)
def test_a_defect_is_inside_every_patch_that_shows_it(
    tmp_path: Path, modality: str | None, top: int, left: int
) -> None:
    """In the middle, at a border and in a corner, turned or not."""
    turned = Augmentation() if modality is None else Augmentation.published(modality)
    rows = [*flat(tmp_path, 2), defect(tmp_path, "a", (top, left, top + 4, left + 4))]
    shown = presentations(tmp_path, rows, real=0.999, augmentation=turned)
    for number in range(40):
        item = shown[number]
        assert item.patches.shape == (1, SIZE, SIZE, 3)
        assert item.masks is not None
        if item.defective:
            assert item.masks.any()
            inside = item.patches[0][item.masks[0]]
            assert np.median(inside) > np.median(item.patches)


def test_a_border_is_no_sign_of_a_defect(tmp_path: Path) -> None:
    """Patches with a defect anywhere and good ones touch it equally often.

    One of 32 pixels whose middle is any of 64 rows begins at the first row for 16 of them.
    """
    pixels, mask = np.full((64, 80), 50, np.uint8), np.full((64, 80), 255, np.uint8)
    pixels[0] = 60
    save(tmp_path / "good.png", pixels)
    save(tmp_path / "bad.png", pixels)
    save(tmp_path / "mask.png", mask)
    bad: Row = {"image": "bad.png", "mask": "mask.png", "label": "defective", "part": "bad"}
    shown = presentations(tmp_path, [{"image": "good.png"}, bad], generator=None, real=0.5)
    touching: dict[bool, list[bool]] = {True: [], False: []}
    for item in map(shown.__getitem__, range(800)):
        touching[item.defective].append(bool((item.patches == 60).any()))
    for found in touching.values():
        low, high = stats.binom.interval(1 - 1e-6, len(found), 16 / 64)
        assert low <= sum(found) <= high


@pytest.mark.parametrize("scale", [(4.0, 4.0), (0.5, 0.5)])
def test_a_magnified_or_shrunk_patch_keeps_the_defect(
    tmp_path: Path, scale: tuple[float, float]
) -> None:
    turned = Augmentation(share=1.0, rotation_deg=180, shear_deg=30, scale=scale)
    rows = [*flat(tmp_path, 2), defect(tmp_path, "a", (100, 100, 104, 104), shape=(200, 200))]
    shown = presentations(tmp_path, rows, real=0.999, augmentation=turned)
    items = [x for x in (shown[number] for number in range(60)) if x.defective]
    assert all(x.masks is not None and x.masks.any() for x in items)
    sizes = [int(x.masks.sum()) for x in items if x.masks is not None]
    assert (min(sizes) > 60) if scale[0] > 1 else (max(sizes) < 16)


def test_a_thin_defect_that_no_pixel_of_a_turned_mask_meets_keeps_its_label(
    tmp_path: Path,
) -> None:
    turned = Augmentation(share=1.0, rotation_deg=45, scale=(0.25, 0.25))
    rows = [*flat(tmp_path, 2), defect(tmp_path, "a", (10, 100, 190, 101), shape=(200, 200))]
    shown = presentations(tmp_path, rows, real=0.999, augmentation=turned, size=24)
    items = [x for x in (shown[number] for number in range(200)) if kind_of(x) == "real"]
    assert all(x.defective for x in items)
    assert all(x.masks is None or x.masks.any() for x in items)


def test_a_mask_of_few_pixels_is_a_point_that_says_where_but_not_how_far(tmp_path: Path) -> None:
    sizes = {"fifteen": (20, 30, 23, 35), "sixteen": (20, 30, 24, 34)}
    for name, box in sizes.items():
        rows = [*flat(tmp_path, 2), defect(tmp_path, name, box)]
        shown = presentations(tmp_path, rows, real=0.999)
        items = [x for x in (shown[number] for number in range(20)) if kind_of(x) == "real"]
        assert all((x.masks is None) == (name == "fifteen") for x in items)
        assert all((x.patches == 200).any() for x in items)
        assert {len(x.patches) for x in items} == {1}


def test_a_label_without_a_mask_becomes_all_patches_of_its_picture(tmp_path: Path) -> None:
    """They cover it; where the picture is no multiple of a patch, the last ones are moved in."""
    pixels = surface(0, height=70, width=128)
    save(tmp_path / "weak.png", pixels)
    weak = {"image": "weak.png", "split": "train", "label": "defective", "part": "weak"}
    rows: list[Row] = [*flat(tmp_path, 2), weak]
    shown = presentations(tmp_path, rows, real=0.999)
    item = next(x for x in map(shown.__getitem__, range(9)) if len(x.patches) > 1)
    assert item.defective
    assert item.masks is None
    corners = [(top, left) for top in (0, 32, 38) for left in (0, 32, 64, 96)]
    cut = [pixels[top : top + SIZE, left : left + SIZE] for top, left in corners]
    assert np.array_equal(item.patches[..., 0], np.stack(cut))
    flips = presentations(tmp_path, rows, real=0.999, augmentation=Augmentation())
    some = [x.patches[0, :, :, 0] for x in map(flips.__getitem__, range(60)) if len(x.patches) > 1]
    assert len({patch.tobytes() for patch in some}) == 4  # as it is, and flipped in three ways


def test_a_picture_too_large_for_its_label_is_refused_before_any_is_read(tmp_path: Path) -> None:
    rows = [*flat(tmp_path, 2), defect(tmp_path, "large", None, shape=(129, 128))]
    with pytest.raises(DatasetError, match=r"large\.png .*128 x 129 pixels.* 128 x 128 pixels"):
        presentations(tmp_path, rows)
    rows[-1] = defect(tmp_path, "large", None, shape=(128, 128))
    weak = next(
        x
        for x in map(presentations(tmp_path, rows, real=0.9).__getitem__, range(20))
        if kind_of(x) == "real"
    )
    assert len(weak.patches) == 16


# How pictures are brought to the model's scale.


def test_at_its_own_scale_a_patch_is_a_copy(tmp_path: Path) -> None:
    pixels = surface(1, height=90, width=100)
    save(tmp_path / "a.png", pixels)
    save(tmp_path / "b.png", np.stack([pixels] * 3, 2))
    rows = dataset(tmp_path, [{"image": f"{name}.png"} for name in "ab"])
    pictures = ScaledImages(rows, TILED, SIZE)
    assert np.array_equal(pictures[0].pixels, pixels)
    assert pictures[1].pixels.shape == (90, 100, 3)
    shown = presentations(tmp_path, [{"image": f"{name}.png"} for name in "ab"], synthetic=0.5)
    for number in range(6):
        patch = next(x for x in map(shown.__getitem__, range(number, 99)) if not x.defective)
        assert patch.patches.shape == (1, SIZE, SIZE, 3)


@pytest.mark.parametrize("resize", ["squash", "pad"])
@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (40, 50), (64, 64), (300, 200)])
@pytest.mark.parametrize("tile", [None, 64, 128])
def test_a_picture_is_learnt_as_the_model_sees_it(
    tmp_path: Path, resize: str, shape: tuple[int, int], tile: int | None
) -> None:
    """Each tile of an image is, but for padding, a piece of the picture, at the same scale."""
    recipe = Recipe(64, 64, resize, tile=tile)
    smooth = np.add.outer(np.linspace(0, 120, shape[0]), np.linspace(0, 120, shape[1]))
    save(tmp_path / "a.png", smooth.astype(np.uint8))
    picture = ScaledImages(dataset(tmp_path, [{"image": "a.png"}]), recipe, 1)
    assert picture[0].pixels.shape == picture.shape(0)
    scaled = picture[0].pixels.astype(int)
    for crop in crops(smooth.astype(np.uint8), recipe):
        height, width = crop.valid[2:].astype(int)
        down = scaled.shape[0] * crop.box[0] / shape[0]
        across = scaled.shape[1] * crop.box[1] / shape[1]
        top = min(round(down), scaled.shape[0] - height)
        left = min(round(across), scaled.shape[1] - width)
        piece = scaled[top : top + height, left : left + width]
        seen = crop.tensor[:height, :width, 0].astype(int)
        assert np.abs(piece - seen).max() <= 6  # of 240: tiles begin between pixels


def test_a_mask_follows_its_picture_to_another_scale(tmp_path: Path) -> None:
    rows = dataset(tmp_path, [defect(tmp_path, "a", (40, 80, 80, 120), shape=(160, 240))])
    for recipe, box in (
        (Recipe(64, 64, "squash"), (16, 32, 21, 32)),
        (Recipe(64, 64, "squash", tile=128), (20, 40, 40, 60)),
        (Recipe(64, 64, "pad"), (11, 22, 21, 32)),
        (Recipe(64, 64, "squash", tile=64), (40, 80, 80, 120)),
    ):
        picture = ScaledImages(rows, recipe, 1)[0]
        assert picture.mask is not None
        found = np.argwhere(picture.mask)
        if recipe.resize == "squash" and recipe.tile is None:
            box = (16, 21, 32, 32)
        assert np.abs(found.min(0) - box[:2]).max() <= 1
        assert np.abs(found.max(0) + 1 - box[2:]).max() <= 1
        assert (picture.pixels[picture.mask] > 100).mean() > 0.9


def test_a_point_is_not_lost_where_a_large_picture_shrinks(tmp_path: Path) -> None:
    rows = dataset(tmp_path, [defect(tmp_path, "a", (1700, 900, 1701, 901), shape=(2000, 2000))])
    picture = ScaledImages(rows, Recipe(64, 64, "squash"), 1)[0]
    assert picture.mask is None
    assert [spot.tolist() for spot in picture.spots] == [[[54, 28]]]


def test_a_defect_in_the_rim_that_no_model_sees_is_named(tmp_path: Path) -> None:
    rows = dataset(tmp_path, [defect(tmp_path, "a", (0, 0, 6, 6))])
    cropped = Recipe(64, 64, "squash", margin=16)
    with pytest.raises(DatasetError, match=r"a\.png lies in the rim"):
        ScaledImages(rows, cropped, 1)[0]


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (20, 24)])
def test_a_picture_smaller_than_a_patch_is_continued(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    row = defect(tmp_path, "a", (2, 2, 8, 8), shape=shape)
    picture = ScaledImages(dataset(tmp_path, [row]), Recipe(64, 64, "squash"), 96)[0]
    assert picture.pixels.shape == (96, 96)
    assert picture.mask is not None
    assert picture.mask.shape == (96, 96)
    assert not picture.mask[64:].any()
    assert (picture.pixels[64:] == picture.pixels[63]).all()
    shown = presentations(tmp_path, [*flat(tmp_path, 2, shape), row], size=96, real=0.5)
    assert shown.batch(0, 20).patches.shape == (20, 96, 96, 3)


def test_sixteen_bits_are_seen_through_the_window(tmp_path: Path) -> None:
    deep = surface(3).astype(np.uint16) * 16
    save(tmp_path / "a.png", deep)
    rows = dataset(tmp_path, [{"image": "a.png"}])
    window = Window(0, 255 * 16)
    pictures = ScaledImages(rows, replace(TILED, window=window), SIZE)
    np.testing.assert_allclose(pictures[0].pixels, surface(3), atol=1)
    with pytest.raises(ImageError, match=r"a\.png holds uint16"):
        ScaledImages(rows, TILED, SIZE)[0]


def test_no_more_is_kept_in_memory_than_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dataset(tmp_path, flat(tmp_path, 10))
    pictures = ScaledImages(rows, TILED, SIZE)
    monkeypatch.setattr(scaled_images, "KEPT_BYTES", 4 * 64 * 80)
    for number in [*range(10), 0, 9, 9, 3]:
        assert int(np.median(pictures[number].pixels)) == 20 + number
        kept = pictures._kept.values()
        assert pictures._bytes == sum(scaled_images._size(picture) for picture in kept)
        assert pictures._bytes <= 4 * 64 * 80
    assert list(pictures._kept) == [8, 0, 9, 3]
    monkeypatch.setattr(scaled_images, "KEPT_BYTES", 1)
    assert pictures[5].pixels.shape == (64, 80)
    assert list(pictures._kept) == [5]  # a picture that is too large is kept until the next


# Streams.


def stream(root: Path, side: int = 64) -> Dataset:
    """Eight patches, of which the last four have a drawn defect, and two real ones."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 60, (8, side, side), np.uint8)
    truth = np.zeros_like(pixels)
    truth[4:, 10:20, 10:20] = 255
    pixels[truth > 0] = 200
    area = np.full((2, side, side), 100, np.uint8)
    area[:, 4:30, 4:30] = 180
    write(root / "train.h5", {"syn_stream": pixels, "ground_truth": truth, "area": area})
    return open_dataset(root / "train.h5")


def test_a_stream_brings_its_good_its_drawn_and_its_real_patches(tmp_path: Path) -> None:
    data = stream(tmp_path)
    mix = {"recipe": TILED, "size": SIZE, "seed": 0, "augmentation": PLAIN}
    shown = PatchSampler(data, **mix, real=0.25)  # type: ignore[arg-type]
    assert shown.counts() == {"good_images": 4, "synthetic_images": 4, "real_images": 2}
    items = [shown[number] for number in range(200)]
    found = Counter((x.defective, x.masks is None, len(x.patches)) for x in items)
    assert found.keys() == {(False, False, 1), (True, False, 1), (True, True, 4)}
    both = PatchSampler(data, **mix, real=0.0, generator=Spot())  # type: ignore[arg-type]
    marks = Counter(
        int(x.masks.sum()) > 1
        for x in map(both.__getitem__, range(200))
        if x.defective and x.masks is not None
    )
    assert marks.keys() == {True, False}  # of the stream, and drawn just now


def test_few_pictures_of_real_defects_are_not_shown_over_and_over(tmp_path: Path) -> None:
    """The share grows with their number, up to `real`; what is held out is shown as often."""
    good, real = flat(tmp_path, 8), [defect(tmp_path, str(n), (20, 20, 40, 40)) for n in range(6)]
    for count, share in ((0, 0.0), (2, 0.1), (6, 0.25)):
        shown = presentations(
            tmp_path, [*good, *real[:count]], real=0.25, most_each=0.05, synthetic=0.0
        )
        assert shown.real_share == pytest.approx(share)
        found = np.mean([shown[number].defective for number in range(600)])
        assert found == pytest.approx(share, abs=0.05)
        held = shown.of(dataset(tmp_path, [*good, *real[:1]]), 1)
        assert held.real_share == pytest.approx(share)


def test_a_stream_of_larger_patches_is_cropped_around_the_defect(tmp_path: Path) -> None:
    shown = PatchSampler(stream(tmp_path, 160), TILED, SIZE, 0, augmentation=PLAIN, real=0.0)
    for item in map(shown.__getitem__, range(60)):
        assert item.patches.shape[1:3] == (SIZE, SIZE)
        assert item.masks is not None
        assert item.defective == item.masks.any()


def test_a_stream_of_patches_smaller_than_a_tile_is_refused(tmp_path: Path) -> None:
    """Otherwise they were magnified, and what is inspected later would not be."""
    data = stream(tmp_path, 40)
    with pytest.raises(DatasetError, match=r"train\.h5.* 40 x 40 .* tiles of 64.*--size 32 "):
        PatchSampler(data, TILED, SIZE, 0)
    refuse_small_patches(data, replace(TILED, tile=32))
    refuse_small_patches(data, Recipe(64, 64, "squash"))  # then all images are resized


# What is refused.


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ({"synthetic": 0.0, "real": 0.0}, "shows good parts only"),
        ({"generator": None, "real": 0.0}, "shows good parts only"),
        ({"real": 1.0}, "only defects are shown"),
        ({"synthetic": 1.0}, "only defects are shown"),
    ],
)
def test_one_label_alone_is_refused(tmp_path: Path, mix: dict[str, object], words: str) -> None:
    rows = [*flat(tmp_path, 2), defect(tmp_path, "a", (4, 4, 12, 12))]
    with pytest.raises(DatasetError, match=words):
        presentations(tmp_path, rows, **mix).refuse_one_label()
    presentations(tmp_path, rows).refuse_one_label()
    presentations(tmp_path, rows, synthetic=0.0, real=0.5).refuse_one_label()


@pytest.mark.parametrize("mix", [{"real": 1.01}, {"synthetic": -0.1}])
def test_a_share_is_one(tmp_path: Path, mix: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="is no share from 0 to 1"):
        presentations(tmp_path, flat(tmp_path, 2), **mix)


def test_without_good_images_nothing_is_learnt(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no good image"):
        presentations(tmp_path, [defect(tmp_path, "a", (4, 4, 12, 12))])


def test_a_picture_that_is_cut_off_is_named(tmp_path: Path) -> None:
    rows = flat(tmp_path, 2)
    file = tmp_path / "good/001.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"001\.png"):
        presentations(tmp_path, rows).batch(0, 2)
