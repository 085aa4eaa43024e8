"""Refresh tickets and what became of them, newest first."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from monitor.pages.layout import render
from monitor.store import Delivery, DeliveryStatus, Store

__all__ = ["LISTED", "tickets_page"]

LISTED = 200
"""Tickets shown at most."""
_MEANING = {
    DeliveryStatus.SENT: "sent",
    DeliveryStatus.PENDING: "waits to be sent",
    DeliveryStatus.PARKED: "could not be sent",
}


def tickets_page(store: Store, known: Collection[str], monitor: str | None = None) -> str:
    """Tickets of all known monitors, or of one of them."""
    found = [one for one in store.tickets(monitor, limit=LISTED) if one.monitor in known]
    return render("tickets.html", monitor=monitor, rows=[_row(one) for one in found], most=LISTED)


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
