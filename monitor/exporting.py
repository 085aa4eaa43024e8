"""Candidates on their way out of the house: what a run or the schedule asks for, and what each destination may see of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from monitor.desk import Desk, Monitor
from monitor.errors import ArtifactError
from monitor.export_plan import ExportPlan
from monitor.logs import fields
from monitor.redaction import texts_as
from monitor.reporting import report_or_none
from monitor.store import Due
from monitor.values import Export, ExportedRun, Run

__all__ = ["ask_scheduled", "export_of", "prepared", "write_export"]

_log = logging.getLogger("monitor.publish")


def export_of(run: Run) -> Export:
    """The candidates of a run on their way out; its window names it, so the same run overwrites."""
    key = f"{run.monitor}|{run.window.start.isoformat()}"
    version = run.reference_version or 0
    records = frozenset(one.record_id for one in run.candidates)
    source = ExportedRun(run.id, run.window, version, run.reference_fingerprint, run.embedder, run.settings, records)
    return Export(key, run.monitor, run.id, run.window, run.candidates, version, run.refresh, runs=(source,))


def ask_scheduled(monitors: Mapping[str, Monitor], desk: Desk) -> None:
    """Wish for the exports whose slot has come; any number of replicas may ask, each slot has one wish."""
    for monitor in monitors.values():
        for destination, plan in monitor.export_plans.items():
            slot = plan.slot(desk.clock()) if destination in monitor.exports else None
            # Read first: mostly there is nothing to write.
            if slot and desk.store.to_export(monitor.name, destination, slot, everything=plan.everything):
                desk.store.ask_export(monitor.name, destination, slot, desk.clock(), everything=plan.everything)


def write_export(monitor: Monitor, due: Due[Export], desk: Desk) -> tuple[str, Mapping[str, int]]:
    """Write the export; where it is, and how much of its texts was masked, by kind."""
    plan = monitor.export_plans.get(due.destination, ExportPlan())
    made = prepared(monitor, plan, due.destination, due.wish, desk)
    return monitor.exports[due.destination].write(made), made.redacted


def prepared(monitor: Monitor, plan: ExportPlan, destination: str, export: Export, desk: Desk) -> Export:
    """The export as the destination gets it: texts as it may have them, the run's report, the classes to choose from, its note."""
    texts = monitor.texts_for("exports", destination)
    shown, masked = texts_as(export.candidates, texts, monitor.redactor)
    run = desk.store.run(export.monitor, export.window.start) if export.slot is None and texts != "ids" else None
    return replace(
        export,
        candidates=shown,
        texts=texts,
        redacted=dict(masked),
        report=export.report if run is None else report_or_none(desk.store, run),
        classes=_classes(monitor),
        note=plan.note,
    )


def _classes(monitor: Monitor) -> tuple[str, ...]:
    """Labels to choose from: those of the training data, then those that mean junk; a lost reference holds up nothing."""
    try:
        known = {label for label in monitor.load_reference().train.column("label") if label}
    except ArtifactError as error:
        _log.warning("no classes", extra=fields(monitor=monitor.name, error=str(error)))
        known = set()
    return (*sorted(known), *sorted(monitor.junk - known))
