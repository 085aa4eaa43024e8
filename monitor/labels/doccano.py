"""doccano's JSONL export: a list of labels a line, the metadata of the upload beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor.labels.content import json_rows
from monitor.labels.rows import Bad, Columns, Row, answered

__all__ = ["read"]


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """One row a line; ``id`` is doccano's own, the record's stands in ``record_id``. Files do not say who labelled."""
    for row in json_rows(path):
        if isinstance(row, Bad):
            yield row
            continue
        line, values = row
        given = values.get("label", values.get("labels", values.get("cats")))
        yield answered(line, values.get("record_id"), given or [], annotator=values.get("annotator"), about=values)
