"""What was measured, and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from monitor.values.records import Window

__all__ = [
    "Baseline",
    "BlockSums",
    "Cause",
    "Decision",
    "Judged",
    "Measurement",
    "State",
]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number about one subject. No verdict.

    detector     name of the part that measured
    subject      ``embeddings``, ``embeddings within classes``, ``classes``, ``class:refund``, ...
    segment      ``""`` for all traffic, else ``country=DE``
    effect       size in the detector's own unit, 0 for no difference
    low, high    95 % interval of the effect
    p_value      in (0, 1], or ``None`` for a number that is shown but not tested
    n_reference  rows compared; with fewer than the detector's minimum there is no measurement
    n_current    the same for the window
    detail       a few further numbers worth keeping, such as shares
    """

    detector: str
    subject: str
    effect: float
    low: float
    high: float
    p_value: float | None
    n_reference: int
    n_current: int
    segment: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [self.effect, self.low, self.high]
        if not np.isfinite(numbers).all():
            raise ValueError(f"{self.detector} of {self.subject}: effect and interval {numbers} must be finite")
        if self.p_value is not None and not 0 < self.p_value <= 1:
            raise ValueError(f"{self.detector} of {self.subject}: p-value {self.p_value} is not in (0, 1]")


@dataclass(frozen=True, slots=True)
class BlockSums:
    """Sums of features over the records of each block: all that is kept of a window to compare it with others later.

    Whole numbers, so that adding them up gives the same bits in any order, over workers, hours and days.

    plan     fingerprint of how the features are made; sums of different plans never meet
    segment  ``""`` for all traffic, else ``country=DE``
    rows     (g,) int64, records of each block, at least 1
    sums     (g, f) int64, fixed-point
    """

    plan: str
    segment: str
    rows: npt.NDArray[np.int64]
    sums: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.sums.ndim != 2 or self.rows.shape != self.sums.shape[:1]:
            raise ValueError(f"{self.rows.shape} row counts for block sums of shape {self.sums.shape}")
        if self.rows.dtype != np.int64 or self.sums.dtype != np.int64:
            raise ValueError(f"row counts are {self.rows.dtype} and sums {self.sums.dtype}, not int64")
        if self.rows.min(initial=1) < 1:
            raise ValueError("a block without records")


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that a difference comes from, told apart from the others.

    name      ``class mix``, ``new topic``, ``unseen content``, ``wording or format``, ``embedder`` or ``pipeline``
    sentence  what was found, finished, for people; holds no production text
    evidence  the numbers it rests on
    terms     words that tell the moved records from the others; production text, so shown only redacted
    examples  ids of the records it shows most in, most telling first
    """

    name: str
    sentence: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    terms: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


class State(StrEnum):
    """What is known about a window after the decision."""

    STABLE = "stable"
    WATCH = "watch"
    DRIFTED = "drifted"
    RECOVERING = "recovering"
    INSUFFICIENT = "insufficient"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one window.

    reasons   finished sentences for people
    subjects  what drifted, as ``detector subject`` or ``detector subject (segment)``; empty unless drifted
    causes    short names of what moved: ``content``, ``class balance``; empty unless drifted
    evidence  numbers the verdict rests on, such as the smallest corrected p-value; carries the evidence so far to the next
    segments  the state of each segment that was ever looked at
    findings  what the difference comes from, the most important first; sought when an alarm is near
    """

    state: State
    reasons: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Cause, ...] = ()
    segments: Mapping[str, State] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one window of the past, in short.

    alarm  whether an alarm was on after it
    """

    window: Window
    state: State
    alarm: bool


@dataclass(frozen=True, slots=True)
class Baseline:
    """A gap to the reference that the owner has accepted, until a date: only what exceeds it alarms."""

    monitor: str
    window_start: datetime
    accepted_by: str
    reason: str
    accepted_at: datetime
    until: datetime | None
    effects: Mapping[str, float]
    """Upper ends of the accepted effects by ``detector subject segment`` key (:func:`monitor.decide.key_of`)."""
