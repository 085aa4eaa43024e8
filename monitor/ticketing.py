"""Brings one ticket up to date: its words are made of what is saved now, and what a person asked for on it is done."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from monitor.decide import key_of
from monitor.desk import Desk, Monitor
from monitor.errors import LeaseLost, PublishError
from monitor.exporters import Checked
from monitor.logs import fields
from monitor.reach import only
from monitor.remarks import proof
from monitor.report import Episode, Exported, ticket_document
from monitor.reporting import report_or_none
from monitor.store import Delivery, DeliveryStatus, Due
from monitor.tickets.living import ACCEPTED, WONT_FIX, settle
from monitor.values import (
    Baseline,
    Bullets,
    Document,
    Draft,
    Known,
    Note,
    Paragraph,
    Run,
    Said,
    Silence,
    Span,
    TicketWish,
    Window,
)

__all__ = ["bring_up_to_date"]

_log = logging.getLogger("monitor.publish")
_DRAWN = 24


def bring_up_to_date(monitor: Monitor, due: Due[TicketWish], desk: Desk) -> str:
    """Settle the ticket with its service and keep how it was left; where it is, empty when none was ever opened.

    :class:`LeaseLost` when another process took the ticket over meanwhile.
    """
    wish = due.wish
    run = desk.store.run_by_id(wish.run_id)
    if run is None or run.reference_version is None:
        raise PublishError(f"ticket {due.key}: its run {wish.run_id} is not in the store any more", permanent=True)
    masked: Counter[str] = Counter()
    draft = _draft(monitor, due, run, desk, _shown(monitor, due.destination, masked))

    def hold() -> None:
        nonlocal due
        due = desk.store.hold(due, desk.clock(), desk.lease)

    def keep(known: Known) -> None:
        desk.store.keep_ticket(due, known)

    with only(monitor.reach):
        known = replace(settle(monitor.tickets[due.destination], draft, due.known, keep, hold), shown=run.id)
    desk.step("mark")
    asked = known.labels - due.known.labels
    now = desk.clock()
    by = f"label on {known.location}"
    accepted = _accepted(run, by, desk) if ACCEPTED in asked else None
    silence = (
        Silence(due.monitor, now + monitor.silence, by, f"label {WONT_FIX}", now, due.key)
        if WONT_FIX in asked
        else None
    )
    ours = desk.store.settled(
        due,
        known,
        now,
        baseline=accepted,
        silence=silence,
        lifted=WONT_FIX in due.known.labels - known.labels,
        # The same texts, shown again, count once.
        masked=masked if due.known.shown != run.id else {},
    )
    if not ours:
        raise LeaseLost(f"{due.key} was brought up to date by another process meanwhile; it is looked at once more")
    for label in sorted(asked):
        _log.info("asked", extra=fields(monitor=due.monitor, to=due.destination, label=label))
    return known.location


def _shown(monitor: Monitor, destination: str, masked: Counter[str]) -> Callable[[str], str]:
    """What of a production text may stand in a ticket there; ``masked`` counts what may not."""
    texts = monitor.texts_for("tickets", destination)

    def shown(text: str) -> str:
        if texts == "whole":
            return " ".join(text.split())
        if texts == "ids":
            masked["withheld"] += 1
            return ""
        excerpt, found = monitor.redactor.excerpt(text)
        masked.update(found)
        return excerpt

    return shown


def _draft(monitor: Monitor, due: Due[TicketWish], run: Run, desk: Desk, shown: Callable[[str], str]) -> Draft:
    wish = due.wish
    return Draft(
        key=due.key,
        monitor=due.monitor,
        title=wish.title,
        body=_body(monitor, wish, run, desk, shown),
        window=Window(wish.since, wish.since + (run.window.end - run.window.start)),
        open=wish.open,
        notes=tuple(Note(said.key, _comment(said), said.lasting) for said in wish.notes),
        # It names what is new in words of records.
        report="" if monitor.texts_for("tickets", due.destination) == "ids" else report_or_none(desk.store, run),
    )


def _body(monitor: Monitor, wish: TicketWish, run: Run, desk: Desk, shown: Callable[[str], str]) -> Document:
    history = desk.store.history(run.monitor, before=desk.clock(), limit=_DRAWN)
    exports = [
        Exported(one.location, _checksum(monitor, one))
        for one in desk.store.exports(run.monitor, run_id=run.id)
        if one.status is DeliveryStatus.SENT
    ]
    episode = Episode(
        since=f"{wish.since.isoformat()}",
        standing=wish.standing,
        past=[decision for _, decision in reversed(history)],
        exports=exports,
        report=f"{monitor.pages}/runs/{run.id}" if monitor.pages else "",
        proof=_proof(monitor, wish, desk),
        allowed=monitor.allowed,
    )
    return ticket_document(run, episode, shown)


def _checksum(monitor: Monitor, export: Delivery) -> str:
    exporter = monitor.exports.get(export.destination)
    # One on a schedule holds other runs as well, and lies elsewhere.
    own = export.key == f"{export.monitor}|{export.window.start.isoformat()}"
    return exporter.checksum(export.monitor, export.window) if own and isinstance(exporter, Checked) else ""


def _proof(monitor: Monitor, wish: TicketWish, desk: Desk) -> list[str]:
    episodes = [one for one in desk.store.living(wish.monitor) if one.key == wish.key]
    return proof(desk.store, episodes[0], monitor.junk) if episodes else []


def _comment(said: Said) -> Document:
    first, *rest = said.sentences
    more = (Bullets(tuple((Span(sentence),) for sentence in rest)),) if rest else ()
    return (Paragraph((Span(first),)), *more)


def _accepted(run: Run, by: str, desk: Desk) -> Baseline | None:
    """The run's traffic as the new normal."""
    effects = {key_of(m): max(m.effect, m.high) for m in run.measurements if m.p_value is not None}
    if not effects:
        return None
    return Baseline(run.monitor, run.window.start, by, f"label {ACCEPTED}", desk.clock(), None, effects)
