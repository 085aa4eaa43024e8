"""What to label next, and what goes out to people about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from monitor.values.records import Window

__all__ = [
    "Candidate",
    "Draft",
    "Export",
    "Neighbour",
]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training example close to a candidate; ``similarity`` is a cosine in [-1, 1]."""

    record_id: str
    label: str | None
    similarity: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A production record proposed for labelling.

    rank        1 for the first to label
    strategy    what chose it, for example ``herding`` or ``random``
    gain        expected use for the drifted traffic in [0, 1]; comparable within one batch only
    risk        propensity to break protected samples in [0, 1], ``None`` when not estimated
    duplicates  near-identical records of the window that it stands for, itself not counted
    label       the true label once a person has given it
    """

    rank: int
    record_id: str
    strategy: str
    gain: float
    risk: float | None
    suggested_label: str | None
    neighbours: tuple[Neighbour, ...]
    reason: str
    duplicates: int = 0
    text: str | None = None
    observed_at: datetime | None = None
    predicted: str | None = None
    confidence: float | None = None
    segments: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket not yet opened. ``key`` is the idempotency key: one key, one ticket, whatever crashes."""

    key: str
    monitor: str
    title: str
    body: str
    window: Window


@dataclass(frozen=True, slots=True)
class Export:
    """Refresh candidates on their way out. The same ``key`` overwrites, it never appends."""

    key: str
    monitor: str
    run_id: str
    window: Window
    candidates: tuple[Candidate, ...]
    reference_version: int
