"""Plain tables with an id, a label and, where several people labelled, an annotator: CSV, JSON lines, Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.labels.content import csv_header, csv_rows, json_rows, without_marks
from monitor.labels.rows import Bad, Columns, Row, answered

__all__ = ["read_csv", "read_json", "read_parquet", "table_rows"]

_TIMES = ("labelled_at", "at", "updated_at")


def read_csv(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a CSV file with a header."""
    _check(path, csv_header(path), columns)
    for row in csv_rows(path):
        plain = row if isinstance(row, Bad) else (row[0], {name: without_marks(cell) for name, cell in row[1].items()})
        yield from _rows([plain], columns)


def read_json(path: Path, columns: Columns) -> Iterator[Row]:
    """Objects of a JSON list or of JSON lines."""
    yield from _rows(json_rows(path), columns)


def read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a Parquet file."""
    try:
        table = pq.read_table(path, use_threads=False)
    except pa.ArrowException as error:
        raise SourceError(f"{path} is no whole Parquet file ({type(error).__name__}); export it again") from None
    yield from table_rows(path, table, columns)


def table_rows(path: Path, table: pa.Table, columns: Columns) -> Iterator[Row]:
    """Rows of an Arrow table."""
    _check(path, table.schema.names, columns)
    wanted = {*vars_of(columns), "text", "text_sha256", "export", *_TIMES}
    names = [name for name in table.schema.names if name in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{path} has two columns {', '.join(twice)}; leave one of each in it")
    yield from _rows(_values(table.select(names)), columns)


def _values(table: pa.Table) -> Iterator[tuple[int, Mapping[str, Any]] | Bad]:
    """Rows with their numbers, from 1; one that Python has no value for, such as a string that is no UTF-8, is bad."""
    for number in range(table.num_rows):
        try:
            yield number + 1, table.slice(number, 1).to_pylist()[0]
        except (ValueError, OverflowError, pa.ArrowException):
            yield Bad(number + 1, "unreadable value")


def vars_of(columns: Columns) -> tuple[str, str, str]:
    """Names of the three columns."""
    return columns.id, columns.label, columns.annotator


def _check(path: Path, names: Iterable[str], columns: Columns) -> None:
    there = list(names)
    for wanted, option in ((columns.id, "--id-column"), (columns.label, "--label-column")):
        if wanted not in there:
            raise SourceError(
                f"{path} has no column {wanted!r}; it has {', '.join(there) or 'none'}: name it with {option}"
            )


def _rows(rows: Iterable[tuple[int, Mapping[str, Any]] | Bad], columns: Columns) -> Iterator[Row]:
    for row in rows:
        if isinstance(row, Bad):
            yield row
            continue
        line, values = row
        at = next((values[name] for name in _TIMES if values.get(name)), None)
        person = values.get(columns.annotator)
        yield answered(line, values.get(columns.id), values.get(columns.label), annotator=person, at=at, about=values)
