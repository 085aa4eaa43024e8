"""Living tickets: what each run asks of them, what people were told, and how each was left in its service.

An episode of drift has one row for each destination. A run that has something to say changes the row and makes it due; the
revision tells whoever sends it whether the row has changed again meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.store.entries import DeliveryStatus
from monitor.store.rows import wish_row
from monitor.store.tables import silences, ticket_notes, tickets
from monitor.values import Known, Living, Said, Silence, TicketWish

__all__ = [
    "again",
    "keep",
    "known_of",
    "lift",
    "living",
    "notes_of",
    "settled",
    "silence",
    "silenced",
    "tell",
    "touch",
    "wish",
    "wish_of",
]

_SENT, _PENDING = DeliveryStatus.SENT.value, DeliveryStatus.PENDING.value


def wish(connection: Connection, destinations: Iterable[str], wanted: TicketWish, now: datetime) -> None:
    """Change the episode's tickets, or ask for new ones, and add what the run has to say."""
    values: dict[str, Any] = {
        "title": wanted.title,
        "run_id": wanted.run_id,
        "open": wanted.open,
        "standing": wanted.standing,
        "causes": list(wanted.causes),
        "over_at": wanted.over_at,
        "since": wanted.since,
    }
    had = {row.destination: row for row in _rows(connection, tickets.c.key == wanted.key)}
    told = values["run_id"] if wanted.notes else None
    for destination in destinations:
        if destination in had:
            more = {"told_run": told} if told else {}
            connection.execute(_touched(wanted.key, destination, had[destination], now).values(**values, **more))
        else:
            first = next(iter(had.values()), None)
            connection.execute(
                sa.insert(tickets).values(
                    **(_new(wanted, destination, now) | values),
                    told_run=told or (first.told_run if first else wanted.run_id),
                )
            )
    _add_notes(connection, wanted.key, wanted.monitor, wanted.notes, now)


def _new(wanted: TicketWish, destination: str, now: datetime) -> dict[str, Any]:
    row = wish_row(wanted.key, destination, wanted.monitor, wanted.run_id, now)
    return {**row, "wished_at": now, "body": "", "revision": 1}


def _touched(key: str, destination: str, row: Row[Any], now: datetime) -> sa.Update:
    """What is parked stays so until a person has looked; what failed keeps its wait."""
    again = {"status": _PENDING, "due_at": now, "attempts": 0, "wished_at": now} if row.status == _SENT else {}
    this = (tickets.c.key == key, tickets.c.destination == destination)
    return sa.update(tickets).where(*this).values(revision=sa.func.coalesce(tickets.c.revision, 0) + 1, **again)


def touch(connection: Connection, runs: Iterable[str], now: datetime) -> int:
    """Make the living tickets that show one of these runs due again: what they may say has changed. How many."""
    rows = [*_rows(connection, tickets.c.run_id.in_(list(runs)), tickets.c.since.is_not(None))]
    for row in rows:
        connection.execute(_touched(row.key, row.destination, row, now))
    return len(rows)


def _add_notes(connection: Connection, key: str, monitor: str, notes: Sequence[Said], now: datetime) -> None:
    query = sa.select(ticket_notes.c.key).where(ticket_notes.c.ticket == key)
    there = set(connection.execute(query).scalars())
    rows = [
        {
            "ticket": key,
            "key": note.key,
            "monitor": monitor,
            "sentences": list(note.sentences),
            "lasting": note.lasting,
            "said_at": now,
        }
        for note in notes
        if note.key not in there
    ]
    if rows:
        connection.execute(sa.insert(ticket_notes), rows)


def tell(connection: Connection, key: str, note: Said, now: datetime) -> bool:
    """Add a comment to the episode's tickets; whether there is such an episode and it had not been told yet."""
    rows = list(_rows(connection, tickets.c.key == key))
    query = sa.select(ticket_notes.c.key).where(ticket_notes.c.ticket == key, ticket_notes.c.key == note.key)
    if not rows or connection.execute(query).first():
        return False
    _add_notes(connection, key, rows[0].monitor, [note], now)
    for row in rows:
        connection.execute(_touched(key, row.destination, row, now))
    return True


def _rows(connection: Connection, *which: Any) -> Iterable[Row[Any]]:
    return connection.execute(sa.select(tickets).where(*which).order_by(tickets.c.destination))


def living(connection: Connection, monitor: str, limit: int) -> list[Living]:
    """Episodes with tickets, the newest first."""
    newest = (
        sa.select(tickets.c.key)
        .where(tickets.c.monitor == monitor, tickets.c.since.is_not(None))
        .group_by(tickets.c.key)
        .order_by(sa.func.max(tickets.c.since).desc())
        .limit(limit)
    )
    found: dict[str, list[Row[Any]]] = {}
    keys = list(connection.execute(newest).scalars())
    for row in _rows(connection, tickets.c.key.in_(keys)):
        found.setdefault(row.key, []).append(row)
    return [_living(found[key]) for key in keys]


def _living(rows: list[Row[Any]]) -> Living:
    row = rows[0]
    return Living(
        row.key,
        row.monitor,
        row.title,
        row.since,
        row.run_id,
        row.told_run,
        row.open,
        tuple(row.causes or ()),
        row.over_at,
        {one.destination: known_of(one) for one in rows},
    )


def known_of(row: Row[Any]) -> Known:
    """How a ticket was left."""
    if not row.known:
        return Known(row.location)
    kept = row.known
    told, labels = frozenset(kept["told"]), frozenset(kept["labels"])
    return Known(row.location, kept["open"], kept["by_hand"], told, labels, kept["shown"])


def wish_of(row: Row[Any], notes: Sequence[Said]) -> TicketWish:
    """What is asked of a ticket, with all comments so far."""
    return TicketWish(
        row.key,
        row.monitor,
        row.title,
        row.since or row.created_at,
        row.run_id,
        row.open is not False,
        row.standing or "",
        tuple(row.causes or ()),
        row.over_at,
        tuple(notes),
    )


def notes_of(connection: Connection, keys: Iterable[str]) -> dict[str, list[Said]]:
    """Comments by ticket, oldest first."""
    query = sa.select(ticket_notes).where(ticket_notes.c.ticket.in_(set(keys)))
    found: dict[str, list[Said]] = {}
    for row in connection.execute(query.order_by(ticket_notes.c.said_at, ticket_notes.c.key)):
        found.setdefault(row.ticket, []).append(Said(row.key, tuple(row.sentences), row.lasting))
    return found


def keep(connection: Connection, ours: sa.ColumnElement[bool], known: Known) -> bool:
    """Keep how the ticket was left, in the middle of bringing it up to date; false when it is another's by now."""
    changed = sa.update(tickets).where(ours).values(known=_kept(known), location=known.location)
    return connection.execute(changed).rowcount == 1


def again(connection: Connection, key: str, destination: str, now: datetime) -> None:
    """Make a ticket due once more, and again after whoever is at it: what it says may be out of date."""
    for row in _rows(connection, tickets.c.key == key, tickets.c.destination == destination):
        connection.execute(_touched(key, destination, row, now))


def _kept(known: Known) -> dict[str, Any]:
    return {
        "open": known.open,
        "by_hand": known.by_hand,
        "told": sorted(known.told),
        "labels": sorted(known.labels),
        "shown": known.shown,
    }


def settled(
    connection: Connection,
    ours: sa.ColumnElement[bool],
    known: Known,
    revision: int,
    now: datetime,
    *,
    reopened: bool,
) -> bool:
    """The ticket says what was asked of it; due again at once when more has been asked meanwhile.

    False, and nothing noted, when it is another's by now.
    """
    current = sa.func.coalesce(tickets.c.revision, 0) == revision
    # A drift that was over before its ticket could be opened leaves none behind.
    opened = now if reopened else sa.func.coalesce(tickets.c.sent_at, now)
    changed = connection.execute(
        sa.update(tickets)
        .where(ours)
        .values(
            known=_kept(known),
            location=known.location,
            error="",
            leased_until=None,
            sent_at=opened,
            status=sa.case((current, _SENT), else_=_PENDING),
            due_at=sa.case((current, tickets.c.due_at), else_=now),
        )
    )
    return changed.rowcount == 1


def silence(connection: Connection, said: Silence) -> None:
    """Be silent about a monitor's drift; said again on the same ticket, the newer word counts."""
    lift(connection, said.monitor, said.key)
    connection.execute(sa.insert(silences).values(**asdict(said)))


def lift(connection: Connection, monitor: str, key: str | None = None) -> int:
    """Speak again; with ``key`` only what was said on that ticket is taken back. The number of silences lifted."""
    which = [silences.c.monitor == monitor, *([] if key is None else [silences.c.key == key])]
    return connection.execute(sa.delete(silences).where(*which)).rowcount


def silenced(connection: Connection, now: datetime) -> Mapping[str, Silence]:
    """The longest silence of each monitor that has not run out."""
    query = sa.select(silences).where(silences.c.until > now).order_by(silences.c.until)
    return {
        row.monitor: Silence(row.monitor, row.until, row.by, row.reason, row.said_at, row.key)
        for row in connection.execute(query)
    }
