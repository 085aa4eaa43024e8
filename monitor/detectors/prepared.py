"""What of a reference stays the same between looks: its ruler, its test part, and the sums over its own pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import FEWEST, Blocks, blocks_of
from monitor.detectors.kernels import gaussian_kernel, median_squared_distance
from monitor.detectors.novelty_ranks import savage_scores
from monitor.detectors.pair_sums import Floats, gaussian_across, gaussian_within, joined, linear_within
from monitor.detectors.power import Alternatives, alternatives
from monitor.detectors.ruler import Ruler, in_ruler, make_ruler
from monitor.detectors.segments import equalised
from monitor.detectors.tiles import exponents
from monitor.detectors.units import Units, blocks_per_unit, units_of
from monitor.values import Dataset, FloatArray, Vectors

__all__ = ["FITTED", "SQUARINGS", "Prepared", "Side", "bandwidth_rows", "drawn_blocks", "prepare", "side_of"]

FITTED = "mmd.median_squared_distance"
SQUARINGS = (0, 2)
"""RBF 1/median, and 4/median, which is its fourth power."""

_FEWEST_TO_SPLIT = 200
_CONSTANT_ROWS = 500
_REMEMBERED = 64

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Side:
    """Rows of one side with all that the components need of them.

    factors   left and right (n, d + 2) float32, see :func:`~monitor.detectors.tiles.exponents`
    whitened  (n, d) float32, and novelty (n,) float64 of each row; ``None`` without a ruler
    """

    data: Dataset
    blocks: Blocks
    factors: tuple[Floats, Floats]
    whitened: Vectors | None
    novelty: FloatArray | None


@dataclass(frozen=True, slots=True)
class _Sums:
    """One side's units and the sums over its pairs, for one segment.

    left, right  the factors in the order of the units; empty for a segment of a reference, which is put in order again rather than held
    """

    units: Units
    gaussian: list[Floats]
    linear: tuple[Floats, Floats] | None
    left: Floats
    right: Floats


@dataclass(frozen=True, slots=True)
class Prepared:
    """A reference made ready.

    test          the part that is compared, never the ruler's
    ruler         ``None`` for a small reference, which is tested whole and by the Gaussian kernels alone
    gamma         1 / median squared distance
    constants     means of the kernels, subtracted from them
    alternatives  what contamination and shifts would look like
    """

    test: Side
    ruler: Ruler | None
    gamma: float
    constants: tuple[float, ...]
    alternatives: Alternatives
    remembered: dict[tuple[str, int], _Sums] = field(default_factory=dict)

    def sums(self, segment: str, rows: Rows, blocks: Blocks, per_unit: int) -> _Sums:
        """The reference's own sums, made once for each segment and size of units."""
        key = (segment, per_unit)
        if key not in self.remembered:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            # The grouping is fixed for ever and knows nothing of any window.
            made = self.summed(self.test, rows, blocks, per_unit, np.random.default_rng(len(rows)))
            none = made.left[:0]
            self.remembered[key] = replace(made, left=none, right=none if segment else made.right)
        return self.remembered[key]

    def summed(self, side: Side, rows: Rows, blocks: Blocks, per_unit: int, rng: np.random.Generator) -> _Sums:
        """One side's sums over the pairs of its units."""
        units = units_of(blocks, per_unit, rng)
        chosen = rows[units.order]
        left, right = (factor[chosen] for factor in side.factors)
        gaussian = gaussian_within(left, right, units, SQUARINGS, self.constants)
        linear = None if side.whitened is None else linear_within(side.whitened[chosen], units)
        return _Sums(units, gaussian, linear, left, right)

    def pooled(
        self, segment: str, x: Rows, current: Side, y: Rows, rng: np.random.Generator
    ) -> tuple[Units, Units, list[Floats], FloatArray | None]:
        """Units of both sides, the sums over all their pairs for each kernel, and the novelty scores' sums.

        Parameters
        ----------
        x, y : positions of the segment's rows in the test part and in ``current``
        """
        ours, theirs = self.test.blocks.of(x), current.blocks.of(y)
        per_unit = blocks_per_unit(ours, theirs)
        a = self.sums(segment, x, ours, per_unit[0])
        b = self.summed(current, y, theirs, per_unit[1], rng)
        order_x, order_y = x[a.units.order], y[b.units.order]
        right = a.right if len(a.right) else self.test.factors[1][order_x]
        across = gaussian_across(b.left, b.units, right, a.units, SQUARINGS, self.constants)
        sums = [joined(s, t.T, u) for s, t, u in zip(a.gaussian, across, b.gaussian, strict=True)]
        if a.linear is None or b.linear is None or self.test.novelty is None or current.novelty is None:
            return a.units, b.units, sums, None
        sums.append(joined(a.linear[0], a.linear[1] @ b.linear[1].T, b.linear[0]))
        scores = savage_scores(np.concatenate([self.test.novelty[order_x], current.novelty[order_y]]))
        starts = np.concatenate([a.units.starts, len(order_x) + b.units.starts])
        return a.units, b.units, sums, np.add.reduceat(scores, starts)


def drawn_blocks(blocks: Blocks, most: int, rng: np.random.Generator) -> Rows:
    """Rows of whole blocks drawn at random, at most ``most`` of them; all when there are no more."""
    n = len(blocks.codes)
    if n <= most:
        return np.arange(n)
    order = rng.permutation(blocks.count)
    kept = np.cumsum(blocks.sizes[order]) <= most
    kept[0] = True
    return np.flatnonzero(np.isin(blocks.codes, order[kept]))


def bandwidth_rows(data: Dataset, blocks: Blocks) -> npt.NDArray[np.bool_] | None:
    """Which rows are the ruler's; ``None`` when the reference is too small to set some aside."""
    if len(data) < _FEWEST_TO_SPLIT:
        return None
    chosen = in_ruler(data, blocks)
    enough = chosen.sum() >= _FEWEST_TO_SPLIT // 8 and blocks.of(np.flatnonzero(~chosen)).count >= FEWEST
    return chosen if enough else None


def side_of(data: Dataset, blocks: Blocks, gamma: float, ruler: Ruler | None) -> Side:
    """All that the components need of these rows."""
    factors = exponents(data.vectors, gamma)
    if ruler is None:
        return Side(data, blocks, factors, None, None)
    return Side(data, blocks, factors, ruler.whitened(data.vectors), ruler.novelty(data.vectors))


def prepare(everything: Dataset, fitted: Mapping[str, float], max_rows: int) -> Prepared:
    """A reference made ready; the same rows in any order give the same.

    Parameters
    ----------
    everything : the reference's rows
    fitted : may hold the bandwidth as ``mmd.median_squared_distance``
    max_rows : of the test part
    """
    rng = np.random.default_rng(len(everything))
    data = equalised(everything, rng)
    blocks = blocks_of(data)
    chosen = bandwidth_rows(data, blocks)
    ruler = None if chosen is None else make_ruler(data.vectors[chosen])
    known = data.vectors if chosen is None else data.vectors[chosen]
    gamma = 1.0 / (fitted.get(FITTED) or median_squared_distance(known))
    rest = np.arange(len(data)) if chosen is None else np.flatnonzero(~chosen)
    rest = rest[drawn_blocks(blocks.of(rest), max_rows, rng)]
    kernel = gaussian_kernel(known[:_CONSTANT_ROWS], known[:_CONSTANT_ROWS], gamma)
    np.fill_diagonal(kernel, 0.0)
    pairs = max(len(kernel) * (len(kernel) - 1), 1)
    constants = tuple(float((kernel ** (2**s)).sum(dtype=np.float64)) / pairs for s in SQUARINGS)
    test = side_of(data.take(rest), blocks.of(rest), gamma, ruler)
    others = None if chosen is None else data.vectors[~chosen]
    classes = data.classes if chosen is None else np.concatenate([data.classes[chosen], data.classes[~chosen]])
    return Prepared(test, ruler, gamma, constants, alternatives(known, ruler, gamma, others, classes))
