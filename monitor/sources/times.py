"""A column of times in any usual form, as microseconds UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.sources.columns import Converted, Mask, WrongTypeError, is_text, texts

__all__ = ["NaiveError", "times"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999 in seconds: what Python's datetime can hold."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock times are counted from a wall-clock epoch
_ZONED = r"[Zz]$|[Tt ]\d.*[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?$"
_NUMBER = r"^[+-]?\d{9,}(?:\.\d*)?$"
_UTC = pa.timestamp("us", tz="UTC")


class NaiveError(Exception):
    """Every time of the column lacks a zone, and none was declared."""


def times(column: pa.Array, timezone: str | None) -> Converted:
    """Times as ``timestamp[us, UTC]``; unreadable ones, and single ones without zone, are bad.

    Timestamps of any unit, dates (midnight), ISO-8601 strings with any mix of offsets, and numbers since 1970 in UTC,
    also as strings: below 1e11 they are seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.
    Times without a zone are taken in ``timezone``: an hour that occurs twice is the first, one that is skipped is moved
    to its end.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return Converted(column.cast(_UTC), {})
    if pa.types.is_timestamp(kind):
        values, bad = _microseconds(column, kind.unit)
        return _zoned(values, bad, naive=kind.tz is None, timezone=timezone)
    if pa.types.is_date(kind):
        values, bad = _microseconds(column.cast(pa.date32()).cast(pa.timestamp("s")), "s")
        return _zoned(values, bad, naive=True, timezone=timezone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values, bad = _since_1970(column)
        return Converted(values.cast(_UTC), {"unreadable time": bad})
    if is_text(kind):
        # Strings of a file need not be UTF-8.
        readable = texts(column)
        found = _parsed(readable.values, timezone)
        return Converted(found.values, {**readable.bad, **found.bad})
    raise WrongTypeError("a timestamp, a date, an ISO-8601 string or a number of seconds or milliseconds since 1970")


def _zoned(values: pa.Array, bad: Mask, *, naive: bool, timezone: str | None) -> Converted:
    if not naive:
        return Converted(values.cast(_UTC), {"unreadable time": bad})
    if timezone is None:
        if values.null_count == len(values):
            return Converted(values.cast(_UTC), {"unreadable time": bad})
        raise NaiveError
    return Converted(_assume(values, timezone), {"unreadable time": bad})


def _assume(values: pa.Array, timezone: str) -> pa.Array:
    local = values.cast(pa.timestamp("us"))
    return pc.assume_timezone(local, timezone, ambiguous="earliest", nonexistent="latest").cast(_UTC)


def _microseconds(column: pa.Array, unit: str) -> tuple[pa.Array, Mask]:
    """Whole microseconds as int64, and which rows lie outside the years 1 to 9999."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
    limit = np.iinfo(np.int64).max
    per = _PER_SECOND[unit]
    inside = (ticks >= max(_FIRST * per, -limit)) & (ticks <= min(_LAST * per, limit))
    kept = np.where(inside, ticks, 0)
    values = kept // 1000 if unit == "ns" else kept * (10**6 // per)
    return pa.array(values, mask=~(valid & inside)), valid & ~inside


def _since_1970(column: pa.Array) -> tuple[pa.Array, Mask]:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        # Exact: float64 would round microseconds and nanoseconds of today.
        ticks = np.clip(column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(), -(2**62), 2**62)
        size = np.abs(ticks)
        scaled = [ticks * 10**6, ticks * 1000, ticks, ticks // 1000]
    else:
        ticks = column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)
        known = np.clip(np.nan_to_num(ticks, posinf=9e18, neginf=-9e18), -9e18, 9e18)
        size = np.abs(known)
        scaled = [np.rint(np.clip(known * by, -9e18, 9e18)).astype(np.int64) for by in (1e6, 1e3, 1.0, 1e-3)]
    microseconds = np.select([size < 1e11, size < 1e14, size < 1e17], scaled[:3], scaled[3])
    seconds = microseconds / 1e6
    inside = np.isfinite(ticks) & (size < 4e18) & (seconds >= _FIRST) & (seconds <= _LAST)
    return pa.array(np.where(inside, microseconds, 0), mask=~(valid & inside)), valid & ~inside


def _parsed(column: pa.Array, timezone: str | None) -> Converted:
    column = pc.utf8_trim_whitespace(column)
    valid = pc.and_(column.is_valid(), pc.not_equal(column, "")).fill_null(False).to_numpy(zero_copy_only=False)
    digits = pc.match_substring_regex(column, _NUMBER).fill_null(False).to_numpy(zero_copy_only=False)
    zoned = pc.match_substring_regex(column, _ZONED).fill_null(False).to_numpy(zero_copy_only=False)
    values = np.zeros(len(column), dtype=np.int64)
    read = np.zeros(len(column), dtype=bool)
    naive = valid & ~digits & ~zoned
    for rows, convert in ((digits, _digits), (valid & zoned & ~digits, _with_zone), (naive, _without_zone)):
        if rows.any():
            part = convert(column.filter(pa.array(rows)))
            values[rows] = part.cast(pa.int64()).fill_null(0).to_numpy()
            read[rows] = part.is_valid().to_numpy(zero_copy_only=False)
    bad = {"unreadable time": valid & ~read}
    result = pa.array(values, mask=~read).cast(_UTC)
    if (naive & read).any():
        if timezone is None:
            if (naive & read).sum() == read.sum():
                raise NaiveError
            bad["time without zone"] = naive & read
        else:
            result = pc.if_else(pa.array(naive), _assume(pa.array(values, mask=~(read & naive)), timezone), result)
    return Converted(result, bad)


def _digits(column: pa.Array) -> pa.Array:
    whole = pc.match_substring(column, ".").to_numpy(zero_copy_only=False)
    try:
        return _since_1970(column.cast(pa.float64() if whole.any() else pa.int64()))[0]
    except pa.ArrowInvalid:  # more digits than 64 bits hold
        return _since_1970(column.cast(pa.float64()))[0]


def _with_zone(column: pa.Array) -> pa.Array:
    try:
        return _microseconds(column.cast(_UTC), "us")[0]
    except pa.ArrowInvalid:
        return pa.array([_read(text) for text in column.to_pylist()], pa.int64())


def _without_zone(column: pa.Array) -> pa.Array:
    try:
        return _microseconds(column.cast(pa.timestamp("us")), "us")[0]
    except pa.ArrowInvalid:
        return pa.array([_read(text) for text in column.to_pylist()], pa.int64())


def _read(text: str) -> int | None:
    """Microseconds since 1970 on the clock of the text's own zone, turned to UTC where it has one."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return (time - _EPOCH) // timedelta(microseconds=1)
