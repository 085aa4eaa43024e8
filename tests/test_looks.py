"""Looking back: which scales are due, what they are compared with, what is kept, and that a change is found and calm is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from run_examples import LEASE, START, calm
from worlds import World, dataset

from monitor.decide import LATELY, Policy, decide
from monitor.desk import Desk
from monitor.looks import counts_before, look, standing
from monitor.past import Memory
from monitor.sketches import from_bytes
from monitor.store import Store
from monitor.values import Baseline, Counts, Decision, RunStatus, State, Window

HOUR = timedelta(hours=1)
WORLD = World(count=4, dimensions=12, seed=3)
ROWS = 160


@pytest.fixture(scope="module")
def reference():
    return WORLD.reference(500, 200, np.random.default_rng(0))


@pytest.fixture(scope="module")
def memory(reference):
    return Memory.of(reference)


@pytest.fixture
def quick(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as opened:
        opened.upgrade()
        yield opened


def hour(number):
    return Window(START + number * HOUR, START + (number + 1) * HOUR)


class Watch:
    """A monitor that looks back hour after hour."""

    def __init__(self, store, reference, memory, seed=1, season=None, **policy):
        self.reference, self.rng = reference, np.random.default_rng(seed)
        self.monitor = SimpleNamespace(
            name="desk",
            memory=lambda _: memory,
            season=season,
            keep=100,
            policy=Policy(run_length=policy.pop("run_length", 50.0), **policy),
        )
        self.desk = Desk(store, lambda: START, "test", LEASE)
        self.number = 0

    def window(self, shares=None, rows=ROWS, **more):
        which = self.rng.choice(len(shares) if shares else WORLD.count, rows, p=shares)
        return WORLD.data(which, self.rng, f"w{self.number}-", **more)

    def look(self, data=None):
        """One hour: looked at, judged and saved."""
        window, self.number = hour(self.number), self.number + 1
        since = standing(self.monitor, window, self.reference, self.desk)
        found, past = (), None
        if data is None or len(data):
            got = look(
                self.monitor, window, self.reference, data or self.window(), since, self.desk, np.random.default_rng(7)
            )
            found, past = got.measurements, got.past
        counts = Counts(sampled=len(data) if data is not None else ROWS)
        decision = decide(self.monitor.policy, counts, found, (), since.history, at=window.end, stamp=since.stamp)
        self.save(window, decision, past, counts)
        return SimpleNamespace(
            found=found,
            past=past,
            decision=decision,
            subjects=[m.subject + (f" ({m.segment})" if m.segment else "") for m in found],
        )

    def save(self, window, decision, past, counts, **changes):
        claim = self.desk.store.claim("desk", window, "test", START, LEASE)
        run = replace(calm(claim, measurements=(), counts=counts), decision=decision, **changes)
        self.desk.store.save(claim, run, past=past)

    def skip(self):
        """An hour without a record."""
        return self.look(dataset(np.zeros((0, 12))))


NEW = [0.2, 0.2, 0.2, 0.1, 0.3]


def scales(got):
    return {1 if " over " not in s else int(s.split()[-2]) for s in got.subjects if LATELY not in s}


def test_scales_are_due_when_windows_of_one_scale_do_not_overlap(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    due = {position: scales(watch.look()) for position in range(1, 18)}
    assert due == {n: {1} | ({4} if n % 4 == 0 else set()) | ({16} if n == 16 else set()) for n in range(1, 18)}


def test_the_first_window_is_compared_with_the_reference(store, reference, memory):
    watch = Watch(store, reference, memory)
    got = watch.look()
    assert got.subjects == ["embeddings", "classes"]
    assert {m.detector for m in got.found} == {"change"}
    kept = int(memory.reference[""].rows.sum())
    assert [(m.n_reference, m.n_current) for m in got.found] == [(kept, ROWS)] * 2
    assert got.decision.evidence["reference"] == reference.version
    assert got.decision.evidence["baseline"] == 0.0
    second = watch.look()
    assert [(m.n_reference, m.n_current) for m in second.found] == [(kept + ROWS, ROWS)] * 2


def test_what_is_kept_is_the_window_and_comes_back(store, reference, memory):
    watch = Watch(store, reference, memory)
    countries = ["DE"] * 100 + ["FR"] * 60
    got = watch.look(watch.window(segments={"country": countries}))
    assert got.past.plan == memory.plan.fingerprint
    assert (got.past.baseline, got.past.keep) == (0.0, 100)
    rows = {segment: int(from_bytes(one).rows.sum()) for segment, one in got.past.content.items()}
    assert rows == {"": 160, "country=DE": 100, "country=FR": 60}
    run = store.run("desk", hour(0).start)
    assert store.block_sums([run.id]) == {run.id: got.past.content}


def test_segments_are_compared_with_themselves_only(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    both, one = ["DE"] * 80 + ["FR"] * 80, ["DE"] * 160
    first = watch.look(watch.window(segments={"country": both}))
    assert first.subjects == ["embeddings", "classes"]  # the reference has no segments
    watch.look(watch.window(segments={"country": one}))
    third = watch.look(watch.window(segments={"country": both}))
    sizes = {(m.segment, m.n_reference, m.n_current) for m in third.found if m.subject == "embeddings" and m.segment}
    assert sizes == {("country=DE", 240, 80), ("country=FR", 80, 80)}
    later = [watch.look(watch.window(segments={"country": one if n == 5 else both})) for n in range(3, 8)]
    together = [[m.segment for m in got.found if m.subject == "embeddings over 4 windows"] for got in later]
    # Four windows are looked at together only where each of them has the segment, and something came before.
    assert together == [[""], [], [], [], ["", "country=DE"]]


def test_calm_looks_raise_no_alarm(quick, reference, memory):
    watch = Watch(quick, reference, memory, seed=5)
    states = [watch.look().decision.state for _ in range(24)]
    assert State.DRIFTED not in states
    assert states.count(State.STABLE) >= 22


def test_a_planted_change_is_found_and_measured(quick, reference, memory):
    watch = Watch(quick, reference, memory, seed=2)
    for _ in range(6):
        assert watch.look().decision.state is not State.DRIFTED
    looks = [watch.look(watch.window(NEW)) for _ in range(3)]
    states = [one.decision.state for one in looks]
    assert State.DRIFTED in states[:2]
    alarm = looks[states.index(State.DRIFTED)].decision
    assert "embeddings" in alarm.subjects[0]
    assert alarm.evidence["evidence"] >= 50
    assert 0.1 < alarm.evidence["effect_low"] < 0.3 < alarm.evidence["effect"] + 0.2
    accepted = {w.window.start: w.accepted for w in quick.past_windows("desk", memory.plan.fingerprint, hour(99).start)}
    assert [accepted[hour(n).start] for n in range(6)] == [True] * 6
    assert not accepted[hour(6 + states.index(State.DRIFTED)).start]


def test_while_an_alarm_is_on_single_windows_tell_whether_it_is_over(quick, reference, memory):
    watch = Watch(quick, reference, memory, seed=2)
    for _ in range(3):
        watch.look()
    while watch.look(watch.window(NEW)).decision.state is not State.DRIFTED:
        assert watch.number < 8
    on = [watch.look(watch.window(NEW)) for _ in range(4)]
    assert [scales(one) for one in on] == [{1}] * 4
    assert {one.decision.state for one in on} == {State.DRIFTED}
    assert [one.decision.evidence["alarms"] for one in on] == [1] * 4
    # Drifted windows are no part of the accepted past.
    assert len({m.n_reference for one in on for m in one.found if m.subject == "embeddings"}) == 1
    off = [watch.look()]
    while off[-1].decision.state is State.RECOVERING:
        assert len(off) < 9
        off.append(watch.look())
    # Three calm looks do not end it yet: the bet on all of them must have faded as well.
    assert len(off) >= 4
    assert off[-1].decision.state is State.STABLE
    # Positions are counted anew.
    assert [scales(watch.look()) for _ in range(4)] == [{1}, {1}, {1}, {1, 4}]


def test_the_looks_since_the_evidence_rose_tell_the_size(quick, reference, memory):
    watch = Watch(quick, reference, memory, seed=2, tolerance=0.9)  # too large for an alarm ever
    for _ in range(3):
        watch.look()
    looks = [watch.look(watch.window(NEW)) for _ in range(4)]
    last = [m for m in looks[-1].found if m.subject == "embeddings" + LATELY]
    assert len(last) == 1
    assert (last[0].detector, last[0].p_value) == ("change", None)
    assert last[0].n_current >= 3 * ROWS
    single = next(m for m in looks[-1].found if m.subject == "embeddings")
    assert last[0].high - last[0].low < single.high - single.low
    assert not any(LATELY in name for name in looks[-1].decision.evidence)


def test_in_a_season_single_windows_meet_those_of_the_same_place(quick, reference, memory):
    watch = Watch(quick, reference, memory, season=4 * HOUR)
    looks = [watch.look(watch.window(NEW if n % 4 == 3 else None)) for n in range(12)]
    # Nothing of the same place in the season has come before: the reference has none.
    assert [one.decision.state for one in looks[:4]] == [State.INSUFFICIENT] * 4
    assert [one.subjects for one in looks[4:]] == [["embeddings", "classes"]] * 8
    assert [looks[n].found[0].n_reference for n in (4, 7, 8, 11)] == [ROWS, ROWS, 2 * ROWS, 2 * ROWS]
    # A rhythm is no drift.
    assert State.DRIFTED not in {one.decision.state for one in looks}


def test_a_window_without_records_shifts_no_scale(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    for _ in range(4):
        watch.look()
    for _ in range(2):
        assert watch.skip().decision.state is State.INSUFFICIENT
    # Never windows that were looked at together before.
    assert [scales(watch.look()) for _ in range(4)] == [{1}, {1}, {1}, {1, 4}]


def test_a_failed_run_is_no_look(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    watch.look()
    watch.save(
        hour(1), Decision(State.FAILED, ("No verdict: gone",)), None, Counts(), status=RunStatus.FAILED, error="gone"
    )
    watch.number = 2
    assert watch.look().decision.evidence["looks"] == 2


def test_a_window_too_small_for_a_verdict_is_kept_for_later_ones(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    small = [watch.look(watch.window(rows=30)) for _ in range(4)]
    assert [one.decision.state for one in small] == [State.INSUFFICIENT] * 3 + [State.STABLE]
    assert len(quick.past_windows("desk", memory.plan.fingerprint, hour(99).start)) == 4
    assert set(small[-1].decision.evidence) >= {"sr change|embeddings over 4 windows|"}
    assert "sr change|embeddings|" not in small[-1].decision.evidence


def test_an_accepted_baseline_starts_the_evidence_anew(quick, reference, memory):
    watch = Watch(quick, reference, memory, seed=2)
    for _ in range(3):
        watch.look()
    while watch.look(watch.window(NEW)).decision.state is not State.DRIFTED:
        assert watch.number < 8
    start = hour(watch.number - 1).start
    quick.accept_baseline(Baseline("desk", start, "Ann", "a new topic we wanted", START, None, {}))
    looks = [watch.look(watch.window(NEW)) for _ in range(4)]
    assert {one.decision.state for one in looks} <= {State.STABLE, State.WATCH}
    assert [one.decision.evidence["looks"] for one in looks] == [1, 2, 3, 4]
    assert [one.found[0].n_reference for one in looks] == [ROWS, 2 * ROWS, 3 * ROWS, 4 * ROWS]
    assert looks[0].past.baseline == looks[0].decision.evidence["baseline"] == start.timestamp()


def test_a_new_reference_starts_the_evidence_anew(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    watch.look()
    watch.reference = replace(reference, version=2)
    got = watch.look()
    assert (got.decision.evidence["looks"], got.decision.evidence["reference"]) == (1, 2)


def test_the_same_window_gives_the_same_look(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    watch.look()
    data, window = watch.window(), hour(1)
    since = standing(watch.monitor, window, reference, watch.desk)
    one, two = (
        look(watch.monitor, window, reference, data, since, watch.desk, np.random.default_rng(4)) for _ in range(2)
    )
    assert one == two


def test_windows_before_are_told_with_what_they_held(quick, reference, memory):
    watch = Watch(quick, reference, memory)
    watch.look()
    watch.save(hour(1), Decision(State.FAILED, ("No verdict: x",)), None, Counts(9), status=RunStatus.FAILED, error="x")
    watch.number = 2
    watch.look(watch.window(rows=70))
    watch.look()
    assert [c.sampled for c in counts_before(watch.monitor, hour(3), watch.desk)] == [70, ROWS]
