"""Temporal consistency: records whose class flips back and forth among their neighbours in a session, or in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.selection import NotApplicable
from monitor.selection.disagreement import by_need
from monitor.selection.pool import Pool, Rows
from monitor.values import FloatArray, Vectors

__all__ = ["Around", "SequenceStrategy", "in_blocks", "in_time", "inconsistency"]

Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Around:
    """Who stands near whom.

    before, after  (n,) int64, the record just before and just after each, -1 for none
    pairs          (p, 2) int64, every two records that are neighbours, each pair once
    """

    before: Rows
    after: Rows
    pairs: Pairs


def in_blocks(blocks: Sequence[str | None], order: Rows, reach: int) -> Around:
    """Neighbours are records of one block at most ``reach`` places apart.

    Parameters
    ----------
    blocks : (n,) block of each record; one without stands alone
    order : positions in the order of time
    """
    places: dict[str, list[int]] = {}
    for row in order.tolist():
        block = blocks[row]
        if block is not None:
            places.setdefault(block, []).append(row)
    before, after = np.full(len(blocks), -1), np.full(len(blocks), -1)
    pairs = []
    for rows in places.values():
        before[rows[1:]], after[rows[:-1]] = rows[:-1], rows[1:]
        pairs += [(rows[i], other) for i in range(len(rows)) for other in rows[i + 1 : i + 1 + reach]]
    return Around(before, after, np.array(pairs, dtype=np.int64).reshape(-1, 2))


def in_time(vectors: Vectors, order: Rows, reach: int, similar: float) -> Around:
    """Neighbours are records at most ``reach`` places apart in time with at least this cosine.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    order : positions in the order of time
    """
    n = len(vectors)
    before, after = np.full(n, -1), np.full(n, -1)
    sorted_vectors, pairs = vectors[order], []
    for lag in range(1, min(reach, len(order) - 1) + 1):
        cosines = np.einsum("ij,ij->i", sorted_vectors[:-lag], sorted_vectors[lag:])
        near = np.flatnonzero(cosines >= similar - 1e-6)
        first, second = order[near], order[near + lag]
        pairs.append(np.column_stack([first, second]))
        # Shorter lags came before, and each record is first and second once at most in one lag.
        after[first] = np.where(after[first] < 0, second, after[first])
        before[second] = np.where(before[second] < 0, first, before[second])
    return Around(before, after, np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs]))


def inconsistency(labels: npt.NDArray[np.object_], around: Around) -> FloatArray:
    """How much each record takes part in flips back and forth: 0 without, else flips + share of neighbours with another label.

    A flip is a record whose neighbours just before and just after have the same label and it has another: a, b, a. Each of
    the three takes part; the one in the middle disagrees with its neighbours and so ranks first.

    Parameters
    ----------
    labels : (n,) object, none missing where there are neighbours

    Returns
    -------
    (n,) float64 >= 0
    """
    codes = np.unique(labels.astype(str), return_inverse=True)[1]
    whole = np.flatnonzero((around.before >= 0) & (around.after >= 0))
    before, after = around.before[whole], around.after[whole]
    odd = (codes[before] == codes[after]) & (codes[before] != codes[whole])
    flips, n = np.zeros(len(codes)), len(codes)
    for rows in (whole[odd], before[odd], after[odd]):
        flips += np.bincount(rows, minlength=n)
    ends = around.pairs.ravel()
    other = np.repeat(codes[around.pairs[:, 0]] != codes[around.pairs[:, 1]], 2)
    neighbours = np.bincount(ends, minlength=n)
    share = np.bincount(ends, other, minlength=n) / np.maximum(neighbours, 1)
    return np.where(flips > 0, flips + share, 0.0)


class SequenceStrategy:
    """Records whose predicted class flips back and forth: in one block, or, without blocks, among similar records in time.

    reach    places in order of time within which records are neighbours
    similar  cosine that neighbours need where records have no block
    """

    def __init__(self, reach: int = 5, similar: float = 0.8) -> None:
        if reach < 1:
            raise ValueError(f"reach is {reach}; give a whole number above 0, for example 5")
        if not -1 <= similar <= 1:
            raise ValueError(f"similar is {similar}; give a cosine from -1 to 1, for example 0.8")
        self._reach, self._similar = reach, similar

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        labels, times = pool.window.column("predicted"), pool.window.column("observed_at")
        rows = [i for i in range(len(labels)) if labels[i] is not None and times[i] is not None]
        if not rows:
            raise NotApplicable("no record of this window has both a predicted class and a time")
        order = np.array(sorted(rows, key=lambda i: (times[i], i)), dtype=np.int64)
        blocks = pool.window.column("block").tolist()
        if any(block is not None for block in blocks):
            around = in_blocks(blocks, order, self._reach)
        else:
            around = in_time(pool.vectors, order, self._reach, self._similar)
        return by_need(inconsistency(labels, around), pool, taken, count)
