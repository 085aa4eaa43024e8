"""Embeddings compared within predicted classes: what remains of a difference when the class mix is set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.detectors.blocks import Blocks
from monitor.detectors.choices import Choices, choices
from monitor.detectors.kernels import centred_kernel
from monitor.detectors.pair_sums import PairSums, together
from monitor.detectors.strata import shared_classes
from monitor.values import Dataset, FloatArray, Vectors

__all__ = ["Stratum", "class_strata", "stratum"]


@dataclass(frozen=True)
class Stratum:
    """Units of two sides that may be exchanged with each other.

    pairs  the kernel summed over their pairs, the ``n`` reference units first; at least 2 units on each side
    """

    pairs: PairSums
    n: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Reference and current rows."""
        before = int(self.pairs.rows[: self.n].sum())
        return before, int(self.pairs.rows.sum()) - before

    @cached_property
    def _mmd2(self) -> Callable[[Choices], FloatArray]:
        return together([self.pairs])

    @cached_property
    def observed(self) -> float:
        """Unbiased MMD² of the true labelling."""
        total = len(self.pairs.rows)
        return float(self._mmd2(Choices(np.arange(self.n, total)[:, None], total))[0, 0])

    def permuted(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Unbiased MMD² of random labellings, (count,) float64."""
        total = len(self.pairs.rows)
        fewer = 2 * self.n >= total
        drawn = choices(min(self.n, total - self.n), total, count, rng)
        return np.asarray(self._mmd2(Choices(drawn, total, current=fewer))[0])

    @property
    def variance(self) -> float:
        """Delete-one jackknife variance of the observed MMD², see :meth:`~monitor.detectors.pair_sums.PairSums.jackknife`."""
        return self.pairs.jackknife(np.arange(len(self.pairs.rows)) >= self.n)


def stratum(x: Vectors, a: Blocks, y: Vectors, b: Blocks, gamma: float) -> Stratum:
    """Rows of two sides as one stratum, a unit for each block."""
    codes = np.concatenate([a.codes, a.count + b.codes])
    order = np.argsort(codes, kind="stable")
    kernel = centred_kernel(np.concatenate([x, y])[order], gamma)
    rows = np.concatenate([a.sizes, b.sizes])
    if len(rows) < len(kernel):
        starts = np.concatenate([[0], np.cumsum(rows)[:-1]])
        kernel = np.add.reduceat(np.add.reduceat(kernel, starts, axis=0), starts, axis=1)
        np.fill_diagonal(kernel, 0.0)
    return Stratum(PairSums(kernel, rows.astype(np.float64), rows.astype(np.float64) ** 2), a.count)


def class_strata(x: Dataset, a: Blocks, y: Dataset, b: Blocks, gamma: float) -> Sequence[Stratum]:
    """One stratum for each class with rows of at least 2 blocks on both sides; rows without a class are left out."""
    left, right = x.classes, y.classes
    strata = []
    for name in shared_classes(left, right):
        ours, theirs = np.flatnonzero(left == name), np.flatnonzero(right == name)
        mine, other = a.of(ours), b.of(theirs)
        if min(mine.count, other.count) >= 2:
            strata.append(stratum(x.vectors[ours], mine, y.vectors[theirs], other, gamma))
    return strata
