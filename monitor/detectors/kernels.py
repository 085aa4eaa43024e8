"""The Gaussian kernel on embeddings and its bandwidth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.values import Vectors

__all__ = ["centred_kernel", "gaussian_kernel", "median_squared_distance"]

_BANDWIDTH_ROWS = 500


def gaussian_kernel(x: Vectors, y: Vectors, gamma: float) -> npt.NDArray[np.float32]:
    """exp(-gamma |x - y|²) for every pair.

    Parameters
    ----------
    x, y : (n, d) and (m, d) float32
    gamma : inverse squared length, > 0

    Returns
    -------
    (n, m) float32 in [0, 1]
    """
    kernel = _squared_distances(x, y)
    np.maximum(kernel, 0.0, out=kernel)  # rounding can make a squared distance negative
    kernel *= -gamma
    np.exp(kernel, out=kernel)
    return kernel


def centred_kernel(x: Vectors, gamma: float) -> npt.NDArray[np.float32]:
    """Gaussian kernel of one sample with zero diagonal, its mean subtracted off the diagonal.

    Unbiased MMD² does not change with a constant added to the kernel, but its float32 sums cancel far better.

    Returns
    -------
    (n, n) float32, symmetric
    """
    kernel = gaussian_kernel(x, x, gamma)
    n = len(kernel)
    np.fill_diagonal(kernel, 0.0)
    kernel -= np.float32(kernel.sum(dtype=np.float64) / max(n * (n - 1), 1))
    np.fill_diagonal(kernel, 0.0)
    return kernel


def median_squared_distance(vectors: Vectors) -> float:
    """Median squared distance between distinct rows; beyond 1,000 of them between two sets of 500, drawn with a fixed seed.

    Gretton et al., "A kernel two-sample test", JMLR 13, 2012, section 8 (the median heuristic).

    Parameters
    ----------
    vectors : (n, d) float32, n >= 2, in an order that does not depend on how they came

    Returns
    -------
    > 0; 1.0 when all rows are the same point
    """
    if len(vectors) > 2 * _BANDWIDTH_ROWS:
        drawn = np.random.default_rng(0).choice(len(vectors), 2 * _BANDWIDTH_ROWS, replace=False)
        distances = _squared_distances(vectors[drawn[:_BANDWIDTH_ROWS]], vectors[drawn[_BANDWIDTH_ROWS:]]).ravel()
    else:
        distances = _squared_distances(vectors, vectors)[~np.tri(len(vectors), dtype=bool)]
    median = float(np.median(distances))
    if median > 1e-6:
        return median
    # More than half of the pairs coincide: the kernel must still tell the others apart.
    apart = distances[distances > 1e-6]
    return float(np.median(apart)) if len(apart) else 1.0


def _squared_distances(x: Vectors, y: Vectors) -> npt.NDArray[np.float32]:
    squared: npt.NDArray[np.float32] = x @ y.T
    squared *= -2.0
    squared += np.einsum("ij,ij->i", x, x)[:, None]
    squared += np.einsum("ij,ij->i", y, y)[None, :]
    return squared
