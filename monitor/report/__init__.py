"""Words and pages for people: the refresh ticket, the one-line summary, and a run's report. Record text appears only redacted and cut."""

from __future__ import annotations

from monitor.report.words import excerpt, summary_line, ticket_body, ticket_title

__all__ = ["excerpt", "summary_line", "ticket_body", "ticket_title"]
