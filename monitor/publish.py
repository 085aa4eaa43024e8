"""What leaves the house: the wishes a run is saved with, and sending them. Every sending can be repeated after a crash."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from monitor.decide import opened
from monitor.desk import Desk, Monitor
from monitor.errors import PublishError
from monitor.logs import fields, unforeseen
from monitor.news import news
from monitor.redaction import texts_as
from monitor.report import ticket_body, ticket_title
from monitor.reporting import report_of
from monitor.store import AnyDue
from monitor.values import Draft, Export, Notice, Run, State

__all__ = ["Wishes", "export_as", "export_of", "publish_pending", "wishes"]

_log = logging.getLogger("monitor.publish")
_AT_ONCE = 20

Reported = TypeVar("Reported", Draft, Export)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run asks to be sent, by destination."""

    tickets: Mapping[str, Draft]
    exports: Mapping[str, Export]
    notices: Mapping[str, Notice]


def wishes(monitor: Monitor, run: Run, desk: Desk) -> Wishes:
    """The ticket and the exports a drifted run asks for, and the news of any run."""
    if run.decision is None or run.decision.state is not State.DRIFTED:
        return Wishes({}, {}, _notices(monitor, run, desk, None))
    since = _episode_start(monitor, run, desk)
    episode = f"{run.monitor}|{run.reference_version}|{since.isoformat()}|{'+'.join(run.decision.causes)}"
    key = hashlib.sha256(episode.encode()).hexdigest()[:32]
    title = ticket_title(run.monitor, run.decision, since.date().isoformat())
    exports = dict.fromkeys(monitor.exports, export_of(run)) if run.candidates else {}
    reference = monitor.load_reference()
    drafts = {
        name: Draft(key, run.monitor, title, ticket_body(_for_ticket(run, monitor, name), reference), run.window)
        for name in monitor.tickets
    }
    return Wishes(drafts, exports, _notices(monitor, run, desk, since))


def _for_ticket(run: Run, monitor: Monitor, destination: str) -> Run:
    """The run with its texts as this destination may have them."""
    texts = monitor.texts_for("tickets", destination)
    return replace(run, candidates=texts_as(run.candidates, texts, monitor.redactor)[0])


def _notices(monitor: Monitor, run: Run, desk: Desk, since: datetime | None) -> dict[str, Notice]:
    if not monitor.notifiers:
        return {}
    earlier = desk.store.runs(run.monitor, limit=1, before=run.window.start, with_candidates=False)
    before = earlier[0].decision.state if earlier and earlier[0].decision is not None else None
    judged = desk.store.history(run.monitor, before=run.window.start, limit=1)
    found = news(run, since, before, judged[0][1] if judged else None, monitor.notify_pause)
    return dict.fromkeys(monitor.notifiers, found) if found is not None else {}


def export_of(run: Run) -> Export:
    """The candidates of a run on their way out; its window names it, so the same run overwrites."""
    key = f"{run.monitor}|{run.window.start.isoformat()}"
    return Export(key, run.monitor, run.id, run.window, run.candidates, run.reference_version or 0, run.refresh)


def export_as(export: Export, monitor: Monitor, destination: str) -> Export:
    """The export with its texts as its destination may have them."""
    texts = monitor.texts_for("exports", destination)
    shown, masked = texts_as(export.candidates, texts, monitor.redactor)
    return replace(export, candidates=shown, texts=texts, redacted=dict(masked))


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
    """Open the tickets, write the exports and send the notices that saved runs asked for; the number that went out.

    Each is claimed, sent, and marked in that order, so a crash in between repeats the sending, which is idempotent by key.
    """
    store, sent = desk.store, 0
    while tickets := store.due_tickets(now=desk.clock(), limit=_AT_ONCE):
        for ticket in tickets:
            backend = monitors[ticket.monitor].tickets.get(ticket.destination) if ticket.monitor in monitors else None
            sent += _send(ticket, partial(backend.open, _with_report(ticket.wish, desk)) if backend else None, desk)
    while exports := store.due_exports(now=desk.clock(), limit=_AT_ONCE):
        for export in exports:
            exporter = monitors[export.monitor].exports.get(export.destination) if export.monitor in monitors else None
            shown = export_as(export.wish, monitors[export.monitor], export.destination) if exporter else export.wish
            reported = shown if shown.texts == "ids" else _with_report(shown, desk)
            write = partial(exporter.write, reported) if exporter else None
            sent += _send(export, write, desk, shown.redacted)
    while notices := store.due_notices(now=desk.clock(), limit=_AT_ONCE):
        for notice in notices:
            teller = monitors[notice.monitor].notifiers.get(notice.destination) if notice.monitor in monitors else None
            sent += _send(notice, partial(teller.send, notice.wish) if teller else None, desk)
    return sent


def _with_report(wish: Reported, desk: Desk) -> Reported:
    """The wish with its run's report; one that cannot be made holds up nothing."""
    try:
        run = desk.store.run(wish.monitor, wish.window.start)
        return wish if run is None else replace(wish, report=report_of(desk.store, run))
    except Exception as error:  # noqa: BLE001 - a report is beside what is sent
        _log.warning("no report", extra=fields(monitor=wish.monitor, error=unforeseen(error, _log)))
        return wish


def _send(due: AnyDue, send: Callable[[], str] | None, desk: Desk, masked: Mapping[str, int] | None = None) -> bool:
    """Send one wish and mark what became of it; a failure is kept with its reason and tried again later."""
    desk.step("send")
    try:
        location = (send or partial(_no_destination, due.destination))()
    except PublishError as error:
        return _not_sent(due, str(error), desk, permanent=error.permanent)
    except Exception as error:  # noqa: BLE001 - a bug in one destination must not hold up the others
        return _not_sent(due, unforeseen(error, _log), desk)
    desk.step("mark")
    desk.store.sent(due, location, now=desk.clock(), masked=masked)
    _log.info("sent", extra=fields(monitor=due.monitor, to=due.destination, where=location))
    return True


def _not_sent(due: AnyDue, error: str, desk: Desk, *, permanent: bool = False) -> bool:
    desk.store.not_sent(due, error, permanent=permanent, now=desk.clock())
    said = fields(monitor=due.monitor, to=due.destination, attempt=due.attempt, error=error)
    _log.warning("not sent", extra=said)
    return False


def _no_destination(name: str) -> str:
    raise PublishError(f"the settings name no destination {name!r} any more; add it again", permanent=True)
