"""Block sums of past windows: kept for comparing, thinned by chance alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store.entries import Past, PastWindow
from monitor.store.tables import block_sums
from monitor.values import Run, State, Window

__all__ = ["contents", "past_windows", "save"]

NEWEST = 64
"""So many windows are always kept, as looks over many windows need each of them."""

_ALARMED = (State.DRIFTED, State.RECOVERING, State.FAILED)

_t = block_sums


def draw_of(monitor: str, start: datetime) -> int:
    """A number that depends on nothing in the window: those with the smallest are kept, a fair draw of all past windows."""
    named = f"{monitor}|{start.astimezone(UTC).isoformat()}".encode(errors="surrogatepass")
    digest = hashlib.sha256(named).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _accepted(run: Run) -> bool:
    """Whether no alarm was on: neither raised nor carried along by a window with too few records to tell."""
    told = run.decision
    return told is not None and told.state not in _ALARMED and told.evidence.get("alarm_since", 0.0) <= 0


def save(connection: Connection, run: Run, past: Past) -> None:
    """Write the sums of a run, and let those go that are neither new nor drawn."""
    connection.execute(sa.delete(_t).where(_t.c.run_id == run.id))
    if not past.content:
        return
    accepted = _accepted(run)
    rows = [
        {
            "run_id": run.id,
            "segment": segment,
            "monitor": run.monitor,
            "window_start": run.window.start,
            "window_end": run.window.end,
            "plan": past.plan,
            "draw": draw_of(run.monitor, run.window.start),
            "accepted": accepted,
            "baseline": past.baseline,
            "content": content,
        }
        for segment, content in past.content.items()
    ]
    connection.execute(sa.insert(_t), rows)
    ours = (_t.c.monitor == run.monitor) & (_t.c.plan == past.plan) & (_t.c.segment == "")
    kept = sa.select(_t.c.draw).where(ours).order_by(_t.c.draw).limit(1).offset(past.keep - 1).scalar_subquery()
    oldest = sa.select(_t.c.window_start).where(ours).order_by(_t.c.window_start.desc())
    limit, since = connection.execute(sa.select(kept, oldest.limit(1).offset(NEWEST - 1).scalar_subquery())).one()
    if limit is not None and since is not None:
        gone = (_t.c.monitor == run.monitor) & (_t.c.draw > limit) & (_t.c.window_start < since)
        connection.execute(sa.delete(_t).where(gone))


def past_windows(connection: Connection, monitor: str, plan: str, before: datetime) -> list[PastWindow]:
    """Windows that start before then and whose sums of this plan are kept, oldest first."""
    query = (
        sa.select(_t.c.run_id, _t.c.window_start, _t.c.window_end, _t.c.draw, _t.c.accepted, _t.c.baseline)
        .where(_t.c.monitor == monitor, _t.c.plan == plan, _t.c.segment == "", _t.c.window_start < before)
        .order_by(_t.c.window_start)
    )
    return [
        PastWindow(row.run_id, Window(row.window_start, row.window_end), row.draw, row.accepted, row.baseline)
        for row in connection.execute(query)
    ]


def contents(connection: Connection, runs: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """The sums of these runs, by run and segment."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for first in range(0, len(runs), 500):
        query = sa.select(_t.c.run_id, _t.c.segment, _t.c.content).where(_t.c.run_id.in_(runs[first : first + 500]))
        for row in connection.execute(query):
            found[row.run_id][row.segment] = row.content
    return dict(found)
