"""Sums over pairs of units, the only thing a permutation of units needs to know of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.detectors.choices import Choices, pair_forms
from monitor.detectors.tiles import tile_powers
from monitor.detectors.units import Units
from monitor.values import FloatArray, Vectors

__all__ = ["Floats", "PairSums", "gaussian_across", "gaussian_within", "joined", "linear_within", "together"]

Floats = npt.NDArray[np.float32]

_STRIP = 512
_NARROW = 128


@dataclass(frozen=True, slots=True)
class PairSums:
    """A kernel summed over the pairs of rows of any two units, pairs of one block left out.

    sums   (G, G) float32, symmetric
    rows   (G,) float64, rows of each unit
    own    (G,) float64, ordered pairs of rows of one block
    """

    sums: Floats
    rows: FloatArray
    own: FloatArray

    def mmd2(self, labels: Choices | Floats) -> FloatArray:
        """Unbiased MMD² of each labelling, 0 where a side has no pair of rows of two blocks.

        A pair of rows counts when they are of different blocks: rows of one block are alike whether there is drift or not.

        Parameters
        ----------
        labels : c labellings, as choices or (G, c) with 1 for current

        Returns
        -------
        (c,) float64
        """
        return np.asarray(together([self])(Choices.of(labels))[0])

    def jackknife(self, current: npt.NDArray[np.bool_]) -> float:
        """Variance of the true labelling's MMD², by leaving out each unit of either side in turn.

        Never too small on average (Efron and Stein, "The jackknife estimate of variance", Ann. Statist. 9, 1981): near no
        difference it is about twice the true variance.
        """
        to_x, to_y = np.stack([~current, current]).astype(np.float64) @ self.sums
        diagonal = np.diagonal(self.sums).astype(np.float64)
        variance = 0.0
        for side, mine, other in ((~current, to_x, to_y), (current, to_y, to_x)):
            g = int(side.sum())
            if g < 3:
                continue
            w, own = self.rows[side], self.own[side]
            n, m = w.sum(), self.rows[~side].sum()
            pairs = (n - w) ** 2 - (own.sum() - own)
            others = m**2 - self.own[~side].sum()
            if others <= 0 or (pairs <= 0).any():
                continue
            inside = mine[side].sum() - 2.0 * mine[side] + diagonal[side]
            across = (other[side].sum() - other[side]) / ((n - w) * m)
            without = inside / pairs + other[~side].sum() / others - 2.0 * across
            variance += (g - 1) / g * float(((without - without.mean()) ** 2).sum())
        return variance


def together(pairs: Sequence[PairSums]) -> Callable[[Choices], FloatArray]:
    """:meth:`PairSums.mmd2` of several kernels over the same units at once: c labellings -> (k, c)."""
    rows, own = pairs[0].rows, pairs[0].own
    to_all = np.stack([p.sums.sum(axis=1, dtype=np.float64) for p in pairs])
    totals = to_all.sum(axis=1)[:, None]
    each = np.vstack([to_all, rows, own])
    forms = pair_forms([p.sums for p in pairs])

    def mmd2(labels: Choices) -> FloatArray:
        # Which of the two sides is the chosen one makes no difference.
        *touching, m, alone = labels.sums(each)
        within, across = forms(labels), np.array(touching)
        n = rows.sum() - m
        possible, others = m**2 - alone, n**2 - (own.sum() - alone)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = within / possible + (totals - 2.0 * across + within) / others - 2.0 * (across - within) / (n * m)
        return np.where((possible > 0) & (others > 0), value, 0.0)

    return mmd2


def joined(reference: Floats, across: Floats, current: Floats) -> Floats:
    """The sums of the pooled units, reference first."""
    return np.block([[reference, across], [across.T, current]])


def _strips(units: Units, rows: int = _STRIP) -> list[tuple[int, int]]:
    """Stretches of units of about so many rows."""
    found, first, ends = [], 0, np.append(units.starts[1:], len(units.order))
    while first < len(units):
        last = max(int(np.searchsorted(ends, units.starts[first] + rows, side="right")), first + 1)
        found.append((first, last))
        first = last
    return found


def _summed(tile: Floats, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Floats:
    """Sums over the rows and columns from each start to the next."""
    tile = tile if len(rows) == len(tile) else _rows_summed(tile, rows)
    return tile if len(columns) == tile.shape[1] else np.add.reduceat(tile, columns, axis=1)


def _rows_summed(tile: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    step = int(starts[1] - starts[0]) if len(starts) > 1 else 0
    even = step and (np.diff(starts) == step).all() and len(tile) - starts[-1] <= step
    if not even:
        return np.asarray(np.add.reduceat(tile, starts, axis=0))
    found = tile[::step].copy()  # the same sums, several times as fast when units are of one size
    for offset in range(1, step):
        part = tile[offset::step]
        found[: len(part)] += part
    return found


def gaussian_across(
    left: Floats, a: Units, right: Floats, b: Units, squarings: Sequence[int], constants: Sequence[float]
) -> list[Floats]:
    """The Gaussian kernel and its powers, less their constants, summed over the pairs of two sides' units.

    Parameters
    ----------
    left, right : (n, d + 2) and (m, d + 2) factors of one side each (:func:`~monitor.detectors.tiles.exponents`), in the order
        of their units

    Returns
    -------
    (G, H) float32 for each power
    """
    found = [np.empty((len(a), len(b)), dtype=np.float32) for _ in squarings]
    for first, last in _strips(a):
        start, stop = a.starts[first], (a.starts[last] if last < len(a) else len(left))
        for k, tile in enumerate(tile_powers(left[start:stop], right, squarings, constants)):
            found[k][first:last] = _summed(tile, a.starts[first:last] - start, b.starts)
    return found


def gaussian_within(
    left: Floats, right: Floats, units: Units, squarings: Sequence[int], constants: Sequence[float]
) -> list[Floats]:
    """The same over the pairs of one side's units, pairs of rows of one block left out.

    Returns
    -------
    (G, G) float32, symmetric, for each power
    """
    found = [np.empty((len(units), len(units)), dtype=np.float32) for _ in squarings]
    ends = np.append(units.block_starts[1:], len(left))
    # Narrow strips compute little below the diagonal.
    for first, last in _strips(units, max(_NARROW, min(_STRIP, len(left) // 8))):
        start, stop = units.starts[first], (units.starts[last] if last < len(units) else len(left))
        low, high = np.searchsorted(units.block_starts, [start, stop])
        blocks = list(
            zip((units.block_starts[low:high] - start).tolist(), (ends[low:high] - start).tolist(), strict=True)
        )
        for k, tile in enumerate(tile_powers(left[start:stop], right[start:], squarings, constants)):
            if len(blocks) == stop - start:
                np.fill_diagonal(tile, 0.0)
            else:
                for begin, end in blocks:
                    tile[begin:end, begin:end] = 0.0
            found[k][first:last, first:] = _summed(tile, units.starts[first:last] - start, units.starts[first:] - start)
            found[k][last:, first:last] = found[k][first:last, last:].T
            inner = found[k][first:last, first:last]
            inner[:] = (inner + inner.T) / 2.0  # float32 products are not quite symmetric
    return found


def linear_within(x: Vectors, units: Units) -> tuple[Floats, Floats]:
    """Inner products summed over the pairs of one side's units, pairs of rows of one block left out.

    Returns
    -------
    (G, G) float32 and the units' sums (G, d) float32: two sides' sums multiply to the inner products across
    """
    of_units = _rows_summed(x, units.starts)
    of_blocks = x if len(units.block_starts) == len(x) else _rows_summed(x, units.block_starts)
    sums = of_units @ of_units.T
    squares = np.einsum("ij,ij->i", of_blocks, of_blocks, dtype=np.float64)
    first = np.searchsorted(units.block_starts, units.starts)
    diagonal = np.einsum("ij,ij->i", of_units, of_units, dtype=np.float64) - np.add.reduceat(squares, first)
    np.fill_diagonal(sums, diagonal.astype(np.float32))
    alone = np.diff(np.append(first, len(units.block_starts))) == 1
    sums[np.flatnonzero(alone), np.flatnonzero(alone)] = 0.0
    return np.asarray(sums), of_units
