"""Uniform choice: the control that every other strategy has to beat, and the unbiased part of their batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection.pool import Pool, Rows

__all__ = ["RandomStrategy"]


class RandomStrategy:
    """Records of the window drawn uniformly, one of each group of near-duplicates."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        rows = rng.permutation(pool.rows)
        return [int(row) for row in rows[~np.isin(rows, taken)][:count]]
