"""Which of the user's columns holds what, and the translation of their rows into records.

A row that cannot be used is left out and counted under one reason: ``no id``, ``no time`` (where a window is read),
``unreadable time``, ``time without zone``, ``invalid UTF-8``, or ``unreadable`` or ``non-finite`` and one of ``id``,
``predicted``, ``label``, ``segment``, ``confidence``, ``probabilities``, ``vector``, ``block``.
What can only be a wrong setting, such as a missing column, is a ``SourceError``.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import ConfigError, SourceError
from monitor.sources import columns
from monitor.sources.columns import Converted, Mask, WrongTypeError
from monitor.sources.times import NaiveError, times
from monitor.values import SEGMENT_PREFIX, Batch, Window, record_schema

__all__ = ["Fields", "Translator", "missing_column", "to_batch"]

_SHOWN = 30
_MANY = 20
"""So many values of which none can be read are no accident of single records."""


@dataclass(frozen=True)
class Fields:
    """The user's column names.

    id             strings or whole numbers, unique per record
    text           null when ``vector`` is all there is
    timestamp      see :func:`monitor.sources.times.times`; null for training data without dates
    timezone       zone of times that are written without one, such as ``UTC``; without it they are refused
    predicted      class the model gave
    confidence     of that class; the largest probability where it is not given
    probabilities  a map, struct, list or JSON column, or one column for each class
    classes        order of the classes when ``probabilities`` is a list
    label          true class, where known
    segments       fields to slice by: column names, or names with their columns
    vector         a list column (or JSON string) of already-computed embeddings, in place of text
    block          the session, user or conversation a record belongs to: records of one are not independent
    inputs         false where there is nothing to embed: ids and classes are all that is wanted
    """

    id: str = "id"
    text: str | None = "text"
    timestamp: str | None = "timestamp"
    timezone: str | None = None
    predicted: str | None = None
    confidence: str | None = None
    probabilities: str | Mapping[str, str] | None = None
    classes: Sequence[str] | None = None
    label: str | None = None
    segments: Sequence[str] | Mapping[str, str] = ()
    vector: str | None = None
    block: str | None = None
    inputs: bool = True

    def __post_init__(self) -> None:
        if self.inputs and self.text is None and self.vector is None:
            raise ConfigError("fields.text and fields.vector are both null; name the column to embed")
        if isinstance(self.segments, str):
            raise ConfigError("fields.segments is one string; write a list of column names")
        try:
            zoneinfo.ZoneInfo(self.timezone or "UTC")
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            wanted = "write UTC or an IANA name such as Europe/Berlin"
            raise ConfigError(f"fields.timezone: there is no time zone {self.timezone!r}; {wanted}") from error

    @property
    def segment_columns(self) -> dict[str, str]:
        """Segment name to column."""
        return dict(self.segments) if isinstance(self.segments, Mapping) else {name: name for name in self.segments}

    @property
    def columns(self) -> dict[str, str]:
        """Settings key (``fields.id``) to column, for every column that is read."""
        single = ("id", "text", "timestamp", "predicted", "confidence", "probabilities", "label", "vector", "block")
        named = {f"fields.{key}": getattr(self, key) for key in single}
        found = {key: column for key, column in named.items() if isinstance(column, str)}
        if isinstance(self.probabilities, Mapping):
            found |= {f"fields.probabilities.{name}": column for name, column in self.probabilities.items()}
        return found | {f"fields.segments.{name}": column for name, column in self.segment_columns.items()}


def missing_column(
    fields: Fields, names: Sequence[str], origin: str = "", *, may_be_data: bool = False
) -> SourceError | None:
    """The error for the first configured column that is not among ``names``.

    ``may_be_data``: where none of the columns is there, the names may be a record in a file without header, and are kept back.
    """
    if may_be_data and not set(fields.columns.values()) & set(names):
        wanted = ", ".join(f"{column!r} ({key})" for key, column in fields.columns.items())
        return SourceError(
            f"{origin}the first line names none of the columns {wanted}; write a header, correct the names or source.delimiter"
        )
    for key, column in fields.columns.items():
        if column not in names:
            close = get_close_matches(column, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            there = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            optional = " (null if the data has none)" if key in ("fields.text", "fields.timestamp") else ""
            return SourceError(
                f"{origin}there is no column {column!r}; there are {there or 'none'}{hint}. Set {key}{optional}"
            )
    return None


def to_batch(rows: pa.RecordBatch, fields: Fields, *, dated: bool = False, origin: str = "") -> Batch:
    """Translate the user's rows; ``dated`` rejects those without time, ``origin`` says where they are from."""
    return Translator(fields, dated=dated, origin=origin)(rows)


def _inside(time: pa.Array, window: Window) -> Mask:
    """Records in the window, and those without a time, which may be."""
    start, end = (pa.scalar(t, time.type) for t in (window.start, window.end))
    inside: Mask = (
        pc.and_(pc.greater_equal(time, start), pc.less(time, end)).fill_null(True).to_numpy(zero_copy_only=False)
    )
    return inside


class Translator:
    """Translates one stream of rows. It remembers which columns were readable, so that one bad row is no bad column."""

    def __init__(self, fields: Fields, *, dated: bool, origin: str = "", window: Window | None = None) -> None:
        if dated and fields.timestamp is None:
            raise SourceError(
                f"{origin}a window cannot be read as fields.timestamp is null; set it to the column of the time"
            )
        self.origin = origin
        self._fields = fields
        self._dated = dated
        self._window = window
        self._fine: set[str] = set()

    def __call__(self, rows: pa.RecordBatch | pa.Table) -> Batch:
        """The records, and the count of rows that are none; ``SourceError`` on a missing column or wrong type."""
        missing = missing_column(self._fields, rows.schema.names, self.origin)
        if missing is not None:
            raise missing
        source = {key: columns.plain(rows.column(column)) for key, column in self._fields.columns.items()}
        schema = record_schema(tuple(self._fields.segment_columns))
        made: dict[str, pa.Array] = {}
        bad: dict[str, Mask] = {}
        for name, converted in self._converted(source, rows.num_rows).items():
            made[name] = converted.values
            for reason, mask in converted.bad.items():
                bad[reason] = bad[reason] | mask if reason in bad else mask
        made_rows = pa.RecordBatch.from_arrays([made[n] for n in schema.names], schema=schema)
        if self._window is None:
            return _kept(made_rows, bad)
        # A fault of another window's record is that window's to count.
        here = _inside(made_rows.column("observed_at"), self._window)
        return _kept(made_rows.filter(pa.array(here)), {reason: mask[here] for reason, mask in bad.items()})

    def _converted(self, source: Mapping[str, pa.Array], count: int) -> dict[str, Converted]:
        def one(key: str, convert: Callable[[pa.Array], Converted]) -> Converted:
            return self._one(key, source.get(f"fields.{key}", pa.nulls(count)), convert)

        found = {"id": one("id", lambda c: columns.class_names(c, "id"))}
        nameless = pc.equal(found["id"].values, "").fill_null(True).to_numpy(zero_copy_only=False)
        found["id"].bad["no id"] = nameless
        found["observed_at"] = self._time(source.get("fields.timestamp", pa.nulls(count)))
        found["text"] = one("text", columns.texts)
        found["predicted"] = one("predicted", lambda c: columns.class_names(c, "predicted"))
        found["label"] = one("label", lambda c: columns.class_names(c, "label"))
        for segment in self._fields.segment_columns:
            found[SEGMENT_PREFIX + segment] = one(f"segments.{segment}", lambda c: columns.class_names(c, "segment"))
        found["vector"] = one("vector", columns.vectors)
        found["block"] = one("block", lambda c: columns.class_names(c, "block"))
        if isinstance(self._fields.probabilities, Mapping):
            found["probabilities"] = self._one_for_each_class(self._fields.probabilities, source)
        else:
            found["probabilities"] = one(
                "probabilities", lambda c: columns.probabilities(c, self._fields.classes or ())
            )
        found["confidence"] = one("confidence", lambda c: columns.numbers(c, "confidence"))
        if self._fields.confidence is None:
            found["confidence"] = Converted(columns.largest(found["probabilities"].values), {})
        return found

    def _one_for_each_class(self, names: Mapping[str, str], source: Mapping[str, pa.Array]) -> Converted:
        converted = {}
        for name in names:
            key = f"probabilities.{name}"
            converted[name] = self._one(key, source[f"fields.{key}"], lambda c: columns.numbers(c, "probabilities"))
        return columns.joined(converted)

    def _time(self, column: pa.Array) -> Converted:
        key = "timestamp"
        try:
            found = self._one(key, column, lambda c: times(c, self._fields.timezone))
        except NaiveError:
            if key not in self._fine or not columns.is_text(column.type):
                raise SourceError(
                    f"{self.origin}column {self._fields.timestamp!r} has times without a time zone; set fields.timezone "
                    "to the one they are in, for example UTC"
                ) from None
            read = times(column, "UTC").values
            found = Converted(pa.nulls(len(read), read.type), {"time without zone": _valid(read)})
        if self._dated:
            found = Converted(found.values, {**found.bad, "no time": ~_valid(found.values)})
        return found

    def _one(self, key: str, column: pa.Array, convert: Callable[[pa.Array], Converted]) -> Converted:
        """Convert a column; many values of which none can be read, where none could before, are a wrong column."""
        name = f"{self.origin}column {self._fields.columns.get(f'fields.{key}')!r} (fields.{key})"
        try:
            found = convert(column)
        except WrongTypeError as error:
            raise SourceError(f"{name} is {column.type}; it should be {error}") from None
        given = len(column) - column.null_count
        unreadable = sum(int(mask.sum()) for reason, mask in found.bad.items() if reason.startswith("unreadable"))
        if unreadable == given >= _MANY and key not in self._fine:
            what = {"timestamp": "a time", "confidence": "a number"}.get(key, key.partition(".")[0])
            raise SourceError(f"{name} is {column.type}, but none of the first {given:,} values can be read as {what}")
        if unreadable < given:
            self._fine.add(key)
        return found


def _valid(column: pa.Array) -> Mask:
    valid: Mask = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _kept(rows: pa.RecordBatch, bad: Mapping[str, Mask]) -> Batch:
    """The rows without fault; each of the others is counted under its first reason."""
    keep = np.ones(rows.num_rows, dtype=bool)
    rejected: dict[str, int] = {}
    for reason, mask in bad.items():
        count = int((mask & keep).sum())
        if count:
            rejected[reason] = count
            keep &= ~mask
    return Batch(rows if keep.all() else rows.filter(pa.array(keep)), rejected)
