"""Rank scores that put their weight on the most unusual rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.detectors.choices import Choices
from monitor.values import FloatArray

__all__ = ["mean_difference", "savage_scores"]


def savage_scores(values: FloatArray) -> FloatArray:
    """Savage's exponential rank scores: what a sorted exponential sample has on average, less one.

    Ties share their mean. Rounded to six decimals first, so that equal rows are ties whatever the order of sums was (Savage, "Contributions to the theory of
    rank order statistics", Ann. Math. Stat. 27, 1956).

    Returns
    -------
    (n,) float64 with mean 0, large for large values
    """
    n = len(values)
    _, codes, counts = np.unique(np.round(values, 6), return_inverse=True, return_counts=True)
    scores = np.cumsum(1.0 / np.arange(n, 0, -1)) - 1.0
    means = np.add.reduceat(scores, np.concatenate([[0], np.cumsum(counts)[:-1]])) / counts
    return np.asarray(means[codes])


def mean_difference(sums: FloatArray, rows: FloatArray, labels: Choices | npt.NDArray[np.float32]) -> FloatArray:
    """Mean over the rows of current units less that over the others.

    Parameters
    ----------
    sums, rows : (G,) sum and number of rows of each unit
    labels : c labellings, as choices or (G, c) with 1 for current

    Returns
    -------
    (c,) float64
    """
    labels = Choices.of(labels)
    chosen, m = labels.sums(np.stack([sums, rows]))
    difference = chosen / m - (sums.sum() - chosen) / (rows.sum() - m)
    return np.asarray(difference if labels.current else -difference)
