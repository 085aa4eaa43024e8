"""What a window would have caught: the smallest contamination and the smallest shift found with 80 % power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from monitor.detectors.kernels import gaussian_kernel
from monitor.detectors.kinds import evenly, kinds_of
from monitor.detectors.min_p import critical_level
from monitor.detectors.novelty_ranks import savage_scores
from monitor.detectors.ruler import Ruler
from monitor.values import FloatArray, Vectors

__all__ = ["Alternatives", "alternatives", "detectable", "share_found"]

_BACKGROUND = 750
_OF_A_KIND = 40
_NEAREST = 5
_NOVELTY = 3
_DRAWS = 199
_HALVINGS = 10
_LEAST = 1e-4
_POWER = 0.8
_POWER_Z = 0.84
"""The 80 % quantile of the normal distribution."""
_WIDER = 1.75
"""How much larger the standard deviation is under a shift than under no difference (benchmarks/power_statement.py)."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """How much each component moves, in the order RBF 1/median, RBF 4/median, whitened, novelty.

    Of c kinds of the reference's content, each as if it were new:

    lifts   (k, c) MMD² between one kind and the whole, for the whitened one and for the mean novelty score as if the ruler did not hold that kind
    across  (k, c) standard deviation over the whole, and
    inside  (k, c) over the kind, of what one record adds: the witness of the MMD², the novelty score
    shift   (k,) MMD² for a mean shift of length 1 in a random direction, in the limit of small shifts (MMD² grows with the
            square of the length); 0 for novelty, which a shift hardly moves
    """

    lifts: FloatArray
    across: FloatArray
    inside: FloatArray
    shift: FloatArray

    @property
    def content(self) -> FloatArray:
        """Median lift over the kinds, (k,), not negative; 0 without kinds."""
        if not self.lifts.shape[1]:
            return np.zeros(len(self.lifts))
        return np.asarray(np.maximum(np.median(self.lifts, axis=1), 0.0))


Moments = tuple[float, float, float]


def alternatives(
    vectors: Vectors,
    ruler: Ruler | None,
    gamma: float,
    rest: Vectors | None = None,
    classes: npt.NDArray[np.object_] | None = None,
) -> Alternatives:
    """From the reference's content: its classes, or else groups of rows that lie together (:func:`~monitor.detectors.kinds.kinds_of`).

    Parameters
    ----------
    vectors : (r, D) the ruler's rows, or without a ruler all of a small reference's
    rest : (n - r, D) the other rows of the reference, if there are any
    classes : (n,) of both, in that order; ``None`` where a row has none
    """
    rows = vectors if rest is None else np.concatenate([vectors, rest])
    found = kinds_of(rows, classes)
    samples = [kind[evenly(len(kind), _OF_A_KIND)] for kind in found]
    spread = evenly(len(rows), _BACKGROUND)
    whole = rows[spread]
    columns: list[list[Moments]] = []
    shift = []
    for bandwidth in (gamma, 4.0 * gamma):
        kernel = gaussian_kernel(whole, whole, bandwidth)
        columns.append([_between(kernel, whole, rows[sample], bandwidth) for sample in samples])
        squared = -np.log(np.maximum(kernel, 1e-30)) / bandwidth
        shift.append(
            float(2.0 * np.mean(kernel * (bandwidth - 2.0 * bandwidth**2 * squared / rows.shape[1]), dtype=np.float64))
        )
    if ruler is not None:
        known = len(vectors)
        whitened = ruler.whitened(whole).astype(np.float64)
        held = [kind[kind < known] for kind in found]
        columns.append(
            [_foreign(ruler, whitened, rows[one], rows[own]) for one, own in zip(samples, held, strict=True)]
        )
        shift.append(float(np.square(ruler.whitening, dtype=np.float64).sum() / len(ruler.live)))
        columns.append(_unseen(ruler, rows, spread, samples, held))
        shift.append(0.0)
    moments = np.array(columns, dtype=np.float64).reshape(len(columns), len(found), 3)
    return Alternatives(moments[..., 0], moments[..., 1], moments[..., 2], np.maximum(np.array(shift), 0.0))


def _pairs(matrix: npt.NDArray[np.floating]) -> float:
    """Mean off the diagonal."""
    n = len(matrix)
    return float((matrix.sum(dtype=np.float64) - np.trace(matrix, dtype=np.float64)) / (n * (n - 1)))


def _between(kernel: npt.NDArray[np.float32], whole: Vectors, kind: Vectors, gamma: float) -> Moments:
    """Unbiased MMD² between a kind and the whole, and the spread of its witness over either."""
    if len(whole) < 2:
        return 0.0, 0.0, 0.0
    own, to = gaussian_kernel(kind, kind, gamma), gaussian_kernel(kind, whole, gamma)
    lift = _pairs(own) + _pairs(kernel) - 2.0 * float(to.mean(dtype=np.float64))
    n = len(kind)
    others = (own.sum(axis=1) - np.diagonal(own)) / (n - 1)
    return lift, float((to.mean(axis=0) - kernel.mean(axis=0)).std()), float((others - to.mean(axis=1)).std())


def _foreign(ruler: Ruler, whole: FloatArray, kind: Vectors, held: Vectors) -> Moments:
    """The same in coordinates whitened without the kind's rows that the ruler holds.

    Taking rows X out of a covariance of r rows turns the whitened products G of others with X, by Woodbury's identity, into G + G_X (r - G_XX)^-1 G_X',
    times (r - s)/r.
    """
    z, rows = ruler.whitened(kind).astype(np.float64), len(ruler.rows)
    mine = ruler.whitened(held).astype(np.float64)
    if len(mine) > mine.shape[1]:
        mine = np.asarray(np.linalg.qr(mine, mode="r"))
    inner = np.linalg.solve(np.eye(len(mine)) * 1.0001 * rows - mine @ mine.T, mine) if len(mine) else mine
    left = (rows - len(held)) / rows

    def products(others: FloatArray) -> FloatArray:
        return np.asarray((others @ z.T + (others @ mine.T) @ (inner @ z.T)) * left)

    own, to = products(z), products(whole)
    others = (own.sum(axis=1) - np.diagonal(own)) / (len(z) - 1)
    return _pairs(own), float(to.mean(axis=1).std()), float(others.std())


def _unseen(ruler: Ruler, rows: Vectors, spread: Rows, samples: list[Rows], held: list[Rows]) -> list[Moments]:
    """Mean novelty score of each kind when the ruler holds none of it, and its spread."""
    known = len(ruler.rows)
    alone = rows[spread][:, ruler.live] @ ruler.rows.T
    here = np.flatnonzero(spread < known)
    alone[here, spread[here]] = -2.0
    usual = _far(alone)
    scores = np.sort(savage_scores(usual))
    usual = np.sort(usual)
    moments = []
    for sample, own in zip(samples, held, strict=True):
        cosines = rows[sample][:, ruler.live] @ ruler.rows.T
        cosines[:, own] = -2.0
        score = scores[np.minimum(np.searchsorted(usual, _far(cosines)), len(usual) - 1)]
        moments.append((float(score.mean()), 0.0, float(score.std())))
    return moments


def _far(cosines: Vectors) -> FloatArray:
    k = min(_NEAREST, cosines.shape[1] - 1)
    if k < 1:
        return np.zeros(len(cosines))
    return np.asarray(-np.partition(cosines, cosines.shape[1] - k, axis=1)[:, -k:].mean(axis=1, dtype=np.float64))


def detectable(
    drawn: FloatArray, against: Alternatives, sizes: tuple[int, int], level: float = 0.05
) -> tuple[float, float]:
    """Smallest share of a new kind of content and smallest mean shift that this window would have caught with 80 % power at ``level``.

    A window is caught when any component reaches its critical value at the level that one of several has to itself. With a share e of one kind MMD²
    grows by e² times the kind's and varies more, by the witness of the records that came; novelty grows by e times its
    score. The power is the share of all pairs of a kind and a random labelling that are caught, so kinds hard to see count as well.

    For a shift the best single component is taken: what lifts its mean to its critical value plus 0.84 standard deviations.

    Parameters
    ----------
    drawn : (k, B) statistics of the components under random labellings
    sizes : independent records, or blocks, of the reference and the window

    Returns
    -------
    share in [0, 1], and the shift's length >= 0, infinite when nothing of the kind is caught
    """
    critical = np.quantile(drawn, 1.0 - critical_level(drawn, level), axis=1)
    moved = np.maximum(critical + _POWER_Z * _WIDER * drawn.std(axis=1), 1e-12)
    shifts = [float(np.sqrt(m / s)) for m, s in zip(moved, against.shift, strict=True) if s > 0]
    return share_found(drawn, critical, against, sizes), min(shifts, default=np.inf)


def share_found(drawn: FloatArray, critical: FloatArray, against: Alternatives, sizes: tuple[float, float]) -> float:
    """The share of :func:`detectable`, from the components' critical values, (k,)."""
    drawn = drawn[:, :_DRAWS]
    if not (against.lifts > 0).any():
        return 1.0
    n, m = sizes
    missing = (critical[:, None] - drawn)[:, None]
    # One standard normal for each labelling, spread evenly, the same for all components.
    chance = ndtri((np.arange(drawn.shape[1]) + 1) * 0.6180339887498949 % 1.0)

    def power(share: float) -> float:
        novel = (np.arange(len(critical)) == _NOVELTY)[:, None]
        lift = against.lifts * np.where(novel, share, share**2)
        before = np.where(novel, 0.0, 2.0 * share * against.across) ** 2 * (1.0 / n + 1.0 / m)
        among = np.where(novel, 1.0, 2.0 * share) ** 2 * share * against.inside**2 / m
        reached = lift[..., None] + np.sqrt(before + among)[..., None] * chance >= missing
        return float(reached.any(axis=0).mean())

    low, high = _LEAST, 1.0
    if power(high) < _POWER:
        return 1.0
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if power(middle) >= _POWER else (middle, high)
    return high
