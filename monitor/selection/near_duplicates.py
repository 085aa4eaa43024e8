"""Near-duplicates: one record stands for all that say the same in almost the same words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.values import Vectors

__all__ = ["representatives"]

_BLOCK = 512


def representatives(vectors: Vectors, threshold: float) -> npt.NDArray[np.int64]:
    """The row that stands for each row: leader clustering in row order (Hartigan, "Clustering Algorithms", 1975, ch. 3).

    A row joins a leader among the rows before it when their cosine reaches the threshold, else it
    becomes a leader; so no two leaders are near-duplicates of each other. Rows sorted by id give the same answer
    whatever order they came in.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    threshold : cosine, in (0, 1]

    Returns
    -------
    (n,) int64, position of the leader; leaders point at themselves

    Raises
    ------
    ValueError
        when the threshold lies outside (0, 1]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"near_duplicate is {threshold}; give a cosine above 0 and up to 1, for example 0.97")
    least = threshold - 1e-6  # equal vectors have a cosine of one only up to rounding
    leader = np.arange(len(vectors))
    leaders = np.zeros(0, dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        if len(leaders):
            similarity = block @ vectors[leaders].T
            best = similarity.argmax(axis=1)
            close = similarity[np.arange(len(block)), best] >= least
            leader[start : start + len(block)][close] = leaders[best[close]]
        else:
            close = np.zeros(len(block), dtype=bool)
        leaders = np.concatenate([leaders, start + _lead_within(block, close, leader, start, least)])
    return leader


def _lead_within(
    block: Vectors, taken: npt.NDArray[np.bool_], leader: npt.NDArray[np.int64], start: int, least: float
) -> npt.NDArray[np.int64]:
    """Rows of the block that become leaders; the others are written to ``leader``."""
    close = block @ block.T >= least
    free, found = ~taken, []
    for row in range(len(block)):
        if free[row]:
            found.append(row)
            joins = close[row] & free
            leader[start : start + len(block)][joins] = start + row
            free &= ~joins
            free[row] = False
    return np.array(found, dtype=np.int64)
