"""One monitor's turn: the oldest of its windows that may be run now, and when to look again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from monitor.logs import fields
from monitor.pipeline import Desk, Monitor, run_window
from monitor.settings import MonitorSettings
from monitor.store import Attempt, Store
from monitor.values import Run, RunStatus, Window
from monitor.windows import due_windows

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Turn", "pause", "take_turn"]

_log = logging.getLogger("monitor.fleet")
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
_REMEMBERED = 12


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn.

    run      the window's run; ``None`` when none was due, or others had them all
    more     whether another window may be run at once
    next_at  when the next window is due, or one that failed may be tried again
    """

    run: Run | None
    more: bool
    next_at: datetime


def pause(failures: int) -> timedelta:
    """How long to leave alone what has failed so often in a row: a minute, twice as long each time, an hour at most."""
    return min(FIRST_PAUSE * (1 << min(max(failures, 1) - 1, 10)), LONGEST_PAUSE)


def take_turn(one: MonitorSettings, monitor: Monitor, desk: Desk) -> Turn:
    """Run one window of the monitor that is due and not another process's; one only, so that others get their turn.

    Those that never failed go first, the oldest before the others: a window that cannot be run holds up none. One that failed
    is left alone for a while, and so is a monitor whose newest windows all failed; see :func:`pause`.
    """
    now = desk.clock()
    next_window = one.schedule.tiling.at(now - one.schedule.delay).end + one.schedule.delay
    known = desk.store.attempts(one.name, limit=one.schedule.catch_up + _REMEMBERED)
    rested = _rested(known)
    if rested is not None and rested > now:
        return Turn(None, more=False, next_at=min(rested, next_window))
    windows, later = _windows(one, desk.store, known, now)
    next_at = min([next_window, *later])
    for place, window in enumerate(windows, 1):
        run = run_window(monitor, window, desk, retry_failed=True)
        if run is None:
            # Another process has this one or an earlier one, and goes on from there; should it die between two windows, we do.
            next_at = min(next_at, now + desk.lease)
            break
        if run.status is RunStatus.FAILED:
            return Turn(run, more=False, next_at=min(next_at, desk.clock() + FIRST_PAUSE))
        return Turn(run, more=place < len(windows), next_at=next_at)
    return Turn(None, more=False, next_at=next_at)


def _windows(
    one: MonitorSettings, store: Store, known: Sequence[Attempt], now: datetime
) -> tuple[list[Window], list[datetime]]:
    """Windows that may be run now, in order, and when those that failed lately may be tried again."""
    schedule = one.schedule
    due = due_windows(now, schedule.tiling, schedule.delay, store.watermark(one.name), schedule.catch_up)
    if due.skipped:
        _log.warning(
            "windows skipped",
            extra=fields(monitor=one.name, windows=due.skipped, since=due.skipped_from, catch_up=schedule.catch_up),
        )
    oldest = now - schedule.delay - schedule.catch_up * schedule.tiling.length
    again = {
        attempt.window: attempt.failed_at + pause(attempt.failures)
        for attempt in known
        if attempt.failed_at is not None and attempt.window.end >= oldest
    }
    wanted = sorted(
        {*due.windows, *store.unfinished(one.name, now), *again}, key=lambda window: (window in again, window)
    )
    return (
        [window for window in wanted if window not in again or again[window] <= now],
        [moment for moment in again.values() if moment > now],
    )


def _rested(known: Sequence[Attempt]) -> datetime | None:
    """Until when the monitor is left alone: its newest windows failed, one after the other."""
    finished = (one for one in known if one.status is not RunStatus.RUNNING)
    row = list(takewhile(lambda one: one.failed_at is not None, finished))
    ended = [one.failed_at for one in row if one.failed_at is not None]
    return max(ended) + pause(sum(one.failures for one in row)) if ended else None
