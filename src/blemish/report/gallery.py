"""The gallery: the parts a person should look at, each with its images and anomaly maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blemish.report.thumbnails import (
    ColourScale,
    Thumbnail,
    colour_scale,
    heat_uri,
    picture_uri,
    ramp,
    thumbnail,
)
from blemish.report.words import counted, number, text

if TYPE_CHECKING:
    from blemish.evaluation import Evaluation, ImageResult, PartResult

SHOWN = 12  # parts in a group
GOOD_LOOKS = 8  # good parts looked at for the colour scale, evenly spread over their scores


@dataclass(frozen=True)
class GalleryGroup:
    """A section of the gallery: indices of parts, out of `total`; `none` says why it is empty."""

    title: str
    meaning: str
    parts: tuple[int, ...]
    total: int
    none: str


def groups(parts: Sequence[PartResult], threshold: float) -> tuple[GalleryGroup, ...]:
    """Misses, false rejects, close calls and clear finds, each with the most telling part first.

    A part is shown once: a close call is one that is not among the mistakes shown above it.
    """
    rising = sorted(range(len(parts)), key=lambda index: parts[index].score)
    falling = rising[::-1]

    def those(order: Iterable[int], label: str, decision: str) -> list[int]:
        return [i for i in order if (parts[i].label, parts[i].decision) == (label, decision)]

    missed = those(rising, "defective", "pass")
    false = those(falling, "good", "reject")
    shown = {*missed[:SHOWN], *false[:SHOWN]}
    below = [i for i in falling if parts[i].score <= threshold and i not in shown]
    above = [i for i in rising if parts[i].score > threshold and i not in shown]
    close = [*above[: SHOWN // 2][::-1], *below[: SHOWN // 2]]
    shown.update(close)
    found = [i for i in those(falling, "defective", "reject") if i not in shown]
    labels = {part.label for part in parts}
    no_defect = "The test set holds no defective parts."
    return (
        GalleryGroup(
            "Worst misses",
            "Defective parts that were passed, the lowest score first.",
            tuple(missed[:SHOWN]),
            len(missed),
            "None: no defective part was passed." if "defective" in labels else no_defect,
        ),
        GalleryGroup(
            "Worst false rejects",
            "Good parts that were rejected, the highest score first.",
            tuple(false[:SHOWN]),
            len(false),
            "None: no good part was rejected."
            if "good" in labels
            else "The test set holds no good parts.",
        ),
        GalleryGroup(
            "Closest calls",
            "The parts nearest to the threshold on either side that are not shown above, from the "
            "highest score to the lowest.",
            tuple(close),
            len(close),
            "None besides the parts above.",
        ),
        GalleryGroup(
            "Clear finds",
            "Defective parts that were rejected, the highest score first.",
            tuple(found[:SHOWN]),
            len(found),
            "None besides the parts above." if "defective" in labels else no_defect,
        ),
    )


def gallery(evaluation: Evaluation, threshold: float, level: float) -> str:
    """The legend and every group as HTML; looks at no image twice. `level`: map threshold."""
    chosen = groups(evaluation.parts, threshold)
    wanted = dict.fromkeys(index for group in chosen for index in group.parts)
    wanted.update(dict.fromkeys(_spread_good(evaluation.parts)))
    pictures = {
        index: thumbnail(*evaluation.look(_worst_view(evaluation, index)), level)
        for index in wanted
    }
    by_label: dict[str, list[Thumbnail]] = {"good": [], "defective": []}
    for index, picture in pictures.items():
        by_label[evaluation.parts[index].label].append(picture)
    scale = colour_scale(by_label["good"], by_label["defective"], level)
    return _legend(scale, level) + "".join(
        _group(group, [_card(evaluation, i, pictures[i], scale, threshold) for i in group.parts])
        for group in chosen
    )


def _spread_good(parts: Sequence[PartResult]) -> Iterator[int]:
    good = sorted(
        (i for i, part in enumerate(parts) if part.label == "good"), key=lambda i: parts[i].score
    )
    if good:
        for place in np.linspace(0, len(good) - 1, min(GOOD_LOOKS, len(good))):
            yield good[round(place)]


def _worst_view(evaluation: Evaluation, part: int) -> int:
    """The image of a part with the highest score, as an index."""
    return max(evaluation.parts[part].images, key=lambda index: evaluation.images[index].score)


def _legend(scale: ColourScale, level: float) -> str:
    mark = ""
    place = 100 * (level - scale.low) / (scale.high - scale.low)
    if 0 < place < 100:
        mark = (
            f'<i class="mark" style="left:{place:.1f}%"></i>'
            f'<span class="mark-label" style="left:{place:.1f}%">{number(level)}</span>'
        )
    found = '<span class="key"><i class="line found"></i>above the map threshold</span>'
    return (
        '<div class="legend"><span>Anomaly map, one scale for all pictures</span>'
        f'<span class="ramp"><b>{number(scale.low)}</b>'
        f'<span class="bar" style="background:linear-gradient(90deg,{",".join(ramp())})">{mark}'
        f"</span><b>{number(scale.high)} and above</b></span>{found}"
        '<span class="key"><i class="line truth"></i>marked by a person</span></div>'
        '<p class="small">Low: the median of the maps of good images, shown transparent. High: the '
        "median peak of the defective images looked at, but at least twice as far from low as the "
        "map threshold. Select a picture to enlarge it.</p>"
    )


def _group(group: GalleryGroup, cards: list[str]) -> str:
    if not cards:
        body = f'<p class="none">{text(group.none)}</p>'
        count = ""
    else:
        body = f'<div class="cards">{"".join(cards)}</div>'
        some = f"{len(cards)} of {group.total:,}" if group.total > len(cards) else str(len(cards))
        count = f'<span class="count">{some}</span>'
    return (
        f'<section class="group"><h3>{text(group.title)} {count}</h3>'
        f'<p class="small">{text(group.meaning)}</p>{body}</section>'
    )


def _card(
    evaluation: Evaluation, part: int, picture: Thumbnail, scale: ColourScale, threshold: float
) -> str:
    result = evaluation.parts[part]
    image = evaluation.images[_worst_view(evaluation, part)]
    height, width = picture.map.shape
    name = text(image.image.name)
    box = f'viewBox="0 0 {width} {height}" role="img"'
    size = f'width="{width}" height="{height}"'
    lines = "".join(
        f'<path class="casing {kind}" d="{path}"/><path class="{kind}" d="{path}"/>'
        for kind, path in (("found", picture.found), ("truth", picture.truth))
        if path
    )
    wrong = (result.label, result.decision) in (("good", "reject"), ("defective", "pass"))
    decision = {"pass": "passed", "reject": "rejected"}.get(result.decision, result.decision)
    shown = result.part if _is_one_image(result, image) else image.image.name
    shape = " wide" if width > 1.5 * height else ""
    return (
        f'<figure class="card{shape}"><button type="button" aria-label="Enlarge {name}">'
        f'<svg {box} aria-label="{name}">'
        f'<image id="picture-{part}" {size} href="{picture_uri(picture)}"/></svg>'
        f'<svg {box} aria-label="{name} with its anomaly map"><use href="#picture-{part}"/>'
        f'<image {size} href="{heat_uri(picture, scale)}"/>{lines}</svg></button>'
        f'<figcaption><span class="line1"><b class="score">{number(result.score)}</b> '
        f'<span class="decision{" wrong" if wrong else ""}">{text(decision)}</span> '
        f'<span class="what">{text(_what(result))}</span></span>'
        f'<span class="file" title="{text(image.image)}">{text(shown)}</span>'
        f'<span class="where">{text(_where(result, image, picture))}</span></figcaption></figure>'
    )


def _what(result: PartResult) -> str:
    return "good" if result.label == "good" else ", ".join(result.defects) or "defective"


def _is_one_image(result: PartResult, image: ImageResult) -> bool:
    """Whether the part is named after its only image, as in a data set that knows no parts."""
    return Path(result.part).name in (image.image.name, image.image.stem)


def _where(result: PartResult, image: ImageResult, picture: Thumbnail) -> str:
    """Part, view and cut-out, where there is more to say than the file's name."""
    views = len(result.images)
    words = [] if _is_one_image(result, image) else [f"part {result.part}"]
    if image.view is not None:
        words.append(f"view {image.view}")
    if views > 1:
        words.append(f"the highest of {counted(views, 'image')}")
    if picture.cut:
        words.append(picture.cut)
    return " · ".join(words)
