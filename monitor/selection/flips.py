"""Flips between two models on labelled records, and how sure their rate is."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.selection.heads import Labels
from monitor.values import Dataset, Estimate

__all__ = [
    "compatibility",
    "needed",
    "negative_flips",
    "parts",
    "positive_flips",
    "predicted_rate",
    "rate_interval",
    "upper_bound",
]

Mask = npt.NDArray[np.bool_]

_KEY = b"protected part"
_QUIET = 1 / 3


def parts(protected: Dataset) -> tuple[Mask, Mask]:
    """The two halves of a protected set: A, on which the bonus is chosen and risk is taken, and B, on which flips are counted.

    By a keyed hash of each record's block, or of its id where it has none: the same in any row order, whatever rows are
    added, and one session is never in both. What B has to say is only worth something while nobody else looks at it.

    Returns
    -------
    (n,) bool each; every row is in one of them
    """
    blocks = protected.column("block")
    first = np.array(
        [
            hashlib.blake2b(str(record if block is None else block).encode(), key=_KEY, digest_size=8).digest()[0] < 128
            for record, block in zip(protected.ids, blocks, strict=True)
        ],
        dtype=bool,
    )
    return first, ~first


def negative_flips(truth: Labels, before: Labels, after: Labels) -> Mask:
    """Rows that the model before had right and the one after has wrong, (n,) bool.

    Yan et al., "Positive-congruent training: towards regression-free model updates", CVPR 2021.
    """
    return np.asarray((before == truth) & (after != truth), dtype=bool)


def positive_flips(truth: Labels, before: Labels, after: Labels) -> Mask:
    """Rows that the model before had wrong and the one after has right, (n,) bool."""
    return np.asarray((before != truth) & (after == truth), dtype=bool)


def compatibility(truth: Labels, before: Labels, after: Labels) -> float:
    """Backward trust compatibility: share of what the model before had right that the one after has right too.

    Bansal et al., "Updates in human-AI teams", AAAI 2019; 1 less the negative flip rate, NaN when nothing was right.
    """
    right = before == truth
    return float((after[right] == truth[right]).mean()) if right.any() else math.nan


def rate_interval(flips: float, right: float, sure: float = 0.95) -> Estimate:
    """Negative flip rate and its central Jeffreys interval: quantiles of Beta(flips + 1/2, right - flips + 1/2).

    Brown, Cai & DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001; the bound is 0
    without flips and 1 when all flipped, as they advise.

    Parameters
    ----------
    flips, right : counts, 0 <= flips <= right; ``right`` is how many records the model had right; weighted ones need not be whole
    sure : coverage in (0, 1)
    """
    _check_counts(flips, right)
    low, high = stats.beta.interval(sure, flips + 0.5, right - flips + 0.5)
    value = flips / right if right else 0.0
    return Estimate(value, 0.0 if flips == 0 else float(low), 1.0 if flips == right else float(high))


def predicted_rate(flips: int, right: int, future: int, sure: float = 0.95) -> Estimate:
    """What the rate will be on ``future`` other records that the model had right, drawn like the counted ones.

    Quantiles of the beta-binomial count under the Jeffreys posterior, over ``future``: wider than
    :func:`rate_interval`, for the other set has luck of its own. Counts are whole, so that it covers at least ``sure``.

    Parameters
    ----------
    flips, right : counts on records that nothing was tuned on
    future : records, at least 1

    Raises
    ------
    ValueError
        for impossible counts
    """
    _check_counts(flips, right)
    if future < 1:
        raise ValueError(f"future is {future}; say on how many records, at least 1, the rate will be looked at")
    count = stats.betabinom(future, flips + 0.5, right - flips + 0.5)
    low, high = count.ppf([(1 - sure) / 2, (1 + sure) / 2])
    return Estimate(flips / right if right else 0.0, float(low) / future, float(high) / future)


def upper_bound(flips: float, right: float, sure: float = 0.9) -> float:
    """One-sided Jeffreys bound of the rate: the ``sure`` quantile of Beta(flips + 1/2, right - flips + 1/2)."""
    return float(stats.beta.ppf(sure, flips + 0.5, right - flips + 0.5))


def needed(budget: float, sure: float = 0.95, quiet: float = _QUIET) -> int:
    """How many records that the model has right it takes to show that a refresh keeps a budget of negative flips.

    The smallest n at which a refresh that breaks a third of what is allowed passes: the one-sided ``sure`` Jeffreys bound
    at n budget / 3 flips is no more than the budget. About 5 / budget: 500 for 1 %, 1,000 for 0.5 %.

    Parameters
    ----------
    budget : negative flip rate allowed, in (0, 1)
    quiet : what a harmless refresh breaks, as a share of the budget, in [0, 1)
    """
    if not 0 < budget < 1:
        raise ValueError(f"a budget of {budget} negative flips says nothing; give a rate above 0 and below 1, as 0.01")
    low, high = 0, 1
    while upper_bound(high * budget * quiet, high, sure) > budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle * budget * quiet, middle, sure) > budget else (low, middle)
    return high


def _check_counts(flips: float, right: float) -> None:
    if not 0 <= flips <= right:
        raise ValueError(f"{flips} flips of {right} records that were right: count flips among those only")
