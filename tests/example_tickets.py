"""Tickets as a run would ask for them, with texts that try to be something else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from monitor.values import Bullets, Draft, Heading, Note, Paragraph, Preformatted, Span, Steps, Table, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
REPORT_LINK = "https://drift.example.org/support/2026-01-05?full=1&x=2"
NASTY = "<script>alert('x')</script> **b** | \"q\" {title} \\ \u202eevil @all #1\r\nBcc: thief@example.org"
BODY = (
    Paragraph(
        (Span("Content has drifted; "), Span("sure", "bold"), Span(". See "), Span("the report", href=REPORT_LINK))
    ),
    Table(("", ""), (((Span("Since"),), (Span("2026-01-05"),)), ((Span("Größe"),), (Span("12 %"),)))),
    Heading("What to label and add"),
    Table(
        ("#", "Record", "Text"),
        tuple(((Span(str(n)),), (Span(f"r{n}", "code"),), (Span(f"{NASTY} ✓ {n}"),)) for n in range(1, 4)),
        frozenset({0}),
    ),
    Bullets(((Span("one"),), (Span("two"),))),
    Steps(((Span("Label"),), (Span("Retrain"),))),
    Preformatted("▁▂▃█\n..!!"),
)


def draft(key: str = "0123456789abcdef", **changes: Any) -> Draft:
    """The ticket of a drift that goes on."""
    made = Draft(key, "support", "support: content drift since 2026-01-05", BODY, WINDOW, report="<!doctype html><p>é")
    return replace(made, **changes)


def note(key: str, text: str = "The drift goes on.", **changes: Any) -> Note:
    """A comment of one sentence."""
    return replace(Note(key, (Paragraph((Span(text),)),)), **changes)
