"""Several statistics, one permutation test: the smallest of their p-values, calibrated by the same permutations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.detectors.permutation import CLEAR, FIRST
from monitor.values import FloatArray

__all__ = ["critical_level", "joint_p_value", "ranks", "sequential"]

_FEW = 30
_BATCH = 1_000


def ranks(statistics: FloatArray, tolerance: FloatArray | float = 0.0) -> FloatArray:
    """The permutation p-value each column would have in each row: the share of columns that reach it, ties and itself included.

    Parameters
    ----------
    statistics : (k, c), large when the sides differ
    tolerance : (k,) how far below still counts as reaching (rounding)

    Returns
    -------
    (k, c) float64 in [1/c, 1]
    """
    order = np.argsort(statistics, axis=1)
    slack = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), (len(statistics),))
    below = np.empty(statistics.shape, dtype=np.int64)
    for row, places, into, within in zip(statistics, order, below, slack, strict=True):
        ascending = row[places]
        into[places] = np.searchsorted(ascending, ascending - within, side="left")  # several times as fast in order
    return np.asarray(1.0 - below / statistics.shape[1])


def _standardised(statistics: FloatArray) -> FloatArray:
    spread = statistics.std(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (statistics - statistics.mean(axis=1, keepdims=True)) / spread
    return np.where(spread > 1e-12, z, 0.0)


def joint_p_value(statistics: FloatArray) -> float:
    """The p-value (b + 1)/(B + 1) of the first column among all, by the smallest p-value of its rows.

    Of columns with the same smallest p-value the one with the larger standardised statistic is more extreme: B permutations of
    several statistics give many equal smallest p-values. Ties count. Exact, because every column is treated alike (Schrab et al., "MMD
    aggregated two-sample test", JMLR 24, 2023, aggregate in this way).

    Parameters
    ----------
    statistics : (k, 1 + B), the observed values first

    Returns
    -------
    in [1/(B + 1), 1]
    """
    z = _standardised(statistics)
    smallest = ranks(z, 1e-5).min(axis=0)
    largest = z.max(axis=0)
    beyond = (smallest < smallest[0] - 1e-12) | ((smallest <= smallest[0] + 1e-12) & (largest >= largest[0] - 1e-5))
    return float(beyond.mean())


def critical_level(statistics: FloatArray, level: float = 0.05) -> float:
    """The p-value one row must reach so that the smallest of all rows does so with probability ``level`` under no difference."""
    return float(np.quantile(ranks(statistics).min(axis=0), level))


def sequential(
    draw: Callable[[int], FloatArray], observed: FloatArray, permutations: int, refined: int
) -> tuple[float, FloatArray]:
    """Draw labellings until the answer is clear.

    299 first: when more than a fifth of them are as extreme as what was observed, that is the answer. Else ``permutations`` in all,
    and ``refined`` in all when fewer than 30 are; with 10, a level of 1 % came out as 0.7 %. Exact: a p-value of at most u is
    given only when the stage it comes from gives one, and an earlier stage stops only at p-values larger than those it could
    still prevent (Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991).

    Parameters
    ----------
    draw : count -> (k, count) statistics under random labellings
    observed : (k,)
    permutations, refined : labellings

    Returns
    -------
    p in (0, 1], and (k, B) the statistics drawn
    """
    drawn = np.empty((len(observed), 0))
    p = 1.0
    for limit in (min(FIRST, permutations), permutations, refined):
        while limit > drawn.shape[1]:
            drawn = np.concatenate([drawn, draw(min(_BATCH, limit - drawn.shape[1]))], axis=1)
        p = joint_p_value(np.concatenate([observed[:, None], drawn], axis=1))
        if p > CLEAR or (limit >= permutations and p * (drawn.shape[1] + 1) - 1 >= _FEW):
            break
    return p, drawn
