"""Units: what a permutation exchanges, made of one or several whole blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import Blocks
from monitor.detectors.choices import Choices, choices
from monitor.values import FloatArray

__all__ = ["Units", "blocks_per_unit", "exchanged", "units_of"]

_MOST_UNITS = 640
_STILL_FAST = 2_000
_FEWEST_UNITS = 50
_ALIKE = 1.5

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Units:
    """Rows of one side, sorted by unit and within it by block.

    order         (n,) int64, the rows in that order
    starts        (G,) int64, where each unit begins
    block_starts  (b,) int64, where each block begins
    rows          (G,) float64, rows of each unit
    own           (G,) float64, ordered pairs of rows of one block, a row with itself included: they say nothing about the sides
    left_over     whether the last unit is made of fewer blocks than the others, so that it cannot be exchanged with them
    """

    order: Rows
    starts: Rows
    block_starts: Rows
    rows: FloatArray
    own: FloatArray
    left_over: bool

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def exchangeable(self) -> int:
        """Units that may change sides."""
        return len(self) - self.left_over


def blocks_per_unit(reference: Blocks, current: Blocks) -> tuple[int, int]:
    """How many blocks make a unit on either side.

    One while both sides together have at most 640 blocks; then the smallest power of two that keeps units about so few, but at
    least 50 on the smaller side, as far as 2,000 units in all allow. The same number on both sides, as only
    then units may be exchanged; unless the blocks of one side hold far more rows (a reference without sessions, say, beside
    production in sessions): then more of the small ones go together, until units weigh alike.
    """
    ours, theirs = (len(b.codes) / max(b.count, 1) for b in (reference, current))
    times = [1, 1]
    if max(ours, theirs) > _ALIKE * min(ours, theirs):
        times = [max(1, round(max(ours, theirs) / mean)) for mean in (ours, theirs)]
    counts = reference.count / times[0], current.count / times[1]
    size = 1
    while sum(counts) > size * _MOST_UNITS and (
        min(counts) >= 2 * size * _FEWEST_UNITS or sum(counts) > size * _STILL_FAST
    ):
        size *= 2
    return size * times[0], size * times[1]


def units_of(blocks: Blocks, per_unit: int, rng: np.random.Generator) -> Units:
    """Blocks put together at random, ``per_unit`` to a unit; what is left over makes one smaller last unit."""
    count = blocks.count
    place = np.arange(count) if per_unit == 1 else rng.permutation(count)
    order = np.argsort(place[blocks.codes], kind="stable")
    sizes = np.empty(count, dtype=np.int64)
    sizes[place] = blocks.sizes
    block_starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    first = np.arange(0, count, per_unit)
    return Units(
        order,
        block_starts[first],
        block_starts,
        np.add.reduceat(sizes, first).astype(np.float64),
        np.add.reduceat(sizes**2, first).astype(np.float64),
        left_over=bool(count % per_unit) and count > per_unit,
    )


def exchanged(reference: Units, current: Units, count: int, rng: np.random.Generator) -> Choices:
    """Labellings of the pooled units, reference first; the first column is the true one. Left-over units stay on their side."""
    n, m = reference.exchangeable, current.exchangeable
    fewer = m <= n
    side, first = (current, len(reference)) if fewer else (reference, 0)
    free = np.concatenate([np.arange(n), len(reference) + np.arange(m)])
    drawn = free[choices(min(n, m), n + m, count, rng)]
    own = first + np.arange(len(side))[:, None]
    stays = np.repeat(own[side.exchangeable :], count, axis=1)
    drawn = np.sort(np.concatenate([drawn, stays]), axis=0) if len(stays) else drawn
    return Choices(np.concatenate([own, drawn], axis=1), len(reference) + len(current), current=fewer)
