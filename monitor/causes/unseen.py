"""Unseen content: records farther from all the reference knows than nearly all of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.causes.phrases import gain, interval, percent
from monitor.causes.shares import Change, mean_change, share_change
from monitor.causes.sides import Sides
from monitor.values import Cause

__all__ = ["unseen_content"]

_TAILS = (0.99, 0.98, 0.97, 0.95)
_AGREE = 2
_SHOWN = 10


def _heavier(sides: Sides) -> float:
    """Standard errors by which production's novelty tail is heavier: exponential (Savage) scores of the pooled ranks."""
    n = len(sides.reference)
    ranks = stats.rankdata(-np.concatenate([sides.reference.known, sides.current.known]))
    scores = -np.log1p(-ranks / (len(ranks) + 1))
    return mean_change(scores[:n], sides.reference.codes, scores[n:], sides.current.codes).z


def unseen_content(sides: Sides) -> tuple[Cause | None, npt.NDArray[np.bool_]]:
    """The cause, ``None`` when the tail is not surely heavier, and the current rows in the tail.

    Limits are the reference's own 99, 98, 97 and 95 % points, all its rows here being held out from what measures; at least
    two must be passed by surely more of production. What is told is the outermost of them.
    """
    found: list[tuple[float, float, Change]] = []
    for tail in _TAILS:
        limit = float(np.quantile(sides.reference.known, 1 - tail))
        theirs, ours = sides.reference.known < limit, sides.current.known < limit
        change = share_change(theirs, sides.reference.codes, ours, sides.current.codes)
        if change.low > 0:
            found.append((tail, limit, change))
    if len(found) < _AGREE:
        return None, np.zeros(len(sides.current), dtype=bool)
    tail, limit, change = found[0]
    beyond = sides.current.known < limit
    order = np.argsort(sides.current.known, kind="stable")[: min(_SHOWN, int(beyond.sum()))]
    return _cause(tail, change, _heavier(sides), tuple(sides.current.ids[order])), beyond


def _cause(tail: float, change: Change, heavier: float, examples: tuple[str, ...]) -> Cause:
    sentence = (
        f"Content that the reference does not know, in no one group: records farther from it than {percent(tail)} of its own "
        f"held-out records rose {gain(change)}, so that at least {interval(change)} of the traffic is new."
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
