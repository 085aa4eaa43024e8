"""Energy distance between reference and window, over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from monitor.detectors.pooled import Limits, each_pooled
from monitor.detectors.sides import Labels, Sides
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["EnergyDetector", "between_blocks", "energy_distances", "jackknife_error"]

_CHUNK = 1_024


def between_blocks(vectors: Vectors, sides: Sides) -> FloatArray:
    """Sums of Euclidean distances between the rows of different blocks, less the mean distance for each pair.

    The energy distance does not change with a constant, but its sums cancel far better.

    Parameters
    ----------
    vectors : (n + m, d) float32 pooled rows, in the order of the sides' rows

    Returns
    -------
    (g, g) float64, symmetric, zero diagonal: pairs within a block do not count
    """
    squares = np.einsum("ij,ij->i", vectors, vectors)
    half = np.empty((len(vectors), sides.count))
    for start in range(0, len(vectors), _CHUNK):
        rows = slice(start, start + _CHUNK)
        distances = squares[rows, None] + squares[None, :] - 2.0 * (vectors[rows] @ vectors.T)
        np.sqrt(np.maximum(distances, 0.0, out=distances), out=distances)
        half[rows] = sides.sums(distances.T).T
    sums = sides.sums(half)
    sums = (sums + sums.T) / 2
    pairs = np.outer(sides.sizes, sides.sizes)
    np.fill_diagonal(sums, 0.0)
    np.fill_diagonal(pairs, 0.0)
    return np.asarray(sums - pairs * (sums.sum() / max(pairs.sum(), 1.0)))


def energy_distances(between: FloatArray, sizes: FloatArray, labels: Labels) -> FloatArray:
    """Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of every labelling, each mean over rows of different blocks.

    It is MMD² with the kernel -|x - y| (Sejdinovic et al., "Equivalence of distance-based and RKHS-based statistics in
    hypothesis testing", Ann. Statist. 41, 2013), here unbiased even when rows of one block are alike.

    Parameters
    ----------
    between : (g, g), see :func:`between_blocks`
    sizes : (g,) rows of each block
    labels : (g, c) zeros and ones, at least 2 blocks of either

    Returns
    -------
    (c,) float64; 0 on average when both sides come from one distribution
    """
    n, m = sizes.sum() - sizes @ labels, sizes @ labels
    same_y, same_x = (sizes**2) @ labels, (sizes**2).sum() - (sizes**2) @ labels
    touching = between.sum(axis=1) @ labels
    yy = np.einsum("ij,ij->j", labels, between.astype(np.float32) @ labels, dtype=np.float64)
    xy = touching - yy
    xx = between.sum() - 2 * touching + yy
    return np.asarray(2 * xy / (n * m) - xx / (n**2 - same_x) - yy / (m**2 - same_y))


def jackknife_error(between: FloatArray, sides: Sides) -> float:
    """Delete-one-block jackknife standard error of the observed energy distance, at least 3 blocks a side."""
    s, side = sides.sizes, sides.truth[:, 0] > 0
    variance = 0.0
    for mine in (side, ~side):
        other, g = ~mine, int(mine.sum())
        if g < 3:
            continue
        own, far = between[np.ix_(mine, mine)].sum(axis=1), between[np.ix_(mine, other)].sum(axis=1)
        sizes, n = s[mine], s[mine].sum()
        left, pairs = n - sizes, n**2 - (sizes**2).sum()
        # Pairs of the other side are the same whichever block is left out, so they drop out of the spread.
        within = (own.sum() - 2 * own) / (pairs - 2 * sizes * left)
        without = 2 * (far.sum() - far) / (left * s[other].sum()) - within
        variance += (g - 1) / g * float(((without - without.mean()) ** 2).sum())
    return float(np.sqrt(variance))


class EnergyDetector:
    """Energy distance with a permutation p-value over blocks, as subject ``embeddings``.

    A rank-free test without a bandwidth to choose; on sentence embeddings it finds what a Gaussian kernel of median
    bandwidth finds. The interval is the distance ± 1.96 jackknife errors, at least the spread under exchange.

    permutations, refined  exchanges drawn; ``refined`` when fewer than 30 reach the observed value
    max_rows               rows used on each side at most, drawn by ``rng``
    minimum                rows needed on each side
    segments               values of each segment field at most
    """

    def __init__(
        self,
        permutations: int = 999,
        refined: int = 9_999,
        max_rows: int = 2_000,
        minimum: int = 20,
        segments: int = 20,
    ) -> None:
        self._limits = Limits(permutations, refined, max_rows, minimum, segments)

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: there is no bandwidth."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        return [
            self._measurement(between_blocks(one.vectors, one.sides), one.sides, one.segment, rng)
            for one in each_pooled(reference, current, self._limits, rng)
        ]

    def _measurement(self, between: FloatArray, sides: Sides, segment: str, rng: np.random.Generator) -> Measurement:
        sizes = sides.sizes

        def statistic(labels: npt.NDArray[np.float32]) -> FloatArray:
            return energy_distances(between, sizes, labels)

        effect = float(statistic(sides.truth)[0])
        spread = float(sides.drawn(statistic, 200, rng).std())
        margin = 1.96 * max(jackknife_error(between, sides), spread)
        p = sides.p_value(statistic, rng, self._limits.permutations, self._limits.refined, tolerance=1e-4)
        n, m = len(sides.reference.codes), len(sides.current.codes)
        return Measurement(
            "energy", "embeddings", effect, effect - margin, effect + margin, p, n, m, segment, sides.detail
        )
