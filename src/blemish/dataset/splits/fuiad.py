"""Fully unsupervised, as in Real-IAD: label noise: some training parts are defective, unlabelled.

The test is the same good and defective parts, of all splits, for every share. The noisy parts of a
smaller share are a subset of those of a larger one. A part with one defective view is defective,
and in training all of its views count as good. Parts with synthetic defects are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from blemish.dataset.splits._parts import labelled, sides
from blemish.errors import DatasetError


@dataclass(frozen=True)
class Fuiad:
    """`alpha` of the training parts are noise; `test_parts` good and as many defective ones test.

    Training is as large as it can be at `alpha`, or at all of `alphas` alike where some are given.
    """

    alpha: float = 0.1
    test_parts: int = 100
    alphas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        for alpha in (self.alpha, *self.alphas):
            if not 0 <= alpha < 1:
                raise DatasetError(f"alpha={alpha} must be at least 0 and below 1.")
        if self.test_parts < 1:
            raise DatasetError(f"test_parts={self.test_parts} must be at least 1.")

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The first good and defective parts test, the next of each train."""
        good, defective = labelled(parts, "good"), labelled(parts, "defective")
        n, alpha = self.test_parts, Fraction(str(self.alpha))
        size = min(
            fuiad_size(good.height, defective.height, n, share)
            for share in (self.alpha, *self.alphas)
        )
        train, noise = round(size * (1 - alpha)), round(size * alpha)
        if not train or (alpha and not noise):
            raise DatasetError(
                f"has {good.height} good and {defective.height} defective parts: too few for a "
                f"test of test_parts={n} each and a training with alpha={self.alpha:g}"
            )
        return sides(
            train=good.slice(n, train),
            noise=defective.slice(n, noise),
            test=pl.concat([good.head(n), defective.head(n)]),
        )


def fuiad_size(good: int, defective: int, test_parts: int, alpha: float) -> Fraction:
    """The number of training parts, before it is rounded; 0 where the category is not valid.

    `good` and `defective` count the parts of one category, of which `test_parts` each are the test;
    the others are used up as far as the share `alpha` of defective ones allows.
    """
    share = Fraction(str(alpha))
    good_left, defective_left = good - test_parts, defective - test_parts
    if good_left <= 0 or defective_left < 0:
        return Fraction(0)
    of_good = good_left / (1 - share)
    return min(of_good, defective_left / share) if share else of_good
