"""A/A calibration: the reference and the accepted past compared with themselves, at production's sizes and blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from monitor.detectors.blocks import blocks_of
from monitor.detectors.segments import ordered
from monitor.sketches import Plan, block_sums, change, dealt
from monitor.sketches.plan import in_plan
from monitor.values import BlockSums, Dataset, Level, Measurement, Reference

__all__ = ["held_out", "level_of", "past_against_itself", "reference_against_itself", "tolerance_of"]

_LEVEL = 0.05
_LEAST_TOLERANCE = 0.01
_Z = 1.959963984540054


def level_of(p_values: Sequence[float]) -> Level | None:
    """Share of p-values of at most 5 % with its Wilson interval; ``None`` without any."""
    n = len(p_values)
    if not n:
        return None
    share = sum(p <= _LEVEL for p in p_values) / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Level(n, share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def held_out(reference: Reference) -> Dataset:
    """The reference's rows that sketches are not made from."""
    data = ordered(reference.everything)
    return data.take(~in_plan(data, blocks_of(data)))


def _embeddings(measured: Sequence[Measurement]) -> Measurement | None:
    return next((m for m in measured if m.subject == "embeddings" and m.p_value is not None), None)


def reference_against_itself(
    plan: Plan,
    held_out: Dataset,
    rows: int,
    rounds: int,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Measurement]:
    """Looks at random draws from the reference, each against the rows that were not drawn.

    Parameters
    ----------
    held_out : see :func:`held_out`
    rows : records a window of production has; at most half of the rows are drawn
    rounds : draws

    Returns
    -------
    one measurement of ``embeddings`` a round; fewer where there were too few blocks
    """
    size = min(rows, len(held_out) // 2)
    found = []
    for done in range(rounds):
        order = rng.permutation(len(held_out))
        mine, rest = held_out.take(order[:size]), held_out.take(order[size:])
        ours, theirs = block_sums(plan, mine).get(""), block_sums(plan, rest, most_blocks=512).get("")
        one = _embeddings(change(dealt(theirs, ours), ours, plan, rng, refined=999)) if ours and theirs else None
        found += [one] if one is not None else []
        progress(done + 1, rounds)
    return found


def past_against_itself(plan: Plan, windows: Sequence[BlockSums], rng: np.random.Generator) -> list[Measurement]:
    """Looks at each accepted window, each against all the others."""
    found = []
    for place, mine in enumerate(windows):
        others = [*windows[:place], *windows[place + 1 :]]
        one = _embeddings(change(others, mine, plan, rng, refined=999)) if others else None
        found += [one] if one is not None else []
    return found


def tolerance_of(measured: Sequence[Measurement]) -> float:
    """A tolerance that 19 of 20 looks without drift stay within: of the lower ends of their effects, at least 1 %."""
    lows = [m.low for m in measured]
    return max(_LEAST_TOLERANCE, float(np.quantile(lows, 0.95))) if lows else _LEAST_TOLERANCE
