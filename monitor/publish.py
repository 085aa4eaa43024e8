"""What leaves the house: the wishes a run is saved with, and sending them. Every sending can be repeated after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from monitor.desk import Desk, Monitor, Stopped
from monitor.episodes import episode_start, ticket_wish
from monitor.errors import LeaseLost, PublishError, StoreError
from monitor.exporting import ask_scheduled, export_of, write_export
from monitor.logs import fields, unforeseen
from monitor.news import news
from monitor.reach import only
from monitor.remarks import proof
from monitor.store import Due
from monitor.store.entries import Wish
from monitor.ticketing import bring_up_to_date
from monitor.tickets import Tickets
from monitor.values import Export, Judged, Notice, Run, State, TicketWish

__all__ = ["Wishes", "publish_exports", "publish_pending", "wishes"]

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
    drifted = run.decision.state is State.DRIFTED
    # Only drift looks back to its beginning.
    history = desk.store.judged(run.monitor, before=run.window.start, limit=_LONGEST if drifted else 1)
    silent = monitor.name in desk.store.silenced(desk.clock())
    with_ticket = [name for name, plan in monitor.export_plans.items() if plan.at_ticket and name in monitor.exports]
    exports = dict.fromkeys(with_ticket, export_of(run)) if drifted and run.candidates else {}
    return Wishes(
        _tickets(monitor, run, desk, history, silent=silent),
        exports,
        _notices(monitor, run, desk, history, silent=silent),
    )


def _tickets(
    monitor: Monitor, run: Run, desk: Desk, history: Sequence[Judged], *, silent: bool
) -> Sequence[tuple[str, TicketWish]]:
    later = desk.store.runs(run.monitor, limit=1, since=run.window.end, with_candidates=False)
    if not monitor.tickets or any(one.decision is not None for one in later):
        # A window of the past says nothing about how things stand.
        return ()
    newest = next(iter(desk.store.living(run.monitor, limit=1)), None)
    told = desk.store.run_by_id(newest.told_run) if newest is not None else None
    now = None if run.decision is None else (run.window, run.decision)
    brought = proof(desk.store, newest, monitor.junk, now) if newest is not None else ()
    wanted = ticket_wish(run, newest, told, history, reopen=monitor.reopen, silent=silent, proof=brought)
    return [(destination, wanted) for destination in monitor.tickets] if wanted is not None else ()


def _notices(monitor: Monitor, run: Run, desk: Desk, history: Sequence[Judged], *, silent: bool) -> dict[str, Notice]:
    if not monitor.notifiers:
        return {}
    drifted = run.decision is not None and run.decision.state is State.DRIFTED
    if silent and drifted:
        return {}
    since = episode_start(run, history) if drifted else None
    earlier = desk.store.runs(run.monitor, limit=1, before=run.window.start, with_candidates=False)
    before = earlier[0].decision.state if earlier and earlier[0].decision is not None else None
    alarm = any(one.alarm for one in history[:1])
    found = news(run, since, before, monitor.notify_pause, monitor.pages, alarm=alarm)
    return dict.fromkeys(monitor.notifiers, found) if found is not None else {}


def publish_pending(monitors: Mapping[str, Monitor], desk: Desk) -> int:
    """Write the exports, bring the tickets up to date and send the notices that saved runs or the schedule asked for.

    Returns how many went out.

    Each is claimed, sent, and marked in that order, so a crash in between repeats the sending, which is idempotent by key.
    Exports come first, because a ticket says where they are.
    """
    post, sent = _Post(desk), 0
    ask_scheduled(monitors, desk)
    sent += _publish_exports(monitors, post)
    while tickets := desk.store.due_tickets(now=desk.clock(), limit=_AT_ONCE, lease=desk.lease):
        for ticket in tickets:
            monitor = monitors.get(ticket.monitor)
            to = None if monitor is None else monitor.tickets.get(ticket.destination)
            settle = partial(bring_up_to_date, monitor, desk=desk) if monitor is not None and to is not None else None
            sent += post.send(ticket, settle, to)
    while notices := desk.store.due_notices(now=desk.clock(), limit=_AT_ONCE, lease=desk.lease):
        for notice in notices:
            monitor = monitors.get(notice.monitor)
            known = monitor is not None and notice.destination in monitor.notifiers
            sent += post.send(notice, partial(_notify, monitor, desk=desk) if monitor is not None and known else None)
    return sent


def publish_exports(monitors: Mapping[str, Monitor], desk: Desk) -> int:
    """Write the exports that wait; how many were written."""
    return _publish_exports(monitors, _Post(desk))


def _publish_exports(monitors: Mapping[str, Monitor], post: _Post) -> int:
    desk, sent = post.desk, 0
    while exports := desk.store.due_exports(now=desk.clock(), limit=_AT_ONCE, lease=desk.lease):
        for due in exports:
            monitor = monitors.get(due.monitor)
            known = monitor is not None and due.destination in monitor.exports
            sent += post.send(due, partial(_export, monitor, desk=desk) if monitor is not None and known else None)
    return sent


def _export(monitor: Monitor, due: Due[Export], desk: Desk) -> str:
    location, masked = write_export(monitor, due, desk)
    desk.step("mark")
    desk.store.sent(due, location, now=desk.clock(), masked=masked)
    return location


def _notify(monitor: Monitor, due: Due[Notice], desk: Desk) -> str:
    with only(monitor.reach):
        location = monitor.notifiers[due.destination].send(due.wish)
    desk.step("mark")
    desk.store.sent(due, location, now=desk.clock())
    return location


class _Post:
    """One round of sending. An address that gave no answer is asked no more in it: the wishes for others do not wait."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._silent: dict[str, str] = {}

    def send(self, due: Due[Wish], send: Callable[[Due[Wish]], str] | None, to: Tickets | None = None) -> bool:
        """Send one wish, which marks it; a failure is kept with its reason and tried again later.

        Many are leased at once: by the time a slow destination has taken the first, the last may be another process's.
        """
        desk, address = self.desk, getattr(to, "address", "")
        desk.step("send")
        if address in self._silent:
            return self._not_sent(due, self._silent[address])
        try:
            due = desk.store.hold(due, desk.clock(), desk.lease)
            location = (send or _no_destination)(due)
        except LeaseLost as lost:
            _log.warning("sending lost", extra=fields(monitor=due.monitor, to=due.destination, why=str(lost)))
            return False
        except (Stopped, StoreError):
            raise
        except PublishError as error:
            if error.unanswered and address:
                self._silent[address] = str(error)
            return self._not_sent(due, str(error), permanent=error.permanent, after=error.retry_after)
        except Exception as error:  # noqa: BLE001 - a bug in one destination must not hold up the others
            return self._not_sent(due, unforeseen(error, _log))
        _log.info("sent", extra=fields(monitor=due.monitor, to=due.destination, where=location))
        return True

    def _not_sent(self, due: Due[Any], error: str, *, permanent: bool = False, after: float | None = None) -> bool:
        """``after``: seconds that the other side asked to be left alone."""
        wait = timedelta(seconds=after or 0.0)
        self.desk.store.not_sent(due, error, permanent=permanent, now=self.desk.clock(), wait=wait)
        said = fields(monitor=due.monitor, to=due.destination, attempt=due.attempt, error=error)
        _log.warning("not sent", extra=said)
        return False


def _no_destination(due: Due[Any]) -> str:
    raise PublishError(f"the settings name no destination {due.destination!r} any more; add it again", permanent=True)
