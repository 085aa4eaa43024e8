"""CSV that a spreadsheet can open: no cell of it is run, and :func:`monitor.formulas.restored` gives every text back as it was."""

from __future__ import annotations

import csv
import io

from monitor.exporters.rows import candidate_table, plain_rows
from monitor.formulas import neutralised
from monitor.values import Export

__all__ = ["comma_separated"]


def comma_separated(export: Export) -> dict[str, bytes]:
    """``candidates.csv``, every field in quotes; what is missing is empty, and a missing text has no ``text_sha256`` either."""
    table = candidate_table(export)
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(neutralised(name) for name in table.schema.names)
    for row in plain_rows(table):
        writer.writerow(neutralised(value) if isinstance(value, str) else value for value in row.values())
    return {"candidates.csv": sink.getvalue().encode()}
