"""Prodigy: tasks for the ``choice`` interface, https://prodi.gy/docs/api-interfaces#choice."""

from __future__ import annotations

from monitor.exporters.json_lines import lines
from monitor.exporters.rows import classes_of, identity
from monitor.values import Export

__all__ = ["prodigy"]


def prodigy(export: Export) -> dict[str, bytes]:
    """``prodigy/tasks.jsonl``; Prodigy keeps the fields it does not know."""
    options = [{"id": name, "text": name} for name in classes_of(export)]
    tasks = (
        {
            "text": one.text or "",
            "options": options,
            "meta": {
                "rank": one.rank,
                "reason": one.reason,
                "suggested": one.suggested_label,
                "predicted": one.predicted,
            },
            **identity(export, one),
        }
        for one in export.candidates
    )
    return {"prodigy/tasks.jsonl": lines(tasks)}
