"""Label Studio's JSON export, whole or JSON_MIN: every annotation of every task; predictions are no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monitor.labels.content import json_rows
from monitor.labels.rows import Bad, Columns, NoAnswer, Row, answered

__all__ = ["read"]


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """One row an annotation; a task without any is one row without answer."""
    for row in json_rows(path):
        if isinstance(row, Bad):
            yield row
            continue
        line, task = row
        yield from _task(line, task) if "data" in task else [_flat(line, task)]


def _task(line: int, task: Mapping[str, Any]) -> Iterator[Row]:
    data = task["data"]
    if not isinstance(data, dict):
        yield Bad(line, "no task data")
        return
    given = task.get("annotations") or []
    if not given:
        yield NoAnswer(line)
    for annotation in given if isinstance(given, list) else [given]:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result") or [], list):
            yield Bad(line, "no annotation")
        elif annotation.get("was_cancelled"):
            yield NoAnswer(line, skipped=True)
        else:
            choices = _choices(annotation.get("result"))
            at = annotation.get("updated_at") or annotation.get("created_at")
            settled = annotation.get("ground_truth") is True
            person = _person(annotation.get("completed_by"))
            record = data.get("record_id", data.get("id"))
            yield answered(line, record, choices, annotator=person, at=at, about=data, settled=settled)


def _choices(result: Any) -> list[Any]:
    """Chosen names; the control ``label`` alone counts where the interface has others too."""
    regions = [one for one in result or [] if isinstance(one, dict) and isinstance(one.get("value"), dict)]
    chosen = [one for one in regions if "choices" in one["value"]]
    ours = [one for one in chosen if one.get("from_name") == "label"] or chosen
    chosen_by_each = [one["value"]["choices"] for one in ours]
    return [name for names in chosen_by_each for name in (names if isinstance(names, list) else [names])]


def _person(completed_by: Any) -> Any:
    """An e-mail address where the export has one, else a number."""
    if isinstance(completed_by, dict):
        return completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    return completed_by


def _flat(line: int, row: Mapping[str, Any]) -> Row:
    """JSON_MIN: the task's data and one annotation at one level, ``id`` being the task's."""
    chosen = row.get("label")
    if isinstance(chosen, dict):
        chosen = chosen.get("choices")
    at = row.get("updated_at") or row.get("created_at")
    record = row.get("record_id")
    return answered(line, record, chosen, annotator=row.get("annotator"), at=at, about=row)
