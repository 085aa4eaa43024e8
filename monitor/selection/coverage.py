"""Coverage of the pool by balls around the picks: ProbCover, and k-center."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import nearest, open_rows, seen, stretches
from monitor.values import FloatArray, Vectors

__all__ = ["KCenterStrategy", "ProbCoverStrategy", "farthest_first", "max_coverage", "pure_radius", "radius_of"]

_ROUNDING = 1e-6
_PURE = 0.95
_USUAL_RADIUS, _SMALLEST_RADIUS = 0.3, 0.05
_PURITY_ROWS = 2_000
_TIDY = 32


def max_coverage(
    vectors: Vectors, weights: FloatArray, eligible: Rows, count: int, radius: float, before: Vectors
) -> list[int]:
    """Greedy maximum coverage: pick after pick, the row with the most uncovered weight within the radius.

    Yehuda et al., "Active learning through a covering lens" (ProbCover), NeurIPS 2022. Exact without the graph: the products
    of each row with all others are made when it is first counted and once more when it is covered.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one: what is to be covered
    weights : (n,) float64 > 0, how many records each row stands for
    eligible : positions that may be picked
    radius : cosine distance in [0, 2]
    before : (m, d) float32, what has been labelled already; what it covers counts for nothing

    Returns
    -------
    positions, first pick first; fewer than ``count`` once all is covered. Ties go to the lower position
    """
    least = 1.0 - radius - _ROUNDING
    bare = nearest(vectors, before)[1] < least if len(before) else np.ones(len(vectors), dtype=bool)
    points, weight, centres, places = vectors[bare], weights[bare].astype(np.float32), vectors[eligible], eligible
    gain = _weight_near(points, weight, centres, least)
    enough = 0.5 * float(weights.min(initial=np.inf, where=weights > 0))
    picks: list[int] = []
    while len(picks) < count and len(gain):
        best = int(gain.argmax())
        if gain[best] < enough:
            break
        picks.append(int(places[best]))
        fresh = (points @ centres[best] >= least) & (weight > 0)
        gain -= _weight_near(points[fresh], weight[fresh], centres, least)
        gain[best], weight[fresh] = -np.inf, 0.0
        if len(picks) % _TIDY == 0:
            useful, left = gain >= enough, weight > 0
            points, weight, centres, places, gain = (
                points[left],
                weight[left],
                centres[useful],
                places[useful],
                gain[useful],
            )
    return picks


def _weight_near(points: Vectors, weight: Vectors, centres: Vectors, least: float) -> FloatArray:
    """Weight of the points within reach of each centre, (c,) float64."""
    total = np.zeros(len(centres))
    for part in stretches(len(points), len(centres)):
        total += weight[part] @ (points[part] @ centres.T >= least).astype(np.float32)
    return total


def pure_radius(vectors: Vectors, labels: npt.NDArray[np.object_], pure: float = _PURE) -> float | None:
    """The largest radius at which the share ``pure`` of all balls around labelled rows holds rows of one label only.

    The heuristic of ProbCover, with labels where the paper has clusters. A ball is pure up to the distance of the nearest row
    with another label, so the answer is a quantile of these distances.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    labels : (n,) object, none missing

    Returns
    -------
    cosine distance in [0, 2]; ``None`` for fewer than two labels
    """
    _, codes = np.unique(labels.astype(str), return_inverse=True)
    if len(codes) == 0 or codes.max() == 0:
        return None
    other = np.zeros(len(codes))
    for part in stretches(len(vectors), len(vectors)):
        similarity = vectors[part] @ vectors.T
        similarity[codes[part, None] == codes[None, :]] = -1.0
        other[part] = similarity.max(axis=1)
    return float(np.quantile(np.clip(1.0 - other, 0.0, 2.0), 1.0 - pure, method="lower"))


def farthest_first(vectors: Vectors, eligible: Rows, count: int, before: Vectors) -> list[int]:
    """k-center: pick after pick, the row farthest from all that is picked or labelled.

    Sener & Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018; at most twice the
    best possible radius (Gonzalez, 1985).

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    eligible : positions that may be picked
    before : (m, d) float32, what has been labelled already

    Returns
    -------
    positions, first pick first; fewer than ``count`` once all others equal a pick. Ties go to the lower position
    """
    centres = vectors[eligible]
    apart = 1.0 - nearest(centres, before)[1]
    picks: list[int] = []
    while len(picks) < min(count, len(eligible)):
        best = int(apart.argmax())
        if apart[best] <= _ROUNDING:
            break
        picks.append(best)
        apart = np.minimum(apart, 1.0 - centres @ centres[best])
        apart[best] = -np.inf
    return [int(row) for row in eligible[picks]]


class ProbCoverStrategy:
    """ProbCover: the fewest records whose neighbourhoods hold most of the traffic that no training record is near.

    radius  of a neighbourhood, cosine distance in (0, 2]; unless given, the largest at which 95 % of the neighbourhoods of
            training records hold one label only (at least 0.05), or 0.3 where training records have no two labels
    """

    def __init__(self, radius: float | None = None) -> None:
        if radius is not None and not 0 < radius <= 2:
            raise ValueError(f"radius is {radius}; give a cosine distance above 0 and up to 2, for example 0.3")
        self._radius = radius

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        before = np.concatenate([seen(pool)[0], pool.vectors[taken]])
        radius = radius_of(pool, rng) if self._radius is None else self._radius
        return max_coverage(pool.vectors, pool.window.weights, open_rows(pool, taken), count, radius, before)


def radius_of(pool: Pool, rng: np.random.Generator) -> float:
    """A neighbourhood's radius in cosine distance: :func:`pure_radius` of what is labelled, at least 0.05; 0.3 without two labels."""
    vectors, labels = pool.known
    if len(vectors) > _PURITY_ROWS:
        drawn = np.sort(rng.choice(len(vectors), _PURITY_ROWS, replace=False))
        vectors, labels = vectors[drawn], labels[drawn]
    found = pure_radius(vectors, labels)
    return _USUAL_RADIUS if found is None else max(found, _SMALLEST_RADIUS)


class KCenterStrategy:
    """k-center: the farthest record from all training records first, then the farthest from these and it, and so on."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        before = np.concatenate([seen(pool)[0], pool.vectors[taken]])
        return farthest_first(pool.vectors, open_rows(pool, taken), count, before)
