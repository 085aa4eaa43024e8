"""What ranking strategies share: who may still be picked, what has been labelled already, and who is nearest to whom."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from monitor.selection.pool import Pool, Rows
from monitor.values import FloatArray, Vectors

__all__ = ["best_first", "cosines_to", "named", "nearest", "open_rows", "seen", "stretches"]

_PAIRS = 4_000_000


def open_rows(pool: Pool, taken: Rows) -> Rows:
    """Rows that may still be picked, in order."""
    return np.setdiff1d(pool.rows, taken)


def best_first(score: FloatArray, rows: Rows, count: int) -> list[int]:
    """The ``count`` of ``rows`` with the highest score, best first; ties go to the lower position.

    Parameters
    ----------
    score : (n,) float64 of all rows of the pool
    rows : positions to choose from, ascending
    """
    order = np.argsort(-score[rows], kind="stable")[: max(count, 0)]
    return [int(row) for row in rows[order]]


def seen(pool: Pool) -> tuple[Vectors, FloatArray]:
    """All that has been looked at before: training records and answers, (m, d), and their weights, (m,)."""
    if pool.answers is None:
        return pool.train.vectors, pool.train.weights
    parts = pool.train, pool.answers.data
    return np.concatenate([part.vectors for part in parts]), np.concatenate([part.weights for part in parts])


def stretches(rows: int, anchors: int) -> list[slice]:
    """Consecutive slices of ``rows``, so short that their products with all anchors take 16 MB."""
    step = max(1, _PAIRS // max(anchors, 1))
    return [slice(start, start + step) for start in range(0, rows, step)]


def nearest(rows: Vectors, anchors: Vectors) -> tuple[Rows, FloatArray]:
    """Position of the most similar anchor of each row, the first among equals, and the cosine.

    Parameters
    ----------
    rows : (n, d) float32, length one
    anchors : (m, d) float32, length one

    Returns
    -------
    (n,) int64 and (n,) float64 in [-1, 1]; -1 and -1.0 where there are no anchors
    """
    found, cosines = np.full(len(rows), -1), np.full(len(rows), -1.0)
    if not len(anchors):
        return found, cosines
    for part in stretches(len(rows), len(anchors)):
        similarity = rows[part] @ anchors.T
        found[part] = similarity.argmax(axis=1)
        cosines[part] = np.clip(similarity[np.arange(len(similarity)), found[part]], -1.0, 1.0)
    return found, cosines


def cosines_to(rows: Vectors, anchors: Vectors, place: int) -> FloatArray:
    """Cosine of each row with its ``place``-th most similar anchor, with the last where there are fewer; -1 without any.

    Returns
    -------
    (n,) float64 in [-1, 1]
    """
    found = np.full(len(rows), -1.0)
    k = min(place, len(anchors))
    if k < 1:
        return found
    for part in stretches(len(rows), len(anchors)):
        similarity = rows[part] @ anchors.T
        similarity.partition(len(anchors) - k, axis=1)
        found[part] = np.clip(similarity[:, len(anchors) - k], -1.0, 1.0)
    return found


def named(pool: Pool, ids: Collection[str]) -> tuple[Vectors, Rows]:
    """Vectors of the records with these ids, wherever they are: window, training, protected, answers; and their pool rows.

    Returns
    -------
    (e, d) float32, each id once at most, and the positions of those that are in the pool
    """
    wanted = set(ids)
    parts = [pool.window, pool.train, pool.protected, *([] if pool.answers is None else [pool.answers.data])]
    found: dict[str, Vectors] = {}
    for part in parts:
        for row, record in enumerate(part.ids):
            if record in wanted:
                found.setdefault(record, part.vectors[row])
    here: npt.NDArray[np.bool_] = np.array([record in wanted for record in pool.window.ids], dtype=bool)
    vectors = np.array([found[record] for record in sorted(found)], dtype=np.float32)
    return vectors.reshape(-1, pool.vectors.shape[1]), np.flatnonzero(here)
