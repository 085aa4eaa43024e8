"""Which windows a window is compared with: the accepted past, drawn by chance alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from monitor.sketches import Plan, make_plan, reference_sums
from monitor.store import PastWindow
from monitor.values import Baseline, BlockSums, Decision, Reference, Window

__all__ = ["Choice", "Memory", "choose", "number_of", "phase_of", "since_baseline"]

_MOST = 100
"""Windows compared with at most. A fair draw of the past keeps every p-value exact, where the newest alone would not."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What looking back at one reference needs, made once: how sums are made, and the reference's own."""

    plan: Plan
    reference: Mapping[str, BlockSums]

    @classmethod
    def of(cls, reference: Reference) -> Memory:
        """The memory of a reference."""
        plan = make_plan(reference)
        return cls(plan, reference_sums(plan, reference))


@dataclass(frozen=True, slots=True)
class Choice:
    """Run ids of the windows to compare with.

    with_reference  whether the reference belongs to the accepted past: until the owner accepts a baseline
    accepted        the accepted past, oldest first
    """

    with_reference: bool
    accepted: tuple[str, ...]


def number_of(baseline: Baseline | None) -> float:
    """Names a baseline in a verdict's evidence: the start of its window in seconds since 1970, 0 for the reference."""
    return baseline.window_start.timestamp() if baseline is not None else 0.0


def since_baseline(
    history: Sequence[tuple[Window, Decision]], reference_version: int, baseline: float
) -> list[Decision]:
    """The verdicts that the evidence goes on from, newest first: those under this reference and this baseline."""

    def same(entry: tuple[Window, Decision]) -> bool:
        evidence = entry[1].evidence
        return evidence.get("reference") == reference_version and evidence.get("baseline") == baseline

    return [decision for _, decision in takewhile(same, history)]


def phase_of(start: datetime, season: timedelta) -> timedelta:
    """Place of a window in its season."""
    return timedelta(seconds=start.timestamp()) % season


def choose(
    windows: Sequence[PastWindow],
    window: Window,
    baseline: Baseline | None,
    season: timedelta | None = None,
) -> Choice:
    """The windows to compare this one with.

    Parameters
    ----------
    windows : those whose sums are kept, oldest first
    baseline : the one in force, ``None`` for the reference
    season : only windows of the same place in this period count; the reference has none, so it does not

    What was accepted under a baseline that has run out since no longer is.
    """
    number = number_of(baseline)

    def counts(one: PastWindow) -> bool:
        if season is not None and phase_of(one.window.start, season) != phase_of(window.start, season):
            return False
        if baseline is None:
            return one.accepted and one.baseline == number
        # What was there when the owner accepted it counts, whatever was said of it under the former baseline.
        return one.window.start >= baseline.window_start and (one.accepted or one.baseline != number)

    ours = sorted(filter(counts, windows), key=lambda one: one.draw)[:_MOST]
    return Choice(
        baseline is None and season is None,
        tuple(one.run_id for one in sorted(ours, key=lambda one: one.window.start)),
    )
