"""Permutation p-values that stop early, labellings as matrices, and Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from monitor.values import FloatArray, Measurement

__all__ = ["CLEAR", "FIRST", "at_least", "corrected", "holm", "labellings", "permutation_test"]

FIRST, CLEAR = 299, 0.2
"""After so many labellings a p-value above ``CLEAR`` is an answer."""

_BATCH = 1_000
_AT_ONCE = 100_000
_ENOUGH = 30


def at_least(**options: tuple[int, int]) -> None:
    """``ValueError`` for the first option, given as name=(value, least), that is below its least value."""
    for name, (value, least) in options.items():
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")


def labellings(n: int, total: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """``count`` uniform choices of ``n`` among ``total`` rows, one a column, as 0/1.

    Returns
    -------
    (total, count) float32; each column sums to ``n``
    """
    # numpy permutes numbers of the size of a pointer faster than others, by the same draws.
    marks = np.zeros((min(count, max(1, _AT_ONCE // total)), total), dtype=np.intp)
    found = np.empty((total, count), dtype=np.float32)
    for start in range(0, count, len(marks)):
        part = marks[: count - start]
        part[:] = 0
        part[:, :n] = 1
        found[:, start : start + len(part)] = rng.permuted(part, axis=1, out=part).T
    return found


def permutation_test(
    observed: float,
    draw: Callable[[int], FloatArray],
    permutations: int,
    refined: int | None = None,
    tolerance: float = 0.0,
    first: int | None = None,
) -> float:
    """The p-value (b + 1)/(B + 1).

    Of B permuted statistics b reach the observed one; ties count. ``permutations`` are drawn first; only when fewer
    than 30 of them reach the observed one does the count go on to ``refined``, because only then can the answer matter
    after a correction for many tests. This stays exact: a p-value of at most u needs the full count to give at most u as
    well, or it was reached by the first part alone. For the same reason the test may end after ``first`` already, at a p-value above 0.2:
    a smaller one is then given only when ``permutations`` give it.

    Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991; Phipson and Smyth, "Permutation p-values
    should never be zero", Stat. Appl. Genet. Mol. Biol. 9, 2010.

    Parameters
    ----------
    observed : the statistic, large when the sides differ
    draw : count -> (count,) statistics under random labellings
    permutations, refined : B of the first part, and of the whole when it goes on
    tolerance : >= 0, how far below the observed value still counts as equal (rounding)
    first : labellings after which a clear answer ends the test; no such stage when it is not below ``permutations``

    Returns
    -------
    in [1/(B + 1), 1]
    """
    reached = drawn = 0
    for limit in (min(first or permutations, permutations), permutations, refined or permutations):
        while drawn < limit:
            count = min(_BATCH, limit - drawn)
            reached += int((draw(count) >= observed - tolerance).sum())
            drawn += count
        enough = _ENOUGH if drawn >= permutations else CLEAR * (drawn + 1)
        if reached >= enough:
            break
    return (reached + 1) / (drawn + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for each other: the chance that any true null hypothesis falls below u is at most u.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.

    Returns
    -------
    as many values in (0, 1], in the same order, none smaller than before
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def corrected(measurements: Sequence[Measurement], times: int = 1) -> list[Measurement]:
    """The measurements with their p-values Holm-corrected for each other, ``times`` as strictly if they share a level."""
    tested = [m.p_value for m in measurements if m.p_value is not None]
    values = iter(holm(tested))
    return [m if m.p_value is None else replace(m, p_value=min(1.0, times * next(values))) for m in measurements]
