"""All that is known about one window of one monitor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from monitor.values.records import Counts, Window
from monitor.values.refresh import Candidate, Refresh
from monitor.values.verdicts import Decision, Measurement

__all__ = [
    "Run",
    "RunStatus",
]


class RunStatus(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """All that is known about one (monitor, window)."""

    id: str
    monitor: str
    window: Window
    status: RunStatus
    attempt: int
    claimed_by: str
    started_at: datetime
    finished_at: datetime | None = None
    reference_version: int | None = None
    reference_fingerprint: str = ""
    embedder: str = ""
    settings: str = ""
    counts: Counts = field(default_factory=Counts)
    measurements: tuple[Measurement, ...] = ()
    decision: Decision | None = None
    candidates: tuple[Candidate, ...] = ()
    refresh: Refresh | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    def segments(self) -> Iterator[str]:
        """The segments that were measured, all traffic (``""``) first."""
        yield from dict.fromkeys(["", *(m.segment for m in self.measurements)])
