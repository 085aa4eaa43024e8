"""The runs of one monitor, newest first, a page at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from monitor.pages.layout import render
from monitor.report.numbers import percent, span
from monitor.report.tables import changes_of
from monitor.report.timeline import state_of
from monitor.store import Store
from monitor.values import MonitorTerms, Run

__all__ = ["PAGE", "runs_page"]

PAGE = 25
"""Runs on a page."""


def runs_page(store: Store, monitor: str, terms: MonitorTerms, before: datetime | None = None) -> str:
    """Runs whose window starts before then, or the newest."""
    found = store.runs(monitor, limit=PAGE + 1, before=before, with_candidates=False)
    shown = found[:PAGE]
    return render(
        "runs.html",
        monitor=monitor,
        owner=terms.owner,
        rows=[_row(run) for run in shown],
        newest=before is None,
        model=next(iter(store.deployments(monitor)), None),
        older=shown[-1].window.start.isoformat() if len(found) > PAGE else None,
    )


def _row(run: Run) -> dict[str, Any]:
    changes = changes_of(run)
    evidence = run.decision.evidence if run.decision is not None else {}
    reasons = run.decision.reasons if run.decision is not None else ()
    content = changes.get("embeddings")
    return {
        "id": run.id,
        "window": run.window,
        "state": state_of(run),
        "said": reasons[0] if reasons else run.error or "This run has not ended yet.",
        "change": None if content is None else (percent(content.effect), span(content.low, content.high)),
        "evidence": evidence.get("evidence"),
        "limit": evidence.get("run_length"),
        "sampled": f"{run.counts.sampled:,}",
        "population": f"{run.counts.population:,}",
        "proposed": run.refresh is not None,
    }
