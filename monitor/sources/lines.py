"""Rows of CSV and JSON-lines files, streamed in blocks; a line that is no row is counted, whatever it holds."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.json as pj

from monitor.sources.objects import array_of, table_of

__all__ = ["NotJsonLinesError", "csv_columns", "csv_rows", "json_columns", "json_rows"]

_BLOCK = 1 << 22
_LONGEST_LINE = 1 << 26
_ROWS = 32_768
_PEEK = 100

_Row = dict[str, Any]


class NotJsonLinesError(Exception):
    """Not one line of the file's first block is a JSON object."""


def csv_columns(handle: IO[bytes], delimiter: str) -> list[str]:
    """The names in the first line; empty for an empty file."""
    with _csv_reader(handle, delimiter) as reader:
        return next(reader, [])


def csv_rows(handle: IO[bytes], columns: Sequence[str], delimiter: str) -> Iterator[tuple[pa.Table, int]]:
    """The wanted columns that the file has, as strings, empty ones as null, and how many lines were no rows."""
    with _csv_reader(handle, delimiter) as reader:
        header = next(reader, [])
        places = {name: header.index(name) for name in columns if name in header}
        more = True
        while more:
            rows, broken, more = _csv_block(handle, reader)
            whole = [row for row in rows if len(row) == len(header)]
            # A blank line has no fields and is no row either way.
            broken += sum(1 for row in rows if row) - len(whole)
            if whole or broken:
                yield (
                    table_of({n: array_of([row[i] or None for row in whole]) for n, i in places.items()}, len(whole)),
                    broken,
                )


def json_columns(handle: IO[bytes]) -> list[str]:
    """Every name that occurs in the file's first block; empty for an empty file."""
    for block, broken in _blocks(handle):
        lines = [line for line in block.split(b"\n") if line.strip()]
        rows = [row for row in map(_json_row, lines) if row is not None]
        if not rows and (lines or broken):
            raise NotJsonLinesError
        if rows:
            return list(dict.fromkeys(name for row in rows for name in row))
    return []


def json_rows(handle: IO[bytes], columns: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
    """The wanted columns, and how many lines were no JSON objects."""
    for block, dropped in _blocks(handle):
        try:
            yield _fast(block, columns), dropped
        except pa.ArrowInvalid:
            table, broken = _line_by_line(block, columns)
            yield table, broken + dropped


@contextmanager
def _csv_reader(handle: IO[bytes], delimiter: str) -> Iterator[Iterator[list[str]]]:
    csv.field_size_limit(_LONGEST_LINE)
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield csv.reader(text, delimiter=delimiter)
    finally:
        text.detach()  # the handle is closed by who opened it


def _csv_block(handle: IO[bytes], reader: Iterator[list[str]]) -> tuple[list[list[str]], int, bool]:
    """Some rows, how many lines the parser gave up on, and whether there may be more."""
    rows: list[list[str]] = []
    start = handle.tell()
    while len(rows) < _ROWS and handle.tell() - start < _BLOCK:
        before = len(rows)
        try:
            rows.extend(islice(reader, 512))
        except csv.Error:
            return rows, 1, True
        if len(rows) == before:
            return rows, 0, False
    return rows, 0, True


def _blocks(handle: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Whole lines, a few megabytes at a time, and how many lines were too long to be kept."""
    rest, skipping = b"", False
    data = handle.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
    while data:
        if skipping:
            _, newline, data = data.partition(b"\n")
            skipping = not newline
        block = rest + data
        end = block.rfind(b"\n") + 1
        rest = block[end:]
        too_long = len(rest) > _LONGEST_LINE
        if too_long:
            rest, skipping = b"", True
        if end or too_long:
            yield block[:end], int(too_long)
        data = handle.read(_BLOCK)
    if rest:
        yield rest, 0


def _fast(block: bytes, columns: Sequence[str]) -> pa.Table:
    """The block by Arrow's parser, told the types: left to itself it drops the zone of times."""
    rows = [_json_row(line) for line in islice(io.BytesIO(block), _PEEK)]
    kinds = {name: _kind([row[name] for row in rows if row and row.get(name) is not None]) for name in columns}
    known = pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])
    others = "ignore" if len(known) == len(kinds) else "infer"
    table = pj.read_json(
        pa.BufferReader(block),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=pj.ParseOptions(explicit_schema=known, unexpected_field_behavior=others),
    )
    there = table.schema.names
    return table_of({name: table.column(name) for name in columns if name in there}, table.num_rows)


def _kind(values: list[Any]) -> pa.DataType | None:
    """A type that fits all values seen, text where none was; ``None`` where Arrow has to find it out."""
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, float}:
        return pa.int64() if kinds == {int} else pa.float64()
    flat = kinds == {list} and all(isinstance(v, int | float) for value in values for v in value)
    return pa.list_(pa.float64()) if flat else None


def _line_by_line(block: bytes, columns: Sequence[str]) -> tuple[pa.Table, int]:
    lines = [line for line in block.split(b"\n") if line.strip()]
    rows = [row for row in map(_json_row, lines) if row is not None]
    made = {name: array_of([row.get(name) for row in rows]) for name in columns}
    return table_of(made, len(rows)), len(lines) - len(rows)


def _json_row(line: bytes) -> _Row | None:
    try:
        # Bytes that are no UTF-8 are kept, so that the record is counted for that and not for its syntax.
        row = json.loads(line.decode("utf-8", errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
