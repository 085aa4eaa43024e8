"""Pictures of runs: kept for windows that people look at, and for the newest one."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store.tables import pictures
from monitor.values import Run, State

__all__ = ["KEPT", "content", "save"]

KEPT = 200
"""Of windows with something to see, so many are kept of each monitor, the newest."""

_SEEN = (State.WATCH, State.DRIFTED, State.RECOVERING)

_t = pictures


def save(connection: Connection, run: Run, picture: bytes | None) -> None:
    """Write the picture of a run, and let those go that nobody will look at."""
    connection.execute(sa.delete(_t).where(_t.c.run_id == run.id))
    if picture is not None:
        lasting = run.decision is not None and run.decision.state in _SEEN
        row = {"run_id": run.id, "monitor": run.monitor, "window_start": run.window.start}
        connection.execute(sa.insert(_t), [row | {"lasting": lasting, "content": picture}])
    ours = _t.c.monitor == run.monitor
    starts = sa.select(_t.c.window_start).where(ours).order_by(_t.c.window_start.desc())
    for which, most in ((~_t.c.lasting, 1), (_t.c.lasting, KEPT)):
        # The newest picture of all is never older than the newest of its kind.
        among = starts if most == 1 else starts.where(which)
        last = connection.execute(among.limit(1).offset(most - 1)).scalar()
        if last is not None:
            connection.execute(sa.delete(_t).where(ours, which, _t.c.window_start < last))


def content(connection: Connection, run_id: str) -> bytes | None:
    """The picture of this run, if it has one."""
    found: bytes | None = connection.execute(sa.select(_t.c.content).where(_t.c.run_id == run_id)).scalar()
    return found
