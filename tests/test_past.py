"""The accepted past: which windows a window is compared with, and which verdicts its evidence goes on from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import World

from monitor.past import Memory, choose, number_of, since_baseline
from monitor.store import PastWindow
from monitor.values import Baseline, Decision, State, Window

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEK = timedelta(weeks=1)


def hour(number):
    return Window(START + number * HOUR, START + (number + 1) * HOUR)


def past(number, *, accepted=True, baseline=0.0, draw=None):
    return PastWindow(f"run {number}", hour(number), number if draw is None else draw, accepted, baseline)


def baseline(number, until=None):
    return Baseline("desk", hour(number).start, "Ann", "wanted", START, until, {})


def chosen(windows, now, one=None, season=None):
    got = choose(windows, hour(now), one, season)
    return [int(run.removeprefix("run ")) for run in got.accepted]


def test_against_the_reference_all_that_raised_no_alarm_counts():
    windows = [past(0), past(1, accepted=False), past(2), past(3)]
    got = choose(windows, hour(4), None)
    assert got.with_reference
    assert got.accepted == ("run 0", "run 2", "run 3")
    assert choose([], hour(0), None).accepted == ()


def test_from_a_baseline_on_what_the_owner_saw_counts_whatever_was_said_of_it():
    accepted = baseline(3)
    number = number_of(accepted)
    windows = [
        past(1),  # before it
        past(3, accepted=False),  # drifted, and then accepted
        past(4, accepted=False),
        past(5, baseline=number),
        past(6, accepted=False, baseline=number),  # has drifted from the baseline
        past(7, baseline=number),
    ]
    got = choose(windows, hour(8), accepted)
    assert not got.with_reference
    assert got.accepted == ("run 3", "run 4", "run 5", "run 7")


def test_what_only_a_baseline_accepted_no_longer_is_once_it_has_run_out():
    number = number_of(baseline(3))
    windows = [past(0), past(3, accepted=False), past(4, baseline=number), past(9)]
    got = choose(windows, hour(10), None)
    assert got.with_reference
    assert got.accepted == ("run 0", "run 9")


def test_in_a_season_only_windows_of_the_same_place_count():
    windows = [past(n) for n in range(24 * 21)]
    assert chosen(windows, 24 * 21 + 5, season=WEEK) == [5, 173, 341]
    assert chosen(windows, 24 * 21 + 5, season=timedelta(days=1)) == [24 * day + 5 for day in range(21)]
    assert chosen(windows, 24 * 21 + 5, baseline(100), WEEK) == [173, 341]
    # The reference belongs to no hour of the week.
    assert not choose(windows, hour(24 * 21), None, WEEK).with_reference
    assert chosen([past(0), past(1)], 2, season=WEEK) == []


@given(st.permutations(range(300)))
def test_of_many_windows_those_that_chance_drew_count_oldest_first(draws):
    windows = [past(n, draw=draw) for n, draw in enumerate(draws)]
    got = chosen(windows, 300)
    assert got == [n for n, draw in enumerate(draws) if draw < 100]


def test_baselines_are_told_apart_by_their_first_window():
    assert number_of(None) == 0.0
    assert number_of(baseline(3)) == hour(3).start.timestamp()


def told(number, reference=1.0, accepted=0.0, **more):
    evidence = {"reference": reference, "baseline": accepted, "looks": float(number)} | more
    return hour(number), Decision(State.STABLE, evidence=evidence)


def test_evidence_goes_on_from_the_verdicts_under_the_same_reference_and_baseline():
    history = [told(5), told(4), told(3), told(2, accepted=7.0), told(1)]
    assert [d.evidence["looks"] for d in since_baseline(history, 1, 0.0)] == [5, 4, 3]
    assert since_baseline(history, 2, 0.0) == []
    assert since_baseline(history, 1, 7.0) == []
    history = [told(5, reference=2.0), told(4)]
    assert [d.evidence["looks"] for d in since_baseline(history, 2, 0.0)] == [5]


@pytest.mark.parametrize("evidence", [{}, {"reference": 1.0}, {"baseline": 0.0}])
def test_verdicts_that_do_not_say_what_they_were_judged_against_are_not_gone_on_from(evidence):
    assert since_baseline([(hour(1), Decision(State.STABLE, evidence=evidence)), told(0)], 1, 0.0) == []


def test_a_memory_holds_the_reference_as_sums():
    reference = World().reference(400, 200, np.random.default_rng(0))
    memory = Memory.of(reference)
    assert list(memory.reference) == [""]
    assert memory.reference[""].plan == memory.plan.fingerprint
    assert 0 < memory.reference[""].rows.sum() < 600
