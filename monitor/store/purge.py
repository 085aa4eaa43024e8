"""Everything the store holds about some records, removed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.store.tables import candidates, decisions, metadata, notices, pictures, runs, tickets
from monitor.store.tickets import touch

__all__ = ["Mention", "Purged", "purge"]

Scrub = Callable[[str, Sequence[str]], str]
"""Takes a body and the beginnings of texts out of it; see :mod:`monitor.purge`."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A ticket that was sent and names one of the records: where it is, and what the store knows of it."""

    monitor: str
    destination: str
    key: str
    location: str


@dataclass(frozen=True, slots=True)
class Purged:
    """What was removed, by place; the tickets out there that name a record; and the texts it had."""

    counts: Counter[str]
    mentions: tuple[Mention, ...]
    texts: tuple[str, ...]

    @property
    def tables(self) -> Sequence[str]:
        """Tables that were changed, and those that an earlier purge may have changed and not written anew."""
        always = {table.name for table in (candidates, decisions, pictures, tickets, notices)}
        return sorted(always | (self.counts.keys() & metadata.tables.keys()))


def purge(
    connection: Connection,
    ids: Collection[str],
    monitor: str | None,
    scrub: Scrub,
    redraw: Callable[[bytes], bytes | None],
    now: datetime,
) -> Purged:
    """Remove these records of one monitor, or of all.

    Parameters
    ----------
    scrub : takes every mention out of a ticket's or a notice's words
    redraw : a picture without the records, ``None`` when it does not hold them
    """
    counts: Counter[str] = Counter()
    mine = candidates.c.record_id.in_(ids)
    known = connection.execute(sa.select(candidates).where(_within(candidates, monitor), mine)).all()
    texts = tuple(sorted({row.text for row in known if row.text}))
    shown_in = {row.run_id for row in known}
    mentions = _mentions(connection, scrub, monitor, shown_in)
    # Living tickets are written anew, without the records, when they are next sent.
    touch(connection, shown_in, now)
    for table in metadata.sorted_tables:
        if "record_id" in table.c:
            gone = sa.delete(table).where(table.c.record_id.in_(ids), _within(table, monitor))
            counts[table.name] += connection.execute(gone).rowcount
    counts["neighbours"] += _neighbours(connection, ids, monitor)
    counts["findings"] += _findings(connection, ids, monitor)
    counts["pictures"] += _pictures(connection, monitor, redraw)
    for table in (tickets, notices):
        counts[table.name] += _bodies(connection, table, monitor, texts, scrub)
    return Purged(+counts, mentions, texts)


def _within(table: sa.Table, monitor: str | None) -> sa.ColumnElement[bool]:
    if monitor is None:
        return sa.true()
    if "monitor" in table.c:
        return table.c.monitor == monitor
    return table.c.run_id.in_(sa.select(runs.c.id).where(runs.c.monitor == monitor))


def _mentions(connection: Connection, scrub: Scrub, monitor: str | None, of: set[str]) -> tuple[Mention, ...]:
    """Sent tickets of these runs, and others whose words name a record."""
    query = sa.select(tickets).where(_within(tickets, monitor), tickets.c.location != "")
    return tuple(
        Mention(row.monitor, row.destination, row.key, row.location)
        for row in connection.execute(query.order_by(tickets.c.created_at, tickets.c.key, tickets.c.destination))
        if row.run_id in of or scrub(row.body, ()) != row.body
    )


def _holding(
    connection: Connection, table: sa.Table, column: sa.Column[Any], ids: Collection[str], monitor: str | None
) -> Iterator[Row[Any]]:
    """Rows whose document holds one of the ids as a string; the database only sorts out those that cannot."""
    place = sa.func.strpos if connection.dialect.name == "postgresql" else sa.func.instr
    shown = sa.cast(column, sa.Text)
    keys = [json.dumps(record) for record in ids]
    either = sa.or_(*(place(shown, sa.literal(key, sa.Text)) > 0 for key in keys)) if keys else sa.false()
    yield from connection.execute(sa.select(table).where(_within(table, monitor), either)).all()


def _neighbours(connection: Connection, ids: Collection[str], monitor: str | None) -> int:
    """Training records that candidates are near to."""
    changed, column = 0, candidates.c.neighbours
    for row in _holding(connection, candidates, column, ids, monitor):
        left = [near for near in row.neighbours if near[0] not in ids]
        this = sa.and_(candidates.c.run_id == row.run_id, candidates.c.position == row.position)
        changed += len(row.neighbours) - len(left)
        connection.execute(sa.update(candidates).where(this).values(neighbours=left))
    return changed


def _findings(connection: Connection, ids: Collection[str], monitor: str | None) -> int:
    """Records named as examples of what was found."""
    changed, column = 0, decisions.c.findings
    for row in _holding(connection, decisions, column, ids, monitor):
        left = [[*one[:4], [record for record in one[4] if record not in ids]] for one in row.findings]
        changed += sum(len(a[4]) - len(b[4]) for a, b in zip(row.findings, left, strict=True))
        connection.execute(sa.update(decisions).where(decisions.c.run_id == row.run_id).values(findings=left))
    return changed


def _pictures(connection: Connection, monitor: str | None, redraw: Callable[[bytes], bytes | None]) -> int:
    changed = 0
    for run_id in connection.execute(sa.select(pictures.c.run_id).where(_within(pictures, monitor))).scalars().all():
        this = pictures.c.run_id == run_id
        made = redraw(connection.execute(sa.select(pictures.c.content).where(this)).scalar_one())
        if made is not None:
            connection.execute(sa.update(pictures).where(this).values(content=made))
            changed += 1
    return changed


def _bodies(connection: Connection, table: sa.Table, monitor: str | None, texts: Sequence[str], scrub: Scrub) -> int:
    changed = 0
    for row in connection.execute(sa.select(table).where(_within(table, monitor))).all():
        title, body = scrub(row.title, texts), scrub(row.body, texts)
        if (title, body) != (row.title, row.body):
            this = sa.and_(table.c.key == row.key, table.c.destination == row.destination)
            connection.execute(sa.update(table).where(this).values(title=title, body=body))
            changed += 1
    return changed
