"""Which blocks are the current ones, chosen at random: statistics of every choice, and exact p-values from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from monitor.values import FloatArray

__all__ = ["Component", "Family", "centred", "choices", "combined", "randomised_p", "staged"]

Choices = npt.NDArray[np.int64]

_BATCH = 2_000
_STRIPS = 4
"""Of a matrix; more would save little, as small products are slower."""


@dataclass(frozen=True, slots=True)
class Component:
    """One statistic of a choice of blocks, 0 on average, in a scale that does not depend on how many records it holds.

    Quadratic: MMD² times n m / (n + m). Linear: difference of means times the root of that.

    counts  (G,) float64, records of each block that bear on it
    matrix  (G, G) float32, inner products of centred block sums, or (G, 1) float64, the centred sums
    sided   of a linear one: whether only values above count as large
    """

    counts: FloatArray
    matrix: npt.NDArray[np.floating]
    sided: bool = True

    @classmethod
    def quadratic(cls, sums: FloatArray, counts: FloatArray, centre: FloatArray | None = None) -> Component:
        """From (G, f) sums of features, and the same centred where that is known already."""
        middle = centred(sums, counts) if centre is None else centre
        scale = _largest(middle)
        if scale <= 1e-9 * _largest(sums):
            return cls(counts, np.zeros((len(sums), len(sums)), dtype=np.float32))
        thin = np.empty(middle.shape, dtype=np.float32)
        np.divide(middle, scale, out=thin, casting="same_kind")
        return cls(counts, thin @ thin.T)

    @classmethod
    def linear(cls, sums: FloatArray, counts: FloatArray, *, sided: bool) -> Component:
        """From (G,) sums of one feature."""
        middle = centred(sums[:, None], counts)
        if _largest(middle) <= 1e-9 * _largest(sums):
            middle = np.zeros_like(middle)
        top = float(np.abs(middle).sum())
        return cls(counts, np.rint(middle * (2.0**50 / top if top > 0 else 0.0)), sided)


@dataclass(frozen=True, slots=True)
class Family:
    """Statistics of choices of ``size`` blocks, all components at once.

    Inner products are rounded to whole numbers so small that their sums over a choice are exact in float32: equal choices
    tie to the bit, and any symmetric function of the blocks serves the test as well as another.

    matrices  (G G, q) float32 for small choices, whose pairs are looked up; else (q, G, G), for products with 0/1 rows
    """

    components: list[Component]
    size: int
    matrices: npt.NDArray[np.float32]

    @classmethod
    def of(cls, components: list[Component], size: int) -> Family:
        """For choices of ``size`` blocks."""
        total = len(components[0].counts)
        squares = [c.matrix for c in components if c.matrix.shape[1] > 1]
        if 10 * size > total:
            whole = np.empty((len(squares), total, total), dtype=np.float32)
            for square, mine in zip(squares, whole, strict=True):
                _round(square, float(np.abs(square).sum(axis=1).max(initial=0.0)), 2.0**23, mine)
            return cls(components, size, whole)
        flat = np.empty((total**2, len(squares)), dtype=np.float32)
        for square, own in zip(squares, flat.T, strict=True):
            _round(square.ravel(), size**2 * _largest(square), 2.0**23, own)
        return cls(components, size, flat)

    def statistics(self, chosen: Choices) -> FloatArray:
        """Of each row of ``chosen`` (B, size), (B, C) float64."""
        quadratic = iter(self._quadratic(chosen).T) if self.matrices.size else iter(())
        weights: dict[int, FloatArray] = {}
        found = []
        for component in self.components:
            # Components of one kind of records share their counts.
            if id(component.counts) not in weights:
                weights[id(component.counts)] = _weight(component.counts, chosen)
            weight = weights[id(component.counts)]
            if component.matrix.shape[1] > 1:
                found.append(next(quadratic) * weight)
            else:
                values = component.matrix[:, 0][chosen].sum(axis=1) * np.sqrt(weight)
                found.append(values if component.sided else np.abs(values))
        return np.stack(found, axis=1)

    def _quadratic(self, chosen: Choices) -> FloatArray:
        """Sums of each matrix over all pairs of each choice, (B, q)."""
        if self.matrices.ndim == 3:
            marks = np.zeros((len(chosen), self.matrices.shape[1]), dtype=np.float32)
            np.put_along_axis(marks, chosen, 1.0, axis=1)
            return _pairs(marks, self.matrices)
        first, second = np.triu_indices(self.size)
        # Two different blocks make two pairs.
        twice = np.where(first == second, 1.0, 2.0).astype(np.float32)
        pairs = chosen[:, first] * len(self.components[0].counts) + chosen[:, second]
        return np.asarray(twice @ self.matrices.take(pairs, axis=0), dtype=np.float64)

    def drawn(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """Statistics of ``draws`` random choices, (draws, C) float64."""
        found = np.empty((draws, len(self.components)))
        self.draw(found, rng)
        return found

    def draw(self, out: FloatArray, rng: np.random.Generator) -> None:
        """The same into ``out``, which is all the memory that many draws take."""
        total = len(self.components[0].counts)
        for start in range(0, len(out), _BATCH):
            part = out[start : start + _BATCH]
            part[:] = self.statistics(choices(self.size, total, len(part), rng))


def centred(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Sums of features less what as many average records would have, (G, f)."""
    middle = np.multiply(counts[:, None], sums.sum(axis=0) / max(counts.sum(), 1.0))
    return np.asarray(np.subtract(sums, middle, out=middle))


def _largest(values: npt.NDArray[np.floating]) -> float:
    """The largest absolute value, 0 when there is none."""
    return float(max(values.max(initial=0.0), -values.min(initial=0.0)))


def _round(values: npt.NDArray[np.floating], largest: float, limit: float, out: npt.NDArray[np.float32]) -> None:
    """Scaled so that ``largest`` becomes ``limit``, and rounded to whole numbers."""
    np.multiply(values, np.float32(limit / largest if largest > 0 else 0.0), out=out)
    np.rint(out, out=out)


def _weight(counts: FloatArray, chosen: Choices) -> FloatArray:
    """What makes the spread of a statistic the same whatever the number of records, (B,)."""
    mine = counts[chosen].sum(axis=1)
    rest = counts.sum() - mine
    return np.where((mine > 0) & (rest > 0), 1.0 / np.maximum(mine, 1) + 1.0 / np.maximum(rest, 1), 0.0)


def _pairs(marks: npt.NDArray[np.float32], matrices: npt.NDArray[np.float32]) -> FloatArray:
    """Sums of symmetric matrices of whole numbers over all pairs of the marked blocks, (B, q); exact, so half of each will do."""
    total = marks.shape[1]
    found = np.zeros((len(marks), len(matrices)))
    # One room for all products: new memory costs as much as the sums.
    room = np.empty(marks.shape, dtype=np.float32)
    for start, end in pairwise(np.linspace(0, total, _STRIPS + 1).astype(int)):
        mine = np.ascontiguousarray(marks[:, start:end])
        for place, matrix in enumerate(matrices):
            sums = np.matmul(mine, matrix[start:end, start:], out=room[:, start:])
            sums[:, end - start :] *= 2.0
            sums *= marks[:, start:]
            found[:, place] += sums.sum(axis=1, dtype=np.float64)
    return found


def choices(count: int, total: int, draws: int, rng: np.random.Generator) -> Choices:
    """``draws`` uniform choices of ``count`` among ``total``, sorted.

    Returns
    -------
    (draws, count) int64
    """
    if count**2 > total:
        order = rng.permuted(np.broadcast_to(np.arange(total), (draws, total)), axis=1)
        return np.sort(order[:, :count], axis=1)
    chosen = np.sort(rng.integers(total, size=(draws, count)), axis=1)
    while True:
        twice = np.flatnonzero((chosen[:, 1:] == chosen[:, :-1]).any(axis=1))
        if not len(twice):
            return chosen
        chosen[twice] = np.sort(rng.integers(total, size=(len(twice), count)), axis=1)


def combined(values: FloatArray) -> FloatArray:
    """One number for each choice, small when any component is extreme: the smallest rank, ties broken by the largest z.

    Schrab et al., "MMD aggregated two-sample test", JMLR 24, 2023, with the levels found by the same choices.

    Parameters
    ----------
    values : (B, C), the observed choice among them

    Returns
    -------
    (B,) float64
    """
    if values.shape[1] == 1:
        return -values[:, 0]
    below, z = np.zeros(len(values), dtype=np.intp), np.full(len(values), -np.inf)
    # All columns at once would take half as much memory again, which counts with half a million choices.
    for column, middle, spread in zip(values.T, values.mean(axis=0), values.std(axis=0), strict=True):
        np.maximum(below, _below(column), out=below)
        np.maximum(z, (column - middle) / (spread if spread > 0 else np.inf), out=z)
    rank = len(values) - below
    return np.asarray(rank - 0.5 * z / (1.0 + np.abs(z)))


def _below(values: FloatArray) -> npt.NDArray[np.intp]:
    """How many of all are smaller than each."""
    order = np.argsort(values)
    inorder, first = values[order], np.arange(len(values))
    first[1:][inorder[1:] == inorder[:-1]] = 0
    np.maximum.accumulate(first, out=first)
    found = np.empty_like(first)
    found[order] = first
    return found


def randomised_p(keys: FloatArray, share: float) -> float:
    """The rank of ``keys[0]`` among all, as a p-value: exactly uniform when ``share`` is uniform in (0, 1] and keys are exchangeable.

    Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005 (smoothed conformal p-values). ``share`` = 1
    gives the usual (b + 1)/(B + 1) with ties counted.
    """
    return float(((keys < keys[0]).sum() + share * (keys == keys[0]).sum()) / len(keys))


def staged(
    observed: FloatArray,
    draw: Callable[[FloatArray], None],
    stages: tuple[int, ...],
    share: float,
    most: float = 10.0,
) -> float:
    """The p-value from as many draws as it takes to tell how small it is.

    After B draws the count goes on only when p is at most 10/(B + 1). The answer stays valid: for u above that limit,
    p <= u needs the first part to give at most u; for u below it, the later part.

    Parameters
    ----------
    observed : (C,) statistics of the true choice
    draw : fills (B, C) with statistics of B random choices
    stages : draws in all after each stage, increasing
    """
    values, p = observed[None], 1.0
    for limit in stages:
        more = np.empty((limit + 1, len(observed)))
        more[: len(values)] = values
        draw(more[len(values) :])
        values = more
        p = randomised_p(combined(values), share)
        if p > most / (limit + 1):
            break
    return p
