"""Column types that give every database the same answers: aware UTC times, finite numbers, text any database can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Double, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

__all__ = ["Document", "Moment", "Number", "Words", "storable"]

_UNSTORABLE = {0: "�", **dict.fromkeys(range(0xD800, 0xE000), "�")}


def storable(text: str) -> str:
    """The text with U+FFFD for what PostgreSQL refuses or UTF-8 has no bytes for: NUL and lone surrogates."""
    return text.translate(_UNSTORABLE)


def _finite(value: Any, what: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} is {number}; only finite numbers are stored")
    return number


class Words(TypeDecorator[str]):
    """Text of any length; see :func:`storable`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Make the text storable."""
        return None if value is None else storable(value)


class Number(TypeDecorator[float]):
    """A finite float, where SQLite would quietly turn NaN into NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Refuse infinities and NaN."""
        return None if value is None else _finite(value, "a number of this run")


class Moment(TypeDecorator[datetime]):
    """A point in time: aware going in, aware UTC coming out, microseconds kept."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; SQLite keeps the UTC wall clock."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"time {value.isoformat()} has no time zone; give an offset, for example +00:00")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[Any]):
    """Maps and lists of text and numbers, as JSON in the order given."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Make every text storable and refuse numbers that JSON has no word for."""
        return _plain(value, "a number")


def _plain(value: Any, what: str) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(item, f"{key!r}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, what) for item in value]
    return _finite(value, what)
