"""Two samples compared within strata: one exact permutation p-value over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from monitor.detectors.permutation import FIRST, permutation_test
from monitor.values import FloatArray

__all__ = ["Classes", "Exchangeable", "compare", "shared_classes"]

Classes = npt.NDArray[np.object_]

_PILOT = 200


class Exchangeable(Protocol):
    """Rows of both sides that may swap places when there is no difference, and a statistic that is 0 on average then."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Reference and current rows."""
        ...

    @property
    def observed(self) -> float:
        """The statistic of the true labelling, large when the sides differ."""
        ...

    @property
    def variance(self) -> float:
        """Estimated variance of ``observed`` as an estimate of the true difference."""
        ...

    def permuted(self, count: int, rng: np.random.Generator) -> FloatArray:
        """The statistic under random labellings, (count,) float64."""
        ...


def shared_classes(x: Classes, y: Classes) -> list[str]:
    """Classes with at least 2 rows on both sides, in order; rows without a class do not count."""
    shared = {c for c in x if c is not None} & {c for c in y if c is not None}
    return [c for c in sorted(shared) if min((x == c).sum(), (y == c).sum()) >= 2]


def compare(
    strata: Sequence[Exchangeable], permutations: int, rng: np.random.Generator, refined: int | None = None
) -> tuple[float, float, float]:
    """Weighted mean of the strata's statistics, its standard error, and one p-value.

    Strata weigh as the harmonic mean of their sizes. The p-value permutes within strata, so it is exact whatever the
    strata's sizes are. With several strata it tests the sum of squares of the positive standardised statistics: a
    change that sits in one of many strata, as most do, would drown in their mean, and one that is spread over
    all would be missed by their maximum. What standardises them comes from labellings drawn before, which know
    nothing of the true one.

    The standard error is at least the spread under permutation: where the statistic is degenerate near no difference,
    an estimate from a small observed value can be far too small.

    Parameters
    ----------
    strata : at least one
    permutations, refined : labellings drawn, see :func:`~monitor.detectors.permutation.permutation_test`; 299 when they are clear

    Returns
    -------
    effect in the statistic's unit, standard error >= 0, p in (0, 1]
    """
    sizes = np.array([n * m / (n + m) for n, m in (s.sizes for s in strata)])
    weights = sizes / sizes.sum()
    spreads = np.array([s.permuted(_PILOT, rng).std() for s in strata])
    scales = np.where(spreads > 1e-12, spreads, np.inf)[:, None]
    observed = np.array([[s.observed] for s in strata])

    def joined(values: FloatArray) -> FloatArray:
        standardised = values / scales
        squares = np.maximum(standardised, 0.0) ** 2
        return np.asarray(standardised[0] if len(strata) == 1 else squares.sum(axis=0))

    def draw(count: int) -> FloatArray:
        return joined(np.array([s.permuted(count, rng) for s in strata]))

    reached = float(joined(observed)[0])
    # float32 sums of one labelling in two places can differ by this much and are ties all the same.
    p = permutation_test(reached, draw, permutations, refined, tolerance=1e-4 * (1.0 + abs(reached)), first=FIRST)
    errors = np.maximum([s.variance for s in strata], spreads**2)
    return float(weights @ observed[:, 0]), float(np.sqrt(weights**2 @ errors)), p
