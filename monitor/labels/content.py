"""The content of labelled files: JSON lists, JSON lines and CSV, row by row with line numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.errors import SourceError
from monitor.formulas import neutralised, restored
from monitor.labels.rows import Bad

__all__ = ["csv_header", "csv_rows", "first_object", "json_rows", "without_marks"]

_DELIMITERS = ",;\t"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]] | Bad]:
    """Objects of a JSON list or of JSON lines, with their number or line, from 1."""
    text = _text(path)
    if text.lstrip()[:1] == "[":
        yield from _listed(path, text)
        return
    # Not splitlines: texts may hold other line ends than \n unescaped.
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield _object(line, row)


def _listed(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]] | Bad]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SourceError(f"{path} is no complete JSON{place}; export it again") from None
    for number, row in enumerate(rows, 1):
        yield (number, row) if isinstance(row, dict) else Bad(number, "no JSON object")


def _object(line: int, row: str) -> tuple[int, dict[str, Any]] | Bad:
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):
        return Bad(line, "malformed line")
    return (line, found) if isinstance(found, dict) else Bad(line, "no JSON object")


def first_object(path: Path) -> dict[str, Any] | None:
    """The first JSON object of the file; ``None`` when it begins like no JSON."""
    if _text(path).lstrip()[:1] not in {"[", "{"}:
        return None
    return next((row[1] for row in json_rows(path) if not isinstance(row, Bad)), {})


def _reader(path: Path) -> Any:
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def csv_header(path: Path) -> list[str]:
    """Names of the columns."""
    try:
        return next(_reader(path), [])
    except csv.Error:
        return []


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]] | Bad]:
    """Rows by column name with the line they end on; a comma, a semicolon or a tab stands between fields."""
    csv.field_size_limit(1 << 30)
    reader = _reader(path)
    try:
        header: list[str] = next(reader, [])
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                yield Bad(reader.line_num, "malformed line")
            else:
                yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error:
        yield Bad(reader.line_num, "malformed line")


def without_marks(cell: str) -> str:
    """The cell without the marks that keep it from being run as a formula, if it has those that an export puts."""
    found = restored(cell)
    return found if neutralised(found) == cell else cell
