"""The gallery of a label audit: every listed image, its anomaly map, and why it is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from blemish.audit.embeddings import open_features
from blemish.audit.judge_scores import JudgeSettings, image_groups
from blemish.audit.patch_features import mahalanobis_maps, map_on_image
from blemish.audit.review_list import Doubt
from blemish.audit.rounds import Round
from blemish.images import read_mask, read_rgb
from blemish.report.gallery import GOOD_LOOKS
from blemish.report.thumbnails import (
    ColourScale,
    Thumbnail,
    colour_scale,
    heat_uri,
    picture_uri,
    ramp,
    thumbnail,
)
from blemish.report.words import counted, number, percentage, text
from blemish.util.files import replacing
from blemish.util.progress import Progress, ShowProgress

SHOWN = 400  # rows with a picture
GROUPS = (
    ("label", "Labels in doubt", "The most doubtful comes first."),
    ("mask", "Masks in doubt", "The dashed line is the mask; the worst fit comes first."),
    ("random", "Drawn at random", "Looked at for the share of hidden defects."),
)


def write_review_gallery(
    made: Round, judges: JudgeSettings, progress: ShowProgress | None = None
) -> Path:
    """Write `review.html` beside the review list and return its path.

    One file that loads nothing from elsewhere, with the first `SHOWN` rows of the list. Raises
    ArtifactError when it cannot be written, ImageError when an image is gone.
    """
    shown = list(made.doubts[:SHOWN])
    pictures, scale = _thumbnails(made, shown, judges, progress)
    page = Template(_asset("review.html")).substitute(
        css=_asset("page.css"),
        gallery_js=_asset("gallery.js"),
        title=text(made.data.name),
        round=made.number,
        verdict=text(round_sentence(made.figures)),
        share=share_words(made),
        gallery=_legend(scale) + _groups(made, shown, pictures, scale),
    )
    path = made.folder / "review.html"
    with replacing(path) as file:
        file.write(page.encode("utf-8"))
    return path


def round_sentence(figures: Mapping[str, Any]) -> str:
    """A round's figures in one or two sentences: images, rows to review, average precision."""
    judged = (
        f"{counted(figures['images'], 'image')} of {counted(figures['parts'], 'part')}, "
        f"{figures['good']:,} called good and {figures['defective']:,} defective; "
        f"{counted(figures['listed'], 'row')} to look at."
    )
    precision = figures["average_precision"]
    if precision is None:
        return f"{judged} Without defective labels no average precision can be told."
    told = f"{judged} The judges agree with the labels at an average precision of {precision:.3f}"
    if figures["settled"] is None:
        return f"{told}."
    before = figures["precisions"][-2]
    end = "it has settled" if figures["settled"] else "it has not settled"
    return f"{told}, after {before:.3f} in the round before: {end}."


def share_words(made: Round) -> str:
    """The share of hidden defects as HTML paragraphs, or which decisions it waits for."""
    said = [
        share_sentence(share, how)
        for name, how in (("share_with_looks", "looks"), ("share_without_looks", "scores"))
        if (share := made.figures.get(name))
    ]
    if any(doubt.listed == "random" for doubt in made.doubts):
        said.append(
            "For the share of hidden defects, decide the labels in doubt and the rows drawn at "
            "random, both from the top."
        )
    return "".join(f"<p>{text(sentence)}</p>" for sentence in said)


def share_sentence(share: Mapping[str, Any], how: str) -> str:
    """One estimate in words; `how` is "looks" or "scores"."""
    low, high = percentage(share["low"]), percentage(share["high"])
    told = (
        f"Of the parts called good, {percentage(share['estimate'])} % are estimated to be "
        f"defective (95 % interval {low} to {high} %)"
    )
    if how == "looks":
        return f"{told}, from {counted(share['looks'], 'part')} that were looked at."
    return f"{told}, from scores alone, if the hidden defects are like the known ones."


def _asset(name: str) -> str:
    return (resources.files("blemish.report") / name).read_text(encoding="utf-8")


def _thumbnails(
    made: Round, shown: Sequence[Doubt], judges: JudgeSettings, progress: ShowProgress | None
) -> tuple[list[Thumbnail], ColourScale]:
    """A thumbnail for each row, and the colour scale of all; good images set its lower end."""
    data = made.data
    row_of = {image: row for row, image in enumerate(data.table["image"])}
    rows = [row_of[doubt.image] for doubt in shown]
    good = [row for row, label in enumerate(data.table["label"]) if label == "good"]
    spread = good[:: max(1, len(good) // GOOD_LOOKS)][:GOOD_LOOKS]
    features = open_features(data, folder=judges.cache)
    groups = image_groups(data, judges)
    thumbnails: list[Thumbnail] = []
    wanted = [*rows, *spread]
    maps = mahalanobis_maps(features, data, groups, wanted, progress)
    for done, (row, map_) in enumerate(zip(wanted, maps, strict=True), 1):
        rgb = read_rgb(data.images[row], features.recipe.window)
        shape = (rgb.shape[0], rgb.shape[1])
        path = data.masks[row]
        mask = None if path is None else read_mask(path, shape)
        thumbnails.append(
            thumbnail(rgb, map_on_image(map_, features.recipe, shape), mask, None, side=300)
        )
        if progress:
            progress(Progress("drawing the gallery", done, len(wanted)))
    listed = thumbnails[: len(rows)]
    return listed, colour_scale(thumbnails[len(rows) :], listed, None)


def _legend(scale: ColourScale) -> str:
    return (
        '<div class="legend"><span>How far a place is from good ones, one scale for all</span>'
        f'<span class="ramp"><b>{number(scale.low)}</b>'
        f'<span class="bar" style="background:linear-gradient(90deg,{",".join(ramp())})"></span>'
        f"<b>{number(scale.high)} and above</b></span>"
        '<span class="key"><i class="line truth"></i>marked by a mask</span></div>'
    )


def _groups(
    made: Round, shown: Sequence[Doubt], pictures: Sequence[Thumbnail], scale: ColourScale
) -> str:
    sections, total = [], len(made.doubts)
    both = made.figures["average_precision"] is not None
    for listed, title, meaning in GROUPS:
        cards = [
            _card(row, doubt, picture, scale, _told(doubt, both))
            for row, (doubt, picture) in enumerate(zip(shown, pictures, strict=True), 1)
            if doubt.listed == listed
        ]
        if cards:
            sections.append(
                f'<section class="group"><h3>{title} <span class="count">{len(cards)}</span></h3>'
                f'<p class="small">{meaning}</p><div class="cards">{"".join(cards)}</div></section>'
            )
    if total > len(shown):
        sections.append(f'<p class="none">{total - len(shown):,} more rows are in review.csv.</p>')
    return "".join(sections) or '<p class="none">Nothing is in doubt.</p>'


def _told(doubt: Doubt, both: bool) -> str:
    """What the judges suggest, and how surely; `both`: there are labels of both kinds."""
    sure = f"{percentage(doubt.confidence)} %"
    if doubt.listed == "label":
        return f"{doubt.suggested}? {sure}" if both else f"beyond {sure}"
    return f"{doubt.suggested}? {sure}" if doubt.listed == "mask" else "at random"


def _card(row: int, doubt: Doubt, picture: Thumbnail, scale: ColourScale, told: str) -> str:
    height, width = picture.map.shape
    name = text(doubt.image)
    box = f'viewBox="0 0 {width} {height}" role="img"'
    size = f'width="{width}" height="{height}"'
    lines = ""
    if picture.truth:
        path = picture.truth
        lines = f'<path class="casing truth" d="{path}"/><path class="truth" d="{path}"/>'
    shape = " wide" if width > 1.5 * height else ""
    view = "" if doubt.view is None else f" \u00b7 view {doubt.view}"
    part = "" if doubt.part == doubt.image else f"part {doubt.part}{view} \u00b7 "
    return (
        f'<figure class="card{shape}"><button type="button" aria-label="Enlarge {name}">'
        f'<svg {box} aria-label="{name}"><image id="picture-{row}" {size} '
        f'href="{picture_uri(picture)}"/></svg>'
        f'<svg {box} aria-label="{name} with its map"><use href="#picture-{row}"/>'
        f'<image {size} href="{heat_uri(picture, scale)}"/>{lines}</svg></button>'
        f'<figcaption><span class="line1"><b class="score">{row}</b> '
        f'<span class="decision">called {text(doubt.label)}</span> '
        f'<span class="what">{text(told)}</span></span>'
        f'<span class="file" title="{name}">{name}</span>'
        f'<span class="where">{text(part + doubt.why)}</span></figcaption></figure>'
    )
