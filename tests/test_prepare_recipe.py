"""Recipes: what they may say, and what is said about the ones that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from plates import save
from running import Cli
from scans import SHAPE, recipe_at, save_scans, scan

from blemish.errors import DatasetError
from blemish.images.reading import read_image
from blemish.prepare.patch_recipe import Augmentation, open_recipe
from blemish.prepare.plates import plate_files


def opened(tmp_path: Path, text: str, **options: str):
    return open_recipe(recipe_at(tmp_path, text, **options))


def test_a_modality_brings_the_published_augmentation_and_keys_overrule_it(tmp_path):
    recipe = opened(tmp_path, "[augmentation]\nrotation_deg = 30\ncontrast = [0.9, 1.1]\n")
    assert recipe.augmentation == Augmentation(
        rotation_deg=30,
        shear_deg=10,
        scale=(0.9, 1.1),
        brightness=(0.75, 1.25),
        contrast=(0.9, 1.1),
    )
    assert Augmentation.published("LSM-2").shear_deg == 20
    still = Augmentation.published("ASM")
    assert (still.rotation_deg, still.scale) == (10, (1.0, 1.2))
    assert still.brightness is still.contrast is None


def test_a_recipe_of_plates_alone_has_every_default(tmp_path):
    recipe = opened(tmp_path, "", base='plates.train = ["a"]')
    assert (recipe.patches.size, recipe.patches.stride, recipe.stream.count) == (256, 160, 20_000)
    assert recipe.generator.share == 0.5


def test_settings_of_a_generator_become_texts(tmp_path):
    recipe = opened(tmp_path, "[generator.settings]\nscale = 1.5\nstrength = [2, 4]\n")
    assert recipe.generator.settings == {"scale": "1.5", "strength": "2,4"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[regoin]\n", "unknown key 'regoin'; did you mean 'region'?"),
        (
            "[augmentation]\nrotation = 3\n",
            "[augmentation] has the unknown key 'rotation'; did",
        ),
        ("[grid]\nxyz = 3\n", "[grid] has the unknown key 'xyz'; it may have: by, least_pixels"),
        ("[grid]\nby = 3\n", "grid.by must be a text, not 3"),
        ("[grid]\nby = 'size'\n", "by is 'size'; choose one of group, kind"),
        ("[generator]\nshare = 1.5\n", "share is 1.5; it must lie between 0 and 1"),
        ("[generator]\nshare = true\n", "generator.share must be a number, not True"),
        ("[augmentation]\nscale = [1]\n", "augmentation.scale must be a list of 2"),
        ("[augmentation]\nscale = [2, 1]\n", "scale must be [low, high]"),
        ("[defects]\neach = 0\n", "each is 0"),
        ("[[grid]]\n", "[grid] must be a table"),
        ("grid = {", "is no recipe in TOML"),
        ("file = 'a'", "unknown key 'file'"),
        ("seed = -1", "seed is -1"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path, text, said):
    base = 'plates.train = ["a"]\n'
    with pytest.raises(DatasetError) as refusal:
        opened(tmp_path, text, base=base)
    assert said in str(refusal.value)
    assert str(tmp_path / "recipe.toml") in str(refusal.value)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("seed = 3", "lacks the key 'plates'"),
        ("[plates]", "[plates] lacks the key 'train'"),
        (
            'modality = "LSM"\nplates.train = ["a"]',
            "the modality 'LSM' is none of LSM-1, ",
        ),
        ('region.method = "box"\nplates.train = ["a"]', "needs the key 'box'"),
        ('plates.train = "a"', "plates.train must be a list"),
        ("plates.train = [1]", "plates.train must be a text"),
    ],
)
def test_a_recipe_that_lacks_something_is_refused(tmp_path, base, said):
    with pytest.raises(DatasetError) as refusal:
        opened(tmp_path, "", base=base)
    assert said in str(refusal.value)


def test_a_recipe_that_is_not_there(cli: Cli, tmp_path):
    file = tmp_path / "none.toml"
    cli("prepare", "stream", file, "-o", tmp_path / "s.h5").refusal(file, "cannot be read")


# The plates.


def test_plates_come_from_folders_files_and_patterns(tmp_path):
    save_scans(tmp_path, "train", [1, 2])
    save_scans(tmp_path, "test", [3])
    text = '[plates]\ntrain = ["train"]\ntest = ["te*/*_3.png", "test/test_3.png"]\n'
    files = plate_files(opened(tmp_path, "", base=text))
    assert [plate.name for plate in files["train"]] == ["train_1", "train_2"]
    assert [plate.name for plate in files["test"]] == ["test_3"]


def test_no_plates(tmp_path):
    recipe = opened(tmp_path, "")
    with pytest.raises(DatasetError, match=r"names no plate that exists for train"):
        plate_files(recipe)


@pytest.mark.parametrize(
    ("name", "seed", "said"),
    [("train_1.png", 9, "the same name"), ("other.png", 1, "the same content")],
)
def test_plates_to_train_on_are_not_those_of_the_test(tmp_path, name, seed, said):
    save_scans(tmp_path, "train", [1])
    save(tmp_path / "test" / name, scan(seed))
    recipe = opened(tmp_path, "", base='[plates]\ntrain = ["train"]\ntest = ["test"]\n')
    with pytest.raises(DatasetError, match="one to train and one to test on") as refusal:
        plate_files(recipe)
    assert said in str(refusal.value)


def test_one_file_in_both_splits(tmp_path):
    save_scans(tmp_path, "train", [1])
    recipe = opened(
        tmp_path, "", base='[plates]\ntrain = ["train"]\ntest = ["train/train_1.png"]\n'
    )
    with pytest.raises(DatasetError, match="one to train and one to test on"):
        plate_files(recipe)


def spoil(tmp_path: Path, what: str) -> Path:
    """A training plate of its own, in which something is wrong."""
    file = save(tmp_path / "train" / "odd.png", scan(5))
    if what == "cut off":
        file.write_bytes(file.read_bytes()[:3000])
    if what == "16 bits":
        save(file, scan(5).astype("uint16") * 200)
    if what == "RGB":
        save(file, scan(5)[:, :, None].repeat(3, axis=2))
    if what == "small":
        save(file, scan(5)[:60])
    return file


@pytest.mark.parametrize("verb", ["stream", "grid"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut off", ["odd.png", "damaged"]),
        ("16 bits", ["odd.png is uint16", "in one depth"]),
        ("RGB", ["differ in colour", "odd in RGB", "grey = true"]),
        ("small", ["odd.png is 320 x 60 pixels, smaller than a patch of 64"]),
    ],
)
def test_a_plate_that_does_not_fit(cli: Cli, tmp_path, verb, what, said):
    save_scans(tmp_path, "train", [1])
    spoil(tmp_path, what)
    out = tmp_path / ("s.h5" if verb == "stream" else "set")
    cli("prepare", verb, recipe_at(tmp_path), "-o", out).refusal(*said)
    assert not out.exists()


def test_colours_become_grey_where_the_recipe_says_so(cli: Cli, tmp_path):
    save_scans(tmp_path, "train", [1])
    spoil(tmp_path, "RGB")
    text = '[plates]\ntrain = ["train"]\ngrey = true\n[patches]\nsize = 64\n'
    out = tmp_path / "set"
    assert cli("prepare", "grid", recipe_at(tmp_path, base=text), "-o", out).code == 0
    patch = next((out / "train/good").glob("odd_*.png"))
    assert read_image(patch).shape == (64, 64)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("margin = 120", "no region of interest was found on the plate train_1"),
        ('method = "box"\nbox = [400, 400, 90, 90]', "no region of interest"),
        ('method = "box"\nbox = [0, 0, 90, 60]', "no patch of 64 pixels fits into the region"),
        ('method = "mask"\nmask = "train/masks"', "no region of interest"),
    ],
)
def test_a_region_without_room(cli: Cli, tmp_path, region, said):
    save_scans(tmp_path, "train", [1])
    text = f'[plates]\ntrain = ["train/*.png"]\n[patches]\nsize = 64\n[region]\n{region}\n'
    recipe = recipe_at(tmp_path, base=text)
    if "mask" in region:
        save(tmp_path / "train" / "masks" / "train_1.png", scan(1) * 0)
    cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5").refusal("train_1", said)


def test_a_region_mask_that_is_missing(cli: Cli, tmp_path):
    save_scans(tmp_path, "train", [1])
    (tmp_path / "masks").mkdir()
    text = '[plates]\ntrain = ["train"]\n[region]\nmethod = "mask"\nmask = "masks"\n'
    recipe = recipe_at(tmp_path, base=text + "[patches]\nsize = 64\n")
    cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5").refusal(
        "no mask for the plate train_1"
    )


def test_shapes_are_what_the_other_tests_think():
    assert scan(0).shape == SHAPE
