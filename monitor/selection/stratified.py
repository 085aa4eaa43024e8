"""Stratified choice: shares of the batch for each class or segment, at random within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.selection import NotApplicable
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import nearest, open_rows
from monitor.values import SEGMENT_PREFIX, FloatArray

__all__ = ["StratifiedStrategy", "in_shares"]


def in_shares(strata: Rows, shares: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Draw from strata in these proportions, at random within each; what a stratum cannot fill goes to the others.

    The next draw goes to the stratum with the highest share / (2 drawn + 1) (Webster / Sainte-Laguë), so every beginning of the
    list has the proportions too. Among equals the order is drawn.

    Parameters
    ----------
    strata : (n,) int64 in [0, s), stratum of each row
    shares : (s,) float64 > 0, relative to each other

    Returns
    -------
    positions, first drawn first
    """
    mixed = rng.permutation(len(strata))
    turn = rng.permutation(len(shares))
    queues = [mixed[strata[mixed] == stratum].tolist() for stratum in range(len(shares))]
    drawn = np.zeros(len(shares), dtype=np.int64)
    found: list[int] = []
    left = np.array([len(queue) for queue in queues], dtype=np.int64)
    while len(found) < min(count, len(strata)):
        claim = np.where(left > drawn, shares / (2 * drawn + 1), -np.inf)
        stratum = int(turn[claim[turn].argmax()])
        found.append(int(queues[stratum][drawn[stratum]]))
        drawn[stratum] += 1
    return found


class StratifiedStrategy:
    """Some of every class or segment. Records without a value are a stratum of their own.

    by      ``predicted``, ``nearest_label`` (that of the most similar training record), or the name of a segment
    shares  ``equal`` for every stratum, or ``proportional`` to its traffic
    """

    def __init__(self, by: str = "predicted", shares: Literal["equal", "proportional"] = "equal") -> None:
        if shares not in ("equal", "proportional"):
            raise ValueError(f"shares is {shares!r}; give equal or proportional")
        self._by, self._shares = by, shares

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        values, rows = self._values(pool), open_rows(pool, taken)
        if all(value is None for value in values):
            raise NotApplicable(f"no record of this window has a value of {self._by}")
        names = {name: code for code, name in enumerate(sorted({v for v in values[rows] if v is not None}))}
        strata = np.array([names.get(value, len(names)) for value in values[rows]], dtype=np.int64)
        found, strata = np.unique(strata, return_inverse=True)
        shares = np.ones(len(found))
        if self._shares == "proportional":
            everyone = np.array([names.get(value, len(names)) for value in values], dtype=np.int64)
            shares = np.bincount(everyone, pool.window.weights, minlength=len(names) + 1)[found].astype(np.float64)
        return [int(row) for row in rows[in_shares(strata, shares, count, rng)]]

    def _values(self, pool: Pool) -> npt.NDArray[np.object_]:
        if self._by == "predicted":
            return pool.window.column("predicted")
        if self._by == "nearest_label":
            vectors, labels = pool.known
            if not len(vectors):
                raise NotApplicable("no training record has a label")
            return np.asarray(labels[nearest(pool.vectors, vectors)[0]])
        name = self._by.removeprefix(SEGMENT_PREFIX)
        if name not in pool.window.segments:
            raise NotApplicable(
                f"records have no segment {name}; they have {', '.join(pool.window.segments) or 'none'}"
            )
        return pool.window.column(SEGMENT_PREFIX + name)
