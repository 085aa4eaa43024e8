"""How much of each record's neighbourhood is production: what ranks records by how new they are."""

from __future__ import annotations

import numpy as np

from monitor.values import FloatArray, Vectors

__all__ = ["production_shares"]

_AT_ONCE = 1_024


def production_shares(reference: Vectors, current: Vectors, nearest: int = 30) -> FloatArray:
    """Of the nearest rows of both sides pooled, the row itself left out, the share that is production.

    Sides of different sizes are balanced: each neighbour counts as one over the rows of its side, so that 1/2 is expected
    without drift. k-nearest-neighbour two-sample statistic per record: Henze, Ann. Statist. 16, 1988.

    Parameters
    ----------
    reference, current : (n, d) and (m, d) float32 unit rows, n >= 1
    nearest : neighbours looked at; fewer when there are fewer rows

    Returns
    -------
    (m,) float64 in [0, 1]
    """
    n, m = len(reference), len(current)
    pooled = np.concatenate([reference, current])
    k = min(nearest, n + m - 1)
    if m < 2:
        return np.zeros(m)
    shares = np.empty(m)
    for start in range(0, m, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, m))
        cosines = current[rows] @ pooled.T
        cosines[np.arange(len(rows)), n + rows] = -np.inf
        found = np.argpartition(cosines, n + m - k, axis=1)[:, -k:]
        ours = (found >= n).sum(axis=1)
        shares[rows] = (ours / (m - 1)) / (ours / (m - 1) + (k - ours) / n)
    return shares
