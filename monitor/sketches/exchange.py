"""Which blocks are the current ones, chosen at random: statistics of every choice, and exact p-values from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from monitor.values import FloatArray

__all__ = ["Component", "choices", "combined", "drawn", "randomised_p", "staged", "statistics"]

Choices = npt.NDArray[np.int64]

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Component:
    """One statistic of a choice of blocks, 0 on average, in a scale that does not depend on how many records it holds.

    Quadratic: MMD² times n m / (n + m). Linear: difference of means times the root of that.

    counts  (G,) float64, records of each block that bear on it
    matrix  float64 or float32 of whole numbers, (G, G) inner products of centred block sums, or (G, 1) the centred sums
    sided   of a linear one: whether only values above count as large
    """

    counts: FloatArray
    matrix: npt.NDArray[np.floating]
    sided: bool = True

    @classmethod
    def quadratic(cls, sums: FloatArray, counts: FloatArray) -> Component:
        """From (G, f) sums of features."""
        centred = _centred(sums, counts)
        scale = np.abs(centred).max(initial=0.0)
        if scale <= 1e-9 * np.abs(sums).max(initial=0.0):
            return cls(counts, np.zeros((len(sums), len(sums)), dtype=np.float32))
        thin = (centred / scale).astype(np.float32)
        # Sums over a row of the matrix must stay exact in float32, so that equal choices tie to the bit.
        return cls(counts, _whole(thin @ thin.T, 2.0**23).astype(np.float32))

    @classmethod
    def linear(cls, sums: FloatArray, counts: FloatArray, *, sided: bool) -> Component:
        """From (G,) sums of one feature."""
        centred = _centred(sums[:, None], counts)
        if np.abs(centred).max(initial=0.0) <= 1e-9 * np.abs(sums).max(initial=0.0):
            centred = np.zeros_like(centred)
        return cls(counts, _whole(centred.T, 2.0**40).T, sided)

    def statistic(self, chosen: Choices, marks: npt.NDArray[np.float32] | None) -> FloatArray:
        """Of each row of ``chosen`` (B, g); ``marks`` (B, G) are the same as 0/1, or None when g is small beside G."""
        mine = self.counts[chosen].sum(axis=1)
        rest = self.counts.sum() - mine
        weight = np.where((mine > 0) & (rest > 0), 1.0 / np.maximum(mine, 1) + 1.0 / np.maximum(rest, 1), 0.0)
        if self.matrix.shape[1] == 1:
            values = np.asarray(self.matrix[:, 0][chosen].sum(axis=1) * np.sqrt(weight))
            return values if self.sided else np.abs(values)
        if marks is not None:
            return np.asarray(np.einsum("bg,bg->b", marks @ self.matrix, marks, dtype=np.float64) * weight)
        return np.asarray(_pair_sums(self.matrix, chosen) * weight)


def _pair_sums(matrix: npt.NDArray[np.floating], chosen: Choices) -> FloatArray:
    """Sum of a symmetric matrix over all pairs of each choice, (B,)."""
    flat, size, count = matrix.ravel(), len(matrix), chosen.shape[1]
    total = np.zeros(len(chosen))
    for apart in range(count):
        pairs = chosen[:, : count - apart] * size + chosen[:, apart:]
        total += (1.0 if apart == 0 else 2.0) * flat[pairs].sum(axis=1, dtype=np.float64)
    return total


def _centred(sums: FloatArray, counts: FloatArray) -> FloatArray:
    return np.asarray(sums - counts[:, None] * (sums.sum(axis=0) / max(counts.sum(), 1.0)))


def _whole(values: npt.NDArray[np.floating], largest: float) -> FloatArray:
    """Rounded to whole numbers, none larger than asked for in sums of its row."""
    top = float(np.abs(values).sum(axis=-1, dtype=np.float64).max(initial=0.0))
    return np.rint(np.asarray(values, dtype=np.float64) * (largest / top)) if top > 0 else np.zeros(values.shape)


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


def statistics(components: list[Component], chosen: Choices) -> FloatArray:
    """(B, C) float64."""
    count, total = chosen.shape[1], len(components[0].counts)
    marks = None
    if 10 * count > total:
        marks = np.zeros((len(chosen), total), dtype=np.float32)
        np.put_along_axis(marks, chosen, 1.0, axis=1)
    return np.stack([component.statistic(chosen, marks) for component in components], axis=1)


def drawn(components: list[Component], count: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Statistics of ``draws`` random choices of ``count`` blocks, (draws, C) float64."""
    total = len(components[0].counts)
    parts = [
        statistics(components, choices(count, total, min(_BATCH, draws - start), rng))
        for start in range(0, draws, _BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(components)))


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
    ranks = np.stack([rankdata(-column, method="max") for column in values.T], axis=1).min(axis=1)
    spread = values.std(axis=0)
    z = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf)).max(axis=1)
    return np.asarray(ranks - 0.5 * z / (1.0 + np.abs(z)))


def randomised_p(keys: FloatArray, share: float) -> float:
    """The rank of ``keys[0]`` among all, as a p-value: exactly uniform when ``share`` is uniform in (0, 1] and keys are exchangeable.

    Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005 (smoothed conformal p-values). ``share`` = 1
    gives the usual (b + 1)/(B + 1) with ties counted.
    """
    return float(((keys < keys[0]).sum() + share * (keys == keys[0]).sum()) / len(keys))


def staged(
    observed: FloatArray,
    draw: Callable[[int], FloatArray],
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
    draw : count -> (count, C) statistics of random choices
    stages : draws in all after each stage, increasing
    """
    values, p = observed[None], 1.0
    for limit in stages:
        values = np.concatenate([values, draw(limit + 1 - len(values))])
        p = randomised_p(combined(values), share)
        if p > most / (limit + 1):
            break
    return p
