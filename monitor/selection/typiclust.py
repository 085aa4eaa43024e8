"""TypiClust: the most typical record of each large cluster that holds nothing labelled yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import open_rows, seen, stretches
from monitor.values import FloatArray, Vectors

__all__ = ["TypiclustStrategy", "most_typical", "typicality"]

_NEIGHBOURS = 20
_SMALL = 5
_SEEN_ROWS = 10_000
_BATCH = 2_048
_EPOCHS = 5


def typicality(vectors: Vectors, neighbours: int = _NEIGHBOURS) -> FloatArray:
    """One over the mean Euclidean distance to the nearest other rows.

    Hacohen, Dekel & Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets", ICML 2022.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    neighbours : how many of the nearest count, fewer where there are fewer rows

    Returns
    -------
    (n,) float64 in [0.5, 1e6]; 0 for a row alone
    """
    k = min(neighbours, len(vectors) - 1)
    found = np.zeros(len(vectors))
    if k < 1:
        return found
    for part in stretches(len(vectors), len(vectors)):
        similarity = vectors[part] @ vectors.T
        own = np.arange(part.start, part.start + len(similarity))
        similarity[np.arange(len(similarity)), own] = -np.inf
        near = np.partition(similarity, -k, axis=1)[:, -k:].astype(np.float64)
        distance = np.sqrt(np.maximum(2.0 - 2.0 * near, 0.0)).mean(axis=1)
        found[part] = 1.0 / np.maximum(np.round(distance, 3), 1e-6)
    return found


def most_typical(typical: FloatArray, clusters: Rows, labelled: Rows, eligible: Rows, count: int) -> list[int]:
    """Picks by cluster in turns: those with the fewest labelled rows first, of these the largest, of it the most typical row.

    A pick counts as labelled from then on. Clusters of fewer than five rows come after all others.

    Parameters
    ----------
    typical : (n,) float64
    clusters : (n,) int64, cluster of each row
    labelled : (c,) int64, how many labelled rows each cluster holds
    eligible : positions that may be picked, ascending

    Returns
    -------
    positions, first pick first; ties go to the lower cluster and position
    """
    sizes, covered = np.bincount(clusters, minlength=len(labelled)), labelled.copy()
    order = eligible[np.argsort(-typical[eligible], kind="stable")]
    queues = [order[clusters[order] == cluster].tolist()[::-1] for cluster in range(len(labelled))]
    picks: list[int] = []
    waiting = {(int(sizes[c]) < _SMALL, int(covered[c]), -int(sizes[c]), c) for c, queue in enumerate(queues) if queue}
    while waiting and len(picks) < count:
        first = min(waiting)
        waiting.remove(first)
        small, before, size, cluster = first
        picks.append(int(queues[cluster].pop()))
        if queues[cluster]:
            waiting.add((small, before + 1, size, cluster))
    return picks


class TypiclustStrategy:
    """TypiClust: the densest record of each of the largest clusters without training records.

    The window and what is labelled already are cut by k-means into as many clusters as there are picks wanted and classes
    known, so that each known class can have its own.

    most_clusters  bound on the number of clusters
    """

    def __init__(self, most_clusters: int = 500) -> None:
        if most_clusters < 1:
            raise ValueError(f"most_clusters is {most_clusters}; give a whole number above 0, for example 500")
        self._most = most_clusters

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        eligible, known = open_rows(pool, taken), seen(pool)[0]
        if not len(eligible) or count < 1:
            return []
        if len(known) > _SEEN_ROWS:
            known = known[np.sort(rng.choice(len(known), _SEEN_ROWS, replace=False))]
        wanted = count + len(taken) + len(set(pool.known[1].tolist()))
        n = len(pool.vectors)
        codes = _clusters(np.concatenate([pool.vectors, known]), min(self._most, wanted), rng)
        labelled = np.bincount(codes[n:], minlength=codes.max() + 1) + np.bincount(
            codes[:n][taken], minlength=codes.max() + 1
        )
        typical = np.zeros(n)
        for cluster in np.unique(codes[:n]):
            inside = np.flatnonzero(codes[:n] == cluster)
            typical[inside] = typicality(pool.vectors[inside])
        return most_typical(typical, codes[:n], labelled, eligible, count)


def _clusters(vectors: Vectors, wanted: int, rng: np.random.Generator) -> Rows:
    """k-means cluster of each row, (n,) int64."""
    model = MiniBatchKMeans(
        n_clusters=min(wanted, len(vectors)),
        batch_size=_BATCH,
        max_iter=_EPOCHS,
        n_init=1,
        random_state=int(rng.integers(2**31)),
        compute_labels=False,
    )
    model.fit(vectors)
    return np.asarray(model.predict(vectors), dtype=np.int64)
