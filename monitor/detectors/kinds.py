"""Kinds of content in a reference: what a new kind would be like, told from those that are there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.values import Vectors

__all__ = ["evenly", "kinds_of"]

_MOST = 40
_FEWEST = 5
_GROUPED = 1_500
_SHARE = 0.01

Rows = npt.NDArray[np.int64]


def kinds_of(rows: Vectors, classes: npt.NDArray[np.object_] | None = None) -> list[Rows]:
    """Rows of each of at most 40 kinds, at least 2 of each.

    Classes with at least 5 rows, evenly over their names, where there are 5 such. Else groups of a row with its nearest ones: 1 % of the rows, at
    least 5; how fine the kinds of content are cannot be known without classes.
    """
    if classes is not None:
        found = _of_classes(classes)
        if len(found) >= _FEWEST:
            return found
    return _together(rows)


def evenly(count: int, most: int) -> Rows:
    """At most ``most`` of ``count`` places, spread evenly."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(most, count)).astype(np.int64))


def _of_classes(classes: npt.NDArray[np.object_]) -> list[Rows]:
    names = sorted({name for name in classes if name is not None})
    found = [np.flatnonzero(classes == name) for name in names]
    found = [kind for kind in found if len(kind) >= _FEWEST]
    return [found[i] for i in evenly(len(found), _MOST)]


def _together(rows: Vectors) -> list[Rows]:
    kept = evenly(len(rows), _GROUPED)
    size = min(max(_FEWEST, round(_SHARE * len(kept))), len(kept))
    if size < 2:
        return []
    centres = evenly(len(kept), _MOST)
    cosines = rows[kept[centres]] @ rows[kept].T
    return [np.sort(kept[near[:size]]) for near in np.argsort(-cosines, axis=1, kind="stable")]
