"""Planted label errors and planted hidden defects: what an audit finds; prints one line of JSON.

Features are computed once for each set; all draws are over them. Of the five sets, magnetic_tile
and elpv_poly chose nothing in the estimate of hidden defects: they are the ones that count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.audit.embeddings import open_features, pooled_features, principal_components
from blemish.audit.judge_scores import JudgeSettings, image_groups
from blemish.audit.judges import JUDGES, Floats, cross_fitted, defect_log_odds, part_means
from blemish.audit.mixture import share_from_scores
from blemish.audit.random_inspection import ShareEstimate, share_from_inspection
from blemish.audit.review_rows import error_log_odds
from blemish.dataset import Dataset, open_dataset
from blemish.demo.steel_plate_set import draw_plates
from blemish.features.cache import default_folder

FLIPPED = 0.05  # of the parts
FIRST = 0.1  # of the review list
SHARES = (0.02, 0.05, 0.10)
COUNTED = ("magnetic_tile", "elpv_poly")
DEVELOPMENT = ("tire", "elpv_mono", "plates")
LOOKS = ((0, 120), (20, 60), (40, 80))  # by rank, at random
TAILS, FALLS = (1e6, 12.0, 6.0), (1.92, 3.0)  # of the good parts' law; 1e6 is a Gaussian
LEAST_KNOWN = 12  # defective parts that are never hidden


def open_set(name: str, root: Path, scratch: Path) -> Dataset:
    """The set of that name; elpv's comes from its package, plates are drawn."""
    if name == "plates":
        return open_dataset(draw_plates(scratch / "plates"), layout="mvtec")
    if name.startswith("elpv_"):
        spec = find_spec("elpv_dataset")
        if spec is None or spec.origin is None:
            raise SystemExit("elpv-dataset is not installed")
        folder = Path(spec.origin).parent / "data"
        return open_dataset(folder, layout="elpv", category=name.removeprefix("elpv_"))
    return open_dataset(root / name)


def found_flips(data: Dataset, codes: Floats, seed: int) -> float:
    """Share of the flipped labels among the first tenth of the review list."""
    parts = np.array(data.parts)
    flipped = np.random.default_rng(seed).choice(parts, round(FLIPPED * len(parts)), replace=False)
    other = pl.when(pl.col("label") == "good").then(pl.lit("defective")).otherwise(pl.lit("good"))
    wrong = pl.col("part").is_in(flipped.tolist())
    table = data.table.with_columns(label=pl.when(wrong).then(other).otherwise("label"))
    planted = data.with_table(table)
    groups = image_groups(planted, JudgeSettings(seed=seed))
    defective = (table["label"] == "defective").to_numpy()
    said = {n: cross_fitted(judge, codes, defective, groups) for n, judge in JUDGES.items()}
    order = np.argsort(-error_log_odds(planted, said, groups), kind="stable")
    hits = table.select(wrong.alias("hit"))["hit"].to_numpy()
    return float(hits[order[: round(FIRST * len(order))]].sum() / hits.sum())


class Draws:
    """Draws of hidden defects over one set: parts numbered, scores by part."""

    def __init__(self, data: Dataset, codes: Floats, laws: bool) -> None:
        self.data, self.codes, self.laws = data, codes, laws
        names = data.table["part"].to_numpy().astype(str)
        self.parts = np.unique(names, return_inverse=True)[1]
        bad = (data.table["label"] == "defective").to_numpy()
        self.bad = np.bincount(self.parts, bad) > 0

    def estimates(self, share: float, draw: int) -> dict[str, tuple[ShareEstimate | None, float]]:
        """Every variant's estimate for one draw, and the true share of hidden defects."""
        good, defects = np.flatnonzero(~self.bad), np.flatnonzero(self.bad)
        count = round(share * len(good) / (1 - share))
        rng = np.random.default_rng([round(1000 * share), draw])
        hidden = rng.choice(defects, min(count, len(defects) - LEAST_KNOWN), replace=False)
        called = np.concatenate([good, hidden])
        truth = self.bad[called].astype(np.float64)
        known = np.setdiff1d(defects, hidden)
        groups = image_groups(self.data, JudgeSettings(seed=draw))
        labels = np.isin(self.parts, known)
        scores = self._by_part(labels, np.ones(len(labels), bool), groups, list(JUDGES))
        blind = self._by_part(
            np.zeros(len(labels), bool), np.isin(self.parts, called), groups, ["gaussian"]
        )
        random = rng.permutation(len(called))
        found = {"scores": share_from_scores(scores[called], scores[known])}
        for tail, fall in product(TAILS, FALLS) if self.laws else ():
            of = share_from_scores(scores[called], scores[known], tail=tail, fall=fall)
            found[f"scores, tail {tail:g}, fall {fall:g}"] = of
        for top, drawn in LOOKS:
            found[f"{top}+{drawn} looks"] = look(scores[called], random, truth, top, drawn)
            name = f"{top}+{drawn} looks, good only"
            found[name] = look(blind[called], random, truth, top, drawn)
        return {name: (estimate, float(truth.mean())) for name, estimate in found.items()}

    def _by_part(
        self,
        defective: npt.NDArray[np.bool_],
        present: npt.NDArray[np.bool_],
        groups: npt.NDArray[np.int64],
        judges: Iterable[str],
    ) -> Floats:
        """Evidence by part from the images that are present; NaN for other parts."""
        labels, of = defective[present], groups[present]
        said = {n: cross_fitted(JUDGES[n], self.codes[present], labels, of) for n in judges}
        parts = np.unique(self.parts[present], return_inverse=True)[1]
        scores = np.full(len(self.bad), np.nan)
        scores[self.parts[present]] = part_means(defect_log_odds(said, labels, of), parts)
        return scores


def look(
    scores: Floats, random: npt.NDArray[np.intp], truth: Floats, top: int, drawn: int
) -> ShareEstimate | None:
    """The share when a person who never errs looks at `top` parts by rank and `drawn` at random."""
    ranking = np.argsort(-scores, kind="stable")
    by_rank = ranking[:top]
    at_random = random[~np.isin(random, by_rank)][:drawn]
    seen = np.full(len(scores), np.nan)
    for chosen in (by_rank, at_random):
        seen[chosen] = truth[chosen]
    return share_from_inspection(ranking, random, seen, top)


def summary(found: list[tuple[float, ShareEstimate | None, float]]) -> dict[str, Any]:
    """Coverage and width, overall and by share; widths in percentage points."""
    told = [(share, s, truth) for share, s, truth in found if s is not None]
    covered = sum(s.low - 1e-9 <= truth <= s.high + 1e-9 for _, s, truth in told)
    widths = {
        f"{100 * share:g} %": [s.high - s.low for own, s, _ in told if own == share]
        for share in SHARES
    }
    return {
        "draws": len(found),
        "covered": covered,
        "mean_width": round(100 * float(np.mean([s.high - s.low for _, s, _ in told])), 2),
        "width": {name: round(100 * float(np.mean(w)), 2) for name, w in widths.items() if w},
        "estimate": {
            f"{100 * share:g} %": round(
                100 * float(np.mean([s.estimate for own, s, _ in told if own == share])), 2
            )
            for share in SHARES
        },
        "looks": round(float(np.mean([s.looks for _, s, _ in told])), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with magnetic_tile and tire")
    parser.add_argument("--draws", type=int, default=15, help="for each share and set")
    parser.add_argument("--development", action="store_true", help="the sets that chose constants")
    parser.add_argument("--laws", action="store_true", help="other laws of the good parts too")
    options = parser.parse_args()
    figures: dict[str, Any] = {"benchmark": "label_audit", "flips": {}, "hidden": {}}
    pools: dict[str, list[tuple[float, ShareEstimate | None, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in DEVELOPMENT if options.development else COUNTED:
            data = open_set(name, options.root, Path(scratch))
            codes = principal_components(
                pooled_features(open_features(data, folder=default_folder()), data)
            )
            flips = [found_flips(data, codes, seed) for seed in range(3)]
            figures["flips"][name] = [round(share, 3) for share in flips]
            draws = Draws(data, codes, options.laws)
            own: dict[str, list[tuple[float, ShareEstimate | None, float]]] = {}
            for share in SHARES:
                for draw in range(options.draws):
                    for variant, (estimate, truth) in draws.estimates(share, draw).items():
                        own.setdefault(variant, []).append((share, estimate, truth))
            figures["hidden"][name] = {variant: summary(found) for variant, found in own.items()}
            for variant, found in own.items():
                pools.setdefault(variant, []).extend(found)
    figures["hidden"]["all"] = {variant: summary(found) for variant, found in pools.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
