"""Unseen content: records farther from all the reference knows than nearly all of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.causes.phrases import gain, interval
from monitor.causes.shares import Change, mean_change, share_change
from monitor.causes.sides import FEWEST, Sides
from monitor.values import Cause

__all__ = ["tail", "unseen_content"]

_TAIL = 0.99
_SURE = 2.5
_SHOWN = 10


def tail(sides: Sides) -> tuple[float, npt.NDArray[np.bool_]]:
    """What 99 % of half of the reference stays nearer than, as ``known``, and which current rows do not."""
    limit = float(np.quantile(sides.reference.known[sides.reference.first], 1 - _TAIL))
    return limit, sides.current.known < limit


def _heavier(sides: Sides) -> float:
    """Standard errors by which production's novelty tail is heavier: exponential (Savage) scores of the pooled ranks."""
    n = len(sides.reference)
    ranks = stats.rankdata(-np.concatenate([sides.reference.known, sides.current.known]))
    scores = -np.log1p(-ranks / (len(ranks) + 1))
    return mean_change(scores[:n], sides.reference.codes, scores[n:], sides.current.codes).z


def unseen_content(sides: Sides) -> tuple[Cause | None, npt.NDArray[np.bool_]]:
    """The cause, ``None`` when the tail is not surely heavier, and the current rows in the tail.

    The limit comes from one half of the reference; the other half and production are counted beyond it.
    """
    none = np.zeros(len(sides.current), dtype=bool)
    held = ~sides.reference.first
    if min(held.sum(), len(sides.current), sides.reference.first.sum()) < FEWEST:
        return None, none
    limit, beyond = tail(sides)
    change = share_change(sides.reference.known[held] < limit, sides.reference.codes[held], beyond, sides.current.codes)
    heavier = _heavier(sides)
    if change.low <= 0 or heavier < _SURE:
        return None, none
    order = np.argsort(sides.current.known, kind="stable")[: min(_SHOWN, int(beyond.sum()))]
    return _cause(change, heavier, tuple(sides.current.ids[order])), beyond


def _cause(change: Change, heavier: float, examples: tuple[str, ...]) -> Cause:
    sentence = (
        f"About {interval(change)} of the traffic is unlike anything in the reference and unlike each other: records farther "
        f"from it than 99 % of its own held-out records rose {gain(change)}."
    )
    evidence = {
        "share": change.difference,
        "low": change.low,
        "high": change.high,
        "beyond_reference": change.reference,
        "beyond_current": change.current,
        "tail_z": heavier,
    }
    return Cause("unseen content", sentence, evidence, (), examples)
