"""Pipeline faults that show in the counts of a window, held against the windows before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from monitor.causes.phrases import percent
from monitor.detectors.proportions import newcombe
from monitor.values import Cause, Counts

__all__ = ["counted_faults"]

_WINDOWS = 8
_SPREADS = 5.0
_TIMES = 2.0
_GAIN = 0.01
_ALONE = 0.05

Part = Callable[[Counts], tuple[int, int]]

_PARTS: dict[str, tuple[str, Part]] = {
    "empty": ("have neither text nor vector", lambda c: (c.empty, c.empty + c.population)),
    "repeats": ("repeat the id of another", lambda c: (c.repeats, c.repeats + c.sampled)),
    "rejected": (
        "could not be read",
        lambda c: (sum(c.rejected.values()), sum(c.rejected.values()) + c.empty + c.population),
    ),
    "outside": ("lie outside the window", lambda c: (c.outside, c.outside + c.population)),
    "overlong": ("were cut to the configured length", lambda c: (c.overlong, c.sampled)),
}


def counted_faults(counts: Counts, past: Sequence[Counts]) -> list[Cause]:
    """Volume and shares of unusable records that none of the past windows comes near.

    Parameters
    ----------
    past : counts of earlier windows, in any order; volume is judged from 8 on, shares from 1 on, and against nothing where
        there are none (then only 5 % and more are told)
    """
    found = [cause for name in _PARTS if (cause := _part(name, counts, past)) is not None]
    volume = _volume(counts, past)
    return found if volume is None else [volume, *found]


def _volume(counts: Counts, past: Sequence[Counts]) -> Cause | None:
    """Outside half to twice the usual, by five robust spreads, and beyond all that was seen."""
    seen = np.array([c.population for c in past if c.population > 0], dtype=np.float64)
    if len(seen) < _WINDOWS:
        return None
    logs = np.log(seen)
    usual = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - usual)))
    now = float(np.log(max(counts.population, 0.5)))
    beyond = now > logs.max() or now < logs.min()
    if not beyond or abs(now - usual) <= max(np.log(_TIMES), _SPREADS * spread):
        return None
    ratio = counts.population / float(np.exp(usual))
    what = f"{ratio:.1f} times" if ratio >= 1 else f"only {percent(ratio)} of"
    sentence = f"The volume is {what} the usual one: {counts.population} records, where {np.exp(usual):.0f} are the median of {len(seen)} windows."
    evidence = {
        "share": min(1.0, abs(1 - ratio)),
        "population": float(counts.population),
        "usual": float(np.exp(usual)),
    }
    return Cause("pipeline", sentence, evidence)


def _part(name: str, counts: Counts, past: Sequence[Counts]) -> Cause | None:
    told, part = _PARTS[name]
    hits, total = part(counts)
    if total < 1:
        return None
    share = hits / total
    before = [(h, n) for h, n in map(part, past) if n > 0]
    if not before:
        if share < _ALONE or name == "overlong":
            return None
        sentence = f"{percent(share)} of the records {told}; there are no earlier windows to compare with."
        return Cause("pipeline", sentence, {"share": share, f"{name}_current": share})
    most = max(h / n for h, n in before)
    usual = sum(h for h, _ in before) / sum(n for _, n in before)
    low, high = newcombe(sum(h for h, _ in before), sum(n for _, n in before), hits, total)
    if low <= _GAIN or share <= _TIMES * most:
        return None
    sentence = f"{percent(share)} of the records {told}, where {percent(usual)} did before (at most {percent(most)})."
    evidence = {"share": share - usual, "low": low, "high": high, f"{name}_usual": usual, f"{name}_current": share}
    return Cause("pipeline", sentence, evidence)
