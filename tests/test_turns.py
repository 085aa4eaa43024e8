"""Whose turn it is, and what a turn does: fair, one window at a time, and nobody waits for what is broken."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop import DAY, FIRST, desk, open_shop, raw_settings, window

from monitor.config import parse
from monitor.fleet import Turns, take_turn
from monitor.fleet.turn import pause
from monitor.store import Store
from monitor.values import RunStatus, State
from monitor.wiring import Shared, wire


def test_first_come_first_served():
    turns = Turns(1)
    for name in ("a", "b", "a", "c"):
        turns.wake(name)
    assert turns.take(0.0) == "a"
    assert turns.take(0.0) is None, "one place"
    turns.wake("a")
    turns.end("a", 1.0)
    assert [turns.take(1.0), turns.waiting] == ["b", 2]
    turns.end("b", 2.0)
    assert turns.take(2.0) == "c"
    turns.end("c", 3.0)
    assert turns.take(3.0) == "a", "woken during its turn, it is last in the queue"


def test_slow_turns_leave_the_quick_places_and_come_back_to_the_slow_ones():
    turns = Turns(2, slow=10)
    for name in ("slow1", "slow2", "slow3", "quick"):
        turns.wake(name)
    assert [turns.take(0), turns.take(0), turns.take(0)] == ["slow1", "slow2", None]
    assert [turns.take(11), turns.take(11)] == ["slow3", "quick"], "both slow ones moved over"
    turns.end("quick", 12)
    turns.wake("quick")
    assert turns.take(12) == "quick"
    turns.end("quick", 12.5)
    # The third slow one stays where it is, for the slow places are taken; one quick place is left, however long it lasts.
    turns.wake("quick")
    assert turns.take(1_000) == "quick"
    turns.end("quick", 1_000)
    turns.end("slow1", 1_001)
    turns.wake("slow1")
    turns.wake("quick")
    assert turns.take(1_001) == "quick", "the third has the slow place now; the first waits for one"
    turns.end("slow2", 1_002)
    assert turns.take(1_002) == "slow1"
    turns.end("slow1", 1_003)
    turns.wake("slow1")
    turns.wake("other")
    assert turns.take(1_004) == "slow1", "its last turn was quick"


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 100)), max_size=60), st.integers(1, 3))
def test_nobody_has_two_turns_and_nobody_is_forgotten(events, places):
    turns, now, running, wanted = Turns(places), 0.0, [], set()
    for name, seconds in events:
        turns.wake(name)
        wanted.add(name)
        now += seconds
        while (taken := turns.take(now)) is not None:
            assert taken not in running
            wanted.discard(taken)
            running.append(taken)
        assert len(running) <= 2 * places
        if seconds > 20:
            turns.end(running.pop(0), now)
    while running or turns.waiting:
        if running:
            turns.end(running.pop(), now)
        while (taken := turns.take(now)) is not None:
            wanted.discard(taken)
            running.append(taken)
    assert not wanted
    assert turns.waiting == 0


def test_pauses_grow_to_an_hour():
    assert [pause(n) / timedelta(minutes=1) for n in (1, 2, 3, 6, 7, 100)] == [1, 2, 4, 32, 60, 60]


class Shop:
    """One monitor, taking turns at times that a test chooses."""

    def __init__(self, folder, days, **monitor):
        self.settings, self.store, self.monitor = open_shop(folder, days=days, **monitor)
        self.one = self.settings.monitors[0]

    def turn(self, at):
        return take_turn(self.one, self.monitor, desk(self.store, at=at))

    def turns(self, at):
        taken = [self.turn(at)]
        while taken[-1].more:
            taken.append(self.turn(at))
        return taken


def test_a_turn_is_one_window_and_says_when_to_look_again(tmp_path, caplog):
    shop = Shop(tmp_path, (0, 0, 40, 0, 0, 0), schedule={"every": "1d", "catch_up": 2, "delay": "1h"})
    hour = timedelta(hours=1)
    first = shop.turn(FIRST + DAY + hour)
    assert (first.run.window, first.more, first.next_at) == (window(0), False, FIRST + 2 * DAY + hour)
    again = shop.turn(FIRST + 2 * DAY)
    assert (again.run, again.more, again.next_at) == (None, False, FIRST + 2 * DAY + hour), "it waits for late records"
    assert [one.run.window for one in shop.turns(FIRST + 2 * DAY + hour)] == [window(1)]
    with caplog.at_level(logging.WARNING, "monitor.fleet"):
        taken = shop.turns(FIRST + 6 * DAY + hour)
    assert [(one.run.window, one.more) for one in taken] == [(window(4), True), (window(5), False)]
    (skipped,) = [r for r in caplog.records if r.getMessage() == "windows skipped"]
    assert skipped.monitor_fields["windows"] == 2
    assert skipped.monitor_fields["since"] == window(2).start
    shop.store.close()


def test_what_another_process_catches_up_is_looked_at_again_should_it_die_between_two_windows(tmp_path):
    shop = Shop(tmp_path, (0, 0, 0, 0), schedule={"every": "1d", "catch_up": 3})
    shop.turn(FIRST + DAY)
    at, minute = FIRST + 4 * DAY, timedelta(minutes=1)
    theirs = shop.store.claim("shop", window(1), "other", at, minute)
    turn = shop.turn(at)
    assert (turn.run, turn.more, turn.next_at) == (None, False, at + minute), "not only when the next window is due"
    shop.store.release(theirs)
    assert [one.run.window for one in shop.turns(at + minute)] == [window(1), window(2), window(3)]
    shop.store.close()


def test_a_failed_window_is_tried_again_later_and_later(tmp_path):
    shop = Shop(tmp_path, (0, 0))
    hidden = tmp_path / "traffic"
    hidden.rename(tmp_path / "away")
    attempts, looks = [], []
    for minutes in (0, 0.5, 1, 2, 3.1, 7.2):
        at = FIRST + DAY + timedelta(minutes=minutes)
        looks.append((shop.turn(at).next_at - at) / timedelta(minutes=1))
        attempts.append(shop.store.run("shop", window(0).start).attempt)
    assert attempts == [1, 1, 2, 2, 3, 4]
    assert looks[1] == pytest.approx(0.5), "then it is worth looking again"
    assert shop.store.run("shop", window(0).start).decision.state is State.FAILED
    (tmp_path / "away").rename(hidden)
    shop.turn(FIRST + DAY + timedelta(minutes=15.3))
    run = shop.store.run("shop", window(0).start)
    assert (run.attempt, run.status, run.decision.state) == (5, RunStatus.DONE, State.STABLE)
    shop.store.close()


def test_a_window_that_cannot_be_run_holds_up_no_other(tmp_path):
    shop = Shop(tmp_path, (0, 0, 0, 0), schedule={"every": "1d", "catch_up": 7})
    poison, read = window(1), shop.monitor.source.read

    def reads(asked):
        if asked == poison:
            raise RuntimeError("this one never")
        return read(asked)

    object.__setattr__(shop.monitor, "source", type("Poisoned", (), {"read": staticmethod(reads)})())
    shop.turn(FIRST + DAY)
    assert shop.turn(FIRST + 2 * DAY).run.status is RunStatus.FAILED
    at = FIRST + 4 * DAY
    later = shop.turns(at)
    assert [(one.run.window, one.run.status) for one in later] == [
        (window(2), RunStatus.DONE),
        (window(3), RunStatus.DONE),
        (poison, RunStatus.FAILED),
    ], "new ones first, and it is tried again though later ones are done"
    retried = [shop.turn(at + timedelta(minutes=minutes)).run for minutes in (1, 3, 4, 8)]
    assert [one and one.attempt for one in retried] == [None, 3, None, 4]
    last = FIRST + 9 * DAY
    shop.turns(last - timedelta(seconds=1))
    assert shop.store.run("shop", poison.start).attempt == 5, "as far back as is caught up"
    shop.turns(last + timedelta(hours=2))
    assert shop.store.run("shop", poison.start).attempt == 5
    shop.store.close()


def test_a_monitor_that_only_fails_rests_and_new_windows_do_not_end_its_rest(tmp_path):
    shop = Shop(tmp_path, (0,) * 6, schedule={"every": "1h"}, policy={"false_alarms": "1 per month"})
    (tmp_path / "traffic").rename(tmp_path / "away")
    at, tried = FIRST + timedelta(hours=1), []
    while at < FIRST + timedelta(hours=9):
        if shop.turn(at).run is not None:
            tried.append(at)
        at += timedelta(minutes=1)
    gaps = [(after - before) / timedelta(minutes=1) for before, after in pairwise(tried)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps[6:]) == {60}, "once an hour, though a new window is due each hour as well"
    shop.store.close()


def test_monitors_whose_embedder_is_the_same_share_one(tmp_path):
    raw = raw_settings(tmp_path)
    (one,) = raw["monitors"]
    other = {"kind": "hashing", "dimension": 32}
    raw["monitors"] = [one, one | {"name": "b"}, one | {"name": "c", "embedder": other}]
    settings = parse(raw)
    with Store.open(settings.store.url) as store:
        shared = Shared()
        a, b, c = (wire(settings, each, store, shared) for each in settings.monitors)
    assert a.canary_embedder is b.canary_embedder
    assert c.canary_embedder is not a.canary_embedder
    assert a.source is not b.source
