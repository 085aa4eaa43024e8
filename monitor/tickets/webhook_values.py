"""What a webhook's places are filled with, and what is read out of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.tickets.marks import ticket_mark
from monitor.values import Bullets, Document, Draft, Paragraph, Span, Steps, Table

__all__ = ["age", "label", "last_step", "text", "values"]

_ELSEWHERE = ("event", "idempotency_key", "body_markdown", "body_html", "body_plain", "note_key", "state")


def values(draft: Draft, location: str = "", number: str = "") -> dict[str, Any]:
    """Everything that is known of a ticket before an event; what only an event knows is empty."""
    start, end = draft.window.start.isoformat(), draft.window.end.isoformat()
    return {
        **dict.fromkeys(_ELSEWHERE, ""),
        "key": draft.key,
        "mark": ticket_mark(draft.key),
        "monitor": draft.monitor,
        "title": draft.title,
        "open": draft.open,
        "window": {"start": start, "end": end},
        "window_start": start,
        "window_end": end,
        "number": number,
        "location": location,
        "note": None,
        "report_link": _report_link(draft.body),
    }


def _report_link(document: Document) -> str:
    """The first link of a body is that of the report."""
    for block in document:
        match block:
            case Paragraph(words):
                groups: tuple[tuple[Span, ...], ...] = (words,)
            case Bullets(items) | Steps(items):
                groups = items
            case Table():
                groups = tuple(cell for row in block.rows for cell in row)
            case _:
                continue
        for span in (span for words in groups for span in words):
            if span.href:
                return span.href
    return ""


def text(value: Any) -> str:
    """A value of JSON as text, empty for ``null``."""
    return "" if value is None else str(value)


def label(value: Any) -> str:
    """A label's name in lower case: a text, or an object with a ``name``."""
    return text(value.get("name") if isinstance(value, Mapping) else value).lower()


def age(number: Any) -> tuple[bool, int, str]:
    """Sorts the first ticket to the front."""
    shown = text(number)
    return (not shown.isdecimal(), int(shown) if shown.isdecimal() else 0, shown)


def last_step(location: str) -> str:
    """What may stand for the number of a ticket of which only the place is known."""
    return location.rstrip("/").replace("#", "/").rpartition("/")[2]
