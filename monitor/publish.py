"""What leaves the house: the wishes a run is saved with, and sending them. Every sending can be repeated after a crash."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from monitor.decide import opened
from monitor.desk import Desk, Monitor
from monitor.errors import PublishError
from monitor.logs import fields, unforeseen
from monitor.report import ticket_body, ticket_title
from monitor.store import Due
from monitor.values import Draft, Export, Run, State

__all__ = ["export_of", "publish_pending", "wishes"]

_log = logging.getLogger("monitor.publish")
_AT_ONCE = 20


def wishes(monitor: Monitor, run: Run, desk: Desk) -> tuple[dict[str, Draft], dict[str, Export]]:
    """The ticket and the exports a drifted run asks for, by destination."""
    if run.decision is None or run.decision.state is not State.DRIFTED:
        return {}, {}
    since = _episode_start(monitor, run, desk)
    episode = f"{run.monitor}|{run.reference_version}|{since.isoformat()}|{'+'.join(run.decision.causes)}"
    key = hashlib.sha256(episode.encode()).hexdigest()[:32]
    title = ticket_title(run.monitor, run.decision, since.date().isoformat())
    draft = Draft(key, run.monitor, title, ticket_body(run, monitor.load_reference()), run.window)
    exports = dict.fromkeys(monitor.exports, export_of(run)) if run.candidates else {}
    return dict.fromkeys(monitor.tickets, draft), exports


def export_of(run: Run) -> Export:
    """The candidates of a run on their way out; its window names it, so the same run overwrites."""
    key = f"{run.monitor}|{run.window.start.isoformat()}"
    return Export(key, run.monitor, run.id, run.window, run.candidates, run.reference_version or 0, run.refresh)


def _episode_start(monitor: Monitor, run: Run, desk: Desk) -> datetime:
    """Start of the first window that drifted for these causes while the alarm was on: one stretch, one ticket; a new cause, a new one."""
    start, causes = run.window.start, set(run.decision.causes if run.decision else ())
    edge = start
    for window, decision in desk.store.history(run.monitor, before=run.window.start, limit=1_000):
        if window.end != edge or not opened(decision):
            break
        edge = window.start
        if decision.state is State.DRIFTED:
            if not causes <= set(decision.causes):
                break
            start = window.start
    return start


def publish_pending(monitors: Mapping[str, Monitor], desk: Desk) -> int:
    """Open the tickets and write the exports that saved runs asked for; the number that went out.

    Each is claimed, sent, and marked in that order, so a crash in between repeats the sending, which is idempotent by key.
    """
    store, sent = desk.store, 0
    while tickets := store.due_tickets(now=desk.clock(), limit=_AT_ONCE):
        for ticket in tickets:
            backend = monitors[ticket.monitor].tickets.get(ticket.destination) if ticket.monitor in monitors else None
            sent += _send(ticket, partial(backend.open, ticket.wish) if backend else None, desk)
    while exports := store.due_exports(now=desk.clock(), limit=_AT_ONCE):
        for export in exports:
            exporter = monitors[export.monitor].exports.get(export.destination) if export.monitor in monitors else None
            sent += _send(export, partial(exporter.write, export.wish) if exporter else None, desk)
    return sent


def _send(due: Due[Draft] | Due[Export], send: Callable[[], str] | None, desk: Desk) -> bool:
    """Send one wish and mark what became of it; a failure is kept with its reason and tried again later."""
    desk.step("send")
    try:
        location = (send or partial(_no_destination, due.destination))()
    except PublishError as error:
        return _not_sent(due, str(error), desk, permanent=error.permanent)
    except Exception as error:  # noqa: BLE001 - a bug in one destination must not hold up the others
        return _not_sent(due, unforeseen(error, _log), desk)
    desk.step("mark")
    desk.store.sent(due, location, now=desk.clock())
    _log.info("sent", extra=fields(monitor=due.monitor, to=due.destination, where=location))
    return True


def _not_sent(due: Due[Draft] | Due[Export], error: str, desk: Desk, *, permanent: bool = False) -> bool:
    desk.store.not_sent(due, error, permanent=permanent, now=desk.clock())
    said = fields(monitor=due.monitor, to=due.destination, attempt=due.attempt, error=error)
    _log.warning("not sent", extra=said)
    return False


def _no_destination(name: str) -> str:
    raise PublishError(f"the settings name no destination {name!r} any more; add it again", permanent=True)
