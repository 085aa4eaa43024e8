"""Test on the k-nearest-neighbour graph: do records of the window lie among their own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from monitor.detectors.permutation import at_least
from monitor.detectors.pooled import Limits, each_pooled
from monitor.detectors.sides import Labels, Sides
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["KnnDetector", "excess", "neighbour_graph"]

_CHUNK = 1_024


def neighbour_graph(vectors: Vectors, sides: Sides, neighbours: int, rng: np.random.Generator) -> sparse.csr_array:
    """How many rows of each block have a row of each other block among their nearest.

    Rows of one's own block never count. Rows equally near are taken in an order drawn by ``rng``, never by side.

    Parameters
    ----------
    vectors : (N, d) float32 pooled unit rows, in the order of the sides' rows
    neighbours : how many of the nearest count, fewer where other blocks hold fewer rows

    Returns
    -------
    sparse (g, g) float64
    """
    mixed = rng.permutation(len(vectors))
    rows, codes = vectors[mixed], sides.codes[mixed]
    k = int(min(neighbours, len(rows) - sides.sizes.max()))
    graph = sparse.csr_array((sides.count, sides.count), dtype=np.float64)
    for start in range(0, len(rows), _CHUNK):
        cosines = np.round(rows[start : start + _CHUNK] @ rows.T, 6)
        cosines[codes[start : start + _CHUNK, None] == codes[None, :]] = -np.inf
        near = np.argpartition(cosines, -k, axis=1)[:, -k:]
        ones, own = np.ones(near.size), np.repeat(codes[start : start + _CHUNK], k)
        graph = graph + sparse.csr_array((ones, (own, codes[near].ravel())), shape=graph.shape)
    return sparse.csr_array(graph)


def excess(graph: sparse.csr_array, sizes: FloatArray, labels: Labels) -> FloatArray:
    """By how much the share of window rows among the neighbours of window rows exceeds their share of what was there.

    Schilling, "Multivariate two-sample tests based on nearest neighbors", JASA 81, 1986, from the window's side only:
    new content keeps to itself there, however large the reference.

    Parameters
    ----------
    graph : (g, g), see :func:`neighbour_graph`
    sizes : (g,) rows of each block
    labels : (g, c) zeros and ones

    Returns
    -------
    (c,) float64 in [-1, 1]; 0 on average when both sides come from one distribution
    """
    rows, m = sizes.sum(), sizes @ labels
    degree = graph.sum(axis=1)
    inside = np.einsum("ij,ij->j", labels, graph @ labels, dtype=np.float64)
    expected = (m * ((sizes / (rows - sizes)) @ labels) - (sizes**2 / (rows - sizes)) @ labels) / m
    return np.asarray(inside / (degree @ labels) - expected)


class KnnDetector:
    """Nearest-neighbour graph test with a permutation p-value over blocks, as subject ``neighbours``.

    The effect is the share of window records among the nearest neighbours of a window record, in other blocks, less what
    mixing would give, in [-1, 1]. The interval takes the graph as given: it is the effect ± 1.96 standard errors over the
    blocks of the window, at least the spread under exchange. It speaks of these records, not of all there could be.

    neighbours             of each record that count
    permutations, refined  exchanges drawn; ``refined`` when fewer than 30 reach the observed value
    max_rows               rows used on each side at most, drawn by ``rng``
    minimum                rows needed on each side
    segments               values of each segment field at most
    """

    def __init__(
        self,
        neighbours: int = 20,
        permutations: int = 999,
        refined: int = 9_999,
        max_rows: int = 2_000,
        minimum: int = 20,
        segments: int = 20,
    ) -> None:
        at_least(neighbours=(neighbours, 1))
        self._neighbours = neighbours
        self._limits = Limits(permutations, refined, max_rows, minimum, segments)

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: neighbours are found among both sides."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        return [
            self._measurement(
                neighbour_graph(one.vectors, one.sides, self._neighbours, rng), one.sides, one.segment, rng
            )
            for one in each_pooled(reference, current, self._limits, rng)
        ]

    def _measurement(
        self, graph: sparse.csr_array, sides: Sides, segment: str, rng: np.random.Generator
    ) -> Measurement:
        sizes, truth = sides.sizes, sides.truth

        def statistic(labels: Labels) -> FloatArray:
            return excess(graph, sizes, labels)

        effect = float(statistic(truth)[0])
        spread = float(sides.drawn(statistic, 200, rng).std())
        mine = truth[:, 0] > 0
        degree = graph.sum(axis=1)[mine]
        inside = (graph @ truth[:, 0])[mine]
        residuals = inside - degree * (inside.sum() / degree.sum())
        g = int(mine.sum())
        error = float(np.sqrt(g / max(g - 1, 1) * (residuals @ residuals))) / float(degree.sum())
        margin = 1.96 * max(error, spread)
        p = sides.p_value(statistic, rng, self._limits.permutations, self._limits.refined)
        low, high = max(-1.0, effect - margin), min(1.0, effect + margin)
        n, m = len(sides.reference.codes), len(sides.current.codes)
        return Measurement("knn", "neighbours", effect, low, high, p, n, m, segment, sides.detail)
