"""Blocks of the past and of the current window put together, and the features of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.sketches.plan import COORDINATE_UNIT, FOURIER_UNIT, FOURIER_WIDTH, Plan
from monitor.values import BlockSums, FloatArray

__all__ = ["Pool", "features", "pooled"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Blocks of both sides, the current ones last.

    rows  (G,) float64
    sums  (G, f) float64
    """

    plan: Plan
    segment: str
    rows: FloatArray
    sums: FloatArray
    current: int

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        """The true choice, (1, g)."""
        return np.arange(len(self.rows) - self.current, len(self.rows))[None]


def pooled(
    past: Sequence[BlockSums], current: Sequence[BlockSums], plan: Plan, rng: np.random.Generator, most_past: int
) -> Pool:
    """Blocks of both sides, at most ``most_past`` random ones of the past; ``ValueError`` when plans or segments differ."""
    for window in (*past, *current):
        if window.plan != plan.fingerprint or window.sums.shape[1] != plan.width:
            raise ValueError(
                "block sums of another plan cannot be compared: the reference or the features changed since. "
                "Backfill the windows to be compared"
            )
        if window.segment != current[0].segment:
            raise ValueError(
                f"block sums of {window.segment!r} cannot be compared with those of {current[0].segment!r}"
            )
    where = np.concatenate([np.full(len(window.rows), i) for i, window in enumerate(past)] or [np.zeros(0, int)])
    within = np.concatenate([np.arange(len(window.rows)) for window in past] or [np.zeros(0, int)])
    if len(where) > most_past:
        kept = np.sort(rng.choice(len(where), most_past, replace=False))
        where, within = where[kept], within[kept]
    taken = np.split(within, np.flatnonzero(np.diff(where)) + 1) if len(where) else []
    numbers = where[np.flatnonzero(np.diff(where, prepend=-1))]
    last = sum(len(window.rows) for window in current)
    rows, sums = np.empty(len(where) + last), np.empty((len(where) + last, plan.width))
    start = 0
    for window, chosen in [
        *zip((past[i] for i in numbers), taken, strict=True),
        *((one, slice(None)) for one in current),
    ]:
        some, theirs = window.rows[chosen], window.sums[chosen]
        rows[start : start + len(some)], sums[start : start + len(some)] = some, theirs
        start += len(some)
    return Pool(plan, current[0].segment, rows, sums, last)


def features(pool: Pool, name: str) -> tuple[FloatArray, FloatArray]:
    """Sums of one component in its own unit, (G, f), and the records that bear on it, (G,)."""
    places, sums = pool.plan.columns, pool.sums
    if name in {"rbf1", "rbf4"}:
        return sums[:, places[name]] / (FOURIER_UNIT * np.sqrt(FOURIER_WIDTH)), pool.rows
    if name == "whitened":
        ruler = pool.plan.ruler
        return sums[:, places["coordinates"]][:, ruler.live] @ (ruler.whitening / COORDINATE_UNIT), pool.rows
    if name == "classes":
        counts = sums[:, places["classes"]]
        counts = counts[:, counts.sum(axis=0) > 0]
        return counts, counts.sum(axis=1)
    if name == "confidence":
        return sums[:, places["confidence"]], sums[:, places["confident"]][:, 0]
    return sums[:, places[name]], pool.rows
