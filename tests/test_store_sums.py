"""Block sums in the store: bytes in and out, thinned by chance alone, and never mixed up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from run_examples import LEASE, START, calm, failed, finished

from monitor.store import Past, PastWindow, Store
from monitor.store.sums import draw_of
from monitor.store.tables import block_sums
from monitor.values import Counts, Decision, State, Window

HOUR = timedelta(hours=1)
SOON = START + 10_000 * HOUR


def hour(number):
    return Window(START + number * HOUR, START + (number + 1) * HOUR)


def save(store, number, past, make=calm, monitor="support", **changes):
    claim = store.claim(monitor, hour(number), "a", START, LEASE, retry_failed=True)
    run = replace(make(claim, **changes), measurements=(), candidates=())
    store.save(claim, run, past=past)
    return run.id


@pytest.fixture
def quick(tmp_path):
    """A store on SQLite only, for what takes many runs."""
    with Store.open(f"sqlite:///{tmp_path / 'quick.db'}") as opened:
        opened.upgrade()
        yield opened


def past(content=b"\0\xff", plan="plan", baseline=0.0, keep=1_000, **segments):
    return Past(plan, baseline, {"": content} | {f"country={k}": v for k, v in segments.items()}, keep)


def numbers(store, monitor="support", plan="plan", before=SOON):
    return [(one.window.start - START) // HOUR for one in store.past_windows(monitor, plan, before)]


def test_bytes_come_back_as_they_were(store):
    content = np.random.default_rng(0).bytes(70_000)
    first = save(store, 0, past(content, DE=b"", FR=bytes(range(256))))
    second = save(store, 1, past(b"two"))
    assert store.block_sums([first, second, "unknown"]) == {
        first: {"": content, "country=DE": b"", "country=FR": bytes(range(256))},
        second: {"": b"two"},
    }
    assert store.block_sums([second]) == {second: {"": b"two"}}
    assert store.block_sums([]) == {}


def test_more_runs_than_one_statement_takes(store):
    run = save(store, 0, past())
    assert store.block_sums([*[f"run {n}" for n in range(1_200)], run]) == {run: {"": b"\0\xff"}}


def test_past_windows_are_told_oldest_first(store):
    ids = {n: save(store, n, past(baseline=n / 2, DE=b"x")) for n in (2, 0, 1)}
    assert store.past_windows("support", "plan", SOON) == [
        PastWindow(ids[n], hour(n), draw_of("support", hour(n).start), True, n / 2) for n in range(3)
    ]
    assert numbers(store, before=hour(2).start) == [0, 1]
    assert numbers(store, before=hour(0).start) == []


def test_other_plans_and_monitors_are_not_seen(store):
    save(store, 0, past(plan="old"))
    save(store, 1, past())
    save(store, 1, past(), monitor="other")
    assert numbers(store) == [1]
    assert numbers(store, plan="old") == [0]
    assert numbers(store, "other") == [1]
    assert numbers(store, "nobody") == []


@pytest.mark.parametrize(
    ("state", "since", "accepted"),
    [
        (State.STABLE, 0.0, True),
        (State.WATCH, 0.0, True),
        (State.INSUFFICIENT, 0.0, True),
        (State.DRIFTED, 1.0, False),
        (State.RECOVERING, 1.0, False),
        (State.INSUFFICIENT, 1.0, False),  # too few records to tell, while an alarm is on
    ],
)
def test_what_no_alarm_was_on_for_is_accepted(store, state, since, accepted):
    save(store, 0, past(), finished, decision=Decision(state, evidence={"alarm_since": since}))
    assert [one.accepted for one in store.past_windows("support", "plan", SOON)] == [accepted]


def test_a_run_without_sums_leaves_none(store):
    save(store, 0, None)
    save(store, 1, Past("plan", 0.0, {}), counts=Counts())
    save(store, 2, None, failed)
    assert numbers(store) == []


def test_a_run_saved_again_replaces_its_sums(store):
    claim = store.claim("support", hour(0), "a", START, timedelta(0))
    with store._database.write() as connection:  # what a run left that was lost before it was done
        connection.execute(
            sa.insert(block_sums),
            [{"run_id": claim.run_id, "segment": s, "monitor": "support", "window_start": hour(0).start,
              "window_end": hour(0).end, "plan": "old", "draw": 1, "accepted": True, "baseline": 0.0, "content": b"old"}
             for s in ("", "country=DE")],
        )  # fmt: skip
    run = save(store, 0, past(b"new"))
    assert store.block_sums([run]) == {run: {"": b"new"}}
    assert numbers(store, plan="old") == []


def test_sums_are_saved_with_their_run_or_not_at_all(store):
    claim = store.claim("support", hour(0), "a", START, LEASE)
    run = replace(calm(claim, measurements=()), seconds={"embed": float("inf")})
    with pytest.raises(ValueError, match="only finite numbers are stored"):
        store.save(claim, run, past=past())
    assert store.block_sums([claim.run_id]) == {}


def test_the_newest_stay_and_of_the_others_those_that_chance_drew(store):
    for n in range(110):
        save(store, n, past(keep=70, DE=b"x"))
    kept = numbers(store)
    assert set(range(110 - 64, 110)) <= set(kept)
    draws = {n: draw_of("support", hour(n).start) for n in range(110)}
    drawn = sorted(draws, key=draws.get)[:70]
    assert kept == sorted(set(drawn) | set(range(110 - 64, 110)))
    assert len(kept) < 110
    ids = [one.run_id for one in store.past_windows("support", "plan", SOON)]
    # Segments leave together with all traffic.
    with store._database.read() as connection:
        rows = connection.execute(sa.select(block_sums.c.run_id, block_sums.c.segment)).all()
    assert sorted(rows) == sorted((run, segment) for run in ids for segment in ("", "country=DE"))


def test_a_new_plan_is_not_thinned_by_the_sums_of_the_old_one(quick):
    for n in range(70):
        save(quick, n, past(plan="old", keep=64))
    for n in range(70, 140):
        save(quick, n, past(keep=70))
    assert numbers(quick) == list(range(70, 140))
    # Another monitor has its own.
    for n in range(3):
        save(quick, n, past(keep=64), monitor="other")
    assert len(numbers(quick)) == 70


def test_thinning_does_not_depend_on_when_windows_were_run(quick):
    for n in np.random.default_rng(1).permutation(90).tolist():
        save(quick, n, past(keep=64))
    drawn = sorted(range(90), key=lambda n: draw_of("support", hour(n).start))[:64]
    assert set(drawn) | set(range(26, 90)) <= set(numbers(quick))


@given(st.text(), st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - bounds are naive by contract
def test_draws_look_at_nothing_but_the_window(monitor, moment):
    start = moment.replace(tzinfo=UTC)
    draw = draw_of(monitor, start)
    assert 0 <= draw < 2**63
    assert draw == draw_of(monitor, start.astimezone(timezone(timedelta(hours=5, minutes=45))))
    assert draw != draw_of(monitor + "x", start)


def test_draws_are_fair():
    draws = np.array([draw_of("support", START + n * HOUR) / 2**63 for n in range(4_000)])
    assert abs(draws.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 4_000)
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 4 / np.sqrt(4_000)


def test_a_monitor_with_a_name_that_no_encoding_knows(store):
    save(store, 0, past(), monitor="\ud800")
    assert numbers(store, "\ud800") == [0]
