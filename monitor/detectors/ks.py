"""Kolmogorov-Smirnov tests on principal directions and on the distance to the nearest training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.detectors.permutation import at_least, corrected, labellings
from monitor.detectors.segments import check_comparable, each_segment, equalised, ordered
from monitor.detectors.strata import compare, shared_classes
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["KsDetector", "RankStratum", "novelty", "principal_directions", "two_sample_ks"]

_DEAD = 1e-6
_EXACT_ROWS = 500
_CHUNK = 1_024


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


@dataclass(frozen=True, slots=True)
class RankStratum:
    """Numbers of both sides that may be exchanged; its statistic is Cliff's delta, P(y > x) - P(y < x).

    x, y (n,) and (m,) float64, n and m >= 2
    """

    x: FloatArray
    y: FloatArray

    @property
    def sizes(self) -> tuple[int, int]:
        """Reference and current numbers."""
        return len(self.x), len(self.y)

    @property
    def observed(self) -> float:
        """Cliff's delta in [-1, 1], 0 on average when both sides come from one distribution."""
        return float(self._delta(np.repeat([0.0, 1.0], self.sizes)[:, None])[0])

    @property
    def variance(self) -> float:
        """From placement values.

        DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
        characteristic curves", Biometrics 44, 1988.
        """
        signs = np.sign(self.y[:, None] - self.x[None, :])
        n, m = self.sizes
        return float(signs.mean(axis=0).var(ddof=1) / n + signs.mean(axis=1).var(ddof=1) / m)

    def permuted(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Cliff's delta of random labellings."""
        n, m = self.sizes
        return self._delta(labellings(m, n + m, count, rng))

    def _delta(self, labels: npt.NDArray[np.floating]) -> FloatArray:
        n, m = self.sizes
        ranks = stats.rankdata(np.concatenate([self.x, self.y]))
        return np.asarray(2 * (ranks @ labels - m * (m + 1) / 2) / (n * m) - 1)


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

    A change of class balance moves directions, and ``novelty`` where classes differ in spread.

    directions  principal directions that are tested
    neighbours  training rows that count in the novelty of a row
    minimum     rows needed on each side
    segments    values of each segment field at most
    permutations  labellings drawn for ``novelty within classes``; ``refined`` when fewer than 10 reach what was seen
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
        found: list[Measurement] = []
        for segment, left, right in each_segment(theirs, ours, self._minimum, self._segments):
            *directions, novel = [_distance(subject, x[subject][left], y[subject][right], segment) for subject in x]
            further, a, b = [novel], x_classes[left], y_classes[right]
            strata = [
                RankStratum(x["novelty"][left][a == c], y["novelty"][right][b == c]) for c in shared_classes(a, b)
            ]
            if strata:
                further.append(self._within(strata, segment, rng))
            halves = 2 if directions else 1
            found += corrected(directions, times=halves) + corrected(further, times=halves)
        return found

    def _within(self, strata: Sequence[RankStratum], segment: str, rng: np.random.Generator) -> Measurement:
        effect, error, p = compare(strata, self._permutations, rng, self._refined)
        low, high = max(-1.0, effect - 1.96 * error), min(1.0, effect + 1.96 * error)
        n, m = np.sum([s.sizes for s in strata], axis=0).tolist()
        return Measurement("ks", "novelty within classes", effect, low, high, p, n, m, segment)

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


def _distance(subject: str, x: FloatArray, y: FloatArray, segment: str) -> Measurement:
    effect, half_width, p = two_sample_ks(x, y)
    detail = {"median_reference": float(np.median(x)), "median_current": float(np.median(y))}
    low, high = max(0.0, effect - half_width), min(1.0, effect + half_width)
    return Measurement("ks", subject, effect, low, high, p, len(x), len(y), segment, detail)
