"""The report of a run, from what was saved with it: any replica can make it again, and it comes out the same."""

from __future__ import annotations

import logging

from monitor import __version__
from monitor.logs import fields, unforeseen
from monitor.picture import from_bytes
from monitor.report.run_page import Source, run_page
from monitor.store import Store
from monitor.values import Run
from monitor.windows import seed_of

__all__ = ["report_of", "report_or_none"]

_log = logging.getLogger("monitor.report")
_PAST = 59


def report_or_none(store: Store, run: Run) -> str:
    """The report to send along; empty when it cannot be made, which holds up nothing."""
    try:
        return report_of(store, run)
    except Exception as error:  # noqa: BLE001 - a report is beside what is sent
        _log.warning("no report", extra=fields(monitor=run.monitor, error=unforeseen(error, _log)))
        return ""


def report_of(store: Store, run: Run) -> str:
    """One self-contained HTML page; :mod:`monitor.report.run_page` says what it may do in a browser."""
    past = store.runs(run.monitor, limit=_PAST, before=run.window.start, with_candidates=False)
    kept = store.picture(run.id)
    known = {one.version: one.created_at for one in store.references(run.monitor)}
    return run_page(
        Source(
            run,
            past=[one for one in reversed(past) if one.decision is not None],
            created=None if run.reference_version is None else known.get(run.reference_version),
            picture=None if kept is None else from_bytes(kept),
            size=0 if kept is None else len(kept),
            seed=seed_of(run.monitor, run.window),
            version=__version__,
        )
    )
