"""A Hugging Face dataset in a folder: Parquet files, or the Arrow files that ``save_to_disk`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.labels.rows import Columns, Row
from monitor.labels.tables import table_rows

__all__ = ["read"]


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of all its files, in the order of their names; class numbers become names where the features say them."""
    files = sorted(path.rglob("*.parquet")) or sorted(path.rglob("*.arrow"))
    if not files:
        raise SourceError(f"{path} holds no Parquet or Arrow file; name the folder of a dataset")
    for file in files:
        try:
            table = _table(file)
        except pa.ArrowException as error:
            raise SourceError(f"{file} is no whole dataset file ({type(error).__name__}); save it again") from None
        yield from table_rows(file, _named(table, columns.label), columns)


def _table(file: Path) -> pa.Table:
    if file.suffix == ".parquet":
        return pq.read_table(file, use_threads=False)
    with file.open("rb") as stream:
        return pyarrow.ipc.open_stream(stream).read_all()


def _named(table: pa.Table, column: str) -> pa.Table:
    """Numbers of a ClassLabel as the names they stand for."""
    names = _names((table.schema.metadata or {}).get(b"huggingface", b"{}"), column)
    if not names or column not in table.schema.names or not pa.types.is_integer(table.field(column).type):
        return table
    # -1 stands for no label.
    values = [
        str(names[number]) if number is not None and 0 <= number < len(names) else None
        for number in table.column(column).to_pylist()
    ]
    return table.set_column(table.schema.get_field_index(column), column, pa.array(values, pa.string()))


def _names(told: bytes, column: str) -> list[Any]:
    """Names of the classes of a column, none when the features do not say them."""
    try:
        found: Any = json.loads(told)
    except (ValueError, RecursionError):
        return []
    for step in ("info", "features", column, "names"):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []
