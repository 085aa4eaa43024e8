"""Herding towards all traffic, the strongest plain baseline; and coverage of the drift mass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection.drift_mass import kernel_block, kernel_mean
from monitor.selection.herding import herd
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import open_rows, seen, stretches
from monitor.values import FloatArray, Vectors

__all__ = ["DriftCoverageStrategy", "KernelHerdingStrategy", "covering"]

_TOGETHER = 16
_SPENT = 0.02
_IDLE = 1e-3


def covering(
    vectors: Vectors,
    value: FloatArray,
    eligible: Rows,
    count: int,
    h: float,
    before: Vectors,
    spent: float = _SPENT,
) -> list[int]:
    """Greedy facility location: pick after pick, the row that most raises sum_z value(z) max over picked x of k(x, z).

    The sum is submodular, so greedy reaches 1 - 1/e of the best (Nemhauser, Wolsey & Fisher, 1978), and gains only shrink: most
    rows are never looked at again (Minoux, "Accelerated greedy algorithms", 1978).

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    value : (n,) float64 >= 0, what covering each row is worth; less than a thousandth of the highest counts as nothing
    eligible : positions that may be picked
    h : bandwidth of the kernel, > 0
    before : (m, d) float32, what covers already
    spent : stop when the next gain is below this share of the highest gain with nothing covered, in [0, 1]

    Returns
    -------
    positions, first pick first; ties go to the lower position
    """
    worth = np.flatnonzero(value > _IDLE * value.max(initial=0.0))
    if not len(eligible) or not len(worth):
        return []
    targets, weights, pool = vectors[worth], value[worth].astype(np.float32), vectors[eligible]
    covered = np.zeros(len(worth), dtype=np.float32)
    gains = _gains(pool, targets, weights, covered, h)
    floor = spent * float(gains.max())
    for part in stretches(len(worth), len(before)) if len(before) else ():
        covered[part] = kernel_block(targets[part], before, h).max(axis=1)
    picks: list[int] = []
    while len(picks) < min(count, len(eligible)):
        best = _best(gains, pool, targets, weights, covered, h)
        if not gains[best] > floor:
            break
        picks.append(best)
        gains[best] = -np.inf
        covered = np.maximum(covered, kernel_block(pool[best : best + 1], targets, h)[0])
    return [int(row) for row in eligible[picks]]


def _best(gains: FloatArray, pool: Vectors, targets: Vectors, weights: Vectors, covered: Vectors, h: float) -> int:
    """The row with the highest gain now; ``gains`` holds bounds and is brought up to date where that may decide."""
    current = np.isneginf(gains)
    while True:
        best = int(gains.argmax())
        if current[best]:
            return best
        k = min(_TOGETHER, len(gains))
        stale = np.sort(np.argpartition(-gains, k - 1)[:k])
        stale = np.union1d(stale[~current[stale]], best)
        gains[stale] = np.minimum(gains[stale], _gains(pool[stale], targets, weights, covered, h))
        current[stale] = True


def _gains(rows: Vectors, targets: Vectors, weights: Vectors, covered: Vectors, h: float) -> FloatArray:
    found = np.zeros(len(rows))
    for part in stretches(len(rows), len(targets)):
        kernel = kernel_block(rows[part], targets, h)
        kernel -= covered
        np.maximum(kernel, 0.0, out=kernel)
        found[part] = kernel @ weights
    return found


class KernelHerdingStrategy:
    """Kernel herding towards all traffic, less what training records cover: the picks are a small copy of the traffic."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        vectors, h = pool.vectors, pool.bandwidth
        known, weights = seen(pool)
        # The density among the others: what a record adds to its own is the same for all.
        attraction = pool.mass.in_window - 0.2 * kernel_mean(vectors, known, h, weights)
        return herd(vectors, attraction, np.ones(len(vectors)), open_rows(pool, taken), count, h, taken)


class DriftCoverageStrategy:
    """Drift coverage: the records that together are near to most of the need; ends when what is left is not worth a label."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        before = pool.vectors[taken]
        if pool.answers is not None:
            before = np.concatenate([before, pool.answers.data.vectors])
        value = pool.need * pool.window.weights
        return covering(pool.vectors, value, open_rows(pool, taken), count, pool.bandwidth, before)
