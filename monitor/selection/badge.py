"""BADGE: records whose labels would move the classifier far, and in different directions; plain, and weighted by drift mass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import nearest, open_rows
from monitor.selection.uncertainty import chances_of
from monitor.values import FloatArray, Vectors

__all__ = [
    "BadgeStrategy",
    "DriftBadgeStrategy",
    "drift_weights",
    "gradient_factors",
    "junk_veto",
    "spread_out",
    "squared_distances",
]

_ROUNDING = 1e-5
_TOGETHER = 64


def gradient_factors(chances: FloatArray) -> Vectors:
    """First factor of each record's gradient embedding: p - onehot(argmax p).

    The gradient of the cross-entropy with respect to the last layer, for the label that the model itself predicts, is the
    Kronecker product of this with [x, 1]. Ash et al., "Deep batch active learning by diverse, uncertain gradient lower
    bounds", ICLR 2020.

    Parameters
    ----------
    chances : (n, C) float64, rows of sum 1

    Returns
    -------
    (n, C) float32, rows of sum 0
    """
    factors = chances.astype(np.float32)
    if factors.size:
        factors[np.arange(len(factors)), chances.argmax(axis=1)] -= 1.0
    return factors


def squared_distances(factors: Vectors, vectors: Vectors, to_factors: Vectors, to_vectors: Vectors) -> FloatArray:
    """Squared distances between gradient embeddings g ⊗ [x, 1], without forming them: <g, g'> (<x, x'> + 1) is their product.

    Parameters
    ----------
    factors, vectors : (n, C) and (n, d) float32
    to_factors, to_vectors : (k, C) and (k, d) float32

    Returns
    -------
    (n, k) float64 >= 0; 0 where rounding alone could have made the difference
    """
    lengths = _squared_lengths(factors, vectors)[:, None] + _squared_lengths(to_factors, to_vectors)[None, :]
    products = (factors @ to_factors.T).astype(np.float64) * (vectors @ to_vectors.T + 1.0)
    distances = lengths - 2.0 * products
    return np.where(distances > _ROUNDING * lengths, distances, 0.0)


def _squared_lengths(factors: Vectors, vectors: Vectors) -> FloatArray:
    squares = np.einsum("ij,ij->i", factors, factors), np.einsum("ij,ij->i", vectors, vectors)
    return np.asarray(squares[0].astype(np.float64) * (squares[1] + 1.0))


def spread_out(
    factors: Vectors,
    vectors: Vectors,
    eligible: Rows,
    count: int,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
    taken: Rows | None = None,
) -> list[int]:
    """k-means++ seeding over gradient embeddings: each pick with probability proportional to D² w.

    D is the distance to the nearest pick. Without ``taken`` the first pick is the longest gradient (times its weight), as in
    the code of the paper. Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Parameters
    ----------
    factors, vectors : (n, C) and (n, d) float32, see :func:`gradient_factors`
    eligible : positions that may be picked
    weights : (n,) float64 >= 0, ones unless given
    taken : positions that count as picked before

    Returns
    -------
    positions, first pick first; fewer than ``count`` when all others have the gradient of a pick, or no weight
    """
    mine, inputs = factors[eligible], vectors[eligible]
    weight = np.ones(len(eligible)) if weights is None else weights[eligible]
    before = eligible[:0] if taken is None else taken
    apart = np.full(len(eligible), np.inf)
    for start in range(0, len(before), _TOGETHER):
        near = before[start : start + _TOGETHER]
        apart = np.minimum(apart, squared_distances(mine, inputs, factors[near], vectors[near]).min(axis=1))
    if not len(before):
        apart = _squared_lengths(mine, inputs)
    picks: list[int] = []
    while len(picks) < min(count, len(eligible)):
        chance = np.cumsum(apart * weight)
        if not chance[-1] > 0:
            break
        if picks or len(before):
            place = int(np.searchsorted(chance, rng.random() * chance[-1], side="right"))
        else:
            place = int((apart * weight).argmax())
            apart = np.full(len(eligible), np.inf)
        picks.append(place)
        apart = np.minimum(
            apart, squared_distances(mine, inputs, mine[place : place + 1], inputs[place : place + 1])[:, 0]
        )
        apart[place] = 0.0
    return [int(row) for row in eligible[picks]]


def drift_weights(
    excess: FloatArray, shrink: FloatArray, like_known: FloatArray, like_junk: FloatArray | None
) -> FloatArray:
    """What D² is multiplied by: w = pen (0.15 + ex) sigmoid((s_ok - s_junk) / 0.05).

    Parameters
    ----------
    excess : (n,) float64 in [0, 1], share of the traffic around each record that is new
    shrink : (n,) float64 in [0, 1), near 0 for records without company
    like_known, like_junk : (n,) float64 in [-1, 1], highest cosine with records of the model's classes, and with answers that
        said "junk"; ``None`` where no answer did, and the factor is 1

    Returns
    -------
    (n,) float64 in [0, 1.15]
    """
    veto = 1.0 if like_junk is None else expit((like_known - like_junk) / 0.05)
    return np.asarray(shrink * (0.15 + excess) * veto)


class BadgeStrategy:
    """BADGE: uncertain records in different directions, by k-means++ over gradient embeddings."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        factors = gradient_factors(chances_of(pool))
        return spread_out(factors, pool.vectors, open_rows(pool, taken), count, rng, taken=taken)


class DriftBadgeStrategy:
    """Drift-weighted BADGE: BADGE where traffic is new and dense, away from what answers called junk.

    Meant for the second round, when the classifier has learnt from the first answers.
    """

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        factors = gradient_factors(chances_of(pool))
        weights = drift_weights(pool.mass.excess, pool.mass.shrink, *_likeness(pool))
        return spread_out(factors, pool.vectors, open_rows(pool, taken), count, rng, weights, taken)


def junk_veto(pool: Pool) -> FloatArray:
    """Near 0 for records that are more like answered junk than like what is known, else near 1: (n,) float64; all 1 without junk answers."""
    like_known, like_junk = _likeness(pool)
    if like_junk is None:
        return np.ones(len(like_known))
    return np.asarray(expit((like_known - like_junk) / 0.05))


def _likeness(pool: Pool) -> tuple[FloatArray, FloatArray | None]:
    """Highest cosine of each record with what is known, and with junk answers where there are any."""
    if pool.answers is None:
        return np.zeros(len(pool.vectors)), None
    labels = pool.answers.data.column("label")
    junk = np.array([label in pool.answers.junk for label in labels], dtype=bool)
    if not junk.any():
        return np.zeros(len(pool.vectors)), None
    return nearest(pool.vectors, pool.known[0])[1], nearest(pool.vectors, pool.answers.data.vectors[junk])[1]
