"""Looking back: the window's block sums held against the accepted past that the store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from monitor.decide import LATELY, opened, rising_for, stretch_of
from monitor.desk import Desk, Monitor
from monitor.past import Memory, choose, number_of, since_baseline
from monitor.sketches import SCALES, block_sums, change_over, compare, dealt, from_bytes, to_bytes
from monitor.store import Past, PastWindow
from monitor.values import (
    Baseline,
    BlockSums,
    Counts,
    Dataset,
    Decision,
    Measurement,
    Reference,
    RunStatus,
    Window,
)

__all__ = ["Look", "Standing", "counts_before", "look", "standing"]

_LATELY = 16
_HISTORY = 64
_PATIENT = 600
_MOST_CHOICES = 499_999
_BRIEF = 9_999
_COUNTED = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the evidence stands before a window.

    history   verdicts that it goes on from, newest first
    baseline  the newest that the owner has accepted; ``None`` for the reference
    stamp     what the verdict is marked with, so that later ones know whether to go on from it
    """

    history: Sequence[Decision]
    baseline: Baseline | None
    stamp: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What looking back gave: measurements of detector ``change``, and what later windows need of this one."""

    measurements: tuple[Measurement, ...]
    past: Past


def standing(monitor: Monitor, window: Window, reference: Reference, desk: Desk) -> Standing:
    """Where the evidence stands before this window."""
    baselines = desk.store.baselines(monitor.name, window.end)
    baseline = baselines[-1] if baselines else None
    stamp = {"reference": float(reference.version), "baseline": number_of(baseline)}
    told = desk.store.history(monitor.name, before=window.start, limit=_HISTORY)
    return Standing(since_baseline(told, reference.version, stamp["baseline"]), baseline, stamp)


def look(
    monitor: Monitor,
    window: Window,
    reference: Reference,
    current: Dataset,
    since: Standing,
    desk: Desk,
    rng: np.random.Generator,
) -> Look:
    """Compare the window, alone and together with those right before it, with the accepted past."""
    memory = monitor.memory(reference)
    sums = block_sums(memory.plan, current)
    kept = {segment: to_bytes(one) for segment, one in sums.items()}
    past = Past(memory.plan.fingerprint, since.stamp["baseline"], kept, monitor.keep)
    windows = desk.store.past_windows(monitor.name, memory.plan.fingerprint, window.start)
    shelf = _Shelf(desk, memory, monitor.season, window, since.baseline)
    alarm = opened(since.history[0] if since.history else None)
    found: list[Measurement] = []
    for scale in _due(monitor, since.history):
        split = max(0, len(windows) - (scale - 1))
        for segment, mine in sums.items():
            recent = shelf.of([one.run_id for one in windows[split:]], segment)
            if len(recent) == scale - 1:
                before = shelf.accepted(windows[:split], mine)
                patience = _BRIEF if alarm else _patience(monitor.policy.run_length)
                found += change_over(before, [*recent, mine], memory.plan, rng, refined=patience)
    # Under a season the last windows are of other places in it, and would show its rhythm.
    span = min(rising_for(since.history), _LATELY, len(windows)) if monitor.season is None else 0
    if span and "" in sums:
        before = shelf.accepted(windows[: len(windows) - span], sums[""])
        recent = shelf.of([one.run_id for one in windows[len(windows) - span :]], "")
        found += [
            replace(one, detector="change", subject=one.subject + LATELY)
            for one in compare(before, [*recent, sums[""]], memory.plan, rng, permutations=0)
        ]
    return Look(tuple(found), past)


def _patience(run_length: float) -> int:
    """Random choices at most: as many as it takes for one look to raise an alarm by itself."""
    return int(min(_MOST_CHOICES, max(_BRIEF, _PATIENT * run_length)))


def counts_before(monitor: Monitor, window: Window, desk: Desk) -> list[Counts]:
    """What the windows before this one held, newest first."""
    runs = desk.store.runs(monitor.name, limit=_COUNTED, before=window.start)
    return [run.counts for run in runs if run.status is RunStatus.DONE]


def _due(monitor: Monitor, history: Sequence[Decision]) -> list[int]:
    """Scales that are looked at now: while an alarm is on only single windows tell whether it is over."""
    if monitor.season is not None or opened(history[0] if history else None):
        return [1]
    position = stretch_of(history) + 1
    return [scale for scale in SCALES if position % scale == 0]


class _Shelf:
    """Reads block sums out of the store, each run's once, and unpacks those of all traffic once."""

    def __init__(
        self, desk: Desk, memory: Memory, season: timedelta | None, window: Window, baseline: Baseline | None
    ) -> None:
        self._store, self._memory = desk.store, memory
        self._season, self._window, self._baseline = season, window, baseline
        self._held: dict[str, Mapping[str, bytes]] = {}
        self._unpacked: dict[str, BlockSums] = {}

    def accepted(self, windows: Sequence[PastWindow], like: BlockSums) -> list[BlockSums]:
        """The accepted past of a segment among these windows; of the reference, as windows of this size."""
        choice = choose(windows, self._window, self._baseline, self._season)
        first = self._memory.reference.get(like.segment) if choice.with_reference else None
        return ([] if first is None else dealt(first, like)) + self.of(choice.accepted, like.segment)

    def of(self, runs: Sequence[str], segment: str) -> list[BlockSums]:
        """The sums of these runs; a run without records of the segment has none."""
        missing = [run for run in runs if run not in self._held]
        if missing:
            self._held |= {run: {} for run in missing} | dict(self._store.block_sums(missing))
        return [self._one(run, segment) for run in runs if segment in self._held[run]]

    def _one(self, run: str, segment: str) -> BlockSums:
        # All traffic is looked at again and again; of every segment that would be too much to hold.
        if segment:
            return from_bytes(self._held[run][segment])
        if run not in self._unpacked:
            self._unpacked[run] = from_bytes(self._held[run][segment])
        return self._unpacked[run]
