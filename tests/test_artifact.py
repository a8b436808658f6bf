"""The `.blemish` file: whole or refused, and never half-written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cards import sound_card
from hypothesis import example, given
from hypothesis import strategies as st

from blemish.errors import ArtifactError
from blemish.inspector import Inspector
from blemish.model.artifact import Artifact, open_artifact, write_artifact
from blemish.model.golden import RAW, TENSOR
from blemish.util.files import replacing

MODEL = b"a network" * 9
CARD = sound_card()
GOLDEN = {"golden/raw.png": b"\x89PNG raw", "golden/tensor.png": b"\x89PNG tensor"}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "tiny.blemish", MODEL, CARD, GOLDEN)
    return tmp_path / "tiny.blemish"


def content(artifact: Artifact) -> tuple[object, ...]:
    return artifact.model, artifact.card, artifact.golden


def test_what_was_written_is_read(tiny: Path) -> None:
    artifact = open_artifact(tiny)
    assert content(artifact) == (MODEL, CARD, GOLDEN)
    assert artifact.path == tiny
    with zipfile.ZipFile(tiny) as archive:
        assert set(archive.namelist()) == {"model.onnx", "card.json", "sha256", *GOLDEN}


def test_the_same_model_is_the_same_file(tiny: Path, tmp_path: Path) -> None:
    write_artifact(tmp_path / "again.blemish", MODEL, CARD, GOLDEN)
    assert (tmp_path / "again.blemish").read_bytes() == tiny.read_bytes()
    assert open_artifact(tiny).sha256 == open_artifact(tmp_path / "again.blemish").sha256


def test_no_changed_byte_changes_what_is_read(tiny: Path, tmp_path: Path) -> None:
    """A changed byte is refused, or lies where nothing is read, such as the date of a member."""
    data, expected = tiny.read_bytes(), content(open_artifact(tiny))
    changed, refused = tmp_path / "changed.blemish", 0
    for place in range(len(data)):
        for flip in (8, 0xFF):
            other = data[place] ^ flip
            changed.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
            try:
                found = content(open_artifact(changed))
            except ArtifactError:
                refused += 1
            else:
                assert found == expected, (place, flip)
    assert refused > len(data)


@pytest.mark.parametrize("member", ["model.onnx", "card.json", "sha256", *GOLDEN])
def test_every_changed_byte_of_a_member_is_refused(tiny: Path, tmp_path: Path, member: str) -> None:
    data, changed = tiny.read_bytes(), tmp_path / "changed.blemish"
    with zipfile.ZipFile(tiny) as archive:
        size, start = archive.getinfo(member).file_size, data.index(archive.read(member))
    for place in range(start, start + size):
        changed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(ArtifactError, match=r"changed\.blemish is damaged"):
            open_artifact(changed)


def test_a_file_cut_short_anywhere_is_refused(tiny: Path, tmp_path: Path) -> None:
    data, cut = tiny.read_bytes(), tmp_path / "cut.blemish"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(ArtifactError, match=r"cut\.blemish"):
            open_artifact(cut)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("schema", [2, 99, "1", None])
def test_a_newer_schema_is_refused_before_its_hashes_are_read(tiny: Path, schema: object) -> None:
    card = json.dumps({"schema": schema}).encode()
    rewrite(tiny, members(tiny) | {"card.json": card})
    with pytest.raises(ArtifactError, match=r"tiny\.blemish has schema .*; update blemish"):
        open_artifact(tiny)


@pytest.mark.parametrize(
    "change", [{"card.json": b"[1]"}, {"card.json": b"{"}, {"sha256": b"\xff"}]
)
def test_a_card_that_is_none(tiny: Path, change: dict[str, bytes]) -> None:
    rewrite(tiny, members(tiny) | change)
    with pytest.raises(ArtifactError, match=r"its (card|hashes) cannot be read.*; copy it again"):
        open_artifact(tiny)


def test_a_member_too_many_or_too_few(tiny: Path) -> None:
    whole = members(tiny)
    rewrite(tiny, whole | {"run.pickle": b"\x80"})
    with pytest.raises(ArtifactError, match=r"a model has no member 'run\.pickle'"):
        open_artifact(tiny)
    rewrite(tiny, {name: data for name, data in whole.items() if name != "golden/raw.png"})
    with pytest.raises(ArtifactError, match="a member is missing or foreign"):
        open_artifact(tiny)
    rewrite(tiny, {name: data for name, data in whole.items() if name != "model.onnx"})
    with pytest.raises(ArtifactError, match="no blemish model: it holds"):
        open_artifact(tiny)


@pytest.mark.parametrize("member", ["model.onnx", "golden/raw.png"])
def test_a_member_that_was_exchanged(tiny: Path, member: str) -> None:
    """The zip itself is sound; only the hash tells."""
    rewrite(tiny, members(tiny) | {member: b"another"})
    with pytest.raises(ArtifactError, match=f"{member} does not match its sha256"):
        open_artifact(tiny)


def test_a_card_that_lacks_what_inspection_needs(tiny: Path) -> None:
    held = members(tiny)
    values = {key: value for key, value in CARD.to_json().items() if key != "recipe"}
    held["card.json"] = json.dumps(values).encode()
    hashes = {
        name: hashlib.sha256(data).hexdigest() for name, data in held.items() if name != "sha256"
    }
    rewrite(tiny, held | {"sha256": json.dumps(hashes).encode()})
    with pytest.raises(ArtifactError, match=r"tiny\.blemish.*`recipe`"):
        open_artifact(tiny)


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tiny: Path) -> None:
    before = tiny.read_bytes()

    def write_half() -> None:
        with replacing(tiny) as file:
            file.write(b"half of")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        write_half()
    assert tiny.read_bytes() == before
    assert list(tiny.parent.iterdir()) == [tiny]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_others_may_read_the_model_as_any_other_file(tiny: Path) -> None:
    plain = tiny.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(tiny.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


# The picture that every client can replay.


def test_a_model_replays_its_golden_picture(model: Path) -> None:
    artifact = open_artifact(model)
    assert set(artifact.golden) == {RAW, TENSOR}
    Inspector.of(artifact)


def test_a_replay_tells_another_network_and_another_preprocessing(model: Path) -> None:
    artifact = open_artifact(model)
    card = artifact.card
    with pytest.raises(ArtifactError, match=r"plates\.blemish gives .*computes something else"):
        Inspector.of(replace(artifact, card=replace(card, golden_score=card.golden_score * 1.01)))
    padded = replace(card, recipe=replace(card.recipe, resize="pad"))
    with pytest.raises(ArtifactError, match=r"plates\.blemish: .* no longer gives the tensor"):
        Inspector.of(replace(artifact, card=padded))


# Files that nobody's copy damaged: somebody made them, with right hashes.


Bend = Callable[[zipfile.ZipInfo], None]


def packed(path: Path, contents: dict[str, bytes], bend: Bend | None = None, **more: Any) -> Path:
    """A zip of these members and their right hashes; `bend` changes each, `more` packs them."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    with zipfile.ZipFile(path, "w", **more) as archive:
        for name, data in {**contents, "sha256": json.dumps(hashes).encode()}.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = archive.compression
            if bend is not None:
                bend(member)
            archive.writestr(member, data)
    return path


WHOLE = {"model.onnx": MODEL, "card.json": json.dumps(CARD.to_json()).encode(), **GOLDEN}
KNOWN = re.compile(r"golden/(raw|tensor)\.png|defects/\d{4}(\.png|\.tif|_mask\.png)", re.ASCII)
TAUGHT = ("defects/0000.png", "defects/0000_mask.png", "defects/2499.tif")
ODD_NAMES = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(["golden", "defects", "..", ".", "", "0000.png", "raw.png", "C:"])
    ).map("/".join),
    st.sampled_from([*GOLDEN, *TAUGHT, "Golden/raw.png", "golden\\raw.png", "golden/raw.png/"]),
    st.sampled_from(
        [
            "golden/raw.png\0",
            "golden/raw.png\n",
            "defects/" + 4 * "\N{ARABIC-INDIC DIGIT ZERO}" + ".png",
            "MODEL.ONNX",
        ]
    ),
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(ODD_NAMES)
@example("golden/../../x")
def test_members_of_other_names_are_neither_read_nor_written(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    path = tmp_path_factory.mktemp("odd") / "odd.blemish"
    known = KNOWN.fullmatch(name) is not None
    if known:
        write_artifact(path, MODEL, CARD, {**GOLDEN, name: b"x"})
        assert open_artifact(path).members[name] == b"x"
    else:
        with pytest.raises(ArtifactError, match="a model has no member"):
            write_artifact(path, MODEL, CARD, {**GOLDEN, name: b"x"})
        assert not path.exists()
    if name in WHOLE or name == "sha256" or not is_text(name):
        return
    packed(path, {**WHOLE, name: b"x"})
    if known:
        assert open_artifact(path).members.keys() == {*GOLDEN, name}
    else:
        with pytest.raises(ArtifactError, match=r"odd\.blemish"):
            open_artifact(path)


def is_text(name: str) -> bool:
    """Whether a zip can hold the name: half a pair of surrogates it cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


@pytest.mark.parametrize("name", [*GOLDEN, *TAUGHT])
def test_every_member_that_was_ever_written_is_read(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "old.blemish", {**WHOLE, name: b"x"})
    assert open_artifact(path).members[name] == b"x"


def linked(member: zipfile.ZipInfo) -> None:
    member.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("bend", "more", "said"),
    [
        (None, {"compression": zipfile.ZIP_DEFLATED}, "is compressed"),
        (None, {"compression": zipfile.ZIP_LZMA}, "is compressed"),
        (linked, {}, "is a link"),
    ],
)
def test_members_that_are_packed_otherwise(
    tmp_path: Path, bend: Bend | None, more: dict[str, Any], said: str
) -> None:
    path = packed(tmp_path / "odd.blemish", WHOLE, bend, **more)
    with pytest.raises(ArtifactError, match=f"odd.blemish: its member 'model.onnx' {said}"):
        open_artifact(path)


def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    path = packed(tmp_path / "odd.blemish", WHOLE)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("golden/raw.png", b"another")
    with pytest.raises(ArtifactError, match=r"'golden/raw\.png' is there twice"):
        open_artifact(path)


def entry(data: bytes, name: bytes) -> int:
    """Where the directory of a zip tells of a member."""
    return data.rindex(name) - 46


@pytest.mark.parametrize(
    ("at", "form", "value", "said"),
    [
        (8, "<H", 1, "is encrypted"),
        (24, "<I", 0xFFFFFF00, "is compressed"),  # far larger than what it is packed into
        (20, "<II", (0x7FFFFFFF, 0x7FFFFFFF), "members are larger than it"),
        (20, "<II", (700, 700), "members are larger than it"),  # overlaps with others
    ],
)
def test_what_the_directory_claims_is_not_believed(
    tmp_path: Path, at: int, form: str, value: Any, said: str
) -> None:
    path = packed(tmp_path / "odd.blemish", WHOLE)
    data = bytearray(path.read_bytes())
    values = value if isinstance(value, tuple) else (value,)
    struct.pack_into(form, data, entry(bytes(data), b"model.onnx") + at, *values)
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=said):
        open_artifact(path)


@pytest.mark.parametrize("hashes", [b"[]", b"3", b'[{"model.onnx": 1}]', b"[" * 100_000, b"null"])
def test_hashes_of_another_kind(tmp_path: Path, hashes: bytes) -> None:
    path = tmp_path / "odd.blemish"
    rewrite(path, {**WHOLE, "sha256": hashes})
    with pytest.raises(ArtifactError, match=r"odd\.blemish is damaged"):
        open_artifact(path)


@pytest.mark.parametrize("digest", [1, None, [], {}])
def test_a_hash_of_another_kind(tmp_path: Path, digest: object) -> None:
    path = tmp_path / "odd.blemish"
    rewrite(path, {**WHOLE, "sha256": json.dumps(dict.fromkeys(WHOLE, digest)).encode()})
    with pytest.raises(ArtifactError, match="does not match its sha256"):
        open_artifact(path)
