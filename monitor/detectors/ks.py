"""Kolmogorov-Smirnov tests on principal directions and on the distance to the nearest training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.permutation import at_least, corrected
from monitor.detectors.ranks import RankStratum, compare_ranks, rank_strata
from monitor.detectors.segments import check_comparable, each_segment, equalised, ordered
from monitor.detectors.sides import Labels, Sides, design_effects
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["KsDetector", "ks_over_blocks", "novelty", "principal_directions", "two_sample_ks"]

_DEAD = 1e-6
_EXACT_ROWS = 500
_CHUNK = 1_024
_GRID = 256


def principal_directions(train: Vectors, count: int) -> npt.NDArray[np.float64]:
    """Unit directions of largest variance, largest first.

    Dimensions and directions whose standard deviation is below 1e-6 hold nothing but rounding and are left out.

    Parameters
    ----------
    train : (n, d) float32, n >= 2
    count : directions wanted

    Returns
    -------
    (k, d) float64, k <= count; each direction's largest entry is positive
    """
    rows = train.astype(np.float64)
    rows -= rows.mean(axis=0)
    rows[:, rows.std(axis=0) < _DEAD] = 0.0
    variances, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    alive = [i for i in range(len(variances) - 1, -1, -1) if variances[i] > _DEAD**2][:count]
    directions = axes[:, alive].T
    largest = np.abs(directions).argmax(axis=1)
    return np.asarray(directions * np.sign(directions[np.arange(len(alive)), largest])[:, None])


def novelty(rows: Vectors, train: Vectors, neighbours: int) -> FloatArray:
    """Mean cosine distance to the nearest training rows.

    Parameters
    ----------
    rows, train : (n, d) and (t, d) float32 unit rows that share no record
    neighbours : how many of the nearest count; all of them when there are fewer

    Returns
    -------
    (n,) float64 in [0, 2]
    """
    k = min(neighbours, len(train))
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        cosines = rows[start : start + _CHUNK] @ train.T
        distances[start : start + _CHUNK] = 1.0 - np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
    # Rounded, so that equal rows stay ties whatever the order of sums was.
    return np.round(distances, 6)


def two_sample_ks(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Largest distance D between two distribution functions, the half-width of its 95 % interval, and p.

    While one side has at most 500 rows the p-value is exact, and conservative when there are ties; above that the
    asymptotic one is good. The half-width is the Dvoretzky-Kiefer-Wolfowitz-Massart bound for both samples together, which covers the true
    distance whatever the distributions are (Wei and Dudley, "Two-sample DKW inequalities", 2012).

    Returns
    -------
    D in [0, 1], half-width > 0, p in (0, 1]
    """
    method: Literal["exact", "asymp"] = "exact" if min(len(x), len(y)) <= _EXACT_ROWS else "asymp"
    found = stats.ks_2samp(x, y, method=method)
    half_width = np.sqrt(np.log(2 / 0.05) / 2 * (1 / len(x) + 1 / len(y)))
    return float(found.statistic), float(half_width), float(np.clip(found.pvalue, 1e-300, 1.0))


def ks_over_blocks(
    x: FloatArray, y: FloatArray, sides: Sides, rng: np.random.Generator, permutations: int, refined: int
) -> tuple[float, float, float | None]:
    """KS distance, half-width of its 95 % interval, and a p-value from exchanging whole blocks, exact with ties too.

    The p-value is that of the largest distance over at most 256 pooled values. The half-width is that of
    :func:`two_sample_ks` with each side's rows divided by their design effect.

    Parameters
    ----------
    x, y : (n,) and (m,) float64, in the order of the sides' rows

    Returns
    -------
    D in [0, 1], half-width > 0, p in (0, 1], or ``None`` with fewer than 20 blocks on a side
    """
    pooled = np.concatenate([x, y])
    grid = np.unique(np.quantile(pooled, np.linspace(0, 1, _GRID), method="inverted_cdf"))
    cells = np.searchsorted(grid, pooled)
    shape = (sides.count, len(grid))
    table = sparse.csr_array((np.ones(len(pooled)), (sides.codes, cells)), shape=shape)
    every = np.cumsum(np.bincount(cells, minlength=len(grid)))[:, None]

    def distance(labels: Labels) -> FloatArray:
        ours = np.asarray(table.T @ labels)
        # Faster than cumsum, which goes down the columns.
        for below, mine in pairwise(ours):
            np.add(below, mine, out=mine)
        theirs = every - ours
        ours /= ours[-1].copy()
        theirs /= theirs[-1].copy()
        ours -= theirs
        return np.asarray(np.maximum(ours.max(axis=0), -ours.min(axis=0)))

    effects = [_spread_of(table[: sides.reference.count], sides.reference)]
    effects.append(_spread_of(table[sides.reference.count :], sides.current))
    half_width = np.sqrt(np.log(2 / 0.05) / 2 * (effects[0] / len(x) + effects[1] / len(y)))
    p = sides.p_value(distance, rng, permutations, refined)
    return _farthest(x, y, pooled), float(half_width), p


def _farthest(x: FloatArray, y: FloatArray, pooled: FloatArray) -> float:
    """The KS distance as ``scipy.stats.ks_2samp`` gives it, without its p-value."""
    ours, theirs = (np.searchsorted(np.sort(one), pooled, side="right") / len(one) for one in (x, y))
    apart = ours - theirs
    return float(max(np.clip(-apart.min(), 0, 1), apart.max()))


def _spread_of(table: sparse.csr_array, blocks: Blocks) -> float:
    if blocks.count == len(blocks.codes):
        return 1.0
    counts = np.cumsum(table.toarray(), axis=1)
    return float(design_effects(counts, blocks.sizes.astype(np.float64)).mean())


class KsDetector:
    """KS tests, as subjects ``direction 1``, ``direction 2``, ... and ``novelty``; effect is the KS distance in [0, 1].

    A further subject, ``novelty within classes``, asks whether current rows lie further from the training rows than
    protected rows of the same predicted class: a stratified rank test whose labels are permuted within classes, so that a
    swing of classes leaves it alone. Its effect is Cliff's delta averaged over classes, in [-1, 1].

    Directions and nearest neighbours come from the training rows alone, and protected rows are compared with current
    ones: neither side has been seen, so without drift they are exchangeable. With fewer than ``minimum`` protected rows a
    random quarter of the training rows takes their place. Every p-value is corrected for the others of its segment, so each
    may be read alone: half of the error goes to the directions, which mostly explain, and half to novelty, which
    finds what no direction shows; Holm's method within each half. Unequal weights thin the compared rows.

    Where every row stands alone the p-values of KS distances are those of Kolmogorov and Smirnov; where rows come in
    blocks, whole blocks are exchanged, and with fewer than 20 blocks on a side there is none.

    A change of class balance moves directions, and ``novelty`` where classes differ in spread.

    directions  principal directions that are tested
    neighbours  training rows that count in the novelty of a row
    minimum     rows needed on each side
    segments    values of each segment field at most
    permutations  labellings drawn for a p-value; ``refined`` when fewer than 30 reach what was seen
    """

    def __init__(
        self,
        directions: int = 10,
        neighbours: int = 5,
        minimum: int = 20,
        segments: int = 20,
        permutations: int = 999,
        refined: int = 9_999,
    ) -> None:
        at_least(directions=(directions, 0), neighbours=(neighbours, 1), minimum=(minimum, 2), segments=(segments, 0))
        at_least(permutations=(permutations, 19), refined=(refined, permutations))
        self._directions, self._neighbours = directions, neighbours
        self._minimum, self._segments = minimum, segments
        self._permutations, self._refined = permutations, refined

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: directions are cheap to find again."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        check_comparable(reference.everything, current, self._minimum)
        ruler, held_out = self._split(reference, rng)
        theirs, ours = equalised(held_out, rng), equalised(current, rng)
        x, y = self._numbers(ruler.vectors, theirs.vectors), self._numbers(ruler.vectors, ours.vectors)
        x_classes, y_classes = theirs.classes, ours.classes
        every = Sides(blocks_of(theirs), blocks_of(ours))
        found: list[Measurement] = []
        for segment, left, right in each_segment(theirs, ours, self._minimum, self._segments):
            sides = every.among(left, right)
            *directions, novel = [
                self._distance(subject, x[subject][left], y[subject][right], sides, segment, rng) for subject in x
            ]
            further, far = [novel], (x["novelty"][left], y["novelty"][right])
            strata = rank_strata(*far, (x_classes[left], y_classes[right]), sides)
            if strata:
                further.append(self._within(strata, sides, segment, rng))
            halves = 2 if directions else 1
            found += corrected(directions, times=halves) + corrected(further, times=halves)
        return found

    def _distance(
        self, subject: str, x: FloatArray, y: FloatArray, sides: Sides, segment: str, rng: np.random.Generator
    ) -> Measurement:
        found: tuple[float, float, float | None]
        if sides.single and sides.testable:
            found = two_sample_ks(x, y)
        else:
            found = ks_over_blocks(x, y, sides, rng, self._permutations, self._refined)
        effect, half_width, p = found
        detail = {"median_reference": float(np.median(x)), "median_current": float(np.median(y))} | dict(sides.detail)
        low, high = max(0.0, effect - half_width), min(1.0, effect + half_width)
        return Measurement("ks", subject, effect, low, high, p, len(x), len(y), segment, detail)

    def _within(
        self, strata: Sequence[RankStratum], sides: Sides, segment: str, rng: np.random.Generator
    ) -> Measurement:
        effect, error, p = compare_ranks(strata, sides, rng, self._permutations, self._refined)
        low, high = max(-1.0, effect - 1.96 * error), min(1.0, effect + 1.96 * error)
        n, m = sum(len(s.x) for s in strata), sum(len(s.y) for s in strata)
        return Measurement("ks", "novelty within classes", effect, low, high, p, n, m, segment, sides.detail)

    def _split(self, reference: Reference, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
        train = ordered(reference.train)
        if len(reference.protected) >= self._minimum and len(train) >= 2:
            return train, reference.protected
        rows = ordered(reference.everything)
        held_out = max(self._minimum, len(rows) // 4)
        if len(rows) < held_out + 2:
            raise ValueError(
                f"{len(rows)} reference rows are too few to hold some out; at least {self._minimum + 2} are needed"
            )
        mixed = rng.permutation(len(rows))
        return rows.take(np.sort(mixed[held_out:])), rows.take(np.sort(mixed[:held_out]))

    def _numbers(self, ruler: Vectors, rows: Vectors) -> dict[str, FloatArray]:
        directions = principal_directions(ruler, self._directions)
        projected = np.round(rows.astype(np.float64) @ directions.T, 6)
        columns = {f"direction {i + 1}": projected[:, i] for i in range(len(directions))}
        return columns | {"novelty": novelty(rows, ruler, self._neighbours)}
