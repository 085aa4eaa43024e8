"""Two models on the same records: the interval of a difference by pairs, McNemar's test, shares of weighted records."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from monitor.selection.flips import rate_interval
from monitor.values import Estimate, FloatArray

__all__ = ["difference", "effective", "mcnemar", "share"]

_EDGE = 1e-12


def difference(better: float, worse: float, pairs: float, sure: float = 0.95) -> Estimate:
    """(better - worse) / pairs and its score interval by Tango: it covers as said also with few pairs and without any discordant one.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17, 1998; recommended by Fagerland, Lydersen & Laake, Statistics in Medicine 33, 2014.

    Parameters
    ----------
    better, worse : discordant pairs of either kind, at least 0; weighted ones need not be whole
    pairs : all pairs, at least better + worse and above 0
    sure : coverage in (0, 1)

    Raises
    ------
    ValueError
        for impossible counts
    """
    if better < 0 or worse < 0 or pairs <= 0 or better + worse > pairs * (1 + _EDGE):
        raise ValueError(
            f"{better} and {worse} of {pairs} pairs: discordant pairs are among the pairs, of which there is one"
        )
    z = float(stats.norm.ppf((1 + sure) / 2))
    value = (better - worse) / pairs

    def score(delta: float) -> float:
        spread = 2 * pairs
        linear = -better - worse + (2 * pairs - better + worse) * delta
        constant = -worse * delta * (1 - delta)
        likely = (math.sqrt(max(linear**2 - 4 * spread * constant, 0.0)) - linear) / (2 * spread)
        variance = pairs * (2 * likely + delta * (1 - delta))
        gap = better - worse - pairs * delta
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    bottom, top = -1 + _EDGE, 1 - _EDGE
    low = -1.0 if value <= bottom or score(bottom) <= z else optimize.brentq(lambda d: score(d) - z, bottom, value)
    high = 1.0 if value >= top or score(top) >= -z else optimize.brentq(lambda d: score(d) + z, value, top)
    return Estimate(value, float(low), float(high))


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p-value that a discordant pair is as likely of one kind as of the other; 1 without any.

    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947.
    """
    return float(stats.binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0


def effective(weights: FloatArray) -> float:
    """Kish's effective number of records: how many of equal weight would tell as much; 0 for none.

    Kish, "Survey Sampling", 1965.
    """
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def share(which: npt.NDArray[np.bool_], weights: FloatArray) -> Estimate | None:
    """Weighted share of the records that it is true of, with its 95 % interval; ``None`` for no records.

    Jeffreys' interval (:func:`monitor.selection.flips.rate_interval`) at Kish's effective number of records.
    """
    if not len(which):
        return None
    number = effective(weights)
    return rate_interval(number * float(weights[which].sum() / weights.sum()), number)
