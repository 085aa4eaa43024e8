"""A column of Python values, as a driver, a JSON parser or a user's function gives them, as an Arrow array."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

__all__ = ["array_of", "table_of"]


def array_of(values: Sequence[Any]) -> pa.Array:
    """Arrow's own choice of type where one fits all values, else their text; nothing is guessed about time zones."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str) and all(value is None or isinstance(value, str) for value in values):
        return _text(values)
    # Arrow takes naive times for UTC once one is aware, and cuts times to days once one is a date.
    if isinstance(first, date) and len({_clock(value) for value in values if value is not None}) > 1:
        return _text([_as_text(value) for value in values])
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeError, OverflowError, ValueError, TypeError):
        return _text([_as_text(value) for value in values])


def table_of(columns: dict[str, Any], rows: int) -> pa.Table:
    """A table that knows its length even without columns."""
    made: pa.Table = pa.table({**columns, "": pa.nulls(rows)})
    return made


def _clock(value: Any) -> str:
    if isinstance(value, datetime):
        return "naive" if value.tzinfo is None else "aware"
    return type(value).__name__


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN, how data frames write a missing string
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value)


def _text(values: Sequence[str | None]) -> pa.Array:
    """Strings; as bytes, which are checked row by row later, where one of them is no valid text."""
    try:
        return pa.array(values, pa.string())
    except UnicodeError:
        return pa.array([None if v is None else v.encode("utf-8", "surrogatepass") for v in values], pa.binary())
