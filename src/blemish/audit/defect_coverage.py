"""Coverage of real defects by synthetic ones: which real defects are outliers to them.

A nearest-neighbour search in features of a frozen backbone. Each defect is a patch of 128 pixels at
the scale of the file. The features of the cells under its mask are averaged, whitened with the
covariance of good cells, and scaled to length 1, so that the kind of departure counts and not its
strength. Without a mask, the cell that is farthest from good ones, and its neighbours, stand for
the defect.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.audit.defect_patches import (
    BATCH,
    SIDE,
    Mask,
    Patch,
    PatchEncoder,
    cell_mask,
    cut_patch,
    draw_defects,
    marked_patches,
    overlapping_starts,
    random_patch,
)
from blemish.audit.nearest_neighbours import (
    Floats,
    NearestNeighbours,
    Whitening,
    masked_mean,
    nearest_known,
    nearest_neighbours,
    unit_vectors,
)
from blemish.audit.patch_features import mask_cells
from blemish.dataset import Dataset
from blemish.dataset.mask_findings import findings_of
from blemish.dataset.scaled_images import ScaledImage, ScaledImages
from blemish.errors import DatasetError
from blemish.images import Recipe, find_window
from blemish.synthesis import Generator
from blemish.util.progress import Progress, ShowProgress

log = logging.getLogger("blemish")

DRAWN = 400  # synthetic defects
FEWEST = 20  # synthetic defects that tell how far they are from each other
UNNAMED = "(no kind)"


@dataclass(frozen=True, eq=False)
class RealDefect:
    """A defective part and a kind of defect that it shows, with its nearest synthetic defect.

    Of several images of the part, the one nearest to a synthetic defect counts. `ratio`: the
    distance to that one over the limit of `NearestNeighbours`; at most 1 where it is covered.
    `like_good`: a good patch is nearer still.
    """

    part: str
    kind: str
    image: str
    ratio: float
    like_good: bool
    shown: Patch
    nearest: Patch

    @property
    def like_synthetic(self) -> bool:
        """Whether it is covered: a synthetic defect is within the limit."""
        return self.ratio <= 1


@dataclass(frozen=True)
class KindCoverage:
    """Coverage of one kind of defect: its parts, those covered, those nearer to a good patch."""

    kind: str
    parts: int
    like_synthetic: int
    like_good: int
    ratio: float

    @property
    def share(self) -> float:
        """Share of the parts that are covered."""
        return self.like_synthetic / self.parts


def compare_defects(
    data: Dataset,
    generator: Generator | None,
    backbone: str,
    *,
    count: int = DRAWN,
    seed: int = 0,
    progress: ShowProgress | None = None,
) -> list[RealDefect]:
    """Every real defective part with its nearest of `count` synthetic defects, outliers first.

    `generator` draws the synthetic defects on good patches; where it is None, those of the data
    set are used. Raises DatasetError for too few of them, ImageError for an image that cannot be
    read.
    """
    recipe = Recipe(SIDE, SIDE, window=find_window(data.images), tile=SIDE)
    rng, encode = np.random.default_rng(seed), PatchEncoder(backbone)
    good = ScaledImages(_some(data.good(), count, rng), recipe, SIDE)
    if generator is None:
        rows = _some(data.synthetic(), count, rng)
        drawn = [patch for picture in _all(rows, recipe) for patch in marked_patches(picture)]
        plain = [random_patch(good[number % len(good)], rng) for number in range(len(drawn))]
    else:
        drawn, plain = draw_defects(good, generator, count, rng, progress)
    if len(drawn) < FEWEST:
        raise DatasetError(
            f"{data.root}: {len(drawn)} synthetic defects that can be seen are too few to compare "
            "real ones with; choose a generator whose defects show on these images"
        )
    of_plain = encode(plain)
    whitening = Whitening.of(of_plain.reshape(-1, of_plain.shape[-1]))
    known = np.stack([_vector(whitening, c, p) for c, p in zip(encode(drawn), drawn, strict=True)])
    masks = [Patch(p.pixels, d.mask) for p, d in zip(plain, drawn, strict=True)]
    usual = np.stack([_vector(whitening, c, p) for c, p in zip(of_plain, masks, strict=True)])
    real = data.real()
    for finding in findings_of(real):
        log.warning("%s", finding.message)
    shown: list[Patch] = []
    vectors: list[Floats] = []
    for row, picture in enumerate(_all(real, recipe)):
        patch, vector = _most_departing(picture, encode, whitening)
        shown.append(patch)
        vectors.append(vector)
        if progress:
            progress(Progress("looking at real defects", row + 1, len(real)))
    found = nearest_neighbours(unit_vectors(np.stack(vectors)), unit_vectors(known))
    to_good, _ = nearest_known(unit_vectors(np.stack(vectors)), unit_vectors(usual))
    return _by_part(real, shown, drawn, found, to_good < found.distance)


def _by_part(
    real: Dataset,
    shown: Sequence[Patch],
    drawn: Sequence[Patch],
    found: NearestNeighbours,
    like_good: Mask,
) -> list[RealDefect]:
    """The nearest image of each part, for each kind that it shows."""
    names = list(real.table.select("part", pl.col("defect").fill_null(UNNAMED)).iter_rows())
    best: dict[tuple[str, str], int] = {}
    for row, name in enumerate(names):
        if name not in best or found.ratio[row] < found.ratio[best[name]]:
            best[name] = row
    defects = [
        RealDefect(
            *(part, kind, real.table["image"][row]),
            *(float(found.ratio[row]), bool(like_good[row])),
            *(shown[row], drawn[int(found.nearest[row])]),
        )
        for (part, kind), row in best.items()
    ]
    return sorted(defects, key=lambda defect: (-defect.ratio, defect.part, defect.kind))


def _some(rows: Dataset, count: int, rng: np.random.Generator) -> Dataset:
    """A random sample of at most `count` rows."""
    return rows.take(np.sort(rng.permutation(len(rows))[:count]))


def _all(rows: Dataset, recipe: Recipe) -> Iterator[ScaledImage]:
    pictures = ScaledImages(rows, recipe, SIDE)
    return (pictures[number] for number in range(len(pictures)))


def _most_departing(
    picture: ScaledImage, encode: PatchEncoder, whitening: Whitening
) -> tuple[Patch, Floats]:
    """The defect's patch and vector; without a mask, at the cell farthest from good ones."""
    for patch in marked_patches(picture):
        return patch, _vector(whitening, encode([patch])[0], patch)
    high, wide = picture.pixels.shape[:2]
    starts = [(top, left) for top in overlapping_starts(high) for left in overlapping_starts(wide)]
    best, departure = cut_patch(picture, 0, 0), -np.inf
    for group in (starts[i : i + BATCH] for i in range(0, len(starts), BATCH)):
        patches = [cut_patch(picture, top, left) for top, left in group]
        for patch, found in zip(patches, encode(patches), strict=True):
            away = (whitening.apply(found) ** 2).sum(axis=-1)
            if away.max() > departure:
                departure = float(away.max())
                row, column = np.unravel_index(int(away.argmax()), away.shape)
                best = Patch(patch.pixels, cell_mask(int(row), int(column), SIDE // away.shape[0]))
    return best, _vector(whitening, encode([best])[0], best)


def _vector(whitening: Whitening, found: npt.NDArray[np.float32], patch: Patch) -> Floats:
    return whitening.apply(masked_mean(found, mask_cells(patch.mask, found.shape[0])))


def coverage_by_kind(defects: Sequence[RealDefect]) -> list[KindCoverage]:
    """The coverage of each kind, the least covered first."""
    found = []
    for name in sorted({defect.kind for defect in defects}):
        of_kind = [defect for defect in defects if defect.kind == name]
        found.append(
            KindCoverage(
                name,
                len(of_kind),
                sum(one.like_synthetic for one in of_kind),
                sum(one.like_good for one in of_kind),
                float(np.median([one.ratio for one in of_kind])),
            )
        )
    return sorted(found, key=lambda kind: (kind.share, -kind.ratio, kind.kind))
