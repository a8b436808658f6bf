"""Every verb that writes is shown names that lead elsewhere; nothing appears outside its folder."""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from bench_results import leave, planted
from hypothesis import given
from hypothesis import strategies as st
from pictured import save as save_drawn
from plates import dent_mask, dented, plate, save
from running import Cli, Run
from scans import recipe_at, save_scans
from streams import noise
from trees import link

from blemish.benchmark.protocol import open_protocol
from blemish.cli import parser
from blemish.dataset import open_dataset
from blemish.dataset.paths import below
from blemish.errors import BlemishError, DatasetError, ImageError
from blemish.images.hdf5_file import close_files
from blemish.model.artifact import open_artifact
from blemish.util.files import harmless, inside, leads_out

ESCAPE = "escaped"
NAMES = {
    "up": f"../{ESCAPE}",
    "up and up": f"../../{ESCAPE}",
    "down and up": f"a/../../{ESCAPE}",
    "absolute": f"{{root}}/{ESCAPE}",
    "network": f"//server/share/{ESCAPE}",
    "drive": f"C:{ESCAPE}",
    "back-slashes": f"..\\..\\{ESCAPE}",
    "dots": "..",
    "dots and a space": f".. /{ESCAPE}",
    "device": "CON",
    "nul": f"a\0/{ESCAPE}",
    "line": f"a\n../{ESCAPE}",
    "long": "x" * 300,
}
Argv = list[object]
Case = Callable[[Path, str], Argv]


# The rule itself.


@pytest.mark.parametrize("name", sorted(NAMES.keys() - {"device", "line", "long"}))
def test_a_name_that_leads_elsewhere_becomes_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(BlemishError, match="is no name for a file below"):
        inside(tmp_path, NAMES[name].format(root=tmp_path))


@pytest.mark.parametrize("name", ["", ".", "a/", "/", "a//b", "a/./b", "a\\b", "\ud800"])
def test_what_is_no_plain_way_down_leads_out(name: str) -> None:
    assert leads_out(name)


@pytest.mark.parametrize("name", ["a", "a/b.png", "..a/b..", ".a", "12:30.png", "für/ä", "a b"])
def test_an_ordinary_name_stays_as_it_is(tmp_path: Path, name: str) -> None:
    assert inside(tmp_path, name) == tmp_path / name


@given(st.text(st.sampled_from("ab./\\: \0")))
def test_whatever_does_not_lead_out_stays_below(name: str) -> None:
    root = Path("/some/root")
    if not leads_out(name):
        steps = name.split("/")
        assert not {"", ".", ".."} & set(steps)
        assert (root / name).is_relative_to(root)


@given(st.text())
def test_a_harmless_name_is_one_step(name: str) -> None:
    assert "/" not in harmless(name)
    assert not leads_out(harmless(name)) or not name.isascii()  # half a surrogate has no bytes


@given(st.text(st.sampled_from("ab./\\\0:"), max_size=12))
def test_the_quick_path_of_the_tables_keeps_the_rule(name: str) -> None:
    [found] = below(Path("/some/root"), Path("/some/root/base"), [name])
    assert found is None or not leads_out(found) or found in ("", "base")


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    link(tmp_path / "out/golden", tmp_path / "elsewhere")
    with pytest.raises(BlemishError, match="a link that leads out of"):
        inside(tmp_path / "out", "golden/raw.png")
    link(tmp_path / "way", tmp_path / "out")
    assert inside(tmp_path / "way", "a/b")  # the folder itself may be reached as the user likes


# The verbs.


def root_in(folder: Path) -> Path:
    """A folder two steps below, so that what leads up twice is still seen."""
    root = folder / "case" / "deep"
    root.mkdir(parents=True, exist_ok=True)
    return root


def table(root: Path, names: list[str]) -> Path:
    """A data set whose kinds, parts and views are these names, and the first its category."""
    rows = []
    for number in range(12 + 2 * len(names)):
        image, good = f"images/{number:03}.png", number < 12
        save(root / "set" / image, (plate if good else dented)(number, (64, 64)))
        name = names[number // 2 % len(names)]
        mask = None if good else f"masks/{number:03}.png"
        if mask:
            save(root / "set" / mask, dent_mask(number, (64, 64)))
        rows.append(
            {
                **{"image": image, "mask": mask, "category": names[0]},
                "split": "train" if number < 8 else "test",
                "label": "good" if good else "defective",
                "defect": None if good else name,
                **{"part": f"{name} {number}", "view": None if good else name},
            }
        )
    file = root / "set" / "table.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)
    return file


def categories(root: Path, name: str) -> Path:
    """The same, of two categories."""
    file = table(root, [name])
    odd = pl.int_range(pl.len()) % 2 == 1
    frame = pl.read_parquet(file)
    other = pl.when(odd).then(pl.lit(name + " 2")).otherwise("category")
    frame.with_columns(category=other).write_parquet(file)
    return file


def images(root: Path, name: str) -> Path:
    """A table that calls its images, or their masks, by such names."""
    save(root / "set/a.png", plate(1))
    (root / "set").mkdir(exist_ok=True)
    file = root / "set" / "table.parquet"
    pl.DataFrame({"image": ["a.png", name], "label": ["good", "good"]}).write_parquet(file)
    return file


def protocol(root: Path, name: str, folder: str | None = None) -> Path:
    """A protocol whose data set has such a name, and results of it."""
    detectors = ("padim", "patchcore", "softpatch")
    for strength, detector in enumerate(detectors, 1):
        for more in ("", " 2"):
            planned = {"protocol": "own", "split": None, "category": "tire" + more}
            result = leave(root / "out", detector, planted(strength), **planned)
            file = root / "out" / f"{result.key}.json"
            content = json.loads(file.read_bytes())
            content["run"].update(data=name, category=name + more)
            file.write_text(json.dumps(content), encoding="utf-8")
    text = f"""
        title = "t"
        source = "s"
        seeds = 1
        data = [{{name = {json.dumps(name)}, folders = [{json.dumps(folder or name)}]}}]
        detectors = [{{name = "padim"}}, {{name = "patchcore"}}, {{name = "softpatch"}}]
        metrics = [{{path = "image.auroc", name = "AUROC"}}]
    """
    (root / "own.toml").write_text(text, encoding="utf-8")
    return root / "own.toml"


def marked(root: Path, name: str) -> Path:
    """A recipe whose plates have defects of such a kind."""
    for split in ("train", "test"):
        save_scans(root / "recipe", split, [1] if split == "train" else [2])
    frame = pl.DataFrame(
        {"plate": ["train_1", "test_2"], "kind": [name] * 2, "left": [100] * 2, "top": [100] * 2}
    ).with_columns(width=pl.lit(40), height=pl.lit(40))
    frame.write_csv(root / "recipe" / "defects.csv")
    recipe = recipe_at(root / "recipe", '[defects]\ntable = "defects.csv"\n[grid]\nby = "kind"\n')
    text = recipe.read_text(encoding="utf-8").replace("count = 300", "count = 3")
    text = text.replace('train = ["train/*.png"]', 'train = ["train/*.png"]\ntest = ["test/*.png"]')
    recipe.write_text(text, encoding="utf-8")
    return recipe


def parts(root: Path, name: str) -> Argv:
    save(root / "images/a.png", plate(1))
    pl.DataFrame({"file": ["a.png"], "part": [name]}).write_csv(root / "parts.csv")
    return [root / "images", "--parts", root / "parts.csv"]


def packed(path: Path, model: Path, name: str) -> Path:
    """The model with one member more, whose hash is right."""
    with zipfile.ZipFile(model) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    members[name] = b"not ours"
    del members["sha256"]
    hashes = {one: hashlib.sha256(data).hexdigest() for one, data in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in {**members, "sha256": json.dumps(hashes).encode()}.items():
            archive.writestr(one, data)
    return path


def scribbled(root: Path, name: str) -> Argv:
    """Masks of images get their folders and names: what can lead out is a link among them."""
    del name
    for number in range(2):
        drawn = np.zeros((80, 100, 4), np.uint8)
        drawn[40:43, 30:60], drawn[10:13, 30:60] = (255, 0, 0, 255), (0, 255, 0, 255)
        save(root / f"images/inner/{number}.png", dented(number))
        save_drawn(root / f"drawn/inner/{number}.png", drawn)
    (root / "aim").mkdir()
    link(root / "out/inner", root / "aim")
    quick = ["--set", "scales=1", "--set", "trees=5"]
    return ["label", "masks", root / "images", "--scribbles", root / "drawn", *quick]


def bench_run(root: Path, name: str, make: Callable[..., Path] = table) -> Argv:
    """One run on a category of such a name."""
    make(root, [name])
    file = protocol(root, name, "set/table.parquet")
    text = file.read_text(encoding="utf-8").replace('"padim"', '"padim", size = 64')
    file.write_text(text, encoding="utf-8")
    only = ["--data", root, "--detectors", "padim", "--quiet"]
    return ["bench", "run", file, *only]


def cases(model: Path) -> dict[str, list[Case]]:
    """What shows a name to each verb; several where a verb meets names in several places."""

    def exported(start: str) -> Case:
        def case(root: Path, name: str) -> Argv:
            return ["export", packed(root / "m.blemish", model, start + name), "--to", "onnx"]

        return case

    def of_table(*verb: object, more: Argv | None = None) -> list[Case]:
        return [
            lambda root, name: [*verb, table(root, [name]), *(more or [])],
            lambda root, name: [*verb, images(root, name), *(more or [])],
        ]

    def of_bench(verb: str) -> list[Case]:
        return [lambda root, name: ["bench", verb, protocol(root, name)]]

    def of_recipe(verb: str) -> list[Case]:
        return [lambda root, name: ["prepare", verb, marked(root, name)]]

    quick: Argv = ["--set", "bank=50", "--detector", "patchcore", "--size", 64]
    return {
        "bench compare": [lambda r, n: ["bench", "compare", protocol(r, n), "--against", "padim"]],
        "bench figures": of_bench("figures"),
        "bench list": of_bench("list"),
        "bench run": [bench_run],
        "bench table": of_bench("table"),
        "calibrate": of_table("calibrate", model),
        "data convert": [
            *of_table("data", "convert", more=["--to", "mvtec"]),
            *of_table("data", "convert", more=["--to", "csv", "--copy"]),
            lambda r, n: ["data", "convert", categories(r, n), "--to", "mvtec"],
        ],
        "data split": of_table("data", "split", more=["--protocol", "k_fold", "--set", "k=2"]),
        "data stats": of_table("data", "stats"),
        "evaluate": of_table("evaluate", model),
        "export": [
            exported("golden/"),
            exported("golden/../../"),
            exported("defects/"),
            exported(""),
        ],
        "inspect": [lambda root, name: ["inspect", model, *parts(root, name)]],
        "label audit": of_table("label", "audit"),
        "label masks": [scribbled],
        "prepare defects": of_recipe("defects"),
        "prepare grid": of_recipe("grid"),
        "prepare stream": of_recipe("stream"),
        "synth apply": of_table("synth", "apply", more=["--generator", "cutpaste"]),
        "synth preview": of_table("synth", "preview", more=["--generator", "cutpaste"]),
        "train": of_table("train", more=quick),
    }


# They write the files that the command line names and names of their own, from no file's content.
OWN_NAMES = {"cache", "demo", "prepare simulate"}
# They take long; their pages, pictures and tables have names of their own.
LONG = {"defects curve", "defects kinds"}
# Shown all names in one data set.
MANY = {"bench run", "label audit", "train", "calibrate", "evaluate"}
WRITING = {
    *("-o", "--out", "--output", "--report", "--heatmaps", "--into", "--table", "--cache"),
    *("--csv", "--xlsx", "--jsonl", "--copy-rejects"),
}
READING = {
    *("--weights", "--data", "--split", "--parts", "--images", "--apply", "--scribbles"),
    *("--sources", "--from", "--defects"),
}


def verbs(above: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every verb of the command line, with its options that are paths."""
    for action in above._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below_ in action.choices.items():
                yield from verbs(below_, f"{words} {name}".strip())
            return
    paths = (action for action in above._actions if action.type is Path)
    yield words, {option for action in paths for option in action.option_strings}


def test_every_verb_that_writes_has_a_case(model: Path) -> None:
    found = dict(verbs(parser()))
    assert set().union(*found.values()) <= WRITING | READING  # a new one is told to be either
    writing = {verb for verb, options in found.items() if options & WRITING}
    assert writing == cases(model).keys() | OWN_NAMES | LONG


def outside(root: Path, out: Path) -> dict[str, str]:
    """Every file below `root` but what lies in `out`, or is on its way there, by its content."""
    kept = (path for path in root.rglob("*") if path != out and out not in path.parents)
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in kept
        if not any(step.name == f"{out.name}.part" for step in (path, *path.parents))
    }


def with_target(argv: Argv, out: Path) -> Argv:
    verb = " ".join(map(str, argv[:2]))
    option = {"inspect": "--heatmaps", "evaluate": "--report", "bench figures": "--out"}
    option |= {"bench compare": "--out", "bench list": "--out", "bench run": "--out"}
    option |= {"bench table": "--out", "data stats": "--report"}
    name = option.get(verb, option.get(str(argv[0]), "-o"))
    file = {"data split": "s.json", "prepare defects": "d.h5", "prepare stream": "s.h5"}
    file |= {"train": "m.blemish", "calibrate": "m.blemish"}
    inner = file.get(verb, file.get(str(argv[0])))
    if inner is not None:
        out.mkdir(exist_ok=True)
    return [*argv, name, out if inner is None else out / inner]


def stays(cli: Cli, root: Path, argv: Argv) -> Run:
    """The command either refuses in one sentence or ends well; outside its folder nothing changes.

    `root` is two folders deep, so that what leads up twice is seen.
    """
    out = root / "out"
    before = outside(root.parents[1], out)
    run = cli(*with_target(argv, out))
    assert outside(root.parents[1], out) == before
    assert run.code in (0, 2), run
    if run.code == 2:
        told = [line for line in run.err if not line.startswith("WARNING")]
        assert len(told) == 1, run
        assert told[0].startswith("blemish: ")
    return run


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", sorted(cases(Path()).keys() - MANY))
def test_nothing_appears_outside(
    cli: Cli, model: Path, tmp_path: Path, verb: str, name: str
) -> None:
    for number, case in enumerate(cases(model)[verb]):
        root = root_in(tmp_path / str(number))
        text = NAMES[name].format(root=root)
        stays(cli, root, case(root, text))


@pytest.mark.parametrize("verb", sorted(cases(Path()).keys() - {"export", "label masks"}))
def test_the_same_with_an_ordinary_name_is_written(
    cli: Cli, model: Path, tmp_path: Path, verb: str
) -> None:
    """So none of the names above is refused for another reason."""
    root = root_in(tmp_path)
    run = stays(cli, root, cases(model)[verb][0](root, "dent"))
    assert run.code == 0, run


@pytest.mark.parametrize("verb", sorted(MANY))
def test_nothing_appears_outside_of_a_set_of_all_names(
    cli: Cli, model: Path, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = root_in(tmp_path)
    names = [text.format(root=root) for text in NAMES.values()]
    monkeypatch.setitem(globals(), "table", lambda r, _, make=table: make(r, names))
    stays(cli, root, cases(model)[verb][0](root, names[0]))


# Holes of their own.


def test_a_member_above_the_folder_is_refused_before_anything_is_written(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    hostile = packed(tmp_path / "m.blemish", model, "golden/../../x")
    (tmp_path / "x").write_text("mine", encoding="utf-8")
    run = cli("export", hostile, "--to", "onnx", "-o", tmp_path / "out")
    run.refusal("m.blemish", "no member 'golden/../../x'")
    assert (tmp_path / "x").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "out").exists()


def test_an_export_follows_no_link_out_of_its_folder(cli: Cli, model: Path, tmp_path: Path) -> None:
    (tmp_path / "aim").mkdir()
    link(tmp_path / "out/golden", tmp_path / "aim")
    cli("export", model, "--to", "onnx", "-o", tmp_path / "out").refusal("golden", "link")
    assert not any((tmp_path / "aim").iterdir())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["golden"]


def test_masks_are_not_written_through_a_link_out_of_their_folder(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra label is not installed")
    stays(cli, root_in(tmp_path), scribbled(root_in(tmp_path), "")).refusal("inner", "link")


def test_an_item_of_an_hdf5_file_that_is_named_like_a_path(cli: Cli, tmp_path: Path) -> None:
    """Such names cannot be given, but written into a file of the old format."""
    close_files()
    file, name = tmp_path / "case/deep/set/train.h5", "!/../../../../escape"
    file.parent.mkdir(parents=True)
    with h5py.File(file, "w", libver="earliest") as content:
        content.create_dataset(f"image/{name}", data=noise(8, 8))
        content["image"][" |..|..|..|..|escape"] = content[f"image/{name}"]
    data = file.read_bytes()
    assert data.count(b" |..|..|..|..|escape") == 1
    file.write_bytes(data.replace(b" |..|..|..|..|escape", name.encode()))
    argv = ["data", "convert", file, "--to", "csv", "--copy"]
    run = stays(cli, tmp_path / "case/deep", argv)
    assert run.refusal("an item named '!/../../../../escape'")
    with pytest.raises(ImageError, match="which no file can be"):
        open_dataset(file)


def test_labels_are_not_taken_from_another_hdf5_file(tmp_path: Path) -> None:
    close_files()
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_dataset("label/a", data=1)
    with h5py.File(tmp_path / "train.h5", "w") as content:
        content.create_dataset("image/a", data=noise(8, 8))
        content["label"] = h5py.ExternalLink("other.h5", "label")
    with pytest.raises(ImageError, match="only points to label in another file"):
        open_dataset(tmp_path / "train.h5")


def test_a_category_s_name_leads_to_no_table_elsewhere(tmp_path: Path) -> None:
    """Two categories, whose `parts.csv` would lie beside the data set."""
    file = categories(tmp_path, "../other")
    frame = pl.read_parquet(file).with_columns(part=pl.lit(None, pl.String))
    frame.write_parquet(file)
    for name in ("other", "other 2"):
        images_ = frame.filter(pl.col("category") == f"../{name}")["image"]
        lines = ["file,part", *(f"{image},of another" for image in images_), ""]
        save(tmp_path / name / "a.png", plate(1))
        (tmp_path / name / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    assert "of another" not in " ".join(open_dataset(file).parts)


@pytest.mark.parametrize("name", ["a\0.png", "a\0.h5/image/1"])
def test_a_nul_in_a_table_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"table\.parquet names files outside"):
        open_dataset(images(tmp_path, name))
    save(tmp_path / "plain/a.png", plate(1))
    pl.DataFrame({"file": ["a.png", name], "part": ["1", "2"]}).write_csv(tmp_path / "p.csv")
    with pytest.raises(DatasetError, match="names files that do not exist"):
        open_dataset(tmp_path / "plain", parts=tmp_path / "p.csv")


def test_half_a_pair_of_surrogates_in_json_is_one_sentence(tmp_path: Path) -> None:
    name = "OK/S0001/a_0001_OK_C1_\ud800.jpg"
    entry = {"category": "a", "anomaly_class": "OK", "image_path": name, "mask_path": None}
    document = {"meta": {"prefix": "a/", "normal_class": "OK"}, "train": [entry], "test": []}
    (tmp_path / "realiad_jsons").mkdir()
    (tmp_path / "realiad_1024/a").mkdir(parents=True)
    (tmp_path / "realiad_jsons/a.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.json is no JSON \(a text in it is none"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["../published/datasets", "no such table"])
def test_a_protocol_names_a_published_table_and_no_path(tmp_path: Path, name: str) -> None:
    file = protocol(tmp_path, "parts")
    file.write_text(f'published = "{name}"\n' + file.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(BlemishError, match=r"own\.toml: there is no table"):
        open_protocol(str(file))


def test_a_model_of_ours_passes(model: Path) -> None:
    assert set(open_artifact(model).members) == {"golden/raw.png", "golden/tensor.png"}
