"""What is saved comes back: every field, every value a database could spoil, in one piece or not at all."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_examples import LEASE, SECOND, START, WEEK, calm, candidate, export, failed, finished, week

from monitor.store.columns import storable
from monitor.values import (
    Advice,
    Candidate,
    Cause,
    Counts,
    Decision,
    Estimate,
    Measurement,
    Neighbour,
    Refresh,
    Run,
    RunStatus,
    State,
    Window,
)


def saved(store, number=0, make=finished, monitor="support", **changes):
    claim = store.claim(monitor, week(number), "a", START + number * WEEK, LEASE)
    run = make(claim, **changes)
    store.save(claim, run, exports={"files": export(run)} if run.candidates else {})
    return run


def as_stored(value):
    """The oracle: the same value, every text in it as a database can hold it."""
    if isinstance(value, str) and not isinstance(value, RunStatus | State):
        return "".join("\ufffd" if c == "\0" or 0xD800 <= ord(c) < 0xE000 else c for c in value)
    if isinstance(value, dict):
        return {as_stored(key): item for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(as_stored(item) for item in value)
    if dataclasses.is_dataclass(value):
        fields = {f.name: as_stored(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


words = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\0\ud800\udfff💶\n\t'\"\\%:")), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.integers(0, 2**62)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=5, minutes=45))])
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - bounds are naive by contract
probabilities = st.floats(0, 1, exclude_min=True)
maybe = st.none


def counted():
    return st.dictionaries(words.filter(lambda w: storable(w) == w), sizes, max_size=3)


def weighed():
    return st.dictionaries(words.filter(lambda w: storable(w) == w), numbers, max_size=3)


measurements = st.builds(
    Measurement, words, words, numbers, numbers, numbers, maybe() | probabilities, sizes, sizes, words, weighed()
)
causes = st.builds(
    Cause, words, words, weighed(), st.lists(words, max_size=3).map(tuple), st.lists(words, max_size=3).map(tuple)
)
decisions = st.builds(
    Decision,
    st.sampled_from(State),
    st.lists(words, max_size=3).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    weighed(),
    st.lists(causes, max_size=2).map(tuple),
)
neighbours = st.builds(Neighbour, words, maybe() | words, numbers)
candidates = st.builds(
    Candidate,
    rank=st.integers(1, 10_000),
    record_id=words,
    strategy=words,
    need=numbers,
    gain=numbers,
    risk=maybe() | numbers,
    suggested_label=maybe() | words,
    neighbours=st.lists(neighbours, max_size=2).map(tuple),
    reason=words,
    duplicates=sizes,
    text=maybe() | words,
    observed_at=maybe() | moments,
    predicted=maybe() | words,
    confidence=maybe() | numbers,
    segments=st.dictionaries(words.filter(lambda w: storable(w) == w), words.map(storable), max_size=2),
    cluster=maybe() | words,
    vector=maybe() | st.binary(max_size=8),
    label=maybe() | words,
)
estimates = st.builds(Estimate, numbers, numbers, numbers)
refreshes = st.builds(
    Refresh,
    round=st.integers(1, 9),
    budget=st.integers(0, 10_000),
    answers=st.integers(0, 10_000),
    covered=numbers,
    flips_budget=numbers,
    junk=maybe() | estimates,
    gain=maybe() | estimates,
    flips=maybe() | estimates,
    guarded=maybe() | estimates,
    bonus=maybe() | numbers,
    advice=st.lists(st.builds(Advice, words, words), max_size=2).map(tuple),
    notes=st.lists(words, max_size=2).map(tuple),
)
contents = st.fixed_dictionaries(
    {
        "status": st.sampled_from([RunStatus.DONE, RunStatus.FAILED]),
        "started_at": moments,
        "finished_at": moments,
        "reference_version": maybe() | st.integers(1, 10_000),
        "reference_fingerprint": words,
        "embedder": words,
        "refresh": maybe() | refreshes,
        "settings": words,
        "counts": st.builds(Counts, sizes, sizes, sizes, sizes, sizes, sizes, counted()),
        "measurements": st.lists(measurements, max_size=3).map(tuple),
        "decision": decisions,
        "candidates": st.lists(candidates, max_size=3).map(tuple),
        "seconds": weighed(),
        "error": words,
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=contents, monitor=words, data=st.data())
def test_every_run_comes_back_as_it_was(store, content, monitor, data):
    start = data.draw(moments)
    claim = store.claim(monitor, Window(start, start + WEEK), "a", START, LEASE)
    if claim is None:
        return
    run = Run(claim.run_id, monitor, claim.window, attempt=1, claimed_by="a", **content)
    store.save(claim, run)
    assert store.run(monitor, start) == as_stored(run)


def test_times_come_back_as_utc_to_the_microsecond(store):
    run = saved(store, started_at=START.astimezone(timezone(timedelta(hours=9))) + timedelta(microseconds=1))
    got = store.run("support", START)
    assert got == run
    assert {t.tzinfo for t in (got.started_at, got.finished_at, got.window.start, got.candidates[0].observed_at)} == {
        UTC
    }
    assert got.started_at.microsecond == 1


def test_what_a_difference_comes_from_comes_back(store):
    found = (
        Cause("new topic", "5.0 % of traffic is about boats.", {"share": 0.05, "z": 7.5}, ("boat", "naïve 💶"), ("r7", "r1")),
        Cause("pipeline", "Half of the texts are empty."),
    )  # fmt: skip
    segments = {"country=DE": State.DRIFTED, "country=FR ☃": State.STABLE}
    decision = Decision(State.DRIFTED, ("Drift.",), findings=found, segments=segments)
    run = saved(store, decision=decision)
    assert store.run("support", START) == run
    assert store.run("support", START).decision.findings == found
    assert store.run("support", START).decision.segments == segments
    assert store.history("support", before=START + WEEK, limit=1) == [(run.window, decision)]
    assert store.latest_runs()[0].decision == decision


def test_numbers_of_numpy_are_numbers(store):
    measured = Measurement(
        "mmd", "embeddings", np.float32(0.5), np.float64(0.25), np.float64(1), np.float64(0.5), np.int64(7), np.int32(8),
        detail={"share": np.float32(0.5), "rows": np.int64(3)},
    )  # fmt: skip
    chosen = candidate(np.int64(1), gain=np.float32(0.5), confidence=np.float64(0.25))
    counts = Counts(np.int64(5), rejected={"bad": np.int64(2)})
    saved(store, measurements=(measured,), candidates=(chosen,), counts=counts, seconds={"embed": np.float64(2)})
    got = store.run("support", START)
    assert got.measurements == (
        Measurement("mmd", "embeddings", 0.5, 0.25, 1.0, 0.5, 7, 8, detail={"share": 0.5, "rows": 3}),
    )
    assert (got.candidates[0].gain, got.candidates[0].confidence, got.counts) == (
        0.5,
        0.25,
        Counts(5, rejected={"bad": 2}),
    )
    assert got.seconds == {"embed": 2.0}


@pytest.mark.parametrize(
    "change",
    [
        {"candidates": (candidate(gain=math.nan),)},
        {"candidates": (candidate(risk=math.inf),)},
        {"decision": Decision(State.DRIFTED, evidence={"ratio": math.inf})},
        {"decision": Decision(State.DRIFTED, findings=(Cause("x", "y", {"share": math.nan}),))},
        {"seconds": {"embed": -math.inf}},
    ],
    ids=["gain", "risk", "evidence", "finding", "seconds"],
)
def test_infinities_are_refused_and_nothing_is_kept(store, change):
    claim = store.claim("support", week(0), "a", START, LEASE)
    with pytest.raises(ValueError, match="only finite numbers are stored"):
        store.save(claim, finished(claim, **change))
    got = store.run("support", START)
    assert (got.status, got.decision, got.measurements, got.candidates) == (RunStatus.RUNNING, None, (), ())


def test_a_save_that_breaks_half_way_leaves_nothing_behind(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    with pytest.raises(ValueError, match="the export to files must hold the candidates of its run"):
        store.save(claim, run, exports={"files": replace(export(run), candidates=run.candidates[:1])})
    assert store.run("support", START).status is RunStatus.RUNNING
    store.save(claim, run)
    assert store.run("support", START) == run


def test_a_run_is_found_by_window_and_by_id(store):
    run = saved(store)
    assert store.run("support", START) == store.run_by_id(run.id) == run
    assert store.run("support", START + SECOND) is None
    assert store.run("other", START) is None
    assert store.run_by_id("nothing") is None


def test_runs_are_listed_newest_first_and_whole(store):
    mine = [saved(store, number) for number in (1, 0, 2)]
    other = saved(store, 1, calm, monitor="other")
    first, second, third = (mine[n] for n in (1, 0, 2))
    assert store.runs() == [third, other, second, first]
    assert store.runs("support", limit=2) == [third, second]
    assert store.runs("support", since=START + WEEK) == [third, second]
    assert store.runs("nobody") == []


def test_latest_runs_are_the_newest_windows_that_are_finished(store):
    saved(store, 0)
    broken = saved(store, 1, failed)
    store.claim("support", week(2), "a", START, LEASE)
    other = saved(store, 0, monitor="other")
    assert store.latest_runs() == [replace(other, candidates=()), broken]


def test_history_holds_verdicts_newest_first_without_failures(store):
    runs = [saved(store, n, make) for n, make in enumerate([calm, finished, failed, finished, calm])]
    store.claim("support", week(5), "a", START, LEASE)
    saved(store, 0, monitor="other")
    told = [(runs[n].window, runs[n].decision) for n in (3, 1, 0)]
    assert store.history("support", before=START + 4 * WEEK, limit=10) == told
    assert store.history("support", before=START + 4 * WEEK, limit=1) == told[:1]
    assert store.history("support", before=START, limit=10) == []


def test_the_same_in_short_says_whether_an_alarm_was_on(store):
    said = [{"effect": 0.1}, {"alarm_since": 0.0}, {"alarm_since": 1_767_571_200.5}, {"alarm_since": 5}]
    for n, evidence in enumerate(said):
        saved(store, n, decision=Decision(State.DRIFTED if n == 2 else State.RECOVERING, evidence=evidence))
    saved(store, 4, failed)
    saved(store, 2, monitor="other")
    found = store.judged("support", before=START + 5 * WEEK, limit=10)
    assert [(one.window, one.state, one.alarm) for one in found] == [
        (week(3), State.RECOVERING, True),
        (week(2), State.DRIFTED, True),
        (week(1), State.RECOVERING, False),
        (week(0), State.RECOVERING, False),
    ]
    assert store.judged("support", before=week(3).start, limit=1) == found[1:2]


def test_the_watermark_is_the_end_of_the_newest_window_done(store):
    assert store.watermark("support") is None
    saved(store, 1)
    saved(store, 0)
    saved(store, 2, failed)
    store.claim("support", week(3), "a", START, LEASE)
    saved(store, 4, monitor="other")
    assert store.watermark("support") == START + 2 * WEEK


def test_more_runs_than_one_statement_takes(store):
    made = [saved(store, n, calm, measurements=()) for n in range(520)]
    assert store.runs(limit=1_000) == made[::-1]
