"""Prodigy's ``db-out``: accepted options of answered tasks; rejected and ignored ones say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor.labels.content import json_rows
from monitor.labels.rows import Bad, Columns, NoAnswer, Row, answered

__all__ = ["read"]


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """One row a line."""
    for row in json_rows(path):
        if isinstance(row, Bad):
            yield row
            continue
        line, task = row
        answer = task.get("answer")
        if answer in ("reject", "ignore"):
            yield NoAnswer(line, skipped=True)
            continue
        if answer != "accept":
            yield NoAnswer(line)
            continue
        person = task.get("_annotator_id") or task.get("_session_id")
        # A task of one class has it in ``label``, one of several options what was chosen in ``accept``.
        chosen = task.get("accept") if "accept" in task else task.get("label")
        yield answered(
            line, task.get("record_id"), chosen or [], annotator=person, at=task.get("_timestamp"), about=task
        )
