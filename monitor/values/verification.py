"""A refresh held against the model it replaces, the model that went live, and what became of the drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from monitor.values.records import Window, aware
from monitor.values.refresh import Estimate
from monitor.values.verdicts import State

__all__ = ["Checked", "Comparison", "Deployment", "Flip", "Outcome", "Verdict", "Verification", "VerifiedSet"]


class Verdict(StrEnum):
    """Whether a refresh keeps the budget of negative flips: shown that it does, that it does not, or neither."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same labelled records.

    group     ``""`` for all of a set, ``class refund`` for records whose true class that is, ``country=DE`` for a segment
    records   compared
    old_right, new_right  of them, counted
    negative  right before and wrong now; ``positive`` the other way round
    old, new  accuracy in [0, 1]
    gain      change of accuracy in [-1, 1], its interval by pairs
    negative_rate  negative flips, of what was right; ``None`` when nothing was
    positive_rate  positive flips, of what was wrong; ``None`` when nothing was
    trust     backward trust compatibility: share of what was right that still is, in [0, 1]
    error     backward error compatibility: share of what is wrong now that was wrong before, in [0, 1]
    p_value   McNemar's exact test that neither is better, two-sided
    """

    group: str
    records: int
    old_right: int
    new_right: int
    negative: int
    positive: int
    old: Estimate
    new: Estimate
    gain: Estimate
    negative_rate: Estimate | None
    positive_rate: Estimate | None
    trust: float | None
    error: float | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Flip:
    """A record that one model has right and the other wrong; ``negative`` when it is the new one that is wrong."""

    record_id: str
    label: str
    old: str
    new: str
    negative: bool


@dataclass(frozen=True, slots=True)
class VerifiedSet:
    """Both models on one set of records.

    name      ``protected``, ``drifted`` (every labelled candidate), or ``random`` (of those, the ones that were drawn at random,
              each weighted by the traffic it stands for)
    left_out  records of the set that were not compared, by reason
    overall   ``None`` when none was
    flips     negative ones first
    """

    name: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    overall: Comparison | None = None
    classes: tuple[Comparison, ...] = ()
    segments: tuple[Comparison, ...] = ()
    flips: tuple[Flip, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """A refreshed model held against the one it replaces.

    old, new  where the predictions came from
    windows   starts of the drifted windows whose labels were used, oldest first
    budget    share of what the model has right that a refresh may break
    ignored   predictions that were not used, by file and reason
    held_out  whether it was said what the new model learnt from, so that no such record is counted
    dataset_version  of the training set the new model learnt from, where known
    """

    id: str
    monitor: str
    made_at: datetime
    reference_version: int
    old: str
    new: str
    windows: tuple[datetime, ...]
    budget: float
    verdict: Verdict
    sets: tuple[VerifiedSet, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    held_out: bool = False
    dataset_version: int | None = None

    def of(self, name: str) -> VerifiedSet:
        """The set of this name; an empty one when there is none."""
        return next((one for one in self.sets if one.name == name), VerifiedSet(name))


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model that was declared live: from ``live_at`` on production's predictions are its own."""

    monitor: str
    model: str
    live_at: datetime
    declared_by: str
    declared_at: datetime
    verification: str | None = None
    reference_version: int | None = None
    dataset_version: int | None = None

    def __post_init__(self) -> None:
        aware(self.live_at, "time of going live")


@dataclass(frozen=True, slots=True)
class Checked:
    """A record drawn at random from production that has its true label by now.

    population  usable records of its window
    """

    window: Window
    population: int
    record_id: str
    predicted: str
    label: str
    observed_at: datetime | None = None

    @property
    def at(self) -> datetime:
        """When it was seen; the middle of its window where nobody knows."""
        return self.observed_at or self.window.start + self.window.length / 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a drift after a model went live.

    alarm_since   end of the window that raised the last alarm before; ``None`` when there was none
    recovered_at  end of the first stable window after that; ``None`` while there is none
    windows       judged since the model went live, until the next one did
    state         verdict on the newest of them; ``None`` without any
    labels        that came in for it, before it went live and after its predecessor did
    before, since accuracy on production by records drawn at random, of the predecessor and of this model; ``None`` without labels
    checked_before, checked_since  records that these rest on
    """

    deployment: Deployment
    alarm_since: datetime | None
    recovered_at: datetime | None
    windows: int
    state: State | None
    labels: int
    before: Estimate | None
    since: Estimate | None
    checked_before: int
    checked_since: int
    verification: Verification | None = None

    @property
    def seconds_to_recovery(self) -> float | None:
        """From alarm to recovery."""
        if self.alarm_since is None or self.recovered_at is None:
            return None
        return (self.recovered_at - self.alarm_since).total_seconds()

    @property
    def over(self) -> bool:
        """Whether a later window showed that the drift is over."""
        return self.recovered_at is not None
