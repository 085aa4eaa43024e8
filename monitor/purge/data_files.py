"""Data files without some records, by their kind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.formulas import neutralised, restored
from monitor.purge.mentions import Mentions

__all__ = ["FILTERS"]


def _json_lines(content: bytes, mentions: Mentions) -> bytes:
    kept = []
    # Not splitlines: a text may hold other ends of lines, such as U+2028.
    for line in content.decode().split("\n"):
        record = json.loads(line) if line.strip() else None
        if mentions.is_of(record):
            continue
        left = mentions.without(record)
        kept.append(line if left == record else json.dumps(left, ensure_ascii=False))
    return "\n".join(kept).encode()


def _json(content: bytes, mentions: Mentions) -> bytes:
    document = json.loads(content)
    left = mentions.without(document)
    return content if left == document else json.dumps(left, ensure_ascii=False, indent=1).encode() + b"\n"


def _csv(content: bytes, mentions: Mentions) -> bytes:
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    rows = [{name: restored(cell or "") for name, cell in row.items()} for row in reader]
    left = [mentions.without(row) for row in rows if not mentions.is_of(row)]
    if left == rows:
        return content
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, reader.fieldnames or [], quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: neutralised(cell or "") for name, cell in row.items()} for row in left)
    return sink.getvalue().encode()


def _parquet(content: bytes, mentions: Mentions) -> bytes:
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        table = file.read(use_threads=False)
    rows: list[dict[str, Any]] = table.to_pylist()
    left = [mentions.without(row) for row in rows if not mentions.is_of(row)]
    if left == rows:
        return content
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(left, schema=table.schema), sink)
    return sink.getvalue()


FILTERS: Mapping[str, Callable[[bytes, Mentions], bytes]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""The same content when it names none of the records."""
