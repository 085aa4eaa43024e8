"""Kernel herding towards the drift mass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection.drift_mass import kernel_block, kernel_mean, luck
from monitor.selection.pool import Pool, Rows
from monitor.values import FloatArray, Vectors

__all__ = ["HerdingStrategy", "herd", "target_weights"]

_LUCK = 0.9


def target_weights(need: FloatArray, weights: FloatArray, drift: float = 0.6) -> FloatArray:
    """What herding steers towards: t(z) = (1 - b) w(z) / sum w + b w(z) need(z) / sum w need, with b = ``drift``.

    Parameters
    ----------
    need : (n,) float64 in [0, 1]
    weights : (n,) float64 >= 0, how many records each row stands for

    Returns
    -------
    (n,) float64 >= 0, sum 1; proportional to the weights alone where nothing is needed
    """
    traffic, needed = weights / max(weights.sum(), 1e-12), weights * need
    return np.asarray((1.0 - drift) * traffic + drift * (needed / needed.sum() if needed.sum() > 0 else traffic))


def herd(
    vectors: Vectors,
    attraction: FloatArray,
    shrink: FloatArray,
    eligible: Rows,
    count: int,
    h: float,
    taken: Rows | None = None,
) -> list[int]:
    """Greedy kernel herding: pick after pick, the row that most reduces what the target still misses.

    Pick s + 1 is argmax of attraction(x) shrink(x) - 0.8 acc(x) / (s + 1), with acc(x) the sum of k(x, picked).
    Chen, Welling & Smola, "Super-samples from kernel herding", UAI 2010.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    attraction : (n,) float64, kernel mean towards the target, less what training data already cover
    shrink : (n,) float64 in [0, 1)
    eligible : positions that may be picked
    count : most picks
    h : bandwidth of the kernel, > 0
    taken : positions that count as picked before

    Returns
    -------
    positions, first pick first; ties go to the lower position
    """
    pool, pull = vectors[eligible], (attraction * shrink)[eligible]
    before = vectors[eligible[:0] if taken is None else taken]
    covered = kernel_block(pool, before, h).sum(axis=1, dtype=np.float64)
    left, picks = np.ones(len(eligible), dtype=bool), []
    for step in range(min(count, len(eligible))):
        score = np.where(left, pull - 0.8 * covered / (len(before) + step + 1), -np.inf)
        best = int(score.argmax())
        picks.append(int(eligible[best]))
        left[best] = False
        covered += kernel_block(pool, pool[best : best + 1], h)[:, 0]
    return picks


class HerdingStrategy:
    """Drift herding: records that stand for traffic the reference does not explain.

    A record is proposed only when its excess mass is above what nine in ten records of calm traffic show by luck in a
    window of this size, so the batch ends when the need is spent.

    drift  share of the target that is drift mass, the rest being all traffic
    """

    def __init__(self, drift: float = 0.6) -> None:
        if not 0 <= drift <= 1:
            raise ValueError(f"drift is {drift}; give a share from 0 to 1, for example 0.6")
        self._drift = drift

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        window, train, h = pool.window, pool.train, pool.bandwidth
        floor = luck(*pool.reference, len(window), pool.mass.typical, h, rng, _LUCK)
        eligible = np.setdiff1d(pool.rows[pool.mass.excess[pool.rows] > floor], taken)
        target, attraction = target_weights(pool.need, window.weights, self._drift), np.zeros(len(window))
        towards = kernel_mean(window.vectors[eligible], window.vectors, h, target)
        attraction[eligible] = towards - 0.2 * kernel_mean(window.vectors[eligible], train.vectors, h, train.weights)
        return herd(window.vectors, attraction, pool.mass.shrink, eligible, count, h, taken)
