"""Exports on a schedule: one wish a slot and destination, with the runs whose candidates it is to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.store.database import insert_missing
from monitor.store.rows import candidate_of, refresh_of, wish_row
from monitor.store.tables import candidates, export_runs, exports, runs
from monitor.values import Candidate, Export, ExportedRun, RunStatus, Window

__all__ = ["ask", "export_of", "key_of", "waiting"]


def key_of(monitor: str, slot: datetime) -> str:
    """The key of a monitor's export at this slot."""
    return f"{monitor}|schedule|{slot.isoformat()}"


def ask(
    connection: Connection, monitor: str, destination: str, slot: datetime, now: datetime, *, everything: bool
) -> int:
    """Wish for an export, at this slot, of runs that ended by then; the number of runs it will hold.

    Without ``everything``, of those that no earlier slot of this destination has. Nothing is wished for when there are none, or
    when this slot has its wish.
    """
    key = key_of(monitor, slot)
    found = waiting(connection, monitor, destination, slot, everything=everything)
    if not found:
        return 0
    wish = wish_row(key, destination, monitor, found[0], now) | {"slot": slot}
    if not insert_missing(connection, exports, wish):
        return 0
    rows = [{"key": key, "destination": destination, "run_id": run_id} for run_id in found]
    connection.execute(sa.insert(export_runs), rows)
    return len(found)


def waiting(
    connection: Connection, monitor: str, destination: str, slot: datetime, *, everything: bool
) -> Sequence[str]:
    """Ids of the runs that a wish at this slot would hold, newest window first; none when it has its wish."""
    known = sa.select(exports.c.key).where(exports.c.key == key_of(monitor, slot), exports.c.destination == destination)
    if connection.execute(known).first() is not None:
        return ()
    query = (
        sa.select(runs.c.id)
        .where(runs.c.monitor == monitor, runs.c.status == RunStatus.DONE.value, runs.c.finished_at <= slot)
        .where(sa.exists().where(candidates.c.run_id == runs.c.id))
        .order_by(runs.c.window_start.desc())
    )
    if not everything:
        had = sa.exists().where(export_runs.c.run_id == runs.c.id, export_runs.c.destination == destination)
        query = query.where(~had)
    return connection.execute(query).scalars().all()


def export_of(connection: Connection, row: Row[Any], run: Row[Any]) -> Export:
    """The export a row of the outbox stands for, with the candidates as they are now; ``run`` is the newest in it.

    A record that several runs propose is in it once, as the newest proposes it.
    """
    linked = sa.select(export_runs.c.run_id).where(
        export_runs.c.key == row.key, export_runs.c.destination == row.destination
    )
    ids = connection.execute(linked).scalars().all() or [row.run_id]
    query = sa.select(candidates).where(candidates.c.run_id.in_(ids)).order_by(candidates.c.position)
    found: dict[str, list[Candidate]] = {run_id: [] for run_id in ids}
    for one in connection.execute(query):
        found[one.run_id].append(candidate_of(one))
    newest_first = sa.select(runs).where(runs.c.id.in_(ids)).order_by(runs.c.window_start.desc())
    chosen: dict[str, Candidate] = {}
    sources = []
    for source in connection.execute(newest_first):
        new = {one.record_id: one for one in found[source.id] if one.record_id not in chosen}
        chosen |= new
        sources.append(_source(source, new))
    return Export(
        key=row.key,
        monitor=row.monitor,
        run_id=row.run_id,
        window=Window(run.window_start, run.window_end),
        candidates=tuple(chosen.values()),
        reference_version=run.reference_version or 0,
        refresh=refresh_of(run.refresh) if row.slot is None else None,
        runs=tuple(sources),
        slot=row.slot,
    )


def _source(run: Row[Any], records: Mapping[str, Candidate]) -> ExportedRun:
    return ExportedRun(
        run.id,
        Window(run.window_start, run.window_end),
        run.reference_version or 0,
        run.reference_fingerprint,
        run.embedder,
        run.settings,
        frozenset(records),
    )
