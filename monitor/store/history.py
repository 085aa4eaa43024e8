"""Reading runs back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.store import rows
from monitor.store.tables import candidates, decisions, measurements, runs
from monitor.values import Decision, Judged, Measurement, Run, RunStatus, State, Window

__all__ = ["history", "judged", "latest", "measured_of", "run", "runs_of", "states", "watermark"]

_FINISHED = (RunStatus.DONE.value, RunStatus.FAILED.value)
# Below the number of parameters that either database takes in one statement.
_CHUNK = 500

T = TypeVar("T")


def _children(
    connection: Connection,
    table: sa.Table,
    ids: Sequence[str],
    make: Callable[[Row[Any]], T],
    which: sa.ColumnElement[bool] | None = None,
) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    order = [table.c.position] if "position" in table.c else []
    for first in range(0, len(ids), _CHUNK):
        query = sa.select(table).where(table.c.run_id.in_(ids[first : first + _CHUNK])).order_by(*order)
        query = query if which is None else query.where(which)
        for row in connection.execute(query):
            found[row.run_id].append(make(row))
    return found


def _whole(
    connection: Connection, found: Iterable[Row[Any]], *, with_candidates: bool = True, with_measurements: bool = True
) -> list[Run]:
    """Runs with all that belongs to them, in a fixed number of statements."""
    heads = list(found)
    ids = [row.id for row in heads]
    measured = measured_of(connection, ids if with_measurements else [])
    decided = _children(connection, decisions, ids, rows.decision_of)
    proposed = _children(connection, candidates, ids if with_candidates else [], rows.candidate_of)
    return [rows.run_of(row, measured[row.id], next(iter(decided[row.id]), None), proposed[row.id]) for row in heads]


def measured_of(
    connection: Connection, ids: Sequence[str], *, classes_within_segments: bool = True
) -> dict[str, list[Measurement]]:
    """Measurements by the id of their run."""
    of_all = sa.or_(measurements.c.segment == "", measurements.c.subject.not_like("class:%"))
    return _children(connection, measurements, ids, rows.measurement_of, None if classes_within_segments else of_all)


def run(connection: Connection, which: sa.ColumnElement[bool]) -> Run | None:
    """The one run, if there is one."""
    return next(iter(_whole(connection, connection.execute(sa.select(runs).where(which)))), None)


def runs_of(
    connection: Connection,
    monitor: str | None,
    limit: int,
    since: datetime | None,
    before: datetime | None = None,
    *,
    with_candidates: bool = True,
) -> list[Run]:
    """Runs of any status, newest window first."""
    query = sa.select(runs).order_by(runs.c.window_start.desc(), runs.c.monitor).limit(limit)
    if monitor is not None:
        query = query.where(runs.c.monitor == monitor)
    if since is not None:
        query = query.where(runs.c.window_start >= since)
    if before is not None:
        query = query.where(runs.c.window_start < before)
    return _whole(connection, connection.execute(query), with_candidates=with_candidates)


def latest(connection: Connection, *, with_measurements: bool = True) -> list[Run]:
    """Newest finished run of each monitor, by name, without candidates."""
    newest = (
        sa.select(runs.c.monitor, sa.func.max(runs.c.window_start).label("window_start"))
        .where(runs.c.status.in_(_FINISHED))
        .group_by(runs.c.monitor)
        .subquery()
    )
    same = sa.and_(runs.c.monitor == newest.c.monitor, runs.c.window_start == newest.c.window_start)
    found = connection.execute(sa.select(runs).join(newest, same))
    # Sorted here: databases differ in how they order text.
    whole = _whole(connection, found, with_candidates=False, with_measurements=with_measurements)
    return sorted(whole, key=lambda one: one.monitor)


def _verdicts(monitor: str, *columns: Any) -> sa.Select[Any]:
    """Start and end of each window that is done, and these columns of its verdict."""
    return (
        sa.select(runs.c.window_start, runs.c.window_end, *columns)
        .join(decisions, decisions.c.run_id == runs.c.id)
        .where(runs.c.monitor == monitor, runs.c.status == RunStatus.DONE.value)
    )


def _newest(found: sa.Select[Any], before: datetime, limit: int) -> sa.Select[Any]:
    return found.where(runs.c.window_start < before).order_by(runs.c.window_start.desc()).limit(limit)


def history(connection: Connection, monitor: str, before: datetime, limit: int) -> list[tuple[Window, Decision]]:
    """Verdicts of windows that start before then, newest first."""
    found = connection.execute(_newest(_verdicts(monitor, decisions), before, limit))
    return [(Window(row.window_start, row.window_end), rows.decision_of(row)) for row in found]


def judged(connection: Connection, monitor: str, before: datetime, limit: int) -> list[Judged]:
    """What history tells, in short."""
    alarm = sa.type_coerce(decisions.c.evidence, sa.JSON)["alarm_since"].as_float()
    told = _verdicts(monitor, decisions.c.state, sa.func.coalesce(alarm, 0.0) > 0)
    found = connection.execute(_newest(told, before, limit))
    return [Judged(Window(start, end), State(state), bool(on)) for start, end, state, on in found]


def states(connection: Connection, monitor: str, since: datetime, before: datetime) -> list[tuple[Window, State]]:
    """State of each window that starts from ``since`` on and before the other time, oldest first."""
    found = connection.execute(
        _verdicts(monitor, decisions.c.state)
        .where(runs.c.window_start >= since, runs.c.window_start < before)
        .order_by(runs.c.window_start)
    )
    return [(Window(row.window_start, row.window_end), State(row.state)) for row in found]


def watermark(connection: Connection, monitor: str) -> datetime | None:
    """End of the newest window that is done."""
    return connection.execute(
        sa.select(runs.c.window_end)
        .where(runs.c.monitor == monitor, runs.c.status == RunStatus.DONE.value)
        .order_by(runs.c.window_start.desc())
        .limit(1)
    ).scalar()
