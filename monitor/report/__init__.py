"""Words and pages for people: the refresh ticket, the one-line summary, and a run's report. Record text appears only redacted and cut."""

from __future__ import annotations

from monitor.report.ticket import Episode, Exported, ticket_document, ticket_title
from monitor.report.words import summary_line

__all__ = ["Episode", "Exported", "summary_line", "ticket_document", "ticket_title"]
