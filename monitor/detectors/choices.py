"""Random labellings kept as the few units they choose, and sums over those units and their pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from monitor.detectors.tiles import quadratic_forms
from monitor.values import FloatArray

__all__ = ["Choices", "choices", "pair_forms"]

_FEW = 128
"""So many pairs are gathered in the time in which one kernel's matrix product takes as many squared units (measured: 80 to 200)."""

_FEW_UNITS = 8
"""One unit's values are gathered in the time in which a product takes those of so many."""

_PACKED = {1: np.float32, 2: np.complex64, 4: np.complex128}

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


def choices(n: int, total: int, count: int, rng: np.random.Generator) -> Places:
    """``count`` uniform choices of ``n`` among ``total``, one a column: the steps of Fisher and Yates's shuffle that a choice needs.

    Returns
    -------
    (n, count) int64 in [0, total), ascending in each column
    """
    order = np.repeat(np.arange(total, dtype=np.int32), count)
    # A fraction of 53 bits is any of up to 2**31 places with a chance that is off by less than one in 2**22 of itself.
    others = rng.random((n, count))
    others *= total - np.arange(n)[:, None]
    places = others.astype(np.int64)
    places += np.arange(n)[:, None]
    places *= count
    places += np.arange(count)
    for mine, other in zip(order.reshape(total, count), places, strict=False):
        drawn = order[other]
        order[other] = mine
        mine[:] = drawn
    return np.sort(order[: n * count].reshape(n, count), axis=0).astype(np.int64)


@dataclass(frozen=True)
class Choices:
    """Labellings of G units, one a column: which of them are called current.

    chosen   (h, c) int64, ascending in each column: the units called current or, where the reference has fewer, those called reference
    total    G
    current  whether the chosen ones are the current ones
    """

    chosen: Places
    total: int
    current: bool = True

    @classmethod
    def of(cls, labels: Choices | Floats) -> Choices:
        """The labellings of a matrix, (G, c) with 1 for current; ``ValueError`` unless its columns call equally many current."""
        if isinstance(labels, Choices):
            return labels
        current = labels > 0
        sizes = current.sum(axis=0)
        if (sizes != sizes[:1]).any():
            raise ValueError(
                f"labellings call {sizes.min()} to {sizes.max()} units current; each must call equally many"
            )
        fewer = bool((2 * sizes[:1] <= len(labels)).all())
        columns = (current if fewer else ~current).T
        return cls(np.nonzero(columns)[1].reshape(labels.shape[1], -1).T, len(labels), current=fewer)

    @cached_property
    def marks(self) -> Floats:
        """(G, c) float32, 1 for chosen."""
        count = self.chosen.shape[1]
        marks = np.zeros(self.total * count, np.float32)
        marks[self.chosen * count + np.arange(count)] = 1.0
        return marks.reshape(self.total, count)

    def dense(self) -> Floats:
        """(G, c) float32, 1 for current."""
        return self.marks if self.current else 1.0 - self.marks

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of each unit's values over the chosen ones: (k, G) -> (k, c)."""
        if _FEW_UNITS * len(self.chosen) > self.total:
            return np.asarray(values @ self.marks)
        return np.stack([of_units[self.chosen].sum(axis=0) for of_units in values])


def pair_forms(matrices: Sequence[Floats]) -> Callable[[Choices], FloatArray]:
    """Sums over all ordered pairs of chosen units, a unit with itself included, of several symmetric (G, G) matrices: (k, c) float64.

    Few chosen units have few pairs, and reading those costs less than a product with all of a matrix. The matrices then lie
    side by side, so that one read gives a pair's entry of each; as choices ascend, reads of one step are close together in memory. Rounding
    does not depend on the order in which units were drawn, so equal labellings stay ties.
    """
    k, total = len(matrices), len(matrices[0])
    packed = cache(lambda: _side_by_side(matrices))
    diagonals = np.stack([np.diagonal(m) for m in matrices]).astype(np.float64)

    def forms(labels: Choices) -> FloatArray:
        if k > max(_PACKED) or _FEW * len(labels.chosen) ** 2 > k * total**2:
            return np.stack([quadratic_forms(m, labels.marks) for m in matrices])
        return 2.0 * _gathered(packed(), labels.chosen, total)[:k] + labels.sums(diagonals)

    return forms


def _side_by_side(matrices: Sequence[Floats]) -> npt.NDArray[np.generic]:
    width = next(w for w in _PACKED if w >= len(matrices))
    table = np.zeros((matrices[0].size, width), dtype=np.float32)
    for k, matrix in enumerate(matrices):
        table[:, k] = matrix.ravel()
    return table.view(_PACKED[width])[:, 0]


def _gathered(table: npt.NDArray[np.generic], chosen: Places, total: int) -> FloatArray:
    """Sums of the entries of each pair once, (width, c) float64."""
    count = chosen.shape[1]
    width = table.itemsize // 4
    found = np.zeros(count * width)
    for row in range(len(chosen) - 1):
        entries = table[chosen[row] * total + chosen[row + 1 :]]
        found += entries.view(np.float32).reshape(-1, count * width).sum(axis=0)
    return found.reshape(count, width).T
