"""Sound samples of every input that is neither a picture nor a model, and ways to damage them.

`INPUTS` names each reader. The tests damage a few of each, a benchmark can damage thousands.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench_results
import h5py
import labelling
import layout_trees
import numpy as np
import polars as pl
import scans
from outside_files import documented
from trees import tree

from blemish.benchmark.maps import KeptMap, read_maps, write_maps
from blemish.benchmark.protocol import open_protocol
from blemish.benchmark.store import read_results
from blemish.dataset import open_dataset
from blemish.dataset.annotated_set import read_annotated
from blemish.dataset.csv_file import read_delimited
from blemish.dataset.layouts import find_layout
from blemish.dataset.licence import read_terms
from blemish.dataset.parts import attach
from blemish.dataset.split_file import apply_split, write_split
from blemish.dataset.splits import divide
from blemish.detectors._checkpoint import kept_arrays
from blemish.discovery.source import read_source
from blemish.errors import BlemishError
from blemish.features.cache import Shelf
from blemish.features.state_dict import read_state_dict
from blemish.images import read_image
from blemish.images.hdf5_file import close_files
from blemish.prepare import journal
from blemish.prepare.patch_recipe import open_recipe
from blemish.prepare.work_folder import work_folder
from blemish.report.thumbnails import Thumbnail
from blemish.simulator.folder import NOTE, claim
from blemish.util.text_files import read_json

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Input:
    """How to write a sound sample of a file into a folder, and what reads it.

    `sound` gives the file, `read` takes it; what it raises must be a BlemishError.
    """

    sound: Callable[[Path], Path]
    read: Read


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of which some are flipped, zeroed, cut off, swapped, doubled, or made something odd."""
    if not data:
        return bytes(rng.integers(0, 256, 9, np.uint8))
    held = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(max(len(held), 1)))
        size = int(min(len(held) - at, rng.choice([1, 1, 2, 8, 64, 512])))
        kind = rng.integers(9)
        if kind == 0 and held:
            held[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            held[at : at + size] = bytes(size)
        elif kind == 2:
            held[at : at + size] = b"\xff" * size
        elif kind == 3:
            del held[at : at + size]
        elif kind == 4:
            held[at:at] = held[at : at + size] * int(rng.choice([1, 3, 50]))
        elif kind == 5:
            held[at : at + size] = bytes(rng.integers(0, 256, size, np.uint8))
        elif kind == 6 and len(held) > 2:
            del held[max(1, at) :]
        else:
            odd = ODD[int(rng.integers(len(ODD)))]
            held[at : at + (size if kind == 7 else 0)] = odd
    return bytes(held)


ODD = (
    *(b"\0", b"\n", b'"', b",", b";", b"[", b"{", b"}", b"\\ud800", b"\\u0000", b"\xff\xfe"),
    *(b"1e999", b"NaN", b"-1", b"9" * 5000, b"0", b"null", b"true", b'""', b"[]", b"{}"),
    *(b"[" * 3000, b"../../x", b"/etc/passwd", b"=", b".", b"\x1b[31m", "\u202e".encode()),
    *(b"x" * 5000, b"1" * 19, b"#", b"\r", b"\t", b"(" * 300, b"a.png", b"\xed\xa0\x80"),
)


def with_odd_values(data: bytes, rng: np.random.Generator) -> bytes:
    """JSON, or lines of TOML, in which something has another value, is gone, or is new."""
    try:
        value = json.loads(data)
    except ValueError:
        return _odd_lines(data, rng)
    for _ in range(int(rng.integers(1, 3))):
        odd = json.loads(VALUES[int(rng.integers(len(VALUES)))])
        places = list(_places(value))
        holder, key = places[int(rng.integers(len(places)))]
        kind = rng.integers(4)
        if kind == 0 and isinstance(holder, dict):
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder["odd"] = odd
        else:
            holder[key] = odd
        if not isinstance(value, dict | list) or not value:
            break
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every dict and list inside, with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(min(len(value), 50)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _odd_lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.decode().split("\n")
    settings = [number for number, line in enumerate(lines) if "=" in line]
    number = settings[int(rng.integers(len(settings)))]
    odd = VALUES[int(rng.integers(len(VALUES)))].replace('{"a": 1}', "{a = 1}")
    key = str(rng.choice([lines[number].partition("=")[0], "odd"]))
    lines[number] = str(rng.choice([f"{key} = {odd}", ""]))
    return "\n".join(lines).encode()


VALUES = (
    *("true", "-1", "0", "1e308", '""', '"x"', "[]", "{}", "[[]]", '[1, "a"]', '{"a": 1}'),
    *('"../x"', '["a", "a"]', "99999999999999999999", "-0.5", f'"{"x" * 3000}"', '"\\u0000"'),
)


# What stands in the place of a file.


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "a pipe": _pipe,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link in a circle": lambda path: path.symlink_to(path),
    "a terabyte of zeros": _sparse,
    "zeros": lambda path: path.write_bytes(bytes(3000)),
    "utf-16": lambda path: path.write_bytes('{"a": "ä"}\n'.encode("utf-16")),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "deep tables": lambda path: path.write_bytes(b'{"a":' * 100_000),
    "a key of many steps": lambda path: path.write_bytes(b"a." * 50_000 + b"a = 1\n"),
    "digits": lambda path: path.write_bytes(b'{"schema": ' + b"9" * 100_000 + b"}"),
    "a line without end": lambda path: path.write_bytes(b"image," * 500_000),
}


# The samples.


def _images(folder: Path) -> list[str]:
    names = [f"a/{number}.png" for number in range(6)]
    tree(folder, *names)
    return names


def _csv(folder: Path, name: str, rows: Sequence[Sequence[object]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (folder / name).write_text(text.getvalue(), encoding="utf-8")
    return folder / name


def _table(folder: Path) -> Path:
    rows = [(name, "good", f"part {number}") for number, name in enumerate(_images(folder))]
    return _csv(folder, "set.csv", [("image", "label", "part"), *rows])


def _parquet(folder: Path, **options: Any) -> Path:
    frame = pl.DataFrame({"image": _images(folder), "label": ["good"] * 6})
    frame.write_parquet(folder / "set.parquet", **options)
    return folder / "set.parquet"


def _parts(folder: Path) -> Path:
    rows = [(name, number // 2, number % 2) for number, name in enumerate(_images(folder))]
    return _csv(folder, "parts.csv", [("file", "part", "view"), *rows])


def _split(folder: Path) -> Path:
    data = open_dataset(_table(folder))
    write_split(divide(data, "k_fold", settings={"k": "3"}), folder / "split.json")
    return folder / "split.json"


def _stream(folder: Path, **options: Any) -> Path:
    close_files()
    rng = np.random.default_rng(0)
    with h5py.File(folder / "train.h5", "w") as file:
        pixels = np.cumsum(rng.integers(0, 3, (6, 16, 16)), axis=2).astype(np.uint8)
        file.create_dataset("image", data=pixels, **options)
        masks = np.zeros((6, 16, 16), np.uint8)
        masks[3:, 4, 4] = 255
        file.create_dataset("mask", data=masks, chunks=(1, 16, 16), compression="gzip")
        file["part"] = [f"part {number}" for number in range(6)]
    return folder / "train.h5"


def _read_stream(path: Path) -> None:
    try:
        for image in open_dataset(path).images:
            read_image(image)
    finally:
        close_files()


def _annotations(folder: Path, made: Callable[[Path], Path], name: str) -> Path:
    return made(folder) / name


def _real_iad(folder: Path) -> Path:
    sides: dict[str, list[dict[str, str | None]]] = {"train": [], "test": []}
    for number, kind in enumerate(("OK", "OK", "OK", "AK")):
        place, code = ("OK", "OK") if kind == "OK" else (f"NG/{kind}", f"NG_{kind}")
        image = f"{place}/S{number:04}/toy_{number:04}_{code}_C1_20230921102345.jpg"
        mask = None if kind == "OK" else image.replace(".jpg", ".png")
        tree(folder / "realiad_1024" / "toy", *filter(None, (image, mask)))
        entry = {"category": "toy", "anomaly_class": kind, "image_path": image, "mask_path": mask}
        sides["train" if number < 2 else "test"].append(entry)
    tree(folder, "realiad_jsons/toy.json")
    document = {"meta": {"prefix": "toy/", "normal_class": "OK"}, **sides}
    (folder / "realiad_jsons/toy.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "realiad_jsons/toy.json"


def _elpv(folder: Path) -> Path:
    tree(folder, *(f"images/cell000{number}.png" for number in range(1, 5)))
    cells = [(1, 1.0), (2, 0.3333), (3, 0.0), (4, 0.0)]
    lines = [f"images/cell000{number}.png  {share}  mono\n" for number, share in cells]
    (folder / "labels.csv").write_text("".join(lines), encoding="utf-8")
    return folder / "labels.csv"


def _result(folder: Path) -> Path:
    found = bench_results.leave(folder, "padim", bench_results.planted(2.0))
    return folder / f"{found.key}.json"


def _scores(folder: Path) -> Path:
    return _result(folder).with_suffix(".npz")


def _read_scores(path: Path) -> None:
    for result in read_results(path.parent):
        result.scores()


def _protocol(folder: Path) -> Path:
    import blemish.benchmark

    source = Path(blemish.benchmark.__file__).with_name("protocols") / "dev.toml"
    (folder / "mine.toml").write_bytes(source.read_bytes())
    return folder / "mine.toml"


def _arrays(folder: Path) -> Path:
    np.savez_compressed(folder / "bank.npz", patches=np.ones((9, 4)), done=3)
    return folder / "bank.npz"


def _maps(folder: Path) -> Path:
    map_ = np.arange(64, dtype=np.float32).reshape(8, 8)
    picture = Thumbnail(np.zeros((8, 8, 3), np.uint8), map_, "", "", 31.0, 63.0, None)
    kept = KeptMap("a", "good", "", "good", score=1.5, rejected=False, picture=picture)
    write_maps(folder / "a.maps.npz", [kept, kept])
    return folder / "a.maps.npz"


def _torch(folder: Path, *, zipped: bool = True) -> Path:
    import torch

    weights = {"layer.weight": torch.ones(3, 4), "layer.bias": torch.ones(3).half()}
    torch.save(weights, folder / "net.pth", _use_new_zipfile_serialization=zipped)
    return folder / "net.pth"


def _read_arrays(path: Path) -> None:
    with kept_arrays(path) as kept:
        np.zeros((9, 4))[:] = kept["patches"]
        int(kept["done"])


def _safetensors(folder: Path) -> Path:
    head = b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},' + (
        b'"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}'
    )
    data = len(head).to_bytes(8, "little") + head + bytes(range(32))
    (folder / "net.safetensors").write_bytes(data)
    return folder / "net.safetensors"


def _shelf(folder: Path, ending: str) -> Path:
    shelf = Shelf(folder / "shelf", 8)
    for number in range(5):
        shelf.put(_key(number), 0, 1, _row(number))
    shelf.close()
    return next((folder / "shelf").glob(f"*.{ending}"))


def _key(number: int) -> bytes:
    return bytes([number] * 32)


def _row(number: int) -> Any:
    return np.arange(8).astype(np.float16) + number


def _read_shelf(path: Path) -> None:
    """What is damaged is not there; what is there is right."""
    shelf = Shelf(path.parent, 8)
    for number in range(5):
        if shelf.crops(_key(number)):
            np.testing.assert_array_equal(shelf.get(_key(number), 0), _row(number))


def _note(folder: Path) -> Path:
    claim(folder / "made", {"seed": 1, "size": [2, 3]})
    return folder / "made" / NOTE


def _work(folder: Path) -> Path:
    with work_folder(folder / "out.h5", {"seed": 1}) as work:
        return work / "made_of.json"


def _journal(folder: Path) -> Path:
    for number in range(3):
        journal.add(folder / "journal", journal.packed({"start": np.array(number)}))
    return folder / "journal"


def _code(folder: Path) -> Path:
    text = next(text for text in documented().values() if "def " in text)
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return folder / "mine.py"


def _read_code(path: Path) -> None:
    read_source(str(path), "detector").about()


def _licence(folder: Path) -> Path:
    (folder / "LICENSE").write_text("\nCC BY 4.0\nand more\n", encoding="utf-8")
    return folder / "LICENSE"


def _read_layout(name: str, depth: int) -> Read:
    def read(path: Path) -> None:
        root = path.parents[depth]
        find_layout(root, name).read(root)

    return read


def _read_annotations(format_: str) -> Read:
    def read(path: Path) -> None:
        root = next(folder for folder in path.parents if folder.name == "labelled")
        found = read_annotated(root, format_)
        found.ensure_sound()
        for image, mask in found.data.table.drop_nulls("mask").select("image", "mask").iter_rows():
            found.read_mask(image, mask)

    return read


INPUTS: dict[str, Input] = {
    "a table": Input(_table, open_dataset),
    "Parquet": Input(_parquet, open_dataset),
    "Parquet with snappy": Input(lambda f: _parquet(f, compression="snappy"), open_dataset),
    "any CSV": Input(_table, read_delimited),
    "parts": Input(_parts, lambda path: attach(open_dataset(path.with_name("a")), path)),
    "a split": Input(
        _split, lambda path: apply_split(open_dataset(path.with_name("set.csv")), path)
    ),
    "a stream": Input(_stream, _read_stream),
    "a gzipped stream": Input(
        lambda f: _stream(f, chunks=(1, 16, 16), compression="gzip", shuffle=True), _read_stream
    ),
    "COCO": Input(
        lambda f: _annotations(f, layout_trees.ssgd, "annotations/lb201/train1.json"),
        _read_layout("ssgd", 2),
    ),
    "labelme": Input(labelling.labelme_set, _read_annotations("labelme")),
    "objects of COCO": Input(labelling.coco_set, _read_annotations("coco")),
    "objects of YOLO": Input(
        lambda f: labelling.yolo_set(f) / "labels/b.txt", _read_annotations("yolo")
    ),
    "kinds of YOLO": Input(
        lambda f: labelling.yolo_set(f) / "data.yaml", _read_annotations("yolo")
    ),
    "CVAT": Input(labelling.cvat_set, _read_annotations("cvat")),
    "boxes of Pascal VOC": Input(
        lambda f: labelling.voc_set(f) / "Annotations/b.xml", _read_annotations("voc")
    ),
    "a mask of Pascal VOC": Input(
        lambda f: labelling.voc_set(f) / "SegmentationClass/a.png", _read_annotations("voc")
    ),
    "colours of Pascal VOC": Input(
        lambda f: labelling.voc_set(f) / "labelmap.txt", _read_annotations("voc")
    ),
    "boxes": Input(
        lambda f: next(_annotations(f, layout_trees.deep_pcb, "").rglob("group*/*_not/*.txt")),
        _read_layout("deep_pcb", 2),
    ),
    "pairs": Input(
        lambda f: next(_annotations(f, layout_trees.deep_pcb, "").rglob("trainval.txt")),
        _read_layout("deep_pcb", 0),
    ),
    "Real-IAD": Input(_real_iad, _read_layout("real_iad", 1)),
    "ELPV": Input(_elpv, _read_layout("elpv", 0)),
    "DAGM": Input(
        lambda f: _annotations(f, layout_trees.dagm, "Class1/Train/Label/Labels.txt"),
        _read_layout("dagm", 3),
    ),
    "a result": Input(_result, lambda path: read_results(path.parent)),
    "scores": Input(_scores, _read_scores),
    "maps": Input(_maps, read_maps),
    "a checkpoint": Input(_arrays, _read_arrays),
    "a protocol": Input(_protocol, lambda path: open_protocol(str(path))),
    "a recipe": Input(lambda f: scans.recipe_at(f), open_recipe),
    "safetensors": Input(_safetensors, read_state_dict),
    "the cache's index": Input(lambda f: _shelf(f, "index"), _read_shelf),
    "the cache's rows": Input(lambda f: _shelf(f, "rows"), _read_shelf),
    "the simulator's note": Input(
        _note, lambda path: claim(path.parent, {"seed": 1, "size": [2, 3]})
    ),
    "work's note": Input(_work, lambda path: _work(path.parent.parent)),
    "a journal": Input(_journal, lambda path: list(journal.records(path))),
    "code": Input(_code, _read_code),
    "a licence": Input(_licence, lambda path: read_terms(path.parent)),
    "JSON": Input(_result, lambda path: read_json(path, "JSON", "write it again")),
}
if find_spec("torch"):  # which is in the extra `train`
    INPUTS["a state dict"] = Input(_torch, read_state_dict)
    INPUTS["an old state dict"] = Input(partial(_torch, zipped=False), read_state_dict)


def refused(reader: Input, path: Path) -> str | None:
    """What is said of a file, or None where it is read; any other error is raised."""
    try:
        reader.read(path)
    except BlemishError as error:
        return str(error)
    return None


def bomb(path: Path, size: int = 10**9) -> None:
    """A .npz file of a few kB whose only array, `patches`, has so many bytes."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    )
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("patches.npy", "w", force_zip64=True) as member,
    ):
        member.write(head.getvalue())
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
