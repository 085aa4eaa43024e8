"""Ranks of two samples over blocks: Cliff's delta of one, and within classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.detectors.permutation import permutation_test
from monitor.detectors.sides import Sides
from monitor.values import FloatArray

__all__ = ["RankStratum", "compare_ranks", "delta_variance", "rank_strata"]

_PILOT = 200
_LARGEST = 20_000_000


def delta_variance(x: FloatArray, y: FloatArray, sides: Sides) -> float:
    """Variance of Cliff's delta from placement values summed over blocks.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44, 1988; over blocks Obuchowski, "Nonparametric analysis of clustered ROC curve
    data", Biometrics 53, 1997.

    Parameters
    ----------
    x, y : (n,) and (m,) float64, in the order of the sides' rows
    """
    everything = np.concatenate([x, y])
    pooled = stats.rankdata(everything)
    # Midranks among both sides less those of one's own side count the other side's smaller values, ties by half.
    above_x = (pooled[: len(x)] - stats.rankdata(x)) / len(y)
    above_y = (pooled[len(x) :] - stats.rankdata(y)) / len(x)
    total = 0.0
    for placed, blocks in ((above_x, sides.reference), (above_y, sides.current)):
        sums = np.bincount(blocks.codes, placed - placed.mean(), minlength=blocks.count)
        g = blocks.count
        total += 4 * g / max(g - 1, 1) * float(sums @ sums) / len(placed) ** 2
    return total


@dataclass(frozen=True, slots=True)
class RankStratum:
    """Numbers of both sides that may be exchanged; its statistic is Cliff's delta, P(y > x) - P(y < x).

    x, y   (n,) and (m,) float64
    sides  the blocks of these rows
    places (g,) int64, which block of all traffic each of these blocks is a piece of
    """

    x: FloatArray
    y: FloatArray
    sides: Sides
    places: npt.NDArray[np.int64]

    @property
    def observed(self) -> float:
        """Cliff's delta in [-1, 1], 0 on average when both sides come from one distribution."""
        return float(self.delta(self.sides.truth)[0])

    @property
    def variance(self) -> float:
        """Estimated variance of ``observed``."""
        return delta_variance(self.x, self.y, self.sides)

    def delta(self, labels: npt.NDArray[np.floating]) -> FloatArray:
        """Cliff's delta of each labelling of the blocks, (g, c) -> (c,)."""
        ranks = self.sides.sums(stats.rankdata(np.concatenate([self.x, self.y])))
        m = self.sides.sizes @ labels
        n = len(self.x) + len(self.y) - m
        return np.asarray(2 * (ranks @ labels - m * (m + 1) / 2) / (n * m) - 1)

    def labels(self, keys: FloatArray) -> npt.NDArray[np.floating]:
        """The blocks with the smallest keys as the window, as many as it has: keys of all blocks, (G, c) -> (g, c)."""
        mine, k = keys[self.places], self.sides.current.count
        return np.asarray(mine <= np.partition(mine, k - 1, axis=0)[k - 1], dtype=np.float64)


def rank_strata(
    x: FloatArray, y: FloatArray, classes: tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]], sides: Sides
) -> list[RankStratum]:
    """One stratum for each class with at least 2 rows on both sides; rows without a class are left out."""
    left, right = classes
    strata = []
    for name in sorted({c for c in left if c is not None} & {c for c in right if c is not None}):
        a, b = left == name, right == name
        if min(a.sum(), b.sum()) >= 2:
            pieces = sides.among(a, b)
            theirs, ours = np.unique(sides.reference.codes[a]), np.unique(sides.current.codes[b])
            strata.append(RankStratum(x[a], y[b], pieces, np.concatenate([theirs, sides.reference.count + ours])))
    return strata


def compare_ranks(
    strata: Sequence[RankStratum], sides: Sides, rng: np.random.Generator, permutations: int, refined: int
) -> tuple[float, float, float | None]:
    """Mean of Cliff's delta over strata, its standard error, and one p-value.

    Strata weigh as the harmonic mean of their sizes. Blocks change sides within each stratum, led by one random number
    for each block of all traffic: its pieces in different strata go together as far as the strata's sizes let them, so
    what ties records of a session together across classes is kept. The statistic is the sum of squares of the
    positive standardised deltas: a change that sits in one of many strata would drown in their mean.

    Returns
    -------
    effect in [-1, 1], standard error >= 0, p in (0, 1], or ``None`` with fewer than 20 blocks on a side
    """
    sizes = np.array([len(s.x) * len(s.y) / (len(s.x) + len(s.y)) for s in strata])
    weights = sizes / sizes.sum()
    step = max(1, _LARGEST // sides.count)

    def deltas(count: int) -> FloatArray:
        pieces = []
        for start in range(0, count, step):
            keys = rng.random((sides.count, min(step, count - start)))
            pieces.append(np.array([s.delta(s.labels(keys)) for s in strata]))
        return np.concatenate(pieces, axis=1)

    pilot = deltas(_PILOT)
    spreads = pilot.std(axis=1)
    scales = np.where(spreads > 1e-12, spreads, np.inf)[:, None]
    observed = np.array([[s.observed] for s in strata])

    def joined(values: FloatArray) -> FloatArray:
        standardised = values / scales
        return np.asarray(standardised[0] if len(strata) == 1 else (np.maximum(standardised, 0.0) ** 2).sum(axis=0))

    reached = float(joined(observed)[0])
    p = None
    if sides.testable:
        p = permutation_test(
            reached, lambda count: joined(deltas(count)), permutations, refined, 1e-9 * (1 + abs(reached))
        )
    estimated = float(np.sqrt(weights**2 @ [s.variance for s in strata]))
    return float(weights @ observed[:, 0]), max(estimated, float((weights @ pilot).std())), p
