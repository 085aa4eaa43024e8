"""When windows end, and durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from monitor.settings.model import Model
from monitor.windows import Tiling

__all__ = ["YEAR", "Duration", "Every", "Pattern", "Schedule", "tiling_of"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
YEAR = timedelta(days=365.25)


def _duration(value: Any) -> Any:
    """``90s``, ``15m``, ``6h``, ``1d`` or ``1w``."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)([smhdw])", str(value).strip())
    if not match:
        raise ValueError("wanted a number and a unit of s, m, h, d or w, for example 1h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone; add one, for example 2026-01-05T00:00:00Z")
    return value.astimezone(UTC)


class Pattern:
    """A string in the JSON Schema, whatever the value becomes."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: Any) -> JsonSchemaValue:
        return {"type": "string", "pattern": self._pattern}


Duration = Annotated[timedelta, BeforeValidator(_duration), Pattern(r"^\d+[smhdw]$")]
AwareTime = Annotated[datetime, AfterValidator(_aware)]


_EVERY = re.compile(r"(\d+)(mo|[smhdw])")


def _every(value: Any) -> str:
    """A duration, or calendar months as ``1mo``."""
    match = _EVERY.fullmatch(str(value).strip())
    if not match or not int(match[1]):
        raise ValueError("wanted a number above 0 and a unit of s, m, h, d, w or mo, for example 1h, 7d or 1mo")
    return match[0]


Every = Annotated[str, BeforeValidator(_every), Pattern(r"^[1-9]\d*(mo|[smhdw])$")]
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


def tiling_of(every: str, start: datetime = _MONDAY) -> Tiling:
    """Stretches of time ``every`` long from ``start`` on; months start on the first."""
    number, unit = re.findall(r"\d+|\D+", every)
    if unit == "mo":
        return Tiling(int(number) * timedelta(days=30), start, months=int(number))
    return Tiling(timedelta(seconds=int(number) * _UNITS[unit]), start)


class Schedule(Model):
    """Windows tile time: each is ``every`` long and starts a whole number of them after ``start``."""

    every: Every = Field("1d", description="1h, 1d, 1w, 1mo, ...")
    delay: Duration = Field(timedelta(0), description="how long to wait for late records after a window has ended")
    start: AwareTime = Field(
        _MONDAY,
        description="any window start; default a Monday, 00:00 UTC; months start on the first",
    )
    catch_up: int = Field(
        7, ge=1, description="how many missed windows are caught up at most; older ones are skipped and said so"
    )

    @property
    def tiling(self) -> Tiling:
        """The windows of this schedule."""
        return tiling_of(self.every, self.start)

    @property
    def mean_length(self) -> timedelta:
        """How long a window is; a month is a twelfth of a year."""
        number, unit = re.findall(r"\d+|\D+", self.every)
        return int(number) * (YEAR / 12 if unit == "mo" else timedelta(seconds=_UNITS[unit]))
