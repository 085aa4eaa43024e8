"""What a window would have caught: the smallest contamination and the smallest shift found with 80 % power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.detectors.kernels import gaussian_kernel
from monitor.detectors.min_p import critical_level
from monitor.detectors.novelty_ranks import savage_scores
from monitor.detectors.ruler import Ruler
from monitor.values import FloatArray, Vectors

__all__ = ["Alternatives", "alternatives", "detectable"]

_CENTRES = 40
_ROWS = 1_500
_NOVELTY = 3
_CLUSTER = 0.015
_POWER = 0.84
"""The 80 % quantile of the normal distribution."""
_WIDER = 1.25, 1.75
"""How much larger the standard deviation is under contamination and under a shift than under no difference (benchmarks/power_statement.py)."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """How much each component moves, in the order RBF 1/median, RBF 4/median, whitened, novelty.

    content  (k,) MMD² between one cluster of the ruler's content and the whole, median over clusters, for the whitened one and for the novelty score
             as if the ruler did not hold that cluster
    shift    (k,) MMD² for a mean shift of length 1 in a random direction, in the limit of small shifts (MMD² grows with the
             square of the length); 0 for novelty, which a shift hardly moves
    """

    content: FloatArray
    shift: FloatArray


def alternatives(vectors: Vectors, ruler: Ruler | None, gamma: float) -> Alternatives:
    """From the ruler's rows, or a small reference's own.

    A cluster is a row with its nearest 1.5 % of rows (at least 5), around 40 rows spread over the rows' order.
    """
    rows = vectors[:_ROWS]
    n, d = rows.shape
    size = min(max(5, round(_CLUSTER * n)), n)
    centres = np.unique(np.linspace(0, n - 1, min(_CENTRES, n)).astype(np.int64))
    cosines = rows @ rows.T
    members = np.argsort(-cosines[centres], axis=1, kind="stable")[:, :size]
    content, shift = [], []
    for bandwidth in (gamma, 4.0 * gamma):
        kernel = gaussian_kernel(rows, rows, bandwidth)
        content.append(_between(kernel, members))
        squared = -np.log(np.maximum(kernel, 1e-30)) / bandwidth
        shift.append(float(2.0 * np.mean(kernel * (bandwidth - 2.0 * bandwidth**2 * squared / d), dtype=np.float64)))
    if ruler is not None:
        content.append(_foreign(ruler.whitened(rows), len(ruler.rows), members))
        shift.append(float(np.square(ruler.whitening, dtype=np.float64).sum() / len(ruler.live)))
        content.append(_unseen(cosines, members))
        shift.append(0.0)
    return Alternatives(np.array(content), np.maximum(np.array(shift), 0.0))


def _between(kernel: Vectors, members: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
    """Median unbiased MMD² between clusters and the whole."""
    n, size = len(kernel), members.shape[1]
    if size < 2:
        return 0.0
    whole = (kernel.sum(dtype=np.float64) - np.trace(kernel, dtype=np.float64)) / (n * (n - 1))
    found = []
    for rows in members:
        inside = kernel[np.ix_(rows, rows)]
        within = (inside.sum(dtype=np.float64) - np.trace(inside, dtype=np.float64)) / (size * (size - 1))
        found.append(within + whole - 2.0 * kernel[rows].mean(dtype=np.float64))
    return max(float(np.median(found)), 0.0)


def _foreign(whitened: Vectors, rows: int, members: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
    """Median squared length of clusters' means in coordinates whitened without them.

    Taking rows X out of a covariance of r rows turns the whitened products G of X into G (1 - G/r)^-1 times (r - s)/r, after Woodbury's identity.
    """
    size = members.shape[1]
    if size < 2:
        return 0.0
    found = []
    for chosen in members:
        z = whitened[chosen].astype(np.float64)
        products = z @ z.T
        apart = np.linalg.solve(np.eye(size) * 1.0001 - products / rows, products) * (rows - size) / rows
        found.append((apart.sum() - np.trace(apart)) / (size * (size - 1)))
    return max(float(np.median(found)), 0.0)


def _unseen(cosines: Vectors, members: np.ndarray[tuple[int, ...], np.dtype[np.int64]], nearest: int = 5) -> float:
    """Median over clusters of the mean novelty score of its rows when the ruler holds none of them."""
    n = len(cosines)
    alone = cosines.copy()
    np.fill_diagonal(alone, -2.0)
    k = min(nearest, n - 1)
    if k < 1:
        return 0.0
    usual = -np.partition(alone, n - k, axis=1)[:, -k:].mean(axis=1, dtype=np.float64)
    scores = np.sort(savage_scores(usual))
    usual = np.sort(usual)
    found = []
    for rows in members:
        others = alone[rows].copy()
        others[:, rows] = -2.0
        unseen = -np.partition(others, n - k, axis=1)[:, -k:].mean(axis=1, dtype=np.float64)
        found.append(scores[np.minimum(np.searchsorted(usual, unseen), n - 1)].mean())
    return max(float(np.median(found)), 0.0)


def detectable(drawn: FloatArray, against: Alternatives) -> tuple[float, float]:
    """Smallest share of foreign content and smallest mean shift that this window would have caught with 80 % power at level 5 %.

    A component catches what lifts its mean to its critical value, at the level one of several components has to itself, plus 0.84 standard
    deviations of such windows. Contaminating a share e by one cluster's content lifts MMD² to e² times that cluster's, and novelty by e
    times its score.

    Parameters
    ----------
    drawn : (k, B) statistics of the components under random labellings

    Returns
    -------
    share in [0, 1], and the shift's length >= 0, infinite when nothing of the kind is caught; the best component's each
    """
    level = critical_level(drawn)
    critical, spread = np.quantile(drawn, 1.0 - level, axis=1), drawn.std(axis=1)
    foreign, moved = (np.maximum(critical + _POWER * wider * spread, 1e-12) for wider in _WIDER)
    shares, shifts = [1.0], [np.inf]
    for place, (content, shift) in enumerate(zip(against.content, against.shift, strict=True)):
        if content > 0:
            ratio = float(foreign[place] / content)
            shares.append(ratio if place == _NOVELTY else float(np.sqrt(ratio)))
        if shift > 0:
            shifts.append(float(np.sqrt(moved[place] / shift)))
    return min(shares), min(shifts)
