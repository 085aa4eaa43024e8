"""What is to be sent: written with the run that asked for it, sent later, once, however often that is interrupted.

A row is leased to one process, sent, then marked. A crash in between lets the lease run out and the row is sent again,
which the receiver recognises by its key. Every failure pushes the row further ahead; one that no repeat can heal is parked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.errors import LeaseLost
from monitor.store import redactions, slots
from monitor.store.database import insert_missing
from monitor.store.entries import AnyDue, Delivery, DeliveryStatus, Due, Place, Wish
from monitor.store.rows import wish_row
from monitor.store.tables import exports, notices, runs, tickets
from monitor.store.tickets import known_of, notes_of, wish_of
from monitor.values import Export, Notice, Run, TicketWish, Window

__all__ = [
    "FIRST_WAIT",
    "LONGEST_WAIT",
    "deliveries",
    "due_exports",
    "due_notices",
    "due_tickets",
    "held",
    "hold",
    "lost",
    "not_sent",
    "ours",
    "sent",
    "unpark",
    "wait",
    "wish",
]

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)


def wait(attempts: int) -> timedelta:
    """How long to leave a row alone after so many attempts: half a minute, doubling, six hours at most."""
    return min(FIRST_WAIT * (1 << min(max(attempts, 1) - 1, 16)), LONGEST_WAIT)


def wish(
    connection: Connection,
    run: Run,
    wanted: Mapping[str, Export],
    news: Mapping[str, Notice],
) -> None:
    """Add the exports and notices that a run asks for. A key the destination has had before changes nothing."""
    for destination, export in wanted.items():
        insert_missing(connection, exports, wish_row(export.key, destination, run.monitor, run.id, run.finished_at))
    for destination, notice in news.items():
        if not _told_lately(connection, run, notice, destination):
            row = wish_row(notice.key, destination, run.monitor, run.id, run.finished_at)
            insert_missing(
                connection, notices, row | {"event": notice.event, "title": notice.title, "body": notice.body}
            )


def _told_lately(connection: Connection, run: Run, notice: Notice, destination: str) -> bool:
    """Whether a message on the same event went there within the quiet time."""
    if run.finished_at is None or not notice.quiet:
        return False
    query = sa.select(sa.func.count()).where(
        notices.c.monitor == notice.monitor,
        notices.c.destination == destination,
        notices.c.event == notice.event,
        notices.c.created_at > run.finished_at - notice.quiet,
    )
    return bool(connection.execute(query).scalar())


def _until(now: datetime, lease: timedelta, attempt: int) -> datetime:
    """When a lease ends; a row that kills its process waits longer each time as well."""
    return now + max(lease, wait(attempt))


def _lease(
    connection: Connection, table: sa.Table, now: datetime, limit: int, lease: timedelta, *, again: bool
) -> Sequence[tuple[Row[Any], datetime]]:
    """Take up to ``limit`` due rows, oldest first, that no other process is taking, and when each lease ends.

    ``again`` when they may have been taken a moment ago, at this very ``now``, and the answer was lost.
    """
    free = sa.or_(table.c.leased_until.is_(None), table.c.leased_until <= now)
    if again:
        free = sa.or_(free, table.c.leased_until.in_([_until(now, lease, attempt) for attempt in range(1, 20)]))
    found = connection.execute(
        sa.select(table)
        .where(table.c.status == DeliveryStatus.PENDING.value, table.c.due_at <= now, free)
        .order_by(table.c.created_at, table.c.key, table.c.destination)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    taken = [(row, _until(now, lease, row.attempts + 1)) for row in found]
    for row, until in taken:
        connection.execute(
            sa.update(table).where(_is(table, row)).values(leased_until=until, attempts=row.attempts + 1)
        )
    return taken


def _is(table: sa.Table, row: Row[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.key == row.key, table.c.destination == row.destination)


def _due(
    connection: Connection,
    table: sa.Table,
    make: Callable[[Row[Any], Row[Any]], Wish],
    now: datetime,
    limit: int,
    lease: timedelta,
    *,
    again: bool,
) -> Sequence[Due[Wish]]:
    """Lease rows that are due and make wishes of them and their runs."""
    found = _lease(connection, table, now, limit, lease, again=again)
    query = sa.select(runs).where(runs.c.id.in_({row.run_id for row, _ in found}))
    by_id = {row.id: row for row in connection.execute(query)}
    return [Due(row.destination, make(row, by_id[row.run_id]), row.attempts + 1, until=until) for row, until in found]


def due_tickets(
    connection: Connection, now: datetime, limit: int, lease: timedelta, *, again: bool = False
) -> Sequence[Due[TicketWish]]:
    """Lease tickets that are due."""
    found = _lease(connection, tickets, now, limit, lease, again=again)
    notes = notes_of(connection, {row.key for row, _ in found})
    return [
        Due(
            row.destination,
            wish_of(row, notes.get(row.key, ())),
            row.attempts + 1,
            known_of(row),
            row.revision or 0,
            until,
        )
        for row, until in found
    ]


def due_notices(
    connection: Connection, now: datetime, limit: int, lease: timedelta, *, again: bool = False
) -> Sequence[Due[Notice]]:
    """Lease notices that are due."""

    def notice(row: Row[Any], run: Row[Any]) -> Notice:
        return Notice(row.key, row.monitor, row.event, row.title, row.body, Window(run.window_start, run.window_end))

    return _due(connection, notices, notice, now, limit, lease, again=again)


def due_exports(
    connection: Connection, now: datetime, limit: int, lease: timedelta, *, again: bool = False
) -> Sequence[Due[Export]]:
    """Lease exports that are due, with the candidates as they are now."""
    return _due(connection, exports, partial(slots.export_of, connection), now, limit, lease, again=again)


def _of(due: Due[Any]) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    table = {TicketWish: tickets, Export: exports, Notice: notices}[type(due.wish)]
    return table, sa.and_(table.c.key == due.key, table.c.destination == due.destination)


def ours(due: Due[Any]) -> sa.ColumnElement[bool]:
    """The row of this lease, if it is still this lease's."""
    table, this = _of(due)
    return this if due.until is None else sa.and_(this, table.c.leased_until == due.until)


def held(due: Due[Any], now: datetime, lease: timedelta) -> bool:
    """Whether at least half of the lease is left, so that nobody else can have it."""
    return due.until is not None and due.until - now >= max(lease, wait(due.attempt)) / 2


def hold(connection: Connection, due: Due[Wish], now: datetime, lease: timedelta, *, again: bool) -> Due[Wish]:
    """Lease it on, or :class:`LeaseLost`; ``again`` when that may have been done at this very ``now`` already."""
    table, this = _of(due)
    until = _until(now, lease, due.attempt)
    mine = sa.or_(ours(due), sa.and_(this, table.c.leased_until == until)) if again else ours(due)
    changed = sa.update(table).where(mine, table.c.status == DeliveryStatus.PENDING.value).values(leased_until=until)
    if connection.execute(changed).rowcount != 1:
        raise lost(due)
    return replace(due, until=until)


def lost(due: Due[Any]) -> LeaseLost:
    """The error to raise when :func:`ours` finds nothing."""
    return LeaseLost(
        f"{due.key} is no longer this process's to send to {due.destination}: it was held up for longer than its lease and "
        "another process took it over"
    )


def sent(
    connection: Connection, due: AnyDue, location: str, now: datetime, masked: Mapping[str, int] | None = None
) -> None:
    """Mark as sent, whoever holds the lease by now: it is a fact. What was masked counts once."""
    table, this = _of(due)
    values = {"status": DeliveryStatus.SENT.value, "location": location, "error": "", "sent_at": now}
    changed = connection.execute(
        sa.update(table).where(this, table.c.status != DeliveryStatus.SENT.value).values(**values, leased_until=None)
    ).rowcount
    if changed and masked:
        redactions.add(connection, due.monitor, table.name.removesuffix("s"), due.destination, masked)


def not_sent(
    connection: Connection, due: AnyDue, error: str, now: datetime, *, permanent: bool, least: timedelta = timedelta(0)
) -> None:
    """Note the failure and push the row ahead by ``least`` at least, or park it; nothing once another process has it."""
    table, _ = _of(due)
    status = DeliveryStatus.PARKED if permanent else DeliveryStatus.PENDING
    connection.execute(
        sa.update(table)
        .where(ours(due), table.c.status == DeliveryStatus.PENDING.value)
        .values(
            status=status.value,
            error=error,
            failures=table.c.failures + 1,
            due_at=now + max(wait(due.attempt), min(least, LONGEST_WAIT)),
            leased_until=None,
        )
    )


def unpark(connection: Connection) -> int:
    """Make everything that failed due at once; what is being sent right now stays leased."""
    return sum(
        connection.execute(
            sa.update(table)
            .where(table.c.status != DeliveryStatus.SENT.value, table.c.failures > 0)
            .values(status=DeliveryStatus.PENDING.value, due_at=table.c.created_at)
        ).rowcount
        for table in (tickets, exports, notices)
    )


def deliveries(
    connection: Connection,
    kind: str,
    monitor: str | None,
    limit: int,
    after: Place | None = None,
    known: Collection[str] | None = None,
    run_id: str | None = None,
) -> Sequence[Delivery]:
    """What became of the wishes of this kind, newest first; those after a place, of known monitors, of one run."""
    table = {"tickets": tickets, "exports": exports, "notices": notices}[kind]
    query = (
        sa.select(table, runs.c.window_start, runs.c.window_end)
        .join(runs, runs.c.id == table.c.run_id)
        .order_by(table.c.created_at.desc(), table.c.key, table.c.destination)
        .limit(limit)
    )
    if known is not None:
        query = query.where(table.c.monitor.in_(known))
    if after is not None:
        created_at, key, destination = after
        later = sa.or_(table.c.key > key, sa.and_(table.c.key == key, table.c.destination > destination))
        query = query.where(sa.or_(table.c.created_at < created_at, sa.and_(table.c.created_at == created_at, later)))
    if monitor is not None:
        query = query.where(table.c.monitor == monitor)
    if run_id is not None:
        query = query.where(table.c.run_id == run_id)
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: Row[Any]) -> Delivery:
    same = ("key", "destination", "monitor", "run_id", "attempts", "failures", "location", "error")
    times = ("created_at", "due_at", "sent_at")
    return Delivery(
        **{name: getattr(row, name) for name in (*same, *times)},
        window=Window(row.window_start, row.window_end),
        title=getattr(row, "title", ""),
        status=DeliveryStatus(row.status),
        over=getattr(row, "open", None) is False,
        by_hand=bool((getattr(row, "known", None) or {}).get("by_hand")),
    )
