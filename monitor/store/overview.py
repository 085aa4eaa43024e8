"""What is shown about every monitor, read in a fixed number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store import calibrations, redactions, verifications
from monitor.store.entries import DeliveryStatus, Overview
from monitor.store.history import latest
from monitor.store.references import active
from monitor.store.rows import decision_of
from monitor.store.tables import candidates, decisions, exports, monitors, notices, runs, silences, tickets
from monitor.values import Decision, RunStatus, State

__all__ = ["overview"]

Pairs = dict[str, dict[tuple[str, str], int]]

_KINDS = (("ticket", tickets), ("export", exports), ("notice", notices))


def overview(connection: Connection) -> list[Overview]:
    """One entry per monitor, by name."""
    newest = {run.monitor: run for run in latest(connection, with_measurements=False)}
    attempts, running = _attempts(connection)
    proposed = _proposed(connection, [run.id for run in newest.values()])
    labelled = _labelled(connection)
    opened, written, failures = _by_status(connection, tickets), _by_status(connection, exports), _failures(connection)
    references = active(connection)
    marks, successes, failing, same = (
        _watermarks(connection),
        _successes(connection),
        _failing(connection),
        _same_verdict(connection),
    )
    left_open, waiting, verdicts = _open_tickets(connection), _waiting(connection), _verdicts(connection)
    calibrated = calibrations.newest(connection)
    silenced = _silenced(connection)
    verified, models = verifications.newest(connection), verifications.newest_models(connection)
    masked = redactions.of_monitors(connection)
    found = [
        Overview(
            monitor=row.name,
            settings=row.settings,
            period=timedelta(seconds=row.period_seconds),
            first_seen=row.first_seen,
            latest=newest.get(row.name),
            verdict=verdicts.get(row.name),
            watermark=marks.get(row.name),
            running=running.get(row.name, 0),
            runs=attempts.get(row.name, {}),
            candidates=proposed.get(newest[row.name].id, 0) if row.name in newest else 0,
            labelled=labelled.get(row.name, (0, None))[0],
            labelled_at=labelled.get(row.name, (0, None))[1],
            tickets=opened.get(row.name, {}),
            exports=written.get(row.name, {}),
            failures=failures.get(row.name, {}),
            last_success=successes.get(row.name),
            failing_since=failing.get(row.name),
            same_since=same.get(row.name),
            open_tickets=left_open.get(row.name, {}),
            silenced=silenced.get(row.name),
            waiting=waiting.get(row.name, {}),
            reference=references.get(row.name),
            calibration=calibrated.get(row.name),
            verification=verified.get(row.name),
            deployment=models[row.name][0] if row.name in models else None,
            deployments=models[row.name][1] if row.name in models else 0,
            redactions=masked.get(row.name, {}),
        )
        for row in connection.execute(sa.select(monitors))
    ]
    return sorted(found, key=lambda one: one.monitor)


def _attempts(connection: Connection) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Attempts by how they ended, none of which ever falls, and windows being worked on."""
    query = sa.select(
        runs.c.monitor,
        sa.func.sum(sa.case((runs.c.status == RunStatus.DONE.value, 1), else_=0)).label("done"),
        sa.func.sum(sa.case((runs.c.status == RunStatus.RUNNING.value, 1), else_=0)).label("running"),
        sa.func.sum(runs.c.failures).label("failed"),
        sa.func.sum(runs.c.attempt).label("attempts"),
    ).group_by(runs.c.monitor)
    ended, running = {}, {}
    for row in connection.execute(query):
        abandoned = row.attempts - row.failed - row.done - row.running
        ended[row.monitor] = {"done": int(row.done), "failed": int(row.failed), "abandoned": int(abandoned)}
        running[row.monitor] = int(row.running)
    return ended, running


def _watermarks(connection: Connection) -> dict[str, datetime]:
    query = sa.select(runs.c.monitor, sa.func.max(runs.c.window_end).label("until"))
    query = query.where(runs.c.status == RunStatus.DONE.value).group_by(runs.c.monitor)
    return {row.monitor: row.until for row in connection.execute(query)}


def _successes(connection: Connection) -> dict[str, datetime]:
    query = sa.select(runs.c.monitor, sa.func.max(runs.c.finished_at).label("at"))
    query = query.where(runs.c.status == RunStatus.DONE.value).group_by(runs.c.monitor)
    return {row.monitor: row.at for row in connection.execute(query)}


def _failing(connection: Connection) -> dict[str, datetime]:
    """End of the first failed window after the newest one that is done."""
    done = (
        sa.select(runs.c.monitor, sa.func.max(runs.c.window_start).label("last"))
        .where(runs.c.status == RunStatus.DONE.value)
        .group_by(runs.c.monitor)
        .subquery()
    )
    query = (
        sa.select(runs.c.monitor, sa.func.min(runs.c.window_end).label("since"))
        .join(done, done.c.monitor == runs.c.monitor, isouter=True)
        .where(runs.c.status == RunStatus.FAILED.value)
        .where(sa.or_(done.c.last.is_(None), runs.c.window_start > done.c.last))
        .group_by(runs.c.monitor)
    )
    return {row.monitor: row.since for row in connection.execute(query)}


def _verdicts(connection: Connection) -> dict[str, Decision]:
    judged = (
        sa.select(runs.c.monitor, sa.func.max(runs.c.window_start).label("at"))
        .join(decisions, decisions.c.run_id == runs.c.id)
        .where(runs.c.status == RunStatus.DONE.value, decisions.c.state != State.INSUFFICIENT.value)
        .group_by(runs.c.monitor)
        .subquery()
    )
    query = (
        sa.select(runs.c.monitor, decisions)
        .join(decisions, decisions.c.run_id == runs.c.id)
        .join(judged, sa.and_(judged.c.monitor == runs.c.monitor, judged.c.at == runs.c.window_start))
    )
    return {row.monitor: decision_of(row) for row in connection.execute(query)}


def _same_verdict(connection: Connection) -> dict[str, datetime]:
    """End of the first window after the last one with another verdict than the newest."""
    judged = (
        sa.select(runs.c.monitor, runs.c.window_start, runs.c.window_end, decisions.c.state)
        .join(decisions, decisions.c.run_id == runs.c.id)
        .where(runs.c.status == RunStatus.DONE.value)
    )
    every, newest = judged.subquery(), judged.subquery()
    last = (
        sa.select(every.c.monitor, sa.func.max(every.c.window_start).label("at")).group_by(every.c.monitor).subquery()
    )
    state = (
        sa.select(newest.c.monitor, newest.c.state)
        .join(last, sa.and_(last.c.monitor == newest.c.monitor, last.c.at == newest.c.window_start))
        .subquery()
    )
    other = (
        sa.select(every.c.monitor, sa.func.max(every.c.window_start).label("at"))
        .join(state, sa.and_(state.c.monitor == every.c.monitor, state.c.state != every.c.state))
        .group_by(every.c.monitor)
        .subquery()
    )
    query = (
        sa.select(every.c.monitor, sa.func.min(every.c.window_end).label("since"))
        .join(other, other.c.monitor == every.c.monitor, isouter=True)
        .where(sa.or_(other.c.at.is_(None), every.c.window_start > other.c.at))
        .group_by(every.c.monitor)
    )
    return {row.monitor: row.since for row in connection.execute(query)}


def _open_tickets(connection: Connection) -> dict[str, dict[str, datetime]]:
    query = sa.select(tickets.c.monitor, tickets.c.destination, tickets.c.sent_at, tickets.c.known)
    query = query.where(tickets.c.open.is_(True), tickets.c.sent_at.is_not(None)).order_by(tickets.c.sent_at.desc())
    found: dict[str, dict[str, datetime]] = defaultdict(dict)
    for row in connection.execute(query):
        if not (row.known or {}).get("by_hand"):
            found[row.monitor][row.destination] = row.sent_at
    return found


def _silenced(connection: Connection) -> dict[str, datetime]:
    query = sa.select(silences.c.monitor, sa.func.max(silences.c.until).label("until")).group_by(silences.c.monitor)
    return {row.monitor: row.until for row in connection.execute(query)}


def _waiting(connection: Connection) -> dict[str, dict[tuple[str, str], datetime]]:
    found: dict[str, dict[tuple[str, str], datetime]] = defaultdict(dict)
    for kind, table in _KINDS:
        which = (table.c.monitor, table.c.destination)
        asked = sa.func.coalesce(table.c.wished_at, table.c.created_at) if table is tickets else table.c.created_at
        query = sa.select(*which, sa.func.min(asked).label("since"))
        query = query.where(table.c.status != DeliveryStatus.SENT.value)
        for row in connection.execute(query.group_by(*which)):
            found[row.monitor][kind, row.destination] = row.since
    return found


def _proposed(connection: Connection, run_ids: Collection[str]) -> dict[str, int]:
    query = sa.select(candidates.c.run_id, sa.func.count().label("number"))
    query = query.where(candidates.c.run_id.in_(run_ids)).group_by(candidates.c.run_id)
    return {row.run_id: row.number for row in connection.execute(query)}


def _labelled(connection: Connection) -> dict[str, tuple[int, datetime | None]]:
    """Records with a label, and when the newest came."""
    number, newest = sa.func.count(candidates.c.record_id.distinct()), sa.func.max(candidates.c.labelled_at)
    query = sa.select(candidates.c.monitor, number.label("number"), newest.label("at"))
    query = query.where(candidates.c.labelled_at.is_not(None)).group_by(candidates.c.monitor)
    return {row.monitor: (row.number, row.at) for row in connection.execute(query)}


def _by_status(connection: Connection, table: sa.Table) -> Pairs:
    which = (table.c.monitor, table.c.destination, table.c.status)
    found: Pairs = defaultdict(dict)
    for row in connection.execute(sa.select(*which, sa.func.count().label("number")).group_by(*which)):
        found[row.monitor][row.destination, row.status] = row.number
    return found


def _failures(connection: Connection) -> Pairs:
    found: Pairs = defaultdict(dict)
    for kind, table in _KINDS:
        which = (table.c.monitor, table.c.destination)
        query = sa.select(*which, sa.func.sum(table.c.failures).label("number")).group_by(*which)
        for row in connection.execute(query):
            found[row.monitor][kind, row.destination] = int(row.number)
    return found
