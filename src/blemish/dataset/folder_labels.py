"""Labels from the names of folders: what the names say, what a person answers, and the doubts.

Only folders count whose layout does not say what they hold. `--good NAME` and `--defect NAME` are
`Answers`; of two that concern a picture that of the deeper folder counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from blemish.dataset.folder_masks import without_masks
from blemish.dataset.folder_words import MASK_FOLDERS, NameMeaning, meaning_of
from blemish.dataset.label_words import SPLIT_WORDS, name_some
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError
from blemish.util.library_errors import shortened

HERE = "."  # the pictures that lie in no folder
LAYOUT = "label_folders"
BY_FOLDERS = ("mvtec", "btad", "vad", "isp_ad")  # layouts whose folders have the kinds' names
NO_PICTURES = frozenset([*SPLIT_WORDS, "label", "labels", "annotations", "heatmaps"])
SHOWN = 10

Label = Literal["good", "defective"]
What = NameMeaning | Literal["masks", "no pictures", "numbers"] | None
_PLAIN = re.compile(r"[\w./-]+")
_WHY: dict[What, str] = {
    "defective": "its name says defective",
    "doubtful": "its name is in doubt",
    "kind": "its name is that of a fault",
    "good": "its name says good",
    "masks": "its name says masks",
    "no pictures": "its name is that of a split or of labels",
    "numbers": "0 and 1 may be labels",
    None: "beside a folder that is called good",
}


@dataclass(frozen=True)
class Answers:
    """The folders that a person calls good and defective: names, or paths below the data set."""

    good: tuple[str, ...] = ()
    defect: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """True where anything is answered."""
        return bool(self.good or self.defect)


@dataclass(frozen=True)
class Told:
    """What is known of one folder, and the folder at or above it, `place`, whose name tells it."""

    what: What
    place: str
    answered: bool = False


def labelled(data: Dataset, answers: Answers) -> Dataset:
    """A plain folder with the labels that its folders have by their names and by the answers.

    Good pictures are in the split "train", defective ones in "test"; the kind of a defect is the
    folder below the one that says so, or that one. Where every picture has a label, or any is
    defective, the layout is "label_folders"; else the pictures are taken as good, as before.
    Raises DatasetError for folders in doubt, with the answers that settle them.
    """
    counts = _counts(data.table)
    answered = places(answers, list(counts), data.root)
    told = {folder: _told(folder, answered) for folder in counts}
    if doubts := [*_doubts(told), *_numbers(told)]:
        raise DatasetError(refusal(data.root, doubts, counts))
    masks = {folder for folder, one in told.items() if one.what == "masks"}
    said = {folder: one for folder, one in told.items() if folder not in masks}
    defects = {folder for folder, one in said.items() if one.what == "defective"}
    if not defects and any(one.what != "good" for one in said.values()):
        return data
    frame = data.table.with_columns(folder=_folder())
    if masks:
        frame = without_masks(frame, sorted(masks), data.root)
    kinds = {folder: _kind(folder, said[folder].place, data.root) for folder in defects}
    bad = pl.col("folder").is_in(list(defects))
    table = frame.with_columns(
        label=pl.when(bad).then(pl.lit("defective")).otherwise(pl.lit("good")),
        split=pl.when(bad).then(pl.lit("test")).otherwise(pl.lit("train")),
        defect=pl.col("folder").replace_strict(kinds, default=None, return_dtype=pl.String),
    ).drop("folder")
    return replace(data.with_table(table), layout=LAYOUT, has_split=False)


def checked(data: Dataset, answers: Answers) -> Dataset:
    """A data set of a layout that says itself what its pictures show.

    Of the layouts `BY_FOLDERS` the folders inside of the good ones may be in doubt; an answer
    settles that, and overrules the layout. Raises DatasetError for such folders without an answer,
    and for an answer where folders say nothing.
    """
    if data.layout not in BY_FOLDERS:
        if answers:
            raise DatasetError(
                f"{data.root} has the layout {data.layout}, which says itself what its pictures "
                "show: correct it there, and leave out --good and --defect"
            )
        return data
    frame = data.table.with_columns(folder=_folder())
    groups = frame.group_by("folder", "label", maintain_order=True).len().rows()
    counts: dict[str, int] = {}
    for folder, _, number in groups:
        counts[folder] = counts.get(folder, 0) + number
    answered = places(answers, list(counts), data.root)
    doubts = [
        one
        for folder, label, _ in groups
        if _answer(folder, answered) is None and (one := _inner_doubt(folder, label)) is not None
    ]
    if doubts:
        raise DatasetError(refusal(data.root, doubts, counts))
    if not answered:
        return data
    said = {folder: one for folder in counts if (one := _answer(folder, answered)) is not None}
    labels = {folder: one.what for folder, one in said.items()}
    label = pl.col("folder").replace_strict(labels, default=None, return_dtype=pl.String)
    frame = frame.with_columns(label=pl.coalesce(label, "label"))
    kinds = {folder: _kind(folder, one.place, data.root) for folder, one in said.items()}
    kind = pl.col("folder").replace_strict(kinds, default=None, return_dtype=pl.String)
    defect = pl.when(pl.col("label") != "good").then(pl.coalesce("defect", kind))
    return data.with_table(frame.with_columns(defect=defect).drop("folder"))


def refuse_called_defective(file: Path, images: pl.Series) -> None:
    """Raise DatasetError where the folders of images that nothing calls good say otherwise."""
    folders = _counts(images.to_frame("image"))
    doubts = [
        one
        for folder in folders
        if (one := _told(folder, {})).what in ("defective", "doubtful", "kind")
    ]
    if doubts:
        raise DatasetError(
            f"{file} has no label for pictures in {_listed(doubts, folders)}: add a column "
            "'label', with good or defective"
        )


def places(answers: Answers, folders: Sequence[str], root: Path) -> dict[str, Label]:
    """The folders that the answers mean, relative to the root, each with its label.

    Raises DatasetError for a name that is that of no folder, and for one with two meanings.
    """
    known = _with_those_above(folders)
    found: dict[str, Label] = {}
    meant: dict[str, str] = {}
    labels: tuple[tuple[Label, str, tuple[str, ...]], ...] = (
        ("good", "--good", answers.good),
        ("defective", "--defect", answers.defect),
    )
    for label, option, names in labels:
        for name in names:
            matches = _matches(name, known, root)
            if not matches:
                there = name_some([one for one in known if one] or [HERE], SHOWN)
                raise DatasetError(
                    f"{root} has no folder with pictures that is called {shortened(name)}, as in "
                    f"{option}; there are {there}"
                )
            for place in matches:
                if found.setdefault(place, label) != label:
                    raise DatasetError(
                        f"{root}: --good {quoted(meant[place])} and --defect {quoted(name)} both "
                        f"mean the folder {place or HERE}; call it one or the other"
                    )
                meant[place] = name
    return found


def refusal(root: Path, doubts: Iterable[Told], counts: Mapping[str, int]) -> str:
    """What is in doubt, and the exact answers that settle it."""
    distinct = sorted(set(doubts), key=lambda one: one.place)
    sure = [quoted(one.place or HERE) for one in distinct if one.what == "defective"]
    open_ = [quoted(one.place or HERE) for one in distinct if one.what != "defective"]
    ways = [f"--defect {name_some(sure, SHOWN).replace(', ', ' ')}"] if sure else []
    ways += [f"--good {name} or --defect {name}" for name in open_[:SHOWN]]
    more = f", and so for {len(open_) - SHOWN} more" if len(open_) > SHOWN else ""
    return (
        f"{root}: it is not certain that all pictures are good in {_listed(distinct, counts)}; "
        f"say {'; '.join(ways)}{more} (or sort the pictures into train/good and test/<defect>, or, "
        "if every picture shows a good part, say --layout folder)"
    )


def quoted(name: str) -> str:
    """A name as it is written on a command line."""
    return name if _PLAIN.fullmatch(name) else f'"{name}"'


def _listed(doubts: Iterable[Told], counts: Mapping[str, int]) -> str:
    """The folders in doubt, each with its pictures and the reason."""
    words = []
    for one in sorted(set(doubts), key=lambda one: one.place):
        inside = [n for folder, n in counts.items() if _is_in(folder, one.place)]
        number = counts[""] if not one.place else sum(inside)
        words.append(f"{shortened(one.place or HERE)} ({number}: {_WHY[one.what]})")
    return (
        name_some(words, SHOWN)
        if len(words) <= SHOWN
        else (", ".join(words[:SHOWN]) + f" and {len(words) - SHOWN} more")
    )


def _counts(table: pl.DataFrame) -> dict[str, int]:
    """The number of images directly in each folder, "" for the root."""
    return dict(table.group_by(folder=_folder(), maintain_order=True).len().iter_rows())


def _folder() -> pl.Expr:
    return pl.col("image").str.extract(r"^(.*)/").fill_null("")


def _told(folder: str, answered: Mapping[str, Label]) -> Told:
    """What the answers, or else the names of the folder and of those above it say."""
    if (answer := _answer(folder, answered)) is not None:
        return answer
    said: Told | None = None
    place = ""
    for step in folder.split("/") if folder else ():
        place = f"{place}/{step}" if place else step
        if step.lower() in MASK_FOLDERS:
            return Told("masks", place)
        meaning = meaning_of(step)
        if said is not None and said.what == "defective":
            if meaning == "good":  # a good one among the defects
                return Told("doubtful", place)
            continue
        if step.lower() in NO_PICTURES:
            return Told("no pictures", place)
        if meaning in ("doubtful", "kind") or (said is not None and meaning == "defective"):
            return Told(meaning, place)
        if meaning is not None and said is None:
            said = Told(meaning, place)
    return Told(None, folder.partition("/")[0]) if said is None else said


def _answer(folder: str, answered: Mapping[str, Label]) -> Told | None:
    """The answer for the deepest folder at or above this one."""
    place = folder
    while place:
        if place in answered:
            return Told(answered[place], place, answered=True)
        place = place.rpartition("/")[0]
    return Told(answered[""], "", answered=True) if not folder and "" in answered else None


def _doubts(told: Mapping[str, Told]) -> list[Told]:
    """The folders that need an answer.

    None does where each directly below the root is called good or defective. Else, beside one that
    is called good, each of which no word is known; and each that is called defective where none is
    called good, or further down, where one name may mean many things.
    """
    doubts = [one for one in told.values() if one.what in ("doubtful", "kind", "no pictures")]
    pictures = [one for one in told.values() if one.what != "masks"]
    said = all(
        one.what in ("good", "defective") and (one.answered or "/" not in one.place)
        for one in pictures
    )
    if not any(one.what == "defective" for one in pictures):
        doubts += [one for one in told.values() if one.what == "masks"]
    if said:
        return doubts
    beside_good = any(one.what == "good" and not one.answered for one in pictures)
    doubts += [one for one in pictures if one.what is None and beside_good]
    return doubts + [
        one
        for one in pictures
        if one.what == "defective" and not one.answered and ("/" in one.place or not beside_good)
    ]


def _numbers(told: Mapping[str, Told]) -> list[Told]:
    """The folders 0 and 1 where there is no other: as labels, they are good and defective."""
    if {one.place for one in told.values()} != {"0", "1"}:
        return []
    return [replace(one, what="numbers") for one in told.values() if one.what is None]


def _inner_doubt(folder: str, label: str | None) -> Told | None:
    """The doubt on a folder of a layout that says itself which folders are good."""
    steps = folder.split("/")
    kinds = [i for i, step in enumerate(steps) if i and steps[i - 1].lower() in SPLIT_WORDS]
    if not kinds:
        return None
    kind = kinds[-1]
    if label != "good":
        return None
    for end in range(kind + 2, len(steps) + 1):
        meaning = meaning_of(steps[end - 1])
        if meaning in ("defective", "doubtful", "kind"):
            return Told(meaning, "/".join(steps[:end]))
    return None


def _kind(folder: str, place: str, root: Path) -> str:
    """The kind of a defect: the folder below the one that says so, or that one."""
    below = folder[len(place) :].lstrip("/").partition("/")[0]
    return below or place.rpartition("/")[2] or root.name


def _with_those_above(folders: Iterable[str]) -> list[str]:
    """The folders and all above them, sorted; "" where pictures lie in the root itself."""
    known: set[str] = set()
    for folder in folders:
        if not folder:
            known.add("")
        place = folder
        while place:
            known.add(place)
            place = place.rpartition("/")[0]
    return sorted(known)


def _matches(name: str, known: Sequence[str], root: Path) -> list[str]:
    """The folders of that path below the root, or of that name at any depth."""
    plain = name.replace("\\", "/").rstrip("/").removeprefix("./")
    if plain in (HERE, ""):
        return [""] if "" in known and name else []
    key = plain.casefold()
    if exact := [one for one in known if one.casefold() == key]:
        return exact
    if named := [one for one in known if one.rpartition("/")[2].casefold() == key]:
        return named
    start = f"{root.as_posix()}/".casefold()
    whole = Path(os.path.abspath(name)).as_posix().casefold()  # noqa: PTH100 - links as they are
    return [one for one in known if whole == start + one.casefold()] if _is_path(name) else []


def _is_path(name: str) -> bool:
    """True for a path, unlike a name."""
    return "/" in name or "\\" in name


def _is_in(folder: str, place: str) -> bool:
    return not place or folder == place or folder.startswith(place + "/")
