"""Uniform choice: the control that every other strategy has to beat, and the unbiased part of their batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.pool import pool_of
from monitor.selection.proposals import candidates
from monitor.values import Candidate, Dataset, Reference

__all__ = ["RandomStrategy", "drawn"]

_NEAR_DUPLICATE = 0.97
_BANDWIDTH = 0.1


def drawn(rows: npt.NDArray[np.int64], count: int, rng: np.random.Generator) -> list[tuple[int, str]]:
    """At most ``count`` of the rows, each equally likely, with the name of the strategy."""
    return [(int(row), "random") for row in rng.permutation(rows)[:count]]


class RandomStrategy:
    """Records of the window drawn uniformly, one of each group of near-duplicates."""

    def select(
        self, reference: Reference, current: Dataset, budget: int, rng: np.random.Generator
    ) -> Sequence[Candidate]:
        """``budget`` candidates, fewer when the window holds fewer distinct records."""
        if budget < 1 or not len(current):
            return ()
        pool = pool_of(reference, current, _NEAR_DUPLICATE, _BANDWIDTH)
        return candidates(pool, drawn(pool.rows, budget, rng))
