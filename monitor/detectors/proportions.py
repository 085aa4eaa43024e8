"""Shares of classes in two samples: chi-square, total variation distance, intervals of shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.values import FloatArray

__all__ = [
    "Counted",
    "chi_square",
    "held_out_variation",
    "newcombe",
    "root_differences",
    "total_variation",
]

Counted = npt.NDArray[np.int64]

_Z = 1.959963984540054


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    centre = share + z**2 / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float((centre - spread) / (1 + z**2 / n)), float((centre + spread) / (1 + z**2 / n))


def newcombe(
    a: float,
    n: float,
    b: float,
    m: float,
    effects: tuple[float, float] = (1.0, 1.0),
    blocks: tuple[int, int] | None = None,
) -> tuple[float, float]:
    """95 % interval of the difference b/m - a/n of two shares, by Newcombe's hybrid of Wilson intervals.

    Good for small counts, zero included. Newcombe, "Interval estimation for the difference between independent
    proportions", Statist. Med. 17, 1998, method 10. Rows in blocks count as ``n`` / design effect rows, and Student's
    quantile stands for the normal one, as Korn and Graubard do for one share ("Confidence intervals for proportions with
    small expected number of positive counts", Survey Methodology 24, 1998).

    Parameters
    ----------
    effects : design effects of both sides, >= 1, see :func:`~monitor.detectors.sides.design_effects`
    blocks : number of blocks of both sides; ``None`` when rows are independent

    Returns
    -------
    low and high, -1 <= low <= b/m - a/n <= high <= 1
    """
    p, q = a / n, b / m
    z = (_Z, _Z) if blocks is None else tuple(float(stats.t.ppf(0.975, max(g - 1, 1))) for g in blocks)
    p_low, p_high = _wilson(p, n / effects[0], z[0])
    q_low, q_high = _wilson(q, m / effects[1], z[1])
    low = q - p - np.hypot(q - q_low, p_high - p)
    high = q - p + np.hypot(q_high - q, p - p_low)
    return float(max(low, -1.0)), float(min(high, 1.0))


def chi_square(current: npt.NDArray[np.floating] | Counted, totals: Counted) -> FloatArray:
    """Squared differences of shares over pooled shares: Pearson's statistic without the factor n m / (n + m).

    With equal margins the factor is the same for all tables and the permutation test is Pearson's. With blocks the
    margins vary; leaving it out keeps the test on the safe side when one side alone comes in blocks.

    Parameters
    ----------
    current : (..., k) counts of the window
    totals : (k,) counts of both sides together, > 0

    Returns
    -------
    (...) float64, >= 0
    """
    n = totals.sum()
    m = current.sum(axis=-1, keepdims=True)
    differences = current / m - (totals - current) / (n - m)
    return np.asarray((differences**2 * (n / totals)).sum(axis=-1))


def root_differences(current: npt.NDArray[np.floating] | Counted, totals: Counted) -> FloatArray:
    """By how much each class has grown, in a scale where common and rare classes spread about equally.

    Differences of Anscombe's arcsine roots ("The transformation of Poisson, binomial and negative-binomial data",
    Biometrika 35, 1948).

    Parameters
    ----------
    current : (..., k) counts of the window
    totals : (k,) counts of both sides together

    Returns
    -------
    (..., k) float64 in [-pi/2, pi/2]
    """
    other = totals - current
    m, n = current.sum(axis=-1, keepdims=True), other.sum(axis=-1, keepdims=True)
    roots = np.arcsin(np.sqrt((current + 0.375) / (m + 0.75))) - np.arcsin(np.sqrt((other + 0.375) / (n + 0.75)))
    return np.asarray(roots)


def total_variation(reference: npt.NDArray[np.number], current: npt.NDArray[np.number]) -> FloatArray:
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


def held_out_variation(
    reference: tuple[FloatArray, FloatArray], current: tuple[FloatArray, FloatArray], effects: tuple[float, float]
) -> float:
    """Total variation distance without the share that sampling alone would show.

    The plain distance of two samples is far from 0 without drift, and the more so the more classes there are. So each
    side is halved at random: one half picks the classes that seem to have grown (by half a standard error), the other
    says by how much, and the other way round. No set of classes grows by more than the total variation distance, so
    the mean of this is at most the true distance, close to it for a change that is larger than noise, and 0 without one.

    Parameters
    ----------
    reference, current : two independent halves of each side, (splits, k) counts each
    effects : design effects of both sides, >= 1

    Returns
    -------
    in [-1, 1]
    """
    found = 0.0
    for first in (0, 1):
        a, b, u, v = reference[first], current[first], reference[1 - first], current[1 - first]
        na, nb = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
        error = np.sqrt((a + b + 0.5) / (na + nb) * (effects[0] / na + effects[1] / nb))
        grown = b / nb - a / na > 0.5 * error
        found += float(np.where(grown, v / v.sum(axis=1, keepdims=True) - u / u.sum(axis=1, keepdims=True), 0).sum())
    return found / (2 * len(reference[0]))
