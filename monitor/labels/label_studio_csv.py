"""Label Studio's CSV export: one row an annotation, the task's data in columns of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.labels.content import csv_rows
from monitor.labels.rows import Bad, Columns, Row, answered

__all__ = ["read"]


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """``id`` is the task's; the record's stands in ``record_id``."""
    for row in csv_rows(path):
        if isinstance(row, Bad):
            yield row
            continue
        line, values = row
        at = values.get("updated_at") or values.get("created_at")
        person = values.get("annotator")
        yield answered(
            line, values.get("record_id"), _chosen(values.get("label")), annotator=person, at=at, about=values
        )


def _chosen(cell: str | None) -> Any:
    """One name, or the JSON of several."""
    if cell is None or not cell.startswith('{"choices"'):
        return cell
    try:
        return json.loads(cell)["choices"]
    except (ValueError, KeyError, RecursionError):
        return cell
