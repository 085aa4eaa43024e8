"""Which windows are due: whole periods after the last finished one, never derived from when a trigger fired."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.values import Window

__all__ = ["Due", "Tiling", "due_windows", "seed_of"]


@dataclass(frozen=True, slots=True)
class Tiling:
    """How windows tile time: each ``length`` long from ``anchor`` on, or ``months`` calendar months in UTC."""

    length: timedelta
    anchor: datetime
    months: int = 0

    def at(self, moment: datetime) -> Window:
        """The window that holds ``moment``."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone; give an offset, for example +00:00")
        moment = moment.astimezone(UTC)
        if self.months:
            first = (moment.year * 12 + moment.month - 1) // self.months * self.months
            return Window(_month(first), _month(first + self.months))
        start = self.anchor + (moment - self.anchor) // self.length * self.length
        return Window(start, start + self.length)

    def between(self, start: datetime, end: datetime) -> Iterator[Window]:
        """Whole windows inside ``[start, end)``, oldest first."""
        window = self.at(start)
        if window.start < start:
            window = self.at(window.end)
        while window.end <= end:
            yield window
            window = self.at(window.end)


def _month(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """Windows to run, oldest first, and how many older ones the catch-up limit leaves out."""

    windows: tuple[Window, ...]
    skipped: int = 0
    skipped_from: datetime | None = None


def due_windows(now: datetime, tiling: Tiling, delay: timedelta, watermark: datetime | None, catch_up: int) -> Due:
    """Windows that ended at least ``delay`` ago and start at or after ``watermark`` (the end of the last finished one).

    Without a watermark only the newest one is due: a new monitor does not replay history by itself, ``backfill`` does.
    Of more than ``catch_up`` the newest are kept and the rest is counted.
    """
    unfinished = tiling.at(now - delay)
    newest = tiling.at(unfinished.start - timedelta(microseconds=1))
    if watermark is None:
        return Due((newest,))
    waiting = tuple(tiling.between(watermark, unfinished.start))
    skipped = max(0, len(waiting) - catch_up)
    return Due(waiting[skipped:], skipped, waiting[0].start if skipped else None)


def seed_of(monitor: str, window: Window) -> int:
    """One generator per run: the same window gives the same sample, numbers and ticket."""
    return int.from_bytes(hashlib.sha256(f"{monitor}|{window.start.isoformat()}".encode()).digest()[:8], "big")
