"""Change over more than one window: the last 4, 16 or 64 together, for what one window is too small to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.sketches.change import measured, some
from monitor.sketches.plan import Plan
from monitor.sketches.pool import pooled
from monitor.sketches.sums import coarsened
from monitor.values import BlockSums, Measurement

__all__ = ["SCALES", "change_over", "changes"]

SCALES = (1, 4, 16, 64)


def change_over(
    past: Sequence[BlockSums],
    last: Sequence[BlockSums],
    plan: Plan,
    rng: np.random.Generator,
    permutations: int = 999,
    refined: int = 99_999,
    most_past: int = 1_000,
) -> list[Measurement]:
    """:func:`~monitor.sketches.change.change` of the windows ``last`` together, against the windows ``past``.

    Of s windows each, and each past one, is first added up to about 1/s of its blocks: blocks then hold longer stretches
    of time, which is what a change that lasts must be told apart from.

    Where the owner declares a season, ``past`` are the earlier windows of the same hours of the week as ``last``.

    Parameters
    ----------
    past : accepted windows before the last ones; beyond ``most_past`` blocks, a random choice

    Returns
    -------
    subjects ``embeddings`` for one window, ``embeddings over 4 windows`` for more; nothing when a side has no blocks
    """
    scale = len(last)
    most = max(1, max((len(window.rows) for window in last), default=0) // max(scale, 1))
    now = [coarsened(window, most) for window in last]
    # Blocks are thinned to most_past below; windows first, so that not all of a long past need be added up.
    before = [coarsened(window, most) for window in some(past, 4 * most_past // most + 1, rng)]
    if not sum(len(window.rows) for window in before) or not sum(len(window.rows) for window in now):
        return []
    found = measured(pooled(before, now, plan, rng, most_past), rng, permutations, refined, random_ties=True)
    return [one if scale == 1 else replace(one, subject=f"{one.subject} over {scale} windows") for one in found]


def changes(
    past: Sequence[BlockSums],
    recent: Sequence[BlockSums],
    current: BlockSums,
    plan: Plan,
    position: int,
    rng: np.random.Generator,
    scales: Sequence[int] = SCALES,
    permutations: int = 999,
    refined: int = 99_999,
    most_past: int = 1_000,
) -> list[Measurement]:
    """:func:`change_over` at every scale that is due: the last s windows together against all windows before them.

    Scale s is due when ``position`` is a multiple of s, so that the windows of one scale do not overlap. Given the
    unordered bag of all blocks up to a look, its last s windows are a uniform choice among them when nothing changed. So
    p is uniform given the bag, and the earlier p-values of the scale depend on how that bag's earlier part is ordered,
    which says nothing about the last choice: they are independent. Choosing past blocks without looking at them keeps
    this. P-values of different scales do depend on each other; combine their evidence by averaging, not by multiplying.

    Parameters
    ----------
    past, recent : accepted windows before this one in time order, ``recent`` the last of them: 63 for the largest scale
    position : 1 for the first window since the baseline began

    Returns
    -------
    the measurements of all scales that are due and have at least as many windows before
    """
    before = [*past, *recent]
    found = []
    for scale in scales:
        split = len(before) - (scale - 1)
        if position % scale == 0 and len(before) >= scale:
            last = [*before[split:], current]
            found += change_over(before[:split], last, plan, rng, permutations, refined, most_past)
    return found
