"""A random sample of production: the control that every other strategy has to beat, and the unbiased part of their batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection.pool import Pool, Rows

__all__ = ["RandomStrategy"]


class RandomStrategy:
    """Records of the window, each as likely as any record of production it stands for.

    Drawn one after another with chances in proportion to weight (Efraimidis & Spirakis, "Weighted random sampling with a reservoir",
    Information Processing Letters 97, 2006). A record that is drawn is shown by the one that stands for its near-duplicates.
    """

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        weights = pool.window.weights
        lots = rng.exponential(size=len(weights)) / np.maximum(weights, np.finfo(np.float64).tiny)
        shown = pool.leaders[np.argsort(lots, kind="stable")]
        first = np.sort(np.unique(shown, return_index=True)[1])
        found = shown[first]
        return [int(row) for row in found[~np.isin(found, taken)][:count]]
