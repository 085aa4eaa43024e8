"""Records of both sides in groups, each with its share before and after, and the words that tell it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.cluster import KMeans

from monitor.causes.shares import Change, share_change
from monitor.causes.sides import words_of
from monitor.causes.terms import distinguishing_terms
from monitor.picture.contents import Group
from monitor.picture.layout import principal
from monitor.values import Dataset, Vectors

__all__ = ["grouped", "told"]

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_ROWS, _LEAST, _MOST = 80, 6, 24
_AXES = 32
_TERMS = 5
_EXAMPLES = 3


def grouped(vectors: Vectors, rng: np.random.Generator) -> Codes:
    """k-means of all rows pooled, 6 to 24 groups, one for about 80 rows, fewer of fewer than 30; it does not know which side a row comes from.

    Returns
    -------
    (n,) int64 from 0
    """
    count = min(_MOST, max(_LEAST, len(vectors) // _ROWS), len(vectors) // 5)
    if count < 2:
        return np.zeros(len(vectors), dtype=np.int64)
    seed = int(rng.integers(2**31))
    axes = principal(vectors, _AXES)
    found = KMeans(min(count, len(np.unique(axes, axis=0))), n_init=1, random_state=seed).fit_predict(axes)
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


def told(
    both: Dataset, codes: Codes, blocks: Codes, current: Mask, counted: Mask, drifted: Mask
) -> tuple[tuple[Group, ...], Codes]:
    """Every group described, most grown first, and the rows' codes in that order.

    Parameters
    ----------
    blocks : (n,) block of each row, as numbers that no two sides share
    counted : (n,) bool, rows that are a fair draw of their side
    """
    count = int(codes.max(initial=-1)) + 1
    words = [words_of(text or "") for text in both.column("text")]
    classes = both.classes
    ours, theirs = current & counted, ~current & counted
    changes = [_change(codes == i, theirs, ours, blocks) for i in range(count)]
    limit = float(stats.norm.isf(0.025 / max(count, 1)))
    order = sorted(range(count), key=lambda i: (-changes[i].z, i))
    found = []
    for i in order:
        rows, mine = np.flatnonzero(codes == i), np.flatnonzero((codes == i) & current)
        named = Counter(name for name in classes[rows] if name is not None)
        others = [words[j] for j in np.flatnonzero(codes != i)]
        change = changes[i]
        found.append(
            Group(
                terms=distinguishing_terms([words[j] for j in rows], blocks[rows].tolist(), others, _TERMS),
                top_class=min(named, key=lambda name: (-named[name], name)) if named else None,
                reference=change.reference,
                current=change.current,
                low=change.low,
                high=change.high,
                sure=abs(change.z) > limit,
                new=float(drifted[mine].mean()) if len(mine) else 0.0,
                examples=_middle(both.vectors, rows, mine),
            )
        )
    place = np.empty(max(count, 1), dtype=np.int64)
    place[order] = np.arange(count)
    return tuple(found), place[codes]


def _change(inside: Mask, theirs: Mask, ours: Mask, blocks: Codes) -> Change:
    if not theirs.any() or not ours.any():
        reference, current = (float(inside[side].mean()) if side.any() else 0.0 for side in (theirs, ours))
        return Change(reference, current, -1.0, 1.0, 0.0)
    return share_change(inside[theirs], blocks[theirs], inside[ours], blocks[ours])


def _middle(vectors: Vectors, rows: Codes, mine: Codes) -> tuple[int, ...]:
    """The window's rows nearest to the mean of their group."""
    near: Sequence[int] = np.argsort(-(vectors[mine] @ vectors[rows].mean(axis=0)), kind="stable")[:_EXAMPLES].tolist()
    return tuple(int(mine[i]) for i in near)
