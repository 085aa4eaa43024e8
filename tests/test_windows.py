"""Windows tile time, whatever moment the trigger fired at."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.values import Window
from monitor.windows import Due, Tiling, due_windows

ANCHOR = datetime(1970, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
DAILY = Tiling(DAY, ANCHOR)
MONTHLY = Tiling(timedelta(days=30), ANCHOR, months=1)


def day(number: int) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + number * DAY


def due(now, watermark, catch_up=7, delay=timedelta(0)):
    return due_windows(now, DAILY, delay, watermark, catch_up)


@given(
    moment=st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    every=st.sampled_from([timedelta(minutes=5), timedelta(hours=1), DAY, timedelta(weeks=1)]),
)
def test_every_moment_lies_in_exactly_one_window(moment, every):
    tiling = Tiling(every, ANCHOR)
    window = tiling.at(moment)
    assert window.start <= moment < window.end
    assert (window.start - ANCHOR) % every == timedelta(0)
    assert tiling.at(window.end).start == window.end


def test_a_naive_moment_is_refused():
    with pytest.raises(ValueError, match=r"2026-03-01T00:00:00 has no time zone; give an offset, for example \+00:00"):
        DAILY.at(datetime(2026, 3, 1))  # noqa: DTZ001 - the point


def test_weeks_start_on_monday():
    assert Tiling(timedelta(weeks=1), ANCHOR).at(datetime(2026, 3, 4, 15, tzinfo=UTC)).start == datetime(
        2026, 3, 2, tzinfo=UTC
    )


def test_only_whole_windows_inside_a_stretch():
    start = day(0) + timedelta(hours=5)
    assert list(DAILY.between(start, day(3))) == [Window(day(1), day(2)), Window(day(2), day(3))]
    assert list(DAILY.between(day(0), day(1) - timedelta(seconds=1))) == []


def test_a_new_monitor_runs_the_newest_window_and_no_history():
    assert due(day(10) + timedelta(hours=3), None) == Due((Window(day(9), day(10)),))


def test_nothing_is_due_before_the_next_window_has_ended():
    assert due(day(11) - timedelta(seconds=1), day(10)) == Due(())
    assert due(day(11), day(10)) == Due((Window(day(10), day(11)),))


def test_late_records_are_waited_for():
    wait = timedelta(hours=2)
    assert due(day(11) + timedelta(hours=1), day(10), delay=wait) == Due(())
    assert due(day(11) + wait, day(10), delay=wait) == Due((Window(day(10), day(11)),))


def test_missed_windows_are_caught_up_oldest_first_within_the_limit():
    assert due(day(13), day(10)) == Due(tuple(Window(day(n), day(n + 1)) for n in (10, 11, 12)))
    assert due(day(30), day(10), catch_up=2) == Due((Window(day(28), day(29)), Window(day(29), day(30))), 18, day(10))


def test_a_watermark_in_the_future_makes_nothing_due():
    assert due(day(10), day(12)) == Due(())


def test_a_watermark_of_another_period_starts_at_the_next_whole_window():
    assert due(day(12), day(10) + timedelta(hours=6)) == Due((Window(day(11), day(12)),))


def test_months_are_those_of_the_calendar():
    assert MONTHLY.at(datetime(2024, 2, 29, 23, tzinfo=UTC)) == Window(
        datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
    )
    assert MONTHLY.at(datetime(2025, 12, 31, tzinfo=UTC)).end == datetime(2026, 1, 1, tzinfo=UTC)
    quarter = Tiling(timedelta(days=91), ANCHOR, months=3)
    assert quarter.at(datetime(2026, 5, 5, tzinfo=UTC)) == Window(
        datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    )
    year = list(MONTHLY.between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert [window.start.month for window in year] == list(range(1, 13))
    assert all(a.end == b.start for a, b in itertools.pairwise(year))


def test_a_month_is_due_once_it_is_over():
    watermark = datetime(2026, 1, 1, tzinfo=UTC)
    found = due_windows(datetime(2026, 3, 1, tzinfo=UTC), MONTHLY, timedelta(0), watermark, 7)
    assert [window.start.month for window in found.windows] == [1, 2]
    assert due_windows(datetime(2026, 1, 31, tzinfo=UTC), MONTHLY, timedelta(0), watermark, 7) == Due(())
