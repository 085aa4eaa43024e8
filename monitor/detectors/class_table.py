"""Classes counted by block: what one side shows, its halves, and what it might as well have shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from monitor.detectors.blocks import Blocks
from monitor.detectors.permutation import labellings
from monitor.detectors.proportions import Counted, held_out_variation, total_variation
from monitor.detectors.sides import Labels, Sides, among, design_effects
from monitor.values import FloatArray

__all__ = ["OTHER", "ClassTable", "random_counts", "tabulated", "variation_interval"]

OTHER = "other classes"
"""Where classes beyond the configured number are counted."""

Classes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Rows of one side by block and class.

    counts  sparse (g, k) float64
    blocks  the blocks of the counted rows
    """

    counts: sparse.csr_array
    blocks: Blocks

    @property
    def totals(self) -> Counted:
        """Rows of each class, (k,) int64."""
        return np.asarray(self.counts.sum(axis=0)).astype(np.int64)

    @property
    def rows(self) -> int:
        """Rows with a class."""
        return len(self.blocks.codes)

    @property
    def independent(self) -> bool:
        """Whether every row stands alone; a side of a single block is taken so, for want of anything better."""
        return self.blocks.count in {1, self.rows}

    @property
    def effects(self) -> FloatArray:
        """Design effect of each class, (k,) float64 >= 1; see :func:`~monitor.detectors.sides.design_effects`."""
        if self.independent:
            return np.ones(self.counts.shape[1])
        return design_effects(self.counts, self.blocks.sizes.astype(np.float64))

    def grouped(self, groups: npt.NDArray[np.int64]) -> ClassTable:
        """The same rows with class i counted as class ``groups[i]``."""
        k = len(groups)
        joining = sparse.csr_array((np.ones(k), (np.arange(k), groups)), shape=(k, int(groups.max()) + 1))
        return ClassTable(sparse.csr_array(self.counts @ joining), self.blocks)

    def halves(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Class counts of a random half of the blocks and of the other half, (count, k) each."""
        totals, g = self.totals, self.blocks.count
        if self.independent:
            half = rng.multivariate_hypergeometric(totals, self.rows // 2, size=count, method="marginals")
            return half.astype(np.float64), (totals - half).astype(np.float64)
        half = (self.counts.T @ labellings(g // 2, g, count, rng)).T
        return np.asarray(half, dtype=np.float64), np.asarray(totals - half, dtype=np.float64)

    def resampled(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Class counts of as many blocks drawn with replacement, (count, k)."""
        g = self.blocks.count
        if self.independent:
            return rng.multinomial(self.rows, self.totals / self.rows, size=count).astype(np.float64)
        drawn = rng.integers(0, g, size=count * g)
        times = sparse.csr_array((np.ones(count * g), drawn, np.arange(count + 1) * g), shape=(count, g))
        return np.asarray((times @ self.counts).toarray())


def tabulated(
    theirs: Classes, their_blocks: Blocks, ours: Classes, our_blocks: Blocks, most: int = 1_000
) -> tuple[list[str], ClassTable, ClassTable]:
    """Class names in order with the tables of either side; rows without a class do not count.

    Beyond ``most``, the rarest of both sides together are added up as ``OTHER``. Rarest on one side would not do: picking
    classes by what one side shows makes calm sides look different.
    """
    together = Counter(c for c in (*theirs, *ours) if c is not None)
    by_size = sorted(together, key=lambda c: (-together[c], c))
    names = [*sorted(by_size[:most]), *([OTHER] if len(by_size) > most else [])]
    column = {name: i for i, name in enumerate(names)} | dict.fromkeys(by_size[most:], len(names) - 1)

    def table(classes: Classes, blocks: Blocks) -> ClassTable:
        rows = np.array([i for i, c in enumerate(classes) if c is not None], dtype=np.int64)
        kept = among(blocks, rows)
        columns = [column[c] for c in classes[rows]]
        shape = (kept.count, len(names))
        return ClassTable(sparse.csr_array((np.ones(len(rows)), (kept.codes, columns)), shape=shape), kept)

    return names, table(theirs, their_blocks), table(ours, our_blocks)


def random_counts(a: ClassTable, b: ClassTable, count: int, rng: np.random.Generator) -> FloatArray:
    """Class counts of the window under random labellings of the blocks, (count, k)."""
    if a.rows == a.blocks.count and b.rows == b.blocks.count:
        totals = a.totals + b.totals
        return rng.multivariate_hypergeometric(totals, b.rows, size=count, method="marginals").astype(np.float64)
    pooled = sparse.vstack([a.counts, b.counts], format="csr").T

    def counted(labels: Labels) -> FloatArray:
        return np.asarray(pooled @ labels, dtype=np.float64)

    return Sides(a.blocks, b.blocks).drawn(counted, count, rng).T


def variation_interval(
    a: ClassTable, b: ClassTable, rng: np.random.Generator, resamples: int = 1_000, splits: int = 100
) -> tuple[float, float, float]:
    """Total variation distance with a 95 % interval that errs on the safe side at both ends.

    The estimate is :func:`~monitor.detectors.proportions.held_out_variation`, at least 0, and the lower end lies below
    it by the spread of resampling the blocks of both sides; the upper end lies above the plain distance, which is too
    large, by that spread.

    Returns
    -------
    estimate, low, high: 0 <= low <= estimate <= high <= 1
    """
    resampled = total_variation(a.resampled(resamples, rng), b.resampled(resamples, rng))
    below, above = np.quantile(resampled, [0.025, 0.975]) - resampled.mean()
    effects = float(a.effects.mean()), float(b.effects.mean())
    estimate = max(0.0, held_out_variation(a.halves(splits, rng), b.halves(splits, rng), effects))
    plain = float(total_variation(a.totals, b.totals))
    return estimate, float(max(0.0, estimate + below)), float(np.clip(plain + above, estimate, 1.0))
