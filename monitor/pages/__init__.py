"""Pages of the service for people: from what the store holds to HTML, read-only, without a line of script."""

from __future__ import annotations

from monitor.pages.candidates import Wanted, candidates_csv, candidates_lines, candidates_page, shown_candidates
from monitor.pages.layout import POLICY, problem_page, style
from monitor.pages.monitors import monitors_page
from monitor.pages.runbooks import runbooks_page
from monitor.pages.runs import runs_page
from monitor.pages.tickets import tickets_page

__all__ = [
    "POLICY",
    "Wanted",
    "candidates_csv",
    "candidates_lines",
    "candidates_page",
    "monitors_page",
    "problem_page",
    "runbooks_page",
    "runs_page",
    "shown_candidates",
    "style",
    "tickets_page",
]
