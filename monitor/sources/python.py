"""Records from a Python function, for notebooks, tests and whatever has no other source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from monitor.by_name import function_named
from monitor.errors import MonitorError, SourceError
from monitor.sources.fields import Fields, Translator
from monitor.sources.objects import array_of, table_of
from monitor.values import Batch, Window

__all__ = ["CallableSource", "PythonSource", "from_callable"]

Records = Callable[[datetime | None, datetime | None], Any]
"""Called with a window's start and end, or twice ``None`` for everything.

It gives dicts, one for each record, or anything Arrow can read: a table, record batches, a data frame.
"""

_ROWS = 10_000


class CallableSource:
    """Calls a function for each window; rows outside the window are counted and not used."""

    def __init__(self, fields: Fields, function: Records, name: str) -> None:
        self._fields = fields
        self._function = function
        self._name = name

    def read(self, window: Window | None) -> Iterator[Batch]:
        """See :class:`monitor.sources.Source`; whatever the function raises is a ``SourceError`` that names it."""
        translate = Translator(self._fields, dated=window is not None, origin=f"{self._name}: ")
        seen: dict[str, None] = {}
        for part in self._tables(window):
            table = part
            for name in seen:
                if name not in part.schema.names:
                    table = table.append_column(name, pa.nulls(part.num_rows))
            seen |= dict.fromkeys(part.schema.names)
            yield translate(table)

    def _tables(self, window: Window | None) -> Iterator[pa.Table]:
        start, end = (window.start, window.end) if window else (None, None)
        try:
            yield from _tables(self._function(start, end), self._name)
        except MonitorError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise SourceError(
                f"{self._name} raised {type(error).__name__} for {window or 'all records'}; call it yourself to see why"
            ) from error


class PythonSource(CallableSource):
    """A function by its name: ``call`` is ``module:function``, and the module installed or on PYTHONPATH.

    The first 10,000 records must mention every column; later ones may leave some out.
    """

    def __init__(self, fields: Fields, call: str) -> None:
        super().__init__(fields, function_named(call, "source.call"), call)


def from_callable(function: Records, fields: Fields | None = None) -> CallableSource:
    """A source that calls this function."""
    return CallableSource(fields or Fields(), function, getattr(function, "__qualname__", type(function).__name__))


def _tables(given: Any, name: str) -> Iterator[pa.Table]:
    """Whatever the function gave, as a stream of tables."""
    if hasattr(given, "__arrow_c_stream__"):
        for batch in pa.RecordBatchReader.from_stream(given):
            yield pa.Table.from_batches([batch])
        return
    if isinstance(given, pa.RecordBatch):
        yield pa.Table.from_batches([given])
        return
    if not isinstance(given, Iterable) or isinstance(given, Mapping | str | bytes):
        raise SourceError(
            f"{name} gave {type(given).__name__}; it should give dicts, one for each record, or Arrow data"
        )
    items = iter(given)
    for first in items:
        everything = chain([first], items)
        if isinstance(first, Mapping):
            yield from _of_dicts(everything, name)
        elif hasattr(first, "__arrow_c_stream__") or isinstance(first, pa.RecordBatch):
            for part in everything:
                yield from _tables(part, name)
        else:
            raise SourceError(f"{name} gave an iterable of {type(first).__name__}; it should hold dicts or Arrow data")


def _of_dicts(items: Iterable[Any], name: str) -> Iterator[pa.Table]:
    items = iter(items)
    while rows := list(islice(items, _ROWS)):
        wrong = next((type(row).__name__ for row in rows if not isinstance(row, Mapping)), None)
        if wrong is not None:
            raise SourceError(f"{name} gave {wrong} among its dicts; every record should be a dict")
        names = dict.fromkeys(key for row in rows for key in row)
        yield table_of({str(key): array_of([row.get(key) for row in rows]) for key in names}, len(rows))
