"""What leaves the house: the wishes a run is saved with, and sending them. Every sending can be repeated after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from monitor.desk import Desk, Monitor
from monitor.episodes import episode_start, ticket_wish
from monitor.errors import ArtifactError, PublishError
from monitor.export_plan import ExportPlan
from monitor.logs import fields, unforeseen
from monitor.news import news
from monitor.redaction import texts_as
from monitor.reporting import report_or_none
from monitor.store import AnyDue, Due
from monitor.ticketing import bring_up_to_date
from monitor.values import Decision, Export, ExportedRun, Notice, Run, State, TicketWish, Window

__all__ = ["Wishes", "ask_scheduled", "export_of", "prepared", "publish_exports", "publish_pending", "wishes"]

_log = logging.getLogger("monitor.publish")
_AT_ONCE = 20
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run asks to be sent, by destination."""

    tickets: Sequence[tuple[str, TicketWish]]
    exports: Mapping[str, Export]
    notices: Mapping[str, Notice]


def wishes(monitor: Monitor, run: Run, desk: Desk) -> Wishes:
    """What a run asks of the tickets of its drift, the exports a drifted one asks for, and the news of any run."""
    if run.decision is None:
        return Wishes((), {}, {})
    history = desk.store.history(run.monitor, before=run.window.start, limit=_LONGEST)
    silent = monitor.name in desk.store.silenced(desk.clock())
    drifted = run.decision.state is State.DRIFTED
    with_ticket = [name for name, plan in monitor.export_plans.items() if plan.at_ticket and name in monitor.exports]
    exports = dict.fromkeys(with_ticket, export_of(run)) if drifted and run.candidates else {}
    return Wishes(
        _tickets(monitor, run, desk, history, silent=silent),
        exports,
        _notices(monitor, run, desk, history, silent=silent),
    )


def _tickets(
    monitor: Monitor, run: Run, desk: Desk, history: Sequence[tuple[Window, Decision]], *, silent: bool
) -> Sequence[tuple[str, TicketWish]]:
    later = desk.store.runs(run.monitor, limit=1, since=run.window.end, with_candidates=False)
    if not monitor.tickets or any(one.decision is not None for one in later):
        # A window of the past says nothing about how things stand.
        return ()
    newest = next(iter(desk.store.living(run.monitor, limit=1)), None)
    told = desk.store.run_by_id(newest.told_run) if newest is not None else None
    wanted = ticket_wish(run, newest, told, history, reopen=monitor.reopen, silent=silent)
    return [(destination, wanted) for destination in monitor.tickets] if wanted is not None else ()


def _notices(
    monitor: Monitor, run: Run, desk: Desk, history: Sequence[tuple[Window, Decision]], *, silent: bool
) -> dict[str, Notice]:
    if not monitor.notifiers:
        return {}
    drifted = run.decision is not None and run.decision.state is State.DRIFTED
    if silent and drifted:
        return {}
    since = episode_start(run, history) if drifted else None
    earlier = desk.store.runs(run.monitor, limit=1, before=run.window.start, with_candidates=False)
    before = earlier[0].decision.state if earlier and earlier[0].decision is not None else None
    found = news(run, since, before, history[0][1] if history else None, monitor.notify_pause, monitor.pages)
    return dict.fromkeys(monitor.notifiers, found) if found is not None else {}


def export_of(run: Run) -> Export:
    """The candidates of a run on their way out; its window names it, so the same run overwrites."""
    key = f"{run.monitor}|{run.window.start.isoformat()}"
    version = run.reference_version or 0
    records = frozenset(one.record_id for one in run.candidates)
    source = ExportedRun(run.id, run.window, version, run.reference_fingerprint, run.embedder, run.settings, records)
    return Export(key, run.monitor, run.id, run.window, run.candidates, version, run.refresh, runs=(source,))


def export_as(export: Export, monitor: Monitor, destination: str) -> Export:
    """The export with its texts as its destination may have them."""
    texts = monitor.texts_for("exports", destination)
    shown, masked = texts_as(export.candidates, texts, monitor.redactor)
    return replace(export, candidates=shown, texts=texts, redacted=dict(masked))


def publish_pending(monitors: Mapping[str, Monitor], desk: Desk) -> int:
    """Write the exports, bring the tickets up to date and send the notices that saved runs or the schedule asked for.

    Returns how many went out.

    Each is claimed, sent, and marked in that order, so a crash in between repeats the sending, which is idempotent by key.
    Exports come first, because a ticket says where they are.
    """
    store, sent = desk.store, 0
    ask_scheduled(monitors, desk)
    sent += publish_exports(monitors, desk)
    while tickets := store.due_tickets(now=desk.clock(), limit=_AT_ONCE):
        for ticket in tickets:
            monitor = monitors.get(ticket.monitor)
            known = monitor is not None and ticket.destination in monitor.tickets
            settle = partial(bring_up_to_date, monitor, ticket, desk) if monitor is not None and known else None
            sent += _send(ticket, settle, lambda location: None, desk)
    while notices := store.due_notices(now=desk.clock(), limit=_AT_ONCE):
        for notice in notices:
            teller = monitors[notice.monitor].notifiers.get(notice.destination) if notice.monitor in monitors else None
            sent += _send(
                notice, partial(teller.send, notice.wish) if teller else None, partial(_mark, notice, desk), desk
            )
    return sent


def _mark(due: Due[Export] | Due[Notice], desk: Desk, location: str) -> None:
    desk.step("mark")
    desk.store.sent(due, location, now=desk.clock())


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
            sent += _send(due, write, partial(_mark, due, desk), desk)
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


def _with_report(wish: Export, desk: Desk) -> Export:
    run = desk.store.run(wish.monitor, wish.window.start)
    return wish if run is None else replace(wish, report=report_or_none(desk.store, run))


def _send(due: AnyDue, send: Callable[[], str] | None, mark: Callable[[str], None], desk: Desk) -> bool:
    """Send one wish and mark what became of it; a failure is kept with its reason and tried again later."""
    desk.step("send")
    try:
        location = (send or partial(_no_destination, due.destination))()
    except PublishError as error:
        return _not_sent(due, str(error), desk, permanent=error.permanent, after=error.retry_after)
    except Exception as error:  # noqa: BLE001 - a bug in one destination must not hold up the others
        return _not_sent(due, unforeseen(error, _log), desk)
    mark(location)
    _log.info("sent", extra=fields(monitor=due.monitor, to=due.destination, where=location))
    return True


def _not_sent(due: AnyDue, error: str, desk: Desk, *, permanent: bool = False, after: float | None = None) -> bool:
    """``after``: seconds that the other side asked to be left alone."""
    wait = timedelta(seconds=after or 0.0)
    desk.store.not_sent(due, error, permanent=permanent, now=desk.clock(), wait=wait)
    said = fields(monitor=due.monitor, to=due.destination, attempt=due.attempt, error=error)
    _log.warning("not sent", extra=said)
    return False


def _no_destination(name: str) -> str:
    raise PublishError(f"the settings name no destination {name!r} any more; add it again", permanent=True)
