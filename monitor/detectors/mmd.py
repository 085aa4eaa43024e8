"""Maximum mean discrepancy between reference and window, over all rows and within predicted classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.detectors.kernels import centred_kernel, gaussian_kernel, median_squared_distance
from monitor.detectors.permutation import at_least, corrected, labellings
from monitor.detectors.segments import Rows, check_comparable, each_segment, equalised, ordered
from monitor.detectors.strata import compare, shared_classes
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["MmdDetector", "Stratum", "class_strata", "mmd2_unbiased", "permuted_mmd2"]

_FITTED = "mmd.median_squared_distance"
_ENOUGH_HELD_OUT = 1_000


def mmd2_unbiased(x: Vectors, y: Vectors, gamma: float) -> float:
    """Unbiased squared maximum mean discrepancy of two samples under the Gaussian kernel.

    Gretton et al., "A kernel two-sample test", JMLR 13, 2012, equation 3.

    Parameters
    ----------
    x, y : (n, d) and (m, d) float32, n and m >= 2
    gamma : inverse squared length of the kernel, > 0

    Returns
    -------
    in (-2, 2]; 0 on average when both come from one distribution, so it can be negative
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"unbiased MMD needs 2 rows on each side, not {n} and {m}")
    xx, yy = gaussian_kernel(x, x, gamma), gaussian_kernel(y, y, gamma)
    np.fill_diagonal(xx, 0.0)
    np.fill_diagonal(yy, 0.0)
    cross = gaussian_kernel(x, y, gamma).mean(dtype=np.float64)
    within = xx.sum(dtype=np.float64) / (n * (n - 1)) + yy.sum(dtype=np.float64) / (m * (m - 1))
    return float(within - 2.0 * cross)


def permuted_mmd2(kernel: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]) -> FloatArray:
    """Unbiased MMD² of every labelling of the pooled rows, from one matrix product.

    With s a 0/1 column of n ones, s'Ks is the sum within one side; row sums give the rest.

    Parameters
    ----------
    kernel : (N, N) float32, symmetric, zero diagonal
    labels : (N, c) float32 of zeros and ones, the same number of ones in each column, at least 2 of either

    Returns
    -------
    (c,) float64
    """
    n = float(labels[:, 0].sum())
    m = len(kernel) - n
    rows = kernel.sum(axis=1, dtype=np.float64)
    one_side = np.einsum("ij,ij->j", labels, kernel @ labels, dtype=np.float64)
    touching = rows @ labels
    cross = touching - one_side
    other_side = rows.sum() - 2.0 * touching + one_side
    return np.asarray(one_side / (n * (n - 1)) + other_side / (m * (m - 1)) - 2.0 * cross / (n * m))


@dataclass(frozen=True, slots=True)
class Stratum:
    """Pooled rows that may be exchanged with each other.

    kernel (N, N) float32, symmetric, zero diagonal, the ``n`` reference rows first; at least 2 rows on each side
    """

    kernel: npt.NDArray[np.float32]
    n: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Reference and current rows."""
        return self.n, len(self.kernel) - self.n

    @property
    def observed(self) -> float:
        """Unbiased MMD² of the true labelling."""
        labels = (np.arange(len(self.kernel)) < self.n).astype(np.float32)[:, None]
        return float(permuted_mmd2(self.kernel, labels)[0])

    def permuted(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Unbiased MMD² of random labellings, (count,) float64."""
        return permuted_mmd2(self.kernel, labellings(self.n, len(self.kernel), count, rng))

    @property
    def variance(self) -> float:
        """Delete-one jackknife variance of the observed MMD², in closed form from row sums.

        Never too small on average (Efron and Stein, "The jackknife estimate of variance", Ann. Statist. 9, 1981): near
        no difference it is about twice the true variance.
        """
        n, m = self.sizes
        to_x = self.kernel[:, :n].sum(axis=1, dtype=np.float64)
        to_y = self.kernel[:, n:].sum(axis=1, dtype=np.float64)
        xx, yy, xy = to_x[:n].sum(), to_y[n:].sum(), to_y[:n].sum()
        return _spread(xx, yy, xy, to_x[:n], to_y[:n], n, m) + _spread(yy, xx, xy, to_y[n:], to_x[n:], m, n)


def _spread(xx: float, yy: float, xy: float, to_x: FloatArray, to_y: FloatArray, n: int, m: int) -> float:
    """Jackknife variance from leaving out each of the n rows of one side."""
    if n < 3:
        return 0.0
    without = (xx - 2 * to_x) / ((n - 1) * (n - 2)) + yy / (m * (m - 1)) - 2 * (xy - to_y) / ((n - 1) * m)
    return float((n - 1) / n * ((without - without.mean()) ** 2).sum())


def class_strata(x: Dataset, y: Dataset, gamma: float) -> list[Stratum]:
    """One stratum for each class with at least 2 rows on both sides; rows without a class are left out."""
    left, right = x.classes, y.classes
    strata = []
    for name in shared_classes(left, right):
        ours, theirs = x.vectors[left == name], y.vectors[right == name]
        strata.append(Stratum(centred_kernel(np.concatenate([ours, theirs]), gamma), len(ours)))
    return strata


class MmdDetector:
    """Unbiased MMD² with permutation p-values, as subjects ``embeddings`` and ``embeddings within classes``.

    ``embeddings`` compares the whole reference with the window. ``embeddings within classes`` compares rows of one
    predicted class with rows of the same class and permutes within classes: exact given the classes, so a window that
    merely holds more of one class leaves it alone. The two p-values are Holm-corrected for each other.

    Predictions on rows the model was trained on are too good, and bound its classes a little differently than in
    production. Out-of-fold predictions avoid that; with 1,000 protected rows that carry a prediction, those rows alone
    are the reference within classes. With fewer, all rows with a prediction or a label are: the rows win more power
    than their bias, measured to be on the safe side, costs.

    The interval is the effect ± 1.96 standard errors (:func:`~monitor.detectors.strata.compare`). It covers about 93 %,
    nearly all misses above it: MMD² is skewed, and its lower end errs on the safe side. Unequal weights thin the rows, see
    :func:`~monitor.detectors.segments.equalised`.

    permutations  labellings drawn for a p-value, all in one matrix product; ``refined`` when fewer than 10 reach the
                  observed value
    max_rows      rows used on each side at most, drawn by ``rng``
    minimum       rows needed on each side
    segments      values of each segment field at most
    """

    def __init__(
        self,
        permutations: int = 999,
        refined: int = 9_999,
        max_rows: int = 2_000,
        minimum: int = 20,
        segments: int = 20,
    ) -> None:
        at_least(permutations=(permutations, 19), minimum=(minimum, 2), segments=(segments, 0))
        at_least(refined=(refined, permutations), max_rows=(max_rows, minimum))
        self._permutations, self._refined = permutations, refined
        self._max_rows, self._minimum, self._segments = max_rows, minimum, segments

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """The kernel's bandwidth."""
        return {_FITTED: median_squared_distance(ordered(reference).vectors)}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        everything = reference.everything
        check_comparable(everything, current, self._minimum)
        gamma = 1.0 / (reference.fitted.get(_FITTED) or self.fit(everything)[_FITTED])
        theirs, ours = equalised(everything, rng), equalised(current, rng)
        honest = equalised(_with_honest_classes(reference, everything), rng)
        found = self._overall(theirs, ours, gamma, rng)
        for segment, measurement in self._within(honest, ours, gamma, rng).items():
            if segment in found:
                found[segment].append(measurement)
        return [m for tested in found.values() for m in corrected(tested)]

    def _overall(
        self, theirs: Dataset, ours: Dataset, gamma: float, rng: np.random.Generator
    ) -> dict[str, list[Measurement]]:
        found = {}
        for segment, x, y in each_segment(theirs, ours, self._minimum, self._segments):
            left, right = theirs.vectors[self._drawn(x, rng)], ours.vectors[self._drawn(y, rng)]
            pooled = Stratum(centred_kernel(np.concatenate([left, right]), gamma), len(left))
            found[segment] = [self._measurement("embeddings", segment, [pooled], rng)]
        return found

    def _within(self, theirs: Dataset, ours: Dataset, gamma: float, rng: np.random.Generator) -> dict[str, Measurement]:
        found = {}
        for segment, x, y in each_segment(theirs, ours, self._minimum, self._segments):
            left, right = theirs.take(self._drawn(x, rng)), ours.take(self._drawn(y, rng))
            strata = class_strata(left, right, gamma)
            if strata:
                found[segment] = self._measurement("embeddings within classes", segment, strata, rng)
        return found

    def _drawn(self, rows: Rows, rng: np.random.Generator) -> Rows:
        return rows if len(rows) <= self._max_rows else np.sort(rng.choice(rows, self._max_rows, replace=False))

    def _measurement(
        self, subject: str, segment: str, strata: Sequence[Stratum], rng: np.random.Generator
    ) -> Measurement:
        effect, error, p = compare(strata, self._permutations, rng, self._refined)
        n, m = np.sum([s.sizes for s in strata], axis=0).tolist()
        margin = 1.96 * error
        return Measurement("mmd", subject, effect, effect - margin, effect + margin, p, n, m, segment)


def _with_honest_classes(reference: Reference, everything: Dataset) -> Dataset:
    held_out = reference.protected.records.column("predicted").is_valid().to_numpy(zero_copy_only=False)
    return reference.protected.take(held_out) if held_out.sum() >= _ENOUGH_HELD_OUT else everything
