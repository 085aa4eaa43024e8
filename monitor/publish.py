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
from monitor.errors import ArtifactError, PublishError
from monitor.export_plan import ExportPlan
from monitor.logs import fields, unforeseen
from monitor.news import news
from monitor.report import ticket_body, ticket_title
from monitor.reporting import report_of
from monitor.store import AnyDue
from monitor.values import Draft, Export, ExportedRun, Notice, Run, State

__all__ = ["Wishes", "ask_scheduled", "export_of", "prepared", "publish_exports", "publish_pending", "wishes"]

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
    draft = Draft(key, run.monitor, title, ticket_body(run, monitor.load_reference()), run.window)
    with_ticket = [name for name, plan in monitor.export_plans.items() if plan.at_ticket and name in monitor.exports]
    exports = dict.fromkeys(with_ticket, export_of(run)) if run.candidates else {}
    return Wishes(dict.fromkeys(monitor.tickets, draft), exports, _notices(monitor, run, desk, since))


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
    version = run.reference_version or 0
    records = frozenset(one.record_id for one in run.candidates)
    source = ExportedRun(run.id, run.window, version, run.reference_fingerprint, run.embedder, run.settings, records)
    return Export(key, run.monitor, run.id, run.window, run.candidates, version, run.refresh, runs=(source,))


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
    """Open the tickets, write the exports and send the notices that saved runs or the schedule asked for; how many went out.

    Each is claimed, sent, and marked in that order, so a crash in between repeats the sending, which is idempotent by key.
    """
    store, sent = desk.store, 0
    while tickets := store.due_tickets(now=desk.clock(), limit=_AT_ONCE):
        for ticket in tickets:
            backend = monitors[ticket.monitor].tickets.get(ticket.destination) if ticket.monitor in monitors else None
            sent += _send(ticket, partial(backend.open, _with_report(ticket.wish, desk)) if backend else None, desk)
    ask_scheduled(monitors, desk)
    sent += publish_exports(monitors, desk)
    while notices := store.due_notices(now=desk.clock(), limit=_AT_ONCE):
        for notice in notices:
            teller = monitors[notice.monitor].notifiers.get(notice.destination) if notice.monitor in monitors else None
            sent += _send(notice, partial(teller.send, notice.wish) if teller else None, desk)
    return sent


def ask_scheduled(monitors: Mapping[str, Monitor], desk: Desk) -> None:
    """Wish for the exports whose slot has come; any number of replicas may ask, each slot has one wish."""
    for monitor in monitors.values():
        for destination, plan in monitor.export_plans.items():
            slot = plan.slot(desk.clock()) if destination in monitor.exports else None
            # Read first: mostly there is nothing to write.
            if slot and desk.store.to_export(monitor.name, destination, slot, everything=plan.everything):
                desk.store.ask_export(monitor.name, destination, slot, desk.clock(), everything=plan.everything)


def publish_exports(monitors: Mapping[str, Monitor], desk: Desk) -> int:
    """Write the exports that wait; how many were written."""
    sent = 0
    while exports := desk.store.due_exports(now=desk.clock(), limit=_AT_ONCE):
        for due in exports:
            monitor = monitors.get(due.monitor)
            to = due.destination
            write = partial(_write, monitor, to, due.wish, desk) if monitor and to in monitor.exports else None
            sent += _send(due, write, desk)
    return sent


def _write(monitor: Monitor, destination: str, export: Export, desk: Desk) -> str:
    plan = monitor.export_plans.get(destination, ExportPlan())
    return monitor.exports[destination].write(prepared(monitor, plan, export, desk))


def prepared(monitor: Monitor, plan: ExportPlan, export: Export, desk: Desk) -> Export:
    """The export as the destination gets it: with its run's report, the classes to choose from and the destination's note.

    Here, before anything is formatted, is where candidates become what the destination may see of them.
    """
    whole = _with_report(export, desk) if export.slot is None and export.texts != "ids" else export
    return replace(whole, classes=_classes(monitor), note=plan.note)


def _classes(monitor: Monitor) -> tuple[str, ...]:
    """Labels to choose from: those of the training data, then those that mean junk; a lost reference holds up nothing."""
    try:
        known = {label for label in monitor.load_reference().train.column("label") if label}
    except ArtifactError as error:
        _log.warning("no classes", extra=fields(monitor=monitor.name, error=str(error)))
        known = set()
    return (*sorted(known), *sorted(monitor.junk - known))


def _with_report(wish: Reported, desk: Desk) -> Reported:
    """The wish with its run's report; one that cannot be made holds up nothing."""
    try:
        run = desk.store.run(wish.monitor, wish.window.start)
        return wish if run is None else replace(wish, report=report_of(desk.store, run))
    except Exception as error:  # noqa: BLE001 - a report is beside what is sent
        _log.warning("no report", extra=fields(monitor=wish.monitor, error=unforeseen(error, _log)))
        return wish


def _send(due: AnyDue, send: Callable[[], str] | None, desk: Desk) -> bool:
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


def _not_sent(due: AnyDue, error: str, desk: Desk, *, permanent: bool = False) -> bool:
    desk.store.not_sent(due, error, permanent=permanent, now=desk.clock())
    said = fields(monitor=due.monitor, to=due.destination, attempt=due.attempt, error=error)
    _log.warning("not sent", extra=said)
    return False


def _no_destination(name: str) -> str:
    raise PublishError(f"the settings name no destination {name!r} any more; add it again", permanent=True)
