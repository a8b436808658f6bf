"""Images inside HDF5 files are read, compared and refused like image files."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from running import Cli, started
from streams import cut, masks, noise, write

from blemish.dataset import Dataset, findings, open_dataset
from blemish.dataset.duplicates import same_content
from blemish.dataset.image_header import image_size
from blemish.dataset.paths import listing
from blemish.errors import DatasetError, ImageError
from blemish.features.cache import image_key
from blemish.images import depth, find_window, read_image, read_mask
from blemish.images.hdf5 import file_and_name, item_names, stored
from blemish.images.hdf5_file import close_files, open_file

GREY, COLOUR = noise(3, 6, 5), noise(3, 6, 5, 3)
DEEP = noise(3, 6, 5, kind=np.uint16)

STACKS: dict[str, tuple[Any, Any]] = {
    "grey": (GREY, GREY),
    "one channel": (GREY[..., None], GREY),
    "rgb": (COLOUR, COLOUR),
    "16-bit": (DEEP, DEEP),
    "16-bit big-endian": (DEEP.astype(">u2"), DEEP),
    "bool": (GREY > 99, np.uint8(255) * (GREY > 99)),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", STACKS)
def test_pixels_of_a_stack_come_back_as_they_were_written(
    name: str, compressed: bool, tmp_path: Path
) -> None:
    written, pixels = STACKS[name]
    options = {"compression": "gzip"} if compressed else {}
    file = write(tmp_path / "Prüfling groß.h5", {"image": written}, **options)
    for number in range(3):
        path = file / "image" / f"{number:06}"
        read = read_image(path)
        assert (read.dtype, depth(path)) == (pixels.dtype, pixels.dtype.name)
        assert read.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(read, pixels[number])
        assert image_size(path) == (6, 5)


def test_an_image_may_be_a_dataset_of_its_own(tmp_path: Path) -> None:
    images = {"left side": GREY[0], "000001": COLOUR[0], "no.png": DEEP[0]}
    file = write(tmp_path / "a.hdf5", {"parts/images": images})
    assert sorted(item_names(file / "parts/images")) == sorted(images)
    for name, pixels in images.items():
        np.testing.assert_array_equal(read_image(file / "parts/images" / name), pixels)
        assert image_size(file / "parts/images" / name) == (6, 5)


@pytest.mark.parametrize("chunks", [(2, 6, 5), (3, 4, 4), (1, 3, 5)], ids=str)
def test_any_chunks_will_do(chunks: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as content:
        content.create_dataset("image", data=GREY, chunks=chunks, compression="gzip")
    for number in (2, 0, 1):
        np.testing.assert_array_equal(read_image(file / f"image/{number}"), GREY[number])
    assert same_content(tmp_path, [f"a.h5/image/{number}" for number in range(3)]) == []


def test_chunks_of_many_images_are_decoded_once(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as content:
        large = np.zeros((64, 512, 512), np.uint8)
        content.create_dataset("image", data=large, chunks=(64, 512, 128), compression="gzip")
    read_image(file / "image/0")
    access = open_file(file).stacks["image"].dataset.id.get_access_plist()
    assert access.get_chunk_cache()[1] == 64 * 512 * 512


def test_numbers_have_six_digits_or_more(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as content:
        content.create_dataset("image", (1_000_001, 2, 2), np.uint8, chunks=(1000, 2, 2))
        content.create_dataset("mask", (3, 2, 2), np.uint8)
        content.create_dataset("none", (0, 2, 2), np.uint8)
    assert item_names(file / "image")[::500_000] == ["0000000", "0500000", "1000000"]
    assert item_names(file / "mask") == ["000000", "000001", "000002"]
    assert item_names(file / "none") == []


def test_a_folder_may_be_named_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "old.h5" / "1.png"
    path.parent.mkdir()
    Image.fromarray(GREY[0]).save(path)
    assert file_and_name(path) is None
    np.testing.assert_array_equal(read_image(path), GREY[0])
    inner = write(tmp_path / "old.h5" / "new.H5", {"image": GREY})
    assert file_and_name(inner / "image/1") == (inner.as_posix(), "image/1")
    np.testing.assert_array_equal(read_image(inner / "image/1"), GREY[1])
    assert file_and_name(inner) is None


def test_masks_are_read_like_lossless_files(tmp_path: Path) -> None:
    classes = np.array([[[0, 1], [2, 0]]], np.uint8)
    file = write(tmp_path / "a.h5", {"mask": masks(3), "class": classes})
    assert read_mask(file / "mask/000000", (4, 4)).sum() == 3
    assert read_mask(file / "class/000000", (2, 2)).tolist() == [[False, True], [True, False]]
    with pytest.raises(ImageError, match=r"mask/000000 is 4 x 4 pixels but its image is 5 x 4"):
        read_mask(file / "mask/000000", (4, 5))


def test_one_window_for_16_bit_stacks(tmp_path: Path) -> None:
    file = write(tmp_path / "a.h5", {"image": DEEP, "grey": GREY})
    window = find_window([file / "image/0", file / "image/1"])
    assert window is not None
    assert window.high > 60_000
    assert find_window([file / "grey/0"]) is None
    with pytest.raises(ImageError, match="differ in depth"):
        find_window([file / "image/0", file / "grey/0"])


# What is refused.


@pytest.mark.parametrize("share", [0.5, 0.9, 0.02])
def test_a_file_cut_off_is_refused_by_name(share: float, tmp_path: Path) -> None:
    file = cut(write(tmp_path / "a.h5", {"image": noise(50, 16, 16)}), share)
    for use in (read_image, depth, image_size, image_key):
        with pytest.raises(ImageError, match=r"a\.h5 is cut off; copy it again"):
            use(file / "image/000000")  # type: ignore[operator]


def test_a_chunk_that_is_damaged_is_refused_by_its_image(tmp_path: Path) -> None:
    file = write(tmp_path / "a.h5", {"image": noise(9, 16, 16)}, compression="gzip")
    where = stored(file / "image/000004")
    data = bytearray(file.read_bytes())
    assert where.offset is not None
    data[where.offset + 9 : where.offset + where.size] = bytes(where.size - 9)
    file.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.h5/image/000004 is damaged .*copy it again"):
        read_image(file / "image/000004")
    np.testing.assert_array_equal(read_image(file / "image/000003"), noise(9, 16, 16)[3])


WRONG: dict[str, tuple[str, str]] = {
    "image/000003": ("", r"a\.h5 has no image 000003 in image, which holds 3"),
    "image/-1": ("", "no image -1 in image"),
    "image/1.0": ("", r"no image 1\.0 in image"),
    "image/²": ("", "no image ² in image"),
    "image": ("", r"a\.h5/image is a stack; add a number, as in image/000123"),
    "picture/000000": ("", r"a\.h5 holds no picture, only .*image"),
    "group": ("", r"a\.h5/group is a group; name one of the images in it"),
    "group/1": ("", "holds no group/1"),
    "float/000000": ("", r"float is float32 of the shape \(3, 6, 5\), no stack of images"),
    "signed/000000": ("", "signed is int16"),
    "four/000000": ("", r"four is uint8 of the shape \(3, 6, 5, 4\)"),
    "flat/000000": ("", r"flat is uint8 of the shape \(3, 6\)"),
    "empty/000000": ("", r"empty is uint8 of the shape \(3, 0, 5\)"),
    "one": ("", r"a\.h5/one is float64 of the shape \(\), no image"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_image_is_refused(name: str, tmp_path: Path) -> None:
    values = {
        **{"image": GREY, "float": GREY.astype(np.float32), "signed": GREY.astype(np.int16)},
        **{"four": noise(3, 6, 5, 4), "flat": GREY[:, :, 0], "empty": GREY[:, :0], "one": 1.0},
        "group": {"a": GREY[0]},
    }
    file = write(tmp_path / "a.h5", values)
    with pytest.raises(ImageError, match=WRONG[name][1]):
        read_image(file / name)


def test_a_file_that_is_not_there_or_no_hdf5(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"lost\.h5 does not exist"):
        read_image(tmp_path / "lost.h5/image/000000")
    (tmp_path / "empty.h5").touch()
    with pytest.raises(ImageError, match=r"empty\.h5 is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.h5/image/000000")
    (tmp_path / "text.h5").write_text("no HDF5 file")
    with pytest.raises(ImageError, match=r"text\.h5 is damaged or no HDF5 file"):
        read_image(tmp_path / "text.h5/image/000000")


def test_pixels_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    secret = write(tmp_path / "elsewhere" / "secret.h5", {"image": GREY})
    (tmp_path / "raw").write_bytes(GREY.tobytes())
    file = tmp_path / "set" / "a.h5"
    file.parent.mkdir()
    with h5py.File(file, "w") as content:
        content["link"] = h5py.ExternalLink(secret, "image")
        content["lost"] = h5py.ExternalLink(tmp_path / "lost.h5", "image")
        layout = h5py.VirtualLayout((3, 6, 5), np.uint8)
        layout[:] = h5py.VirtualSource(secret, "image", (3, 6, 5))
        content.create_virtual_dataset("virtual", layout)
        raw = [(str(tmp_path / "raw"), 0, GREY.nbytes)]
        content.create_dataset("external", GREY.shape, np.uint8, external=raw)
    for name in ("link", "lost", "virtual", "external"):
        with pytest.raises(ImageError, match=r"a\.h5 only points to \w+ in another file"):
            read_image(file / name / "000000")


def test_a_claim_of_too_many_images_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as content:
        content.create_dataset("image", (1 << 40, 8, 8), np.uint8, chunks=(1, 8, 8))
    with pytest.raises(ImageError, match="claims to hold 1099511627776 images"):
        item_names(file / "image")


# Many readers, and files that change.


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "a.h5", {"image": GREY})
    np.testing.assert_array_equal(read_image(file / "image/0"), GREY[0])
    other = write(tmp_path / "b.h5", {"image": noise(5, 8, 8, seed=1)})
    third = write(tmp_path / "c.h5", {"image": noise(7, 9, 9, seed=2)})
    np.testing.assert_array_equal(read_image(file / "image/0"), GREY[0])
    file.write_bytes(other.read_bytes())  # in its place, as another process would
    np.testing.assert_array_equal(read_image(file / "image/4"), noise(5, 8, 8, seed=1)[4])
    if os.name != "nt":  # where what is open cannot be replaced
        third.replace(file)
        np.testing.assert_array_equal(read_image(file / "image/6"), noise(7, 9, 9, seed=2)[6])


def test_more_files_than_stay_open(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.h5", {"image": noise(2, 4, 4, seed=n)}) for n in range(12)]
    for _ in range(2):
        for number, file in enumerate(files):
            pixels = noise(2, 4, 4, seed=number)[1]
            np.testing.assert_array_equal(read_image(file / "image/1"), pixels)


def test_threads_read_at_once(tmp_path: Path) -> None:
    pixels = noise(200, 16, 16)
    file = write(tmp_path / "a.h5", {"image": pixels}, compression="gzip")
    wrong: list[object] = []

    def read(start: int) -> None:
        for number in [*range(start, 200), *range(start)]:
            try:
                if not np.array_equal(read_image(file / f"image/{number:06}"), pixels[number]):
                    wrong.append(number)
            except ImageError as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=(50 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


READER = """
import sys
from pathlib import Path
from blemish.images import read_image
paths = [Path(sys.argv[1], "image", f"{number:06}") for number in range(100)]
for _ in range(20):
    sums = [int(read_image(path).sum()) for path in paths]
print(sums)
"""


def test_processes_read_at_once(tmp_path: Path) -> None:
    pixels = noise(100, 16, 16)
    file = write(tmp_path / "a.h5", {"image": pixels}, compression="gzip")
    read_image(file / "image/0")  # this process has it open as well
    children = [started([file], code=READER) for _ in range(2)]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
        assert json.loads(out) == pixels.sum(axis=(1, 2)).tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_opens_its_own(tmp_path: Path) -> None:
    pixels = noise(3, 16, 16)
    file = write(tmp_path / "a.h5", {"image": pixels}, compression="gzip")
    mine = open_file(file).content
    child = os.fork()
    if child == 0:
        fresh = open_file(file).content is not mine
        same = np.array_equal(read_image(file / "image/1"), pixels[1])
        os._exit(0 if fresh and same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert open_file(file).content is mine
    np.testing.assert_array_equal(read_image(file / "image/2"), pixels[2])


# What is known of an image without its path.


def test_the_key_of_an_image_is_its_content(tmp_path: Path) -> None:
    pixels = np.stack([GREY[0], GREY[1], GREY[0]])
    file = write(tmp_path / "a.h5", {"image": pixels})
    packed = write(
        tmp_path / "b.h5", {"x": pixels, "turned": GREY[:1].reshape(1, 5, 6)}, shuffle=True
    )
    key = image_key(file / "image/000000")
    assert key == image_key(file / "image/000002") == image_key(packed / "x/000000")
    assert key not in (image_key(file / "image/000001"), image_key(packed / "turned/000000"))


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_same_picture_twice_in_a_stack(compression: str | None, tmp_path: Path) -> None:
    pixels = noise(6, 90, 90)
    pixels[4] = pixels[1]
    pixels[5] = pixels[2]
    pixels[5, 0, 0] ^= 1  # differs far from its end
    options = {"compression": compression} if compression else {}
    write(tmp_path / "a.h5", {"image": pixels}, **options)
    names = [f"a.h5/image/{number:06}" for number in range(6)]
    assert same_content(tmp_path, names) == [["a.h5/image/000001", "a.h5/image/000004"]]
    group = {f"p{number}": image for number, image in enumerate(pixels)}
    write(tmp_path / "b.h5", {"image": group})
    names = [f"b.h5/image/p{number}" for number in range(6)]
    assert same_content(tmp_path, [*names, "lost.h5/image/0"]) == [
        ["b.h5/image/p1", "b.h5/image/p4"]
    ]


def test_equal_bytes_of_other_shapes_are_other_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", {"a": GREY[:1], "b": GREY[:1].reshape(1, 5, 6), "c": GREY[:1]})
    names = [f"a.h5/{stack}/000000" for stack in "abc"]
    assert same_content(tmp_path, names) == [["a.h5/a/000000", "a.h5/c/000000"]]


def test_images_that_were_never_written_are_no_group(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as content:
        stack = content.create_dataset("image", (4, 5, 5), np.uint8, chunks=(1, 5, 5))
        stack[1] = stack[3] = noise(5, 5)
    names = [f"a.h5/image/{number:06}" for number in range(4)]
    assert same_content(tmp_path, names) == [["a.h5/image/000001", "a.h5/image/000003"]]


# Tables and parts that name such images.


def table(root: Path, *lines: str) -> Dataset:
    (root / "set.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_dataset(root / "set.csv")


def test_a_table_may_name_images_in_hdf5_files(tmp_path: Path) -> None:
    write(tmp_path / "streams/a.h5", {"image": GREY, "mask": masks(0, 3, 0)})
    data = table(
        tmp_path,
        *("image,mask,label,split", "streams/a.h5/image/000000,,good,train"),
        *("streams/a.h5/image/000001,streams/a.h5/mask/000001,defective,test",),
    )
    assert data.images[1] == tmp_path / "streams/a.h5/image/000001"
    assert data.masks[1] == tmp_path / "streams/a.h5/mask/000001"
    messages = [finding.message for finding in findings(data)]
    assert any("mask/000001 has 4 x 4 pixels but" in message for message in messages)
    assert listing(tmp_path, ["streams/a.h5/mask/x"]) == [
        f"streams/a.h5/mask/00000{number}" for number in range(3)
    ]
    with pytest.raises(DatasetError, match=r"do not exist \(2\): streams/a\.h5/image/000003, .*b"):
        table(tmp_path, "image", "streams/a.h5/image/000003", "streams/b.h5/image/000000")


def test_parts_may_name_images_in_hdf5_files(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", {"image": GREY, "more": GREY[:1]})
    lines = ["file,part", *(f"a.h5/image/00000{n},p{n // 2}" for n in range(3)), "a.h5/more/0,p9"]
    (tmp_path / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    assert open_dataset(tmp_path / "a.h5").table["part"].to_list() == ["p0", "p0", "p1"]
    lines[-1] = "a.h5/more/1,p9"
    (tmp_path / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DatasetError, match=re.escape("do not exist (1): a.h5/more/1")):
        open_dataset(tmp_path / "a.h5")


def test_the_fingerprint_sees_the_hdf5_file_but_not_its_place(tmp_path: Path) -> None:
    here = open_dataset(write(tmp_path / "a" / "s.h5", {"image": GREY}))
    there = open_dataset(write(tmp_path / "b" / "s.h5", {"image": GREY}))
    before = there.fingerprint()
    assert here.fingerprint() == before == there.take([2, 0, 1]).fingerprint()
    write(tmp_path / "b" / "s.h5", {"image": GREY, "more": noise(9, 9, 9)})
    assert there.fingerprint() != before
    close_files()
    (tmp_path / "b" / "s.h5").unlink()
    assert there.fingerprint() != before  # and raises nothing


def test_inspect_takes_a_stream_and_an_image_of_one(cli: Cli, model: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.h5", {"image": noise(2, 80, 100, 3)})
    run = cli("inspect", model, file, "--json", "-", "--heatmaps", tmp_path / "maps")
    assert [verdict["part"] for verdict in json.loads(run.out)] == [
        "new.h5/image/000000",
        "new.h5/image/000001",
    ]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "new.h5_image_000000.png",
        "new.h5_image_000001.png",
    ]
    assert len(cli("inspect", model, file / "image/000001").out.splitlines()) == 1
    cli("inspect", model, file / "image/000002").refusal("new.h5 has no image 000002 in image")
    cli("inspect", model, cut(file)).refusal("new.h5 is cut off")
