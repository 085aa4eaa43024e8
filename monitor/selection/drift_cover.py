"""Drift cover: records whose neighbourhoods together hold most of the new traffic, counted again and again at a discount."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.badge import junk_veto
from monitor.selection.coverage import radius_of
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import open_rows, stretches
from monitor.values import FloatArray, Vectors

__all__ = ["DriftCoverStrategy", "cover_again", "cover_weights"]

_AGAIN = 0.2
_EVERYWHERE, _COMPANY = 0.05, 1.5
_ROUNDING = 1e-6
_ENOUGH, _ENOUGH_LATER = 0.05, 0.01
_WIDEST = 0.3


def cover_again(
    near: npt.NDArray[np.bool_], weights: FloatArray, count: int, again: float = _AGAIN, enough: float = 0.0
) -> list[int]:
    """Greedy coverage in which what is covered counts on, at a discount each time.

    Maximises sum_z w(z) (1 + again + ... + again^(c(z) - 1)), c(z) the number of picks that z is near to: a monotone submodular
    function, so that greedy picks reach at least 1 - 1/e of the best (Nemhauser, Wolsey & Fisher, Math. Programming 14, 1978). With
    ``again`` 0 it is ProbCover's objective; above 0 dense regions are visited more than once before scattered rows are at all.

    Parameters
    ----------
    near : (n, e) bool, which of n rows each of e eligible ones is near to
    weights : (n,) float64 >= 0
    count : most picks
    again : in [0, 1)
    enough : picks end when the next would add no more than this, in the unit of the weights

    Returns
    -------
    columns, first pick first; ties go to the lower one
    """
    left = weights.astype(np.float64).copy()
    gain = np.zeros(near.shape[1])
    for part in stretches(*near.shape):
        gain += left[part] @ near[part].astype(np.float32)
    picks: list[int] = []
    enough = max(enough, 1e-9 * float(left.sum()))
    while len(picks) < min(count, len(gain)):
        best = int(gain.argmax())
        if not gain[best] > enough:
            break
        picks.append(best)
        rows = np.flatnonzero(near[:, best])
        less = (1.0 - again) * left[rows]
        left[rows] -= less
        gain -= less @ near[rows].astype(np.float32)
        gain[best] = -np.inf
    return picks


def cover_weights(pool: Pool) -> FloatArray:
    """What covering each record is worth, (n,) float64 >= 0.

    Before labels w(z) need(z) pen(z). After them the refitted model's doubt tells what it still gets wrong, which it could not of
    topics it had never seen: w(z) pen(z)^1.5 (0.05 + ex(z)) doubt(z), times the junk veto.
    """
    weights, mass = pool.window.weights, pool.mass
    if pool.answers is None:
        return np.asarray(weights * pool.need * mass.shrink)
    doubt = np.nan_to_num(pool.doubt, nan=1.0)
    return np.asarray(weights * mass.shrink**_COMPANY * (_EVERYWHERE + mass.excess) * doubt * junk_veto(pool))


class DriftCoverStrategy:
    """Drift cover: the records that together are near to most of what the reference does not explain.

    A neighbourhood that is covered counts on at a fifth, and after the next pick at a fifth of that, so that a large topic gets
    several records before a stray text gets one. Useful labels of an earlier round count as picks. The batch ends when the next record
    would add less than a twentieth of what one record adds of which all is new; after labels, a hundredth, as doubt makes all weights smaller.

    radius  of a neighbourhood, cosine distance in (0, 2]; unless given, the largest up to 0.3 at which 95 % of the neighbourhoods
            of training records hold one label only
    again   what is covered already is worth, in [0, 1)
    """

    def __init__(self, radius: float | None = None, again: float = _AGAIN) -> None:
        if radius is not None and not 0 < radius <= 2:
            raise ValueError(f"radius is {radius}; give a cosine distance above 0 and up to 2, for example 0.25")
        if not 0 <= again < 1:
            raise ValueError(f"again is {again}; give a factor of 0 or more and below 1, for example 0.2")
        self._radius, self._again = radius, again

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        if count < 1 or not len(pool.rows):
            return []
        radius = min(radius_of(pool, rng), _WIDEST) if self._radius is None else self._radius
        weights, eligible = cover_weights(pool), open_rows(pool, taken)
        before = pool.vectors[taken]
        if pool.answers is not None:
            before = np.concatenate([before, pool.answers.data.vectors[pool.answers.useful]])
        weights *= self._again ** _near(pool.vectors, before, radius).sum(axis=1)
        enough = float(pool.window.weights.mean()) * (_ENOUGH if pool.answers is None else _ENOUGH_LATER)
        picks = cover_again(_near(pool.vectors, pool.vectors[eligible], radius), weights, count, self._again, enough)
        return [int(row) for row in eligible[picks]]


def _near(vectors: Vectors, centres: Vectors, radius: float) -> npt.NDArray[np.bool_]:
    """(n, c) bool."""
    found = np.empty((len(vectors), len(centres)), dtype=bool)
    for part in stretches(len(vectors), len(centres)):
        found[part] = vectors[part] @ centres.T >= 1.0 - radius - _ROUNDING
    return found
