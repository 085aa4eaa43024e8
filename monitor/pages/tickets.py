"""Refresh tickets and what became of them, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from monitor.pages.layout import render
from monitor.store import Delivery, DeliveryStatus, Place, Store

__all__ = ["PAGE", "tickets_page"]

PAGE = 50
"""Tickets on a page."""
_MEANING = {
    DeliveryStatus.SENT: "sent",
    DeliveryStatus.PENDING: "waits to be sent",
    DeliveryStatus.PARKED: "could not be sent",
}


def tickets_page(store: Store, known: Collection[str], monitor: str | None = None, after: Place | None = None) -> str:
    """Tickets of all known monitors, or of one of them: the newest, or those that come after a place."""
    found = store.tickets(monitor, limit=PAGE + 1, after=after, known=known)
    shown = found[:PAGE]
    return render(
        "tickets.html",
        monitor=monitor,
        rows=[_row(one) for one in shown],
        newest=after is None,
        older=_address(monitor, shown[-1].place) if len(found) > PAGE else None,
    )


def _address(monitor: str | None, after: Place) -> str:
    """The parameters of the page that goes on after this place."""
    of = {} if monitor is None else {"monitor": monitor}
    return urlencode(of | dict(zip(("before", "key", "to"), (after[0].isoformat(), *after[1:]), strict=True)))


def _row(one: Delivery) -> dict[str, Any]:
    return {
        "status": one.status.value,
        "meaning": _MEANING[one.status],
        "now": _now(one),
        "monitor": one.monitor,
        "window": one.window,
        "run": one.run_id,
        "title": one.title,
        "location": one.location,
        "at": one.sent_at or one.created_at,
        "failures": one.failures,
    }


def _now(one: Delivery) -> str:
    if one.over:
        return "the drift is over"
    return "closed by hand" if one.by_hand else ""
