"""What a rehearsal without drift has shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Calibration", "Level"]


@dataclass(frozen=True, slots=True)
class Level:
    """How often looks at traffic without drift gave p <= 5 %.

    looks  looks taken
    share  of them with p <= 5 %; 0.05 on average when the test keeps its word
    low, high  95 % interval of the share
    """

    looks: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monitor held against itself.

    reference  random draws from the reference, of production's size, against the rest of it
    past       each accepted window against the other accepted ones; too often small when time itself has a rhythm
    tolerance  share of traffic that accepted windows differ by anyway, suggested as ``policy.tolerance``
    """

    monitor: str
    calibrated_at: datetime
    reference_version: int
    reference: Level | None
    past: Level | None
    tolerance: float
