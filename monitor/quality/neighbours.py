"""What the nearest labelled records say of a label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.selection.heads import Labels
from monitor.values import Vectors

__all__ = ["nearest_labels"]

_CELLS = 20_000_000


def nearest_labels(vectors: Vectors, labels: Labels, reference: Vectors, trusted: Labels, count: int) -> Labels:
    """Labels of each row's nearest records among the reference and the rest of the batch, nearest first, (n, k) object.

    Parameters
    ----------
    vectors, reference : (n, d) and (m, d) float32, rows of length one
    labels, trusted : (n,) and (m,) object
    count : k, fewer where there are fewer other records
    """
    everything, said = np.concatenate([reference, vectors]), np.concatenate([trusted, labels])
    k, n = min(count, len(everything) - 1), len(vectors)
    found: npt.NDArray[np.object_] = np.empty((n, k), dtype=object)
    step = max(1, _CELLS // len(everything))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        cosines = vectors[rows] @ everything.T
        cosines[np.arange(len(rows)), len(reference) + rows] = -np.inf
        near = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosines, near, axis=1), axis=1, kind="stable")
        found[rows] = said[np.take_along_axis(near, order, axis=1)]
    return found
