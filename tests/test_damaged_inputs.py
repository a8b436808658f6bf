"""Every input that is neither a picture nor a model, damaged: refused in a sentence, or read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from bench_results import leave, planted
from damaged_inputs import IN_PLACE, INPUTS, bomb, damaged, refused, with_odd_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parquet_bytes import repeated_text
from running import Cli
from trees import tree

from blemish.benchmark.protocol import open_protocol
from blemish.dataset import open_dataset
from blemish.dataset.csv_file import MOST_COLUMNS, read_delimited
from blemish.dataset.parquet_file import read_parquet
from blemish.dataset.parts import attach
from blemish.discovery.source import read_source
from blemish.errors import BlemishError, DatasetError, ImageError
from blemish.features.cache import image_key
from blemish.features.state_dict import read_state_dict
from blemish.images import read_image
from blemish.images.hdf5_file import close_files
from blemish.util.array_files import read_arrays
from blemish.util.file_limit import NAME
from blemish.util.library_errors import translated
from blemish.util.text_files import read_json, read_toml
from blemish.util.threads import default_threads

# What may stand in a file's place and still be read: nothing is lost, or it is made anew.
LENIENT = {
    "any CSV": {"zeros", "deep", "deep tables", "a key of many steps", "digits"},
    "a result": {"nothing"},
    "the simulator's note": {"nothing"},
    "work's note": {"nothing"},
    "code": {"empty", "a line without end"},
    "the cache's index": set(IN_PLACE),
    "the cache's rows": set(IN_PLACE),
    "a licence": set(IN_PLACE),
    "objects of YOLO": {"empty"},  # a picture without a defect
    "a mask of Pascal VOC": {"nothing", "a folder"},
    "colours of Pascal VOC": {"nothing", "a folder"},
    # Without its list of masks, and with one that names none.
    "DAGM": set(IN_PLACE) - {"a terabyte of zeros"},
    "ELPV": {"empty"},
    "a journal": set(IN_PLACE) - {"a folder", "a pipe", "a device"},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound file for each input."""
    return {
        name: reader.sound(tmp_path_factory.mktemp(name.replace(" ", "-").replace("'", "")))
        for name, reader in INPUTS.items()
    }


FORTY = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def said_of(
    name: str, path: Path, change: Callable[[bytes, np.random.Generator], bytes], seed: int
) -> str | None:
    """What is said of a changed file, which is as it was afterwards.

    Anything but a BlemishError is raised.
    """
    data = path.read_bytes()
    path.write_bytes(change(data, np.random.default_rng(seed)))
    try:
        return refused(INPUTS[name], path)
    finally:
        path.write_bytes(data)


@pytest.mark.parametrize("name", INPUTS)
def test_a_sound_file_is_read(name: str, sound: dict[str, Path]) -> None:
    assert refused(INPUTS[name], sound[name]) is None


@pytest.mark.parametrize("name", INPUTS)
@FORTY
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_file_is_refused_in_a_sentence_or_read(
    name: str, seed: int, sound: dict[str, Path]
) -> None:
    said = said_of(name, sound[name], damaged, seed)
    assert said is None or "\n" not in said


WITH_VALUES = (
    *("labelme", "objects of COCO"),
    *("a split", "COCO", "a result", "a protocol", "a recipe", "the simulator's note"),
    *("work's note", "JSON", "Real-IAD"),
)


@pytest.mark.parametrize("name", WITH_VALUES)
@FORTY
@given(seed=st.integers(0, 2**32 - 1))
def test_values_of_other_types_are_refused_in_a_sentence_or_read(
    name: str, seed: int, sound: dict[str, Path]
) -> None:
    said = said_of(name, sound[name], with_odd_values, seed)
    assert said is None or ("\n" not in said and len(said) < 2000)


def test_a_table_of_results_with_odd_values_is_made_or_refused(cli: Cli, tmp_path: Path) -> None:
    for seed in range(2):
        leave(tmp_path, "padim", planted(2.0), seed=seed)
        result = leave(tmp_path, "patchcore", planted(1.0), seed=seed)
    path = tmp_path / f"{result.key}.json"
    data = path.read_bytes()
    for seed in range(40):
        path.write_bytes(with_odd_values(data, np.random.default_rng(seed)))
        run = cli("bench", "table", "dev", "--out", tmp_path)
        assert run.code in (0, 2)
        assert not any("Traceback" in line for line in run.err)


@pytest.fixture(scope="module")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """What is said of each thing in the place of each file; a reader that waits is stopped."""
    code = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from damaged_inputs import IN_PLACE, INPUTS, refused
said = {{}}
for number, (name, reader) in enumerate(INPUTS.items()):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    path = reader.sound(folder)
    for kind, make in IN_PLACE.items():
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        try:
            said.setdefault(name, {{}})[kind] = refused(reader, path)
        except BaseException as error:
            said.setdefault(name, {{}})[kind] = f"raises {{error!r}}"
    path.unlink()
print(json.dumps(said))
"""
    folder = tmp_path_factory.mktemp("in_place")
    command = [sys.executable, "-c", code, str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found: dict[str, dict[str, str | None]] = json.loads(child.stdout)
    return found


@pytest.mark.parametrize("name", INPUTS)
def test_what_stands_in_a_files_place_is_refused(
    name: str, in_place: dict[str, dict[str, str | None]]
) -> None:
    odd = {kind: said for kind, said in in_place[name].items() if said and "raises" in said[:6]}
    assert odd == {}
    read = {kind for kind, said in in_place[name].items() if said is None}
    assert read <= LENIENT.get(name, set())


# What a header declares is not believed.


@contextmanager
def limited(monkeypatch: pytest.MonkeyPatch, limit: str = "100MB") -> Iterator[None]:
    monkeypatch.setenv(NAME, limit)
    with pytest.raises(BlemishError, match=NAME):
        yield


def test_arrays_that_inflate_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb(tmp_path / "a.npz", 200 << 20)
    with limited(monkeypatch):
        read_arrays(tmp_path / "a.npz", "file of scores", "remove it")


def test_objects_in_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(DatasetError, match=r"a\.npz is no file of scores, or cut off"):
        read_arrays(tmp_path / "a.npz", "file of scores", "remove it")


def test_rows_of_one_value_are_counted_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.repeat("a.png", 3_000_000, eager=True)
    pl.DataFrame({"image": rows}).write_parquet(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 50_000
    with limited(monkeypatch):
        read_parquet(tmp_path / "a.parquet")


def test_a_page_that_inflates_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"image": ["x" * 200_000_000]})
    frame.write_parquet(tmp_path / "a.parquet", statistics=False)
    with limited(monkeypatch):
        read_parquet(tmp_path / "a.parquet")


def test_one_long_text_in_many_rows_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"image": ["x" * 100_000] * 2000}).write_parquet(tmp_path / "a.parquet")
    with limited(monkeypatch):
        read_parquet(tmp_path / "a.parquet")


def test_texts_that_are_told_by_the_one_before_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(repeated_text(b"a.png", 300))
    assert read_parquet(path)["image"].to_list() == ["a.png"] * 300
    path.write_bytes(repeated_text(b"a" * 20_000, 20_000))
    assert path.stat().st_size < 25_000

    def unpack(*_: object) -> None:
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(pl, "read_parquet", unpack)
    with limited(monkeypatch):
        read_parquet(path)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_million_columns_are_refused(name: str, tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(MOST_COLUMNS + 1)]
    if name == "a.csv":
        (tmp_path / name).write_text(",".join(names) + "\n", encoding="utf-8")
    else:
        pl.DataFrame({each: [1] for each in names}).write_parquet(tmp_path / name)
    with pytest.raises(DatasetError, match=f"more than {MOST_COLUMNS} columns"):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize("text", ["x" * 3_000_000, f"image\n{'x' * 9_000_000}\n"])
def test_a_line_without_end_is_no_row(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="its lines are longer than 1 MB"):
        open_dataset(tmp_path / "a.csv")


@pytest.mark.parametrize("reader", ["table", "JSON", "picture", "code"])
def test_a_file_beyond_the_limit_is_not_read(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    if reader == "code":
        with pytest.raises(BlemishError, match="has more than 1 MB"):
            read_source(str(path), "detector")
        return
    with limited(monkeypatch):
        {
            "table": read_delimited,
            "JSON": lambda path: read_json(path, "JSON", "write it again"),
            "picture": image_key,
        }[reader](path)


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    head = json.dumps({"a": entry, "b": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(BlemishError, match="tensors overlap"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("times", "said"), [(100_000, "Expected `object`, got `array`"), (1_500_000, "too long")]
)
def test_a_header_of_nothing_but_brackets_is_not_made_of_objects(
    times: int, said: str, tmp_path: Path
) -> None:
    head = b'{"a":[' + b"[]," * times + b"[]]}"
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(BlemishError, match=f"a damaged safetensors file .*{said}"):
        read_state_dict(path)


def test_an_archive_of_torchscript_prints_nothing(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    torch = pytest.importorskip("torch", reason="a .pth file needs the extra train")
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("a/constants.pkl", b"")  # by which torch knows one
    recwarn.clear()
    with pytest.raises(BlemishError, match=r"a\.pth cannot be read as a state dict"):
        read_state_dict(tmp_path / "a.pth")
    assert not recwarn.list


def test_a_tensor_larger_than_its_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="a .pth file needs the extra train")
    torch.save({"a": torch.ones(1, dtype=torch.half).expand(10**6, 10**6)}, tmp_path / "a.pth")
    with limited(monkeypatch):
        read_state_dict(tmp_path / "a.pth")


# Text, JSON and TOML.


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 100_000, "NaN", "1e999", "9" * 400, '"\\ud800"', "[-Infinity]", '{"a" 1}'],
)
def test_json_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ImageError, match=r"a\.json is no note \(.+\); write it again"):
        read_json(tmp_path / "a.json", "note", "write it again", ImageError)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
        max_leaves=10,
    ),
    ascii_only=st.booleans(),
)
def test_json_comes_back_as_it_was_written(
    value: Any, ascii_only: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(value, ensure_ascii=ascii_only), encoding="utf-8")
    assert read_json(path, "note", "write it again") == value


@pytest.mark.parametrize(
    "text", ["a." * 50_000 + "a=1", "a=" + "[" * 50_000, "a=1" + " " * (1 << 18)]
)
def test_toml_that_would_take_for_ever_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.toml is no recipe"):
        read_toml(tmp_path / "a.toml", "recipe", "name a recipe")
    with pytest.raises(BlemishError, match=r"a\.toml is no protocol"):
        open_protocol(str(tmp_path / "a.toml"))


def test_whatever_a_library_raises_is_told(tmp_path: Path) -> None:
    class Panic(BaseException):
        """What polars raises is no Exception either."""

    def told(reason: str) -> BlemishError:
        return DatasetError(f"a.parquet: {reason}")

    with pytest.raises(DatasetError, match=r"^a\.parquet: a bug$"), translated(told):
        raise Panic("a bug\nand more")
    with pytest.raises(ImageError, match="as it is"), translated(told):
        raise ImageError("as it is")
    with pytest.raises(KeyboardInterrupt), translated(told):
        raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["²", "9" * 5000, "-1", "1e3", " ", "two"])
def test_a_number_of_threads_is_digits(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLEMISH_THREADS", text)
    with pytest.raises(BlemishError, match="BLEMISH_THREADS is"):
        default_threads()


# Names.

NAMES = ["glob[1]", "a*", "a?b", "it's", 'say "so"', "a, b", "a; b", " begins", "ends ", "{x}", "ü"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_a_table_may_have_and_may_name_files_of_any_name(
    name: str, suffix: str, tmp_path: Path
) -> None:
    images = [f"{name}/{name}.png", f"{name}/b.png{' ' * name.endswith(' ')}", f"{name}.png"]
    tree(tmp_path, *images)
    table = tmp_path / f"{name}.{suffix}"
    frame = pl.DataFrame({"image": images, "label": "good"})
    frame.write_csv(table) if suffix == "csv" else frame.write_parquet(table)
    assert open_dataset(table).table["image"].to_list() == images


def test_blanks_around_a_name_are_its_own_only_where_there_is_such_a_file(tmp_path: Path) -> None:
    tree(tmp_path, "a.png", " a.png", "b.png")
    (tmp_path / "set.csv").write_text("image , label\n a.png, good\nb.png , good\na.png,good\n")
    data = open_dataset(tmp_path / "set.csv")
    assert data.table["image"].to_list() == [" a.png", "b.png", "a.png"]
    (tmp_path / "parts.csv").write_text("file,part\n a.png,1\n b.png,2\na.png,3\n")
    assert attach(data, tmp_path / "parts.csv").table["part"].to_list() == ["1", "2", "3"]


def test_a_name_too_long_for_any_file_is_one_that_does_not_exist(tmp_path: Path) -> None:
    tree(tmp_path, "a.png")
    (tmp_path / "parts.csv").write_text(f"file,part\na.png,1\n{'x' * 5000}.png,2\n")
    with pytest.raises(DatasetError, match=r"do not exist \(1\): x+…; correct or remove"):
        open_dataset(tmp_path)


# HDF5.


def stream(path: Path, **options: Any) -> Path:
    close_files()
    with h5py.File(path, "w") as file:
        pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
        file.create_dataset("image", data=pixels, **options)
    return path


@pytest.mark.parametrize("more", [-20, -1, 1, 10_000])
@pytest.mark.parametrize("chunk", [(1, 8, 8), (3, 8, 8), (1, 4, 8)])
def test_a_chunk_of_fewer_or_more_bytes_is_no_image(
    more: int, chunk: tuple[int, ...], tmp_path: Path
) -> None:
    file = stream(tmp_path / "a.h5", chunks=chunk, compression="gzip")
    with h5py.File(file, "r+") as content:
        data = bytes(int(np.prod(chunk)) + more)
        content["image"].id.write_direct_chunk((0, 0, 0), zlib.compress(data))
    with pytest.raises(ImageError, match=r"a\.h5/image/000000 is damaged \(a chunk"):
        read_image(file / "image/000000")


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 8, 8)}, {"chunks": (2, 4, 8)}])
def test_images_that_were_never_written_are_no_images(
    options: dict[str, Any], tmp_path: Path
) -> None:
    close_files()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stack = file.create_dataset("image", (40, 8, 8), np.uint8, **options)
        if options:
            stack[:2] = 1
    with pytest.raises(ImageError, match=r"image declares 40 images, and about \d of them were"):
        open_dataset(tmp_path / "a.h5")


def test_images_and_chunks_beyond_the_limit_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_files()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("large", (1, 20_000, 20_000), np.uint8, chunks=(1, 100, 100))
        packed = {"chunks": (1000, 400, 400), "compression": "gzip"}
        file.create_dataset("packed", (1000, 400, 400), np.uint8, **packed)
        file.create_dataset("single/a", (20_000, 20_000), np.uint8, chunks=(100, 100))
    for name in ("large/000000", "packed/000000", "single/a"):
        with limited(monkeypatch):
            read_image(tmp_path / "a.h5" / name)


def test_a_list_of_images_beyond_the_limit_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_files()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", (49_000_000, 8, 8), np.uint8, chunks=(1, 8, 8))
    with limited(monkeypatch):
        open_dataset(tmp_path / "a.h5")


def test_a_link_to_a_pipe_is_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    close_files()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink("pipe.h5", "image")
        file["mask"] = h5py.SoftLink("/image")
        file["round"] = h5py.SoftLink("/round")
        file["here/image"] = np.zeros((2, 4, 4), np.uint8)
        file["soft"] = h5py.SoftLink("here")
    for name in ("image", "mask"):
        with pytest.raises(ImageError, match="only points to image in another file"):
            read_image(tmp_path / f"a.h5/{name}/000000")
    with pytest.raises(ImageError, match="a link that leads in a circle"):
        read_image(tmp_path / "a.h5/round/000000")
    assert not read_image(tmp_path / "a.h5/soft/image/000001").any()
    with pytest.raises(ImageError, match=r"pipe\.h5 is no regular file"):
        read_image(tmp_path / "pipe.h5/image/000000")


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    file = stream(tmp_path / "a.h5", chunks=(1, 8, 8), compression="gzip")
    data = file.read_bytes()
    assert data.count(b"deflate") == 1
    head = data.index(b"deflate") - 8  # number, length of the name, flags, values
    assert data[head] == 1
    file.write_bytes(data[:head] + (32_015).to_bytes(2, "little") + data[head + 2 :])
    with pytest.raises(ImageError, match="packed with the filter 32015, which is not"):
        read_image(file / "image/000000")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\udcff"])
def test_an_item_whose_name_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    close_files()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("image")
        key = f"image/{name}".encode("utf-8", "surrogateescape")
        kind = h5py.h5t.STD_U8LE
        h5py.h5d.create(file.id, key, kind, h5py.h5s.create_simple((4, 4)))
    with pytest.raises(ImageError, match=r"holds an item named b?'a\\[nx].*; rename it"):
        open_dataset(tmp_path / "a.h5")


def test_a_broken_heap_of_words_is_damage(tmp_path: Path) -> None:
    """HDF5 itself would never come back from it."""
    file = stream(tmp_path / "a.h5")
    with h5py.File(file, "r+") as content:
        content["part"] = ["one", "two", "three"]
    data = bytearray(file.read_bytes())
    first = data.index(b"GCOL") + 16
    data[first : first + 16] = bytes(16)  # something free, of no size
    file.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.h5 is damaged \(the words of part\)"):
        open_dataset(file)
