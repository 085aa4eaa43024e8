"""Choice by similarity: farthest from training records (the kNN drift score), or nearest to given examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from monitor.selection import NotApplicable
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import best_first, cosines_to, named, open_rows, stretches
from monitor.values import FloatArray, Vectors

__all__ = ["KnnScoreStrategy", "SimilarStrategy", "likeness"]


def likeness(rows: Vectors, examples: Vectors, by: Literal["highest", "mean"] = "highest") -> FloatArray:
    """Highest or mean cosine of each row with the examples.

    Parameters
    ----------
    rows : (n, d) float32, length one
    examples : (e, d) float32, length one, e >= 1

    Returns
    -------
    (n,) float64 in [-1, 1]
    """
    if by == "mean":
        return np.asarray(rows @ examples.mean(axis=0, dtype=np.float64).astype(np.float32), dtype=np.float64)
    found = np.zeros(len(rows))
    for part in stretches(len(rows), len(examples)):
        found[part] = (rows[part] @ examples.T).max(axis=1)
    return np.clip(found, -1.0, 1.0)


class KnnScoreStrategy:
    """The kNN drift score: cosine distance to the k-th nearest training record, highest first. Drawn to junk.

    neighbours  k
    """

    def __init__(self, neighbours: int = 10) -> None:
        if neighbours < 1:
            raise ValueError(f"neighbours is {neighbours}; give a whole number above 0, for example 10")
        self._neighbours = neighbours

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        if not len(pool.train):
            raise NotApplicable("there are no training records to be far from")
        distance = 1.0 - cosines_to(pool.vectors, pool.train.vectors, self._neighbours)
        return best_first(distance, open_rows(pool, taken), count)


class SimilarStrategy:
    """More like these: the records most similar to given ones, which are not proposed themselves.

    examples  ids of records of the window, of the reference, or of earlier candidates that have a label
    by        ``highest``: similar to any of them; ``mean``: similar to all of them
    """

    def __init__(self, examples: Sequence[str], by: Literal["highest", "mean"] = "highest") -> None:
        if not examples:
            raise ValueError("examples is empty; give the id of at least one record")
        if by not in ("highest", "mean"):
            raise ValueError(f"by is {by!r}; give highest or mean")
        self._examples, self._by = frozenset(examples), by

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        vectors, here = named(pool, self._examples)
        if not len(vectors):
            raise NotApplicable(
                f"none of the {len(self._examples)} examples is a record of this window, of the reference or of the answers"
            )
        rows = np.setdiff1d(open_rows(pool, taken), here)
        return best_first(likeness(pool.vectors, vectors, self._by), rows, count)
