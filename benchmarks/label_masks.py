"""Masks from two strokes per image against the true masks; prints one line of JSON.

The strokes are those of `strokes.py`. What was chosen (features, forest, cleaning, the radius of
the dilated stroke) was chosen on magnetic_tile; tire is the test. With --write the tables go into
docs/labels.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.images import read_image, read_mask
from blemish.prepare.mask_cleaning import clean_mask
from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.pixel_classifier import PixelClassifier, Samples, to_learn, train
from blemish.prepare.pixel_features import pixel_features
from blemish.prepare.scribbles import BACKGROUND, DEFECT, distance, reach
from measuring import ROOT, absent, data_set, print_line, write_between_marks
from strokes import scribbles

PAGE = ROOT / "docs" / "labels.md"
# "uneven" of magnetic_tile has rectangles for masks.
KINDS = {
    "tire": ("contamination", "cut", "hole", "combined"),
    "magnetic_tile": ("blowhole", "break", "crack", "fray"),
}
TEACH = 5  # images of a kind whose strokes teach the classifier for the others
RADIUS = 5  # of the dilated stroke, the best on magnetic_tile
RADII = range(2, 31)
BOX = 10  # pixels that Otsu's box is larger than the true one on each side
DRAWS = 2000
BACKGROUNDS = {
    "beside": "A background stroke of the same length beside the defect",
    "around": "A background stroke around the defect",
}
METHODS = {
    "own": "forest, taught by the image's own two strokes",
    "strokes_alone": "the same without pixels from elsewhere",
    "others": f"forest, taught by the strokes of {TEACH} other images of the kind",
    "grabcut": "GrabCut from the same two strokes",
    "otsu": f"Otsu's threshold in the true box grown by {BOX} px",
    "dilated": f"the defect stroke dilated by {RADIUS} px",
    "dilated_best": "the defect stroke dilated by the radius best on this very set",
}
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Case:
    """An image with its true mask and its two strokes."""

    name: str
    image: NDArray[Any]
    mask: Mask
    labels: NDArray[np.uint8]

    @property
    def stroke(self) -> Mask:
        """Where defect was drawn."""
        return np.asarray(self.labels == DEFECT)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Those of all pixels, computed once for the several forests that see the image."""
        rows = slice(0, self.image.shape[0])
        return pixel_features(self.image, MaskSettings().scales, rows)

    def learnt(self, settings: MaskSettings) -> Samples:
        """What `blemish.prepare.pixel_classifier.samples` gives."""
        labels = to_learn(self.labels, settings, np.random.default_rng(0))
        return Samples(self.features[labels > 0], labels[labels > 0] == DEFECT)


def cases(folder: Path, kind: str, background: str, most: int) -> Iterator[Case]:
    """The images of a kind for which two strokes can be drawn, evenly spread if there are more."""
    images = sorted((folder / "test" / kind).iterdir())
    for path in images[:: max(1, -(-len(images) // most))]:
        image = read_image(path)
        truth = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
        mask = read_mask(truth, image.shape[:2])
        labels = scribbles(mask, background)
        if labels is not None:
            yield Case(f"{kind}/{path.stem}", image, mask, labels)


def mask_by(classifier: PixelClassifier, case: Case, stroke: Mask | None) -> Mask:
    """The mask as `blemish label masks` makes it; `stroke` is None for an image without strokes."""
    probability = classifier.of_features(case.features)
    return clean_mask(probability, case.image, classifier.settings, stroke)


def grabcut(case: Case) -> Mask:
    """GrabCut with the strokes as certain, and likely defect up to a third of their reach.

    It sees the strokes' box grown by twice their reach: of the whole image it takes seconds.
    """
    far = reach(case.stroke)
    away = distance(case.stroke)
    state: Any = np.where(away < far / 3, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[case.labels == BACKGROUND], state[case.stroke] = cv2.GC_BGD, cv2.GC_FGD
    x, y, width, height = cv2.boundingRect((case.labels > 0).astype(np.uint8))
    grown = round(2 * far)
    box = (
        slice(max(0, y - grown), y + height + grown),
        slice(max(0, x - grown), x + width + grown),
    )
    colour = case.image if case.image.ndim == 3 else np.dstack([case.image] * 3)
    seen = np.ascontiguousarray(state[box])
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    image = np.ascontiguousarray(colour[box])
    cv2.grabCut(image, seen, (0, 0, 0, 0), *models, 5, cv2.GC_INIT_WITH_MASK)
    mask = np.zeros_like(case.mask)
    mask[box] = (seen == cv2.GC_FGD) | (seen == cv2.GC_PR_FGD)
    return _touching(mask, case.stroke)


def otsu(case: Case) -> Mask:
    """Otsu's threshold in a box, on the side of it that most of the stroke is on."""
    x, y, width, height = cv2.boundingRect(case.mask.astype(np.uint8))
    box = (
        slice(max(0, y - BOX), y + height + BOX),
        slice(max(0, x - BOX), x + width + BOX),
    )
    image = case.image if case.image.ndim == 2 else cv2.cvtColor(case.image, cv2.COLOR_RGB2GRAY)
    _, split = cv2.threshold(np.ascontiguousarray(image[box]), 0, 1, cv2.THRESH_OTSU)
    found = np.asarray(split > 0)
    if found[case.stroke[box]].mean() < 0.5:
        found = ~found
    mask = np.zeros_like(case.mask)
    mask[box] = found
    return _touching(mask | case.stroke, case.stroke)


def dilated(case: Case, radius: int) -> Mask:
    """All that is no farther from the defect stroke."""
    return distance(case.stroke) <= radius


def iou(found: Mask, true: Mask) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


def of_kind(folder: Path, kind: str, background: str, most: int) -> dict[str, list[float]]:
    """The IoU of every method on every image of a kind; of `others` on those that do not teach."""
    settings, alone = MaskSettings(), MaskSettings(elsewhere=0)
    # Two images of magnetic_tile may show one tile, which would teach its own answer.
    teach = TEACH if folder.name == "tire" and most >= 2 * TEACH else 0
    taught: list[Samples] = []
    shared: PixelClassifier | None = None
    found: dict[str, list[float]] = {}

    def add(method: str, case: Case, mask: Mask) -> None:
        found.setdefault(method, []).append(iou(mask, case.mask))

    for case in cases(folder, kind, background, most):
        own = case.learnt(settings)
        add("own", case, mask_by(train([own], settings), case, case.stroke))
        without = train([case.learnt(alone)], alone)
        add("strokes_alone", case, mask_by(without, case, case.stroke))
        if len(taught) < teach:
            taught.append(own)
        elif teach:
            shared = shared or train(taught, settings)
            add("others", case, mask_by(shared, case, None))
        add("grabcut", case, grabcut(case))
        add("otsu", case, otsu(case))
        add("dilated", case, dilated(case, RADIUS))
        for radius in RADII:
            add(f"radius {radius}", case, dilated(case, radius))
    return found


def measure(folder: Path, background: str, most: int, kinds: Sequence[str]) -> dict[str, Any]:
    """Mean, its interval and median of the IoU, per method and kind, and of all images."""
    found = {kind: of_kind(folder, kind, background, most) for kind in kinds}
    methods = dict.fromkeys(chain.from_iterable(found.values()))
    pooled = {
        method: list(chain.from_iterable(of.get(method, ()) for of in found.values()))
        for method in methods
    }
    best = max((f"radius {radius}" for radius in RADII), key=lambda name: np.mean(pooled[name]))
    for of in (*found.values(), pooled):
        of["dilated_best"] = of[best]
    figures: dict[str, Any] = {"best_radius": int(best.split()[-1])}
    for method in METHODS:
        by_kind = {kind: of[method] for kind, of in found.items() if method in of}
        if method in pooled:
            by_kind["all"] = pooled[method]
            figures[method] = {kind: summary(values) for kind, values in by_kind.items()}
    return figures


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and median of IoUs, and the mean's 95 % interval by drawing images again."""
    seen = np.array(values)
    drawn = np.random.default_rng(0).choice(seen, (DRAWS, len(seen))).mean(axis=1)
    return {
        "images": len(seen),
        "mean": round(float(seen.mean()), 4),
        "interval": [round(float(edge), 4) for edge in np.quantile(drawn, [0.025, 0.975])],
        "median": round(float(np.median(seen)), 4),
    }


def table(figures: dict[str, Any], kinds: Sequence[str]) -> list[str]:
    """The figures of one kind of background stroke as a Markdown table."""
    heads = [*kinds, "all"]
    lines = [f"| mask from | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for method, words in METHODS.items():
        if method not in figures:
            continue
        of = figures[method]
        radius = f" ({figures['best_radius']} px)" if method == "dilated_best" else ""
        cells = [_cell(of[kind]) if kind in of else "-" for kind in heads]
        lines.append(f"| {words}{radius} | {' | '.join(cells)} |")
    return lines


def _cell(of: dict[str, Any]) -> str:
    low, high = of["interval"]
    return f"{of['mean']:.3f} ({low:.2f} to {high:.2f}), {of['median']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", choices=tuple(KINDS), default="tire")
    parser.add_argument("--backgrounds", nargs="+", choices=BACKGROUNDS, default=list(BACKGROUNDS))
    parser.add_argument("--images", type=int, default=1000, help="at most so many of a kind")
    parser.add_argument("--write", action="store_true", help="rewrite the tables of the page")
    options = parser.parse_args()
    folder = data_set(options.set)
    if folder is None:
        print_line("label_masks", {"skipped": absent(options.set)})
        return
    kinds = KINDS[options.set]
    results = {
        background: measure(folder, background, options.images, kinds)
        for background in options.backgrounds
    }
    if options.write:
        lines = []
        for background, figures in results.items():
            lines += ["", f"{BACKGROUNDS[background]}:", "", *table(figures, kinds)]
        write_between_marks(PAGE, [*lines, ""])
    print_line("label_masks", {"set": options.set, **results})


def _touching(mask: Mask, stroke: Mask) -> Mask:
    labels = np.asarray(cv2.connectedComponents(mask.astype(np.uint8))[1])
    return np.asarray(np.isin(labels, np.setdiff1d(labels[stroke & mask], [0])))


if __name__ == "__main__":
    main()
