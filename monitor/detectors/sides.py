"""The two sides of a comparison with their blocks, and p-values that exchange whole blocks between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from monitor.detectors.blocks import FEWEST, Blocks
from monitor.detectors.permutation import labellings, permutation_test
from monitor.detectors.segments import Rows
from monitor.values import FloatArray

__all__ = ["Labels", "Sides", "among", "design_effects", "drawn"]

Labels = npt.NDArray[np.float32]

_LARGEST = 20_000_000


def among(blocks: Blocks, rows: npt.ArrayLike) -> Blocks:
    """The blocks of some of the rows, given by position or as a mask: rows that belonged together still do."""
    _, codes = np.unique(blocks.codes[np.asarray(rows)], return_inverse=True)
    return Blocks(codes.astype(np.int64), int(codes.max(initial=-1)) + 1, blocks.rule)


@dataclass(frozen=True, slots=True)
class Sides:
    """Blocks of the reference and of the window. A user seen on both sides is a block on each.

    Block numbers of both together count the reference's first.
    """

    reference: Blocks
    current: Blocks

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Block of each pooled row, reference rows first, (n + m,) int64."""
        return np.concatenate([self.reference.codes, self.reference.count + self.current.codes])

    @property
    def count(self) -> int:
        """Blocks of both sides."""
        return self.reference.count + self.current.count

    @property
    def sizes(self) -> FloatArray:
        """Rows of each block, (count,) float64."""
        return np.concatenate([self.reference.sizes, self.current.sizes]).astype(np.float64)

    @property
    def single(self) -> bool:
        """Whether every block is one row."""
        return self.count == len(self.reference.codes) + len(self.current.codes)

    @property
    def testable(self) -> bool:
        """Whether there are enough blocks on both sides for a p-value."""
        return min(self.reference.count, self.current.count) >= FEWEST

    @property
    def detail(self) -> Mapping[str, float]:
        """How many blocks there are, for :attr:`Measurement.detail`."""
        return {"blocks_reference": float(self.reference.count), "blocks_current": float(self.current.count)}

    @property
    def truth(self) -> Labels:
        """The true labelling, (count, 1) float32: 1 for a block of the window."""
        return np.repeat(np.array([0, 1], np.float32), [self.reference.count, self.current.count])[:, None]

    def among(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Sides:
        """The blocks of some rows of each side, given by position or as masks."""
        return Sides(among(self.reference, x), among(self.current, y))

    def sums(self, values: npt.ArrayLike) -> FloatArray:
        """Sums over the rows of each block: (n + m, k) numbers of pooled rows, or (n + m,), -> (count, k) or (count,)."""
        values = np.asarray(values, dtype=np.float64)
        if self.single:
            return values
        order = np.argsort(self.codes, kind="stable")
        starts = np.flatnonzero(np.diff(self.codes[order], prepend=-1))
        return np.asarray(np.add.reduceat(values[order], starts, axis=0))

    def labels(self, count: int, rng: np.random.Generator) -> Iterator[Labels]:
        """``count`` random labellings of the blocks as columns, in pieces that fit the memory."""
        step = max(1, _LARGEST // self.count)
        for start in range(0, count, step):
            yield labellings(self.current.count, self.count, min(step, count - start), rng)

    def drawn(self, statistic: Callable[[Labels], FloatArray], count: int, rng: np.random.Generator) -> FloatArray:
        """The statistic, (count, c) labels -> (..., c), under random labellings, (..., count) float64."""
        return np.concatenate([statistic(labels) for labels in self.labels(count, rng)], axis=-1)

    def p_value(
        self,
        statistic: Callable[[Labels], FloatArray],
        rng: np.random.Generator,
        permutations: int,
        refined: int | None = None,
        tolerance: float = 1e-9,
    ) -> float | None:
        """p-value of a statistic that is large when the sides differ; ``None`` with fewer than 20 blocks on a side.

        Exact when blocks are exchangeable. When only one side comes in blocks of several rows it is on the safe side for
        statistics of means, as long as they are not multiplied by the number of rows.

        Parameters
        ----------
        statistic : (count, c) labels -> (c,) float64
        permutations, refined : see :func:`~monitor.detectors.permutation.permutation_test`
        tolerance : what counts as a tie, relative to the observed value (rounding)
        """
        return self.exchanged(statistic, rng, permutations, refined, tolerance) if self.testable else None

    def exchanged(
        self,
        statistic: Callable[[Labels], FloatArray],
        rng: np.random.Generator,
        permutations: int,
        refined: int | None = None,
        tolerance: float = 1e-9,
    ) -> float:
        """The same with any number of blocks."""
        observed = float(statistic(self.truth)[0])
        return permutation_test(
            observed,
            lambda count: self.drawn(statistic, count, rng),
            permutations,
            refined,
            tolerance * (1e-6 + abs(observed)),
        )


def drawn(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """At most so many of the rows, in their order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def design_effects(counts: FloatArray | sparse.csr_array, sizes: FloatArray) -> FloatArray:
    """How many times larger the variance of a share is than if rows were independent, at least 1.

    Ratio estimator over blocks against the binomial (Rao and Scott, "A simple method for the analysis of clustered binary
    data", Biometrics 48, 1992). A share of 0 or 1 says nothing and takes the mean over the other columns.

    Parameters
    ----------
    counts : (g, k) rows of each block that are of a kind
    sizes : (g,) rows of each block

    Returns
    -------
    (k,) float64, >= 1
    """
    g, n = len(sizes), float(sizes.sum())
    shares = np.asarray(counts.sum(axis=0)) / n
    binomial = shares * (1 - shares) / n
    if g < 2 or n == g:
        return np.ones(len(shares))
    own = np.square(counts) if isinstance(counts, np.ndarray) else counts.multiply(counts)
    squares = np.asarray(own.sum(axis=0)) - 2 * shares * (counts.T @ sizes) + shares**2 * (sizes @ sizes)
    robust = g / (g - 1) * np.maximum(squares, 0.0) / n**2
    known = binomial > 0
    typical = robust[known].sum() / binomial[known].sum() if known.any() else 1.0
    effects = np.divide(robust, binomial, out=np.full(len(shares), typical), where=known)
    return np.asarray(np.maximum(effects, 1.0))
