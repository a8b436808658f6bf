"""The `.blemish` file: a zip of `model.onnx`, `card.json`, further members, and all their sha256.

`golden/` holds the picture that every client can replay, `defects/` what a model was taught.

Opening checks the schema, the name, size and hash of every member, and refuses what it does not
know; there is no pickle. Right hashes are no proof of good intentions: who writes a model writes
its hashes too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import msgspec

from blemish.errors import ArtifactError, BlemishError
from blemish.model.card import SCHEMA, Card
from blemish.model.graph_outline import fault
from blemish.util.files import open_within_limit, replacing
from blemish.util.names import printable
from blemish.util.typed_json import parse, skim, too_large

_MODEL, _CARD, _HASHES = "model.onnx", "card.json", "sha256"
_FURTHER = re.compile(r"golden/(raw|tensor)\.png|defects/[0-9]{4}(\.png|\.tif|_mask\.png)")
_LONGEST = 200  # characters
# Bytes of a directory of all members that there can be, pictures and masks, with room to spare:
# zipfile makes an object of each entry before anybody can ask.
_LARGEST_DIRECTORY = (3 + 2 + 2 * 10_000) * 100
_ENTRY, _END, _OTHER_END = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07"
_LONGEST_END = 22 + 0xFFFF + 20  # bytes: a record, its comment, and what large files have before it
_LARGE_CARD = 100_000  # bytes of JSON; also a hundred times what any detector says of its fit
_DATE = (1980, 1, 1, 0, 0, 0)  # the same artifact is the same bytes on every day


@dataclass(frozen=True)
class Artifact:
    """A model with its card, and the sha256 of the file as the model's identity.

    `graph_sha256` is that of the graph alone, which a new threshold does not change. `card_json` is
    the card as it stands in the file; `members` are all others, by their names, such as
    "golden/raw.png".
    """

    model: bytes
    card: Card
    card_json: bytes
    members: dict[str, bytes]
    sha256: str
    path: Path
    graph_sha256: str

    @property
    def golden(self) -> dict[str, bytes]:
        """The members under `golden/`."""
        return {name: data for name, data in self.members.items() if name.startswith("golden/")}


def write_artifact(
    path: Path, model: bytes, card: Card, members: Mapping[str, bytes] | None = None
) -> None:
    """Write the file so that at any moment either the old or the new one is there, whole.

    `members` are further ones, by their names. Raises ArtifactError for a name that `open_artifact`
    would refuse, and when the disk is full or the folder cannot be written.
    """
    _refuse_foreign(path, members or ())
    held = {
        _MODEL: model,
        _CARD: json.dumps(card.to_json(), indent=1, allow_nan=False).encode(),
        **(members or {}),
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in held.items()}
    held[_HASHES] = json.dumps(hashes, indent=1).encode()
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in held.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system = 3  # the same bytes on every system
            archive.writestr(member, data)


def open_artifact(path: Path | str) -> Artifact:
    """Read and verify a `.blemish` file.

    Raises ArtifactError for a missing, foreign or damaged file, for a newer schema, and for a card
    with an entry that is wrong. Reads no more into memory than the size of the file, whatever sizes
    it claims.
    """
    path = Path(path)
    try:
        with open_within_limit(path) as file, ThreadPoolExecutor(1) as pool:
            members = _members(path, file)
            # Beside the members' hashes, which take as long.
            sha256 = pool.submit(_sha256, file)
            return _verified(path, members, sha256)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error


def _sha256(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(path: Path, members: dict[str, bytes], sha256: Future[str]) -> Artifact:
    values = _values(path, members[_CARD])
    _refuse_foreign(path, members.keys() - {_MODEL, _CARD, _HASHES})
    try:
        hashes = parse(members[_HASHES][: 1000 + _LONGEST * len(members)])
    except ValueError as error:
        raise ArtifactError(
            f"{path} is damaged: its hashes cannot be read ({_short(error)}); copy it again"
        ) from error
    if not isinstance(hashes, dict) or set(hashes) != set(members) - {_HASHES}:
        raise ArtifactError(f"{path} is damaged: a member is missing or foreign; copy it again")
    for name in hashes:
        if hashlib.sha256(members[name]).hexdigest() != hashes[name]:
            raise ArtifactError(
                f"{path} is damaged: {name} does not match its sha256; copy the file again"
            )
    if wrong := fault(members[_MODEL]):
        raise ArtifactError(f"{path}: its graph {wrong}; take it as blemish wrote it")
    further = {name: members[name] for name in hashes if name not in (_MODEL, _CARD)}
    card = _card(path, values)
    return Artifact(
        *(members[_MODEL], card, members[_CARD], further, sha256.result(), path, hashes[_MODEL])
    )


def _values(path: Path, card: bytes) -> object:
    """The JSON values of a card, once its schema is one that is known."""
    try:
        if len(card) > _LARGE_CARD:
            _look_through(path, card)
        values = parse(card)
    except ValueError as error:
        raise ArtifactError(
            f"{path} is damaged: its card cannot be read ({_short(error)}); copy it again"
        ) from error
    if not isinstance(values, dict) or "schema" not in values:
        raise ArtifactError(f"{path} is damaged: its card cannot be read; copy it again")
    _check_schema(path, values["schema"])
    return values


class _Outline(msgspec.Struct):
    """The schema of a card, and what in it may hold anything, as they stand there."""

    schema: msgspec.Raw
    detector: msgspec.Raw = msgspec.Raw()
    fit: msgspec.Raw = msgspec.Raw()


def _look_through(path: Path, text: bytes) -> None:
    """Refuse a large card for what is wrong with it before all its values are made.

    Raises ValueError or ArtifactError.
    """
    outline = skim(_Outline, text)
    _check_schema(path, parse(bytes(outline.schema)[:_LONGEST]))
    free = memoryview(outline.detector).nbytes + memoryview(outline.fit).nbytes
    if free > _LARGE_CARD:
        raise ValueError(f"it has {free:,} bytes on the detector and its fit, far more than usual")
    try:
        skim(Card, text)
    except BlemishError as error:
        raise ArtifactError(f"{path}: {_short(error)}") from error


def _check_schema(path: Path, schema: object) -> None:
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        said = _short(schema) if isinstance(schema, int | float | str) else "of another kind"
        raise ArtifactError(
            f"{path} has schema {said}, but this version of blemish knows up to {SCHEMA}; "
            "update blemish"
        )


def _card(path: Path, values: object) -> Card:
    try:
        return Card.from_json(values)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: its card is none that this version of blemish knows "
            f"({_short(error)}); update "
            "blemish, or take the model as it was first written"
        ) from error
    except BlemishError as error:
        raise ArtifactError(f"{path}: {_short(error)}") from error


def _short(said: object) -> str:
    """What somebody else's file had a say in, as a part of a sentence."""
    text = printable(str(said))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _members(path: Path, file: BufferedReader) -> dict[str, bytes]:
    """What each member holds, once none can be there twice or larger than the file."""
    if _largest_directory(file) > _LARGEST_DIRECTORY:
        raise ArtifactError(f"{path} has more members than a model; take it as blemish wrote it")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _refuse_entries(path, entries, os.fstat(file.fileno()).st_size)
            return {entry.orig_filename: archive.read(entry) for entry in entries}
    except ArtifactError:
        raise
    except Exception as error:  # damaged directories surface in zipfile as almost any type
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise
        file.seek(0)
        damaged = file.read(2) == b"PK"
        what = "is damaged or cut short; copy it again" if damaged else "is no blemish model"
        raise ArtifactError(f"{path} {what}") from error


def _largest_directory(file: BufferedReader) -> int:
    """Bytes of the largest directory that zipfile may read, whichever record it takes for the last.

    A record counts where an entry stands at the place that it names. What looks like one within
    weights is none, so that they are not searched.
    """
    start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_END)
    file.seek(start)
    tail = file.read()
    if tail.find(_OTHER_END) >= 0:  # of a file beyond 2 GiB, whose record may be anywhere
        return 46 * _count(file, _ENTRY)
    largest, end = 0, tail.find(_END)
    while end >= 0:
        size = int.from_bytes(tail[end + 12 : end + 16], "little")
        if size <= start + end:
            file.seek(start + end - size)
            if file.read(len(_ENTRY)) == _ENTRY:
                largest = max(largest, size)
        end = tail.find(_END, end + 1)
    return largest


def _count(file: BufferedReader, mark: bytes) -> int:
    """How often a file holds some bytes."""
    file.seek(0)
    count, rest = 0, b""
    while block := file.read(1 << 20):
        held = rest + block
        count += held.count(mark)
        rest = held[-len(mark) + 1 :]
    return count


def _refuse_entries(path: Path, entries: list[zipfile.ZipInfo], size: int) -> None:
    """ArtifactError for members that are there twice, packed, or more than a file of `size`."""
    names = [entry.orig_filename for entry in entries]  # zipfile itself would cut one at a NUL
    if not set(names) >= {_MODEL, _CARD, _HASHES}:
        held = _short(", ".join(sorted(set(names))[:5]))
        raise ArtifactError(f"{path} is a zip but no blemish model: it holds {held or 'nothing'}")
    times = Counter(names)
    for entry, name in zip(entries, names, strict=True):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if times[name] > 1:
            fault = "is there twice"
        elif entry.flag_bits & 0x1:
            fault = "is encrypted"
        elif entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            fault = "is compressed"
        elif kind not in (0, stat.S_IFREG):
            fault = "is a link or another thing that is no file"
        else:
            continue
        raise ArtifactError(
            f"{path}: its member {_short(repr(name))} {fault}; take it as blemish wrote it"
        )
    for entry in entries:
        refused = too_large(entry.file_size) if entry.orig_filename in (_CARD, _HASHES) else None
        if refused:
            raise ArtifactError(f"{path}: its member {entry.orig_filename!r} {refused}")
    # What is stored as it is takes as much of the file as it holds, and no byte belongs to two.
    if sum(entry.file_size for entry in entries) > size:
        raise ArtifactError(f"{path} is damaged: its members are larger than it; copy it again")


def _refuse_foreign(path: Path, names: Iterable[str]) -> None:
    """ArtifactError for a name that no further member has, in any case or spelling but ours."""
    foreign = sorted(name for name in names if not _FURTHER.fullmatch(name))
    if foreign:
        raise ArtifactError(
            f"{path}: a model has no member {_short(repr(foreign[0]))}; take it as blemish wrote it"
        )
