"""What is forgotten after a time: texts and vectors of old runs. Verdicts, numbers, ids and labels stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store.entries import DeliveryStatus
from monitor.store.tables import candidates, notices, pictures, runs, tickets

__all__ = ["forget"]


def forget(connection: Connection, before: datetime, limit: int) -> Mapping[str, int]:
    """Forget texts and vectors of at most ``limit`` runs that ended before then; what was forgotten, by place, nothing when none is left.

    Bodies of tickets and notices go once they are sent.
    """
    old = runs.c.finished_at < before
    told = sa.or_(candidates.c.text.is_not(None), candidates.c.vector.is_not(None), candidates.c.cluster.is_not(None))
    found: dict[str, int] = {}
    ids = _runs(connection, candidates, sa.and_(old, told), limit)
    if ids:
        emptied = sa.update(candidates).where(candidates.c.run_id.in_(ids), told)
        found["candidates"] = connection.execute(emptied.values(text=None, vector=None, cluster=None)).rowcount
    ids = _runs(connection, pictures, old, limit)
    if ids:
        found["pictures"] = connection.execute(sa.delete(pictures).where(pictures.c.run_id.in_(ids))).rowcount
    for table in (tickets, notices):
        said = sa.and_(table.c.body != "", table.c.status == DeliveryStatus.SENT.value)
        ids = _runs(connection, table, sa.and_(old, said), limit)
        if ids:
            emptied = sa.update(table).where(table.c.run_id.in_(ids), said).values(body="")
            found[table.name] = connection.execute(emptied).rowcount
    return found


def _runs(connection: Connection, table: sa.Table, which: sa.ColumnElement[bool], limit: int) -> list[str]:
    query = sa.select(table.c.run_id).distinct().join(runs, runs.c.id == table.c.run_id).where(which).limit(limit)
    return list(connection.execute(query).scalars())
