"""Values the store gives out about its own bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from monitor.values import (
    Calibration,
    Candidate,
    Decision,
    Deployment,
    Export,
    Known,
    Notice,
    Run,
    RunStatus,
    TicketWish,
    TrainingSet,
    Verification,
    Window,
)

__all__ = [
    "Accepted",
    "Annotation",
    "AnyDue",
    "Attempt",
    "Claim",
    "Delivery",
    "DeliveryStatus",
    "Due",
    "Intake",
    "LabelImport",
    "Overview",
    "Past",
    "PastWindow",
    "Place",
    "Proposed",
    "ReferenceVersion",
    "Standing",
]

Wish = TypeVar("Wish", TicketWish, Export, Notice)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one window. ``attempt`` is the fencing token: it grows each time the window changes hands."""

    run_id: str
    monitor: str
    window: Window
    attempt: int
    worker: str
    started_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """How far the run of a window has come, without what it found.

    failures   how often it failed
    failed_at  when it did so last; ``None`` unless it stands failed
    """

    window: Window
    status: RunStatus
    failures: int
    failed_at: datetime | None


class DeliveryStatus(StrEnum):
    """What became of a wish: still to be sent, sent, or set aside until a person has looked at it."""

    PENDING = "pending"
    SENT = "sent"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Due(Generic[Wish]):
    """A wish that this process may send now; ``attempt`` is 1 the first time.

    known     how a ticket was left
    revision  of what is asked of a ticket
    until     when the lease ends; no two leases of a wish end at the same moment, so it tells them apart
    """

    destination: str
    wish: Wish
    attempt: int
    known: Known = field(default_factory=Known)
    revision: int = 0
    until: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The idempotency key."""
        return self.wish.key

    @property
    def monitor(self) -> str:
        """Whose wish it is."""
        return self.wish.monitor


AnyDue = Due[TicketWish] | Due[Export] | Due[Notice]


Place = tuple[datetime, str, str]
"""Where a delivery stands among all of its kind: when it was asked for, its key, its destination."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A ticket, an export or a notice, and what became of it. ``title`` is empty for exports.

    over     whether the drift of a ticket is over
    by_hand  whether a person closed the ticket
    """

    key: str
    destination: str
    monitor: str
    run_id: str
    window: Window
    title: str
    status: DeliveryStatus
    attempts: int
    failures: int
    location: str
    error: str
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    over: bool = False
    by_hand: bool = False

    @property
    def place(self) -> Place:
        """Where it stands; what comes after it is asked for by this."""
        return self.created_at, self.key, self.destination


@dataclass(frozen=True, slots=True)
class LabelImport:
    """How many records got a label; ``unknown`` of them were never candidates of this monitor."""

    new: int
    changed: int
    unchanged: int
    unknown: int
    unknown_ids: tuple[str, ...]


class Standing(StrEnum):
    """What became of one person's label: in force or outvoted, sent back, one side of a tie, or part of a refused import."""

    ACCEPTED = "accepted"
    RETURNED = "returned"
    DISPUTED = "disputed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's label of one record, as it came in with one import."""

    record_id: str
    annotator: str
    label: str
    settled: bool
    at: datetime | None
    standing: Standing
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record's label in force, and the import that brought it."""

    label: str
    import_id: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A record that was a candidate: as it was proposed last, and with which embedder."""

    candidate: Candidate
    embedder: str


@dataclass(frozen=True, slots=True)
class Intake:
    """One import of labels and what comes of it. Written whole or not at all.

    id        of file, monitor and manner; the same file again has the same
    verdict   ``accept``, ``part``, ``refuse``
    labels    that come into force, by record
    rejected  records sent back
    sets      versions of the training set that begin with it, oldest first; the last one is made of its labels
    reference the version of the reference that belongs to the last of them; ``use`` compares with it from now on
    figures   what the gate measured
    """

    id: str
    monitor: str
    checksum: str
    format: str
    at: datetime
    by: str
    verdict: str
    annotations: tuple[Annotation, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    rejected: int = 0
    sets: tuple[TrainingSet, ...] = ()
    reference: ReferenceVersion | None = None
    use: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReferenceVersion:
    """One version of a monitor's reference and where it is kept."""

    monitor: str
    version: int
    fingerprint: str
    uri: str
    created_at: datetime
    active: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is worth showing about one monitor, read at one moment.

    latest      newest finished run, done or failed, without its candidates and measurements
    verdict     on the newest window that had records enough for one; failed runs and those with too few leave it as it was
    watermark   end of the newest window that is done
    running     windows being worked on
    runs        attempts ever made, by how they ended: done, failed, abandoned
    candidates  proposed by the latest run
    labelled    records of any run that have a label by now; ``labelled_at`` when the newest came
    tickets     number by (destination, status); ``exports`` the same
    failures    sendings that failed, by (``ticket`` or ``export``, destination)
    last_success    when the newest run that came to a verdict ended
    failing_since   end of the first window that failed since the newest that is done
    same_since      end of the first window of the unbroken row whose verdict is that of the newest one that is done
    open_tickets    of each destination, since when a ticket is open; not one that a person closed
    silenced        until when nobody wants to hear of its drift; it may have run out
    redactions      how much was masked ever, by (channel, destination, kind); a channel is ``ticket``, ``export``, ``notice`` or ``report``
    waiting         since when the oldest waits to be sent, by (``ticket`` or ``export``, destination)
    verification    of the newest refresh, without its flips
    deployment      the model that was declared live last, of ``deployments`` in all
    """

    monitor: str
    settings: str
    period: timedelta
    first_seen: datetime
    latest: Run | None = None
    verdict: Decision | None = None
    watermark: datetime | None = None
    running: int = 0
    runs: Mapping[str, int] = field(default_factory=dict)
    candidates: int = 0
    labelled: int = 0
    labelled_at: datetime | None = None
    tickets: Mapping[tuple[str, str], int] = field(default_factory=dict)
    exports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    last_success: datetime | None = None
    failing_since: datetime | None = None
    same_since: datetime | None = None
    open_tickets: Mapping[str, datetime] = field(default_factory=dict)
    silenced: datetime | None = None
    waiting: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    reference: ReferenceVersion | None = None
    calibration: Calibration | None = None
    verification: Verification | None = None
    deployment: Deployment | None = None
    deployments: int = 0
    redactions: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What a run leaves for later windows to be compared with.

    plan      fingerprint of how the sums are made
    baseline  the baseline the window was judged against: the start of its first window in seconds since 1970, 0 for the reference
    content   block sums as bytes, by segment; empty when there were no records
    keep      windows whose sums are kept, drawn by chance, besides the newest
    """

    plan: str
    baseline: float
    content: Mapping[str, bytes]
    keep: int = 1_000


@dataclass(frozen=True, slots=True)
class PastWindow:
    """A window whose block sums are kept. ``accepted``: it raised no alarm; ``draw``: a number drawn for it by chance."""

    run_id: str
    window: Window
    draw: int
    accepted: bool
    baseline: float
