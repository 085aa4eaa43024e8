"""Who may run a window. Claiming is an insert; a claim whose lease ran out is taken over with a higher attempt."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.errors import ClaimLost
from monitor.store.database import insert_missing
from monitor.store.entries import Attempt, Claim
from monitor.store.tables import decisions, monitors, runs
from monitor.values import RunStatus, Window

__all__ = [
    "attempts",
    "claim",
    "held",
    "know",
    "left_behind",
    "lost",
    "ours",
    "release",
    "renew",
    "run_id_of",
    "unfinished",
]


_CLAIMING = 6_283
"""First half of the advisory lock under which a monitor's windows are claimed; the second is made of its name."""


def run_id_of(monitor: str, start: datetime) -> str:
    """The id of a window's run: the same from every replica and after every restore."""
    return hashlib.sha256(f"{monitor}|{start.astimezone(UTC).isoformat()}".encode(errors="surrogatepass")).hexdigest()[
        :32
    ]


def know(connection: Connection, monitor: str, period: timedelta, now: datetime, settings: str = "") -> None:
    """Make sure the monitor has a row."""
    # An insert would wait for a process that is just saving a run of this monitor, however long that stands still.
    if connection.execute(sa.select(monitors.c.name).where(monitors.c.name == monitor)).first() is not None:
        return
    row = {"name": monitor, "settings": settings, "period_seconds": period.total_seconds(), "first_seen": now}
    insert_missing(connection, monitors, row)


def claim(connection: Connection, wanted: Claim, *, retry_failed: bool) -> Claim | None:
    """The claim with its attempt, or ``None``: it is done, or failed, or the monitor has another window to end first."""
    know(connection, wanted.monitor, wanted.window.length, wanted.started_at)
    if not _alone(connection, wanted.monitor) or _others(connection, wanted):
        return None
    known = connection.execute(sa.select(runs.c.id).where(runs.c.id == wanted.run_id)).first() is not None
    if not known and insert_missing(connection, runs, _first(wanted)):
        return wanted
    free = sa.and_(runs.c.status == RunStatus.RUNNING, runs.c.lease_until <= wanted.started_at)
    if retry_failed:
        free = sa.or_(free, runs.c.status == RunStatus.FAILED)
    # A process that was stopped while it saved holds the row locked; it is not waited for.
    this = sa.select(runs.c.attempt).where(runs.c.id == wanted.run_id, free).with_for_update(skip_locked=True)
    before = connection.execute(this).scalar()
    if before is None:
        return None
    attempt = before + 1
    connection.execute(sa.update(runs).where(runs.c.id == wanted.run_id).values(**_taken(wanted), attempt=attempt))
    connection.execute(sa.delete(decisions).where(decisions.c.run_id == wanted.run_id))
    return replace(wanted, attempt=attempt)


def _alone(connection: Connection, monitor: str) -> bool:
    """Whether no other process claims a window of this monitor at this moment. SQLite lets one write at a time anyway."""
    if connection.dialect.name == "sqlite":
        return True
    name = zlib.crc32(monitor.encode(errors="surrogatepass")) & 0x7FFFFFFF
    mine = sa.func.pg_try_advisory_xact_lock(_CLAIMING, sa.literal(name, sa.Integer))
    return bool(connection.execute(sa.select(mine)).scalar())


def _others(connection: Connection, wanted: Claim) -> bool:
    """Whether another window of the monitor is being run, or an earlier one was left unfinished.

    A verdict rests on those before it, and two windows judged at once could open a ticket each for one drift.
    """
    before = runs.c.window_start < wanted.window.start
    held = sa.and_(runs.c.window_start != wanted.window.start, runs.c.lease_until > wanted.started_at)
    query = sa.select(runs.c.id).where(
        runs.c.monitor == wanted.monitor, runs.c.status == RunStatus.RUNNING.value, sa.or_(before, held)
    )
    return connection.execute(query.limit(1)).first() is not None


def held(connection: Connection, wanted: Claim) -> Claim | None:
    """The claim, when it was made already and the answer was lost on its way."""
    this = sa.and_(
        runs.c.id == wanted.run_id,
        runs.c.status == RunStatus.RUNNING.value,
        runs.c.claimed_by == wanted.worker,
        runs.c.started_at == wanted.started_at,
    )
    attempt = connection.execute(sa.select(runs.c.attempt).where(this)).scalar()
    return None if attempt is None else replace(wanted, attempt=attempt)


def _taken(wanted: Claim) -> dict[str, object]:
    return {
        "window_end": wanted.window.end,
        "status": RunStatus.RUNNING.value,
        "claimed_by": wanted.worker,
        "lease_until": wanted.lease_until,
        "started_at": wanted.started_at,
        "finished_at": None,
        "error": "",
    }


def _first(wanted: Claim) -> dict[str, object]:
    return {
        **_taken(wanted),
        "id": wanted.run_id,
        "monitor": wanted.monitor,
        "window_start": wanted.window.start,
        "attempt": wanted.attempt,
        **dict.fromkeys(("reference_fingerprint", "embedder", "settings"), ""),
        **dict.fromkeys(("failures", "population", "sampled", "repeats", "empty", "overlong", "outside"), 0),
        "rejected": {},
        "seconds": {},
    }


def ours(claim: Claim) -> sa.ColumnElement[bool]:
    """The row of this claim, if it is still this claim's."""
    return sa.and_(runs.c.id == claim.run_id, runs.c.attempt == claim.attempt, runs.c.status == RunStatus.RUNNING.value)


def lost(claim: Claim) -> ClaimLost:
    """The error to raise when :func:`ours` finds nothing."""
    return ClaimLost(
        f"the window {claim.window} of {claim.monitor} is no longer attempt {claim.attempt} of {claim.worker}: its lease "
        "ended and another process took it over; nothing is saved here"
    )


def renew(connection: Connection, claim: Claim, until: datetime) -> Claim:
    """Keep the claim until then."""
    if connection.execute(sa.update(runs).where(ours(claim)).values(lease_until=until)).rowcount != 1:
        raise lost(claim)
    return replace(claim, lease_until=until)


def release(connection: Connection, claim: Claim) -> None:
    """Give the window back at once; a claim that was lost meanwhile needs no giving back."""
    connection.execute(sa.update(runs).where(ours(claim)).values(lease_until=runs.c.started_at))


def unfinished(connection: Connection, monitor: str, now: datetime) -> Sequence[Window]:
    """Windows that a dead process left behind, oldest first."""
    found = connection.execute(
        sa.select(runs.c.window_start, runs.c.window_end)
        .where(runs.c.monitor == monitor, runs.c.status == RunStatus.RUNNING.value, runs.c.lease_until <= now)
        .order_by(runs.c.window_start)
    )
    return [Window(row.window_start, row.window_end) for row in found]


def left_behind(connection: Connection, now: datetime) -> frozenset[str]:
    """Monitors that :func:`unfinished` finds windows of."""
    free = sa.and_(runs.c.status == RunStatus.RUNNING.value, runs.c.lease_until <= now)
    return frozenset(connection.execute(sa.select(runs.c.monitor).where(free).distinct()).scalars())


def attempts(connection: Connection, monitor: str, limit: int) -> list[Attempt]:
    """How far the newest windows have come, newest first."""
    found = connection.execute(
        sa.select(runs.c.window_start, runs.c.window_end, runs.c.status, runs.c.failures, runs.c.finished_at)
        .where(runs.c.monitor == monitor)
        .order_by(runs.c.window_start.desc())
        .limit(limit)
    )
    return [
        Attempt(
            Window(row.window_start, row.window_end),
            RunStatus(row.status),
            row.failures,
            row.finished_at if row.status == RunStatus.FAILED.value else None,
        )
        for row in found
    ]
