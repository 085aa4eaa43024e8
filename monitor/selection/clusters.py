"""Groups within a batch, each named by the words it has in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.cluster import AgglomerativeClustering

from monitor.causes.sides import words_of
from monitor.causes.terms import distinguishing_terms
from monitor.selection.pool import Pool
from monitor.values import Vectors

__all__ = ["clusters", "named_clusters"]

_LIKE = 0.45
_FEWEST = 3
_WORDS = 3
_OUTSIDE = 2_000
_MOST = 4_000


def clusters(vectors: Vectors, like: float = _LIKE) -> npt.NDArray[np.int64]:
    """Groups whose members have a mean cosine of at least ``like`` when they are joined (average linkage).

    Returns
    -------
    (n,) int64, groups numbered by their first row
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.int64)
    if len(vectors) > _MOST:  # its memory grows with the square
        raise ValueError(f"{len(vectors)} rows are too many to group; at most {_MOST}")
    model = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=1.0 - like)
    found = model.fit_predict(vectors.astype(np.float64))
    _, first, place = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[place], dtype=np.int64)


def named_clusters(pool: Pool, rows: Sequence[int]) -> list[str | None]:
    """The name of each row's group: words that tell the pool's records near it from the training records.

    A word counts when at least three records, of different blocks where they have some, hold it, so that none could name a
    person. ``None`` for a group without such words, and for one of fewer than three rows.
    """
    places = np.asarray(rows, dtype=np.int64)[:_MOST]
    groups = clusters(pool.vectors[places])
    names: list[str | None] = [None] * len(rows)
    texts = pool.window.column("text")
    if not any(text is not None for text in texts):
        return names
    train = pool.train.column("text")
    known = [words_of(text or "") for text in train[:_OUTSIDE]]
    blocks = pool.window.column("block")
    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group)
        if len(members) < _FEWEST:
            continue
        centre = pool.vectors[places[members]].mean(axis=0)
        centre /= max(float(np.linalg.norm(centre)), 1e-12)
        near = np.flatnonzero(pool.vectors @ centre >= np.sqrt(_LIKE))
        inside = np.union1d(near, places[members])
        holders = [block or record for block, record in zip(blocks[inside], inside.tolist(), strict=True)]
        said = [words_of(texts[row] or "") for row in inside]
        terms = distinguishing_terms(said, holders, known, _WORDS)
        for member in members if terms else ():
            names[member] = ", ".join(terms)
    return names
