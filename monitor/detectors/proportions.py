"""Counts of classes in two samples: chi-square, total variation distance, intervals of shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.values import FloatArray

__all__ = [
    "Counted",
    "chi_square",
    "chi_square_tail",
    "newcombe",
    "random_tables",
    "total_variation",
    "variation_interval",
]

Counted = npt.NDArray[np.int64]

_Z = 1.959963984540054


def _wilson(successes: int, n: int) -> tuple[float, float]:
    share = successes / n
    centre = share + _Z**2 / (2 * n)
    spread = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return float((centre - spread) / (1 + _Z**2 / n)), float((centre + spread) / (1 + _Z**2 / n))


def newcombe(a: int, n: int, b: int, m: int) -> tuple[float, float]:
    """95 % interval of the difference b/m - a/n of two shares, by Newcombe's hybrid of Wilson intervals.

    Good for small counts, zero included. Newcombe, "Interval estimation for the difference between independent
    proportions", Statist. Med. 17, 1998, method 10.

    Returns
    -------
    low and high, -1 <= low <= b/m - a/n <= high <= 1
    """
    p, q = a / n, b / m
    p_low, p_high = _wilson(a, n)
    q_low, q_high = _wilson(b, m)
    low = q - p - np.hypot(q - q_low, p_high - p)
    high = q - p + np.hypot(q_high - q, p - p_low)
    return float(max(low, -1.0)), float(min(high, 1.0))


def chi_square(current: npt.NDArray[np.int64], totals: Counted) -> FloatArray:
    """Pearson's statistic of 2 x k tables with the same margins.

    Parameters
    ----------
    current : (..., k) counts of one row, all with the same sum
    totals : (k,) counts of both rows together, > 0

    Returns
    -------
    (...) float64, >= 0
    """
    n = totals.sum()
    m = current[..., :].sum(axis=-1, keepdims=True)
    expected = totals * (m / n)
    return np.asarray(((current - expected) ** 2 / expected).sum(axis=-1) * (n / (n - m[..., 0])))


def random_tables(totals: Counted, m: int, count: int, rng: np.random.Generator) -> Counted:
    """Class counts of ``m`` rows drawn without replacement, ``count`` times: what permuting rows would give.

    Returns
    -------
    (count, k) int64
    """
    return np.asarray(rng.multivariate_hypergeometric(totals, m, size=count, method="marginals"))


def total_variation(reference: FloatArray, current: FloatArray) -> FloatArray:
    """Half the sum of differences of shares: the share of traffic that changed class.

    Parameters
    ----------
    reference, current : (..., k) counts; each row has a sum > 0

    Returns
    -------
    (...) float64 in [0, 1]
    """
    p = reference / reference.sum(axis=-1, keepdims=True)
    q = current / current.sum(axis=-1, keepdims=True)
    return np.asarray(np.abs(p - q).sum(axis=-1) / 2)


def held_out_variation(reference: Counted, current: Counted, rng: np.random.Generator, splits: int = 100) -> float:
    """Total variation distance without the share that sampling alone would show.

    The plain distance of two samples is far from 0 without drift, and the more so the more classes there are. So rows
    are halved at random: one half picks the classes that seem to have grown (by half a standard error), the other says
    by how much, and the other way round. No set of classes grows by more than the total variation distance, so
    the mean of this is at most the true distance, close to it for a change that is larger than noise, and 0 without one.

    Parameters
    ----------
    reference, current : (k,) counts, each with a sum of at least 2

    Returns
    -------
    in [-1, 1]
    """
    n, m = int(reference.sum()), int(current.sum())
    x, y = random_tables(reference, n // 2, splits, rng), random_tables(current, m // 2, splits, rng)
    halves = [(x, y), (reference - x, current - y)]
    found = 0.0
    for (a, b), (u, v) in (halves, halves[::-1]):
        na, nb = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
        error = np.sqrt((a + b + 0.5) / (na + nb) * (1 / na + 1 / nb))
        grown = b / nb - a / na > 0.5 * error
        found += float(np.where(grown, v / v.sum(axis=1, keepdims=True) - u / u.sum(axis=1, keepdims=True), 0).sum())
    return found / (2 * splits)


def variation_interval(
    reference: Counted, current: Counted, rng: np.random.Generator, resamples: int = 1_000
) -> tuple[float, float, float]:
    """Total variation distance with a 95 % interval that errs on the safe side at both ends.

    The estimate is :func:`held_out_variation`, at least 0, and the lower end lies below it by the spread of resampling
    both sides; the upper end lies above the plain distance, which is too large, by that spread.

    Returns
    -------
    estimate, low, high: 0 <= low <= estimate <= high <= 1
    """
    n, m = int(reference.sum()), int(current.sum())
    plain = float(total_variation(reference.astype(float), current.astype(float)))
    resampled = total_variation(
        rng.multinomial(n, reference / n, size=resamples).astype(float),
        rng.multinomial(m, current / m, size=resamples).astype(float),
    )
    below, above = np.quantile(resampled, [0.025, 0.975]) - resampled.mean()
    estimate = max(0.0, held_out_variation(reference, current, rng))
    return estimate, float(max(0.0, estimate + below)), float(np.clip(plain + above, estimate, 1.0))


def chi_square_tail(statistic: float, classes: int) -> float:
    """Asymptotic p-value of :func:`chi_square`, in (0, 1]."""
    return float(np.clip(stats.chi2.sf(statistic, classes - 1), 1e-300, 1.0))
