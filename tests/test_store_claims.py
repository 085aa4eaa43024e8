"""Who may run a window: one of many, a successor when the first dies, and never two that save."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from forked import FORKS, in_processes
from run_examples import LEASE, SECOND, START, WEEK, calm, failed, finished, week

from monitor.errors import ClaimLost, StoreError
from monitor.store import Store, outbox
from monitor.values import RunStatus, Window


def race(url, barrier, number, results):
    with Store.open(url) as store:
        barrier.wait(30)
        claim = store.claim("support", week(0), f"w{number}", START, LEASE)
        results.put(None if claim is None else (number, claim.worker, claim.attempt))


def test_of_sixteen_processes_one_wins(store, database_url):
    found = in_processes(16, race, database_url)
    winners = [one for one in found if one is not None]
    assert len(winners) == 1
    number, worker, attempt = winners[0]
    run = store.run("support", START)
    assert (run.claimed_by, worker, run.attempt, attempt) == (f"w{number}", f"w{number}", 1, 1)


def test_of_eight_successors_one_wins(store, database_url):
    store.claim("support", week(0), "dead", START - LEASE, LEASE)
    winners = [one for one in in_processes(8, race, database_url) if one is not None]
    assert [attempt for _, _, attempt in winners] == [2]


def hang_while_saving(url, reached):
    """Claim, write the results, and never come to the commit."""
    outbox.wish = lambda *args: (reached.set(), time.sleep(600))
    with Store.open(url) as store:
        claim = store.claim("support", week(0), "doomed", START, LEASE)
        store.save(claim, finished(claim))


def test_a_process_killed_while_it_saves_leaves_nothing_but_its_claim(store, database_url):
    reached = FORKS.Event()
    process = FORKS.Process(target=hang_while_saving, args=(database_url, reached))
    process.start()
    assert reached.wait(60)
    process.kill()
    process.join(60)
    left = store.run("support", START)
    assert (left.status, left.claimed_by, left.measurements, left.candidates) == (RunStatus.RUNNING, "doomed", (), ())
    heir = store.claim("support", week(0), "heir", START + LEASE, LEASE)
    store.save(heir, finished(heir))
    assert store.run("support", START) == finished(heir)


def test_a_claim_says_all_there_is_to_know(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    assert (claim.monitor, claim.window, claim.worker, claim.attempt) == ("support", week(0), "a", 1)
    assert (claim.started_at, claim.lease_until) == (START, START + LEASE)
    run = store.run("support", START)
    assert (run.id, run.status, run.started_at, run.finished_at) == (claim.run_id, RunStatus.RUNNING, START, None)


def test_ids_are_the_same_everywhere_and_differ_between_windows(store):
    first = store.claim("support", week(0), "a", START, LEASE)
    local = timezone(timedelta(hours=5, minutes=30))
    again = Window(week(0).start.astimezone(local), week(0).end.astimezone(local))
    taken = store.claim("support", again, "b", START + LEASE, LEASE)
    assert (taken.run_id, taken.attempt) == (first.run_id, 2)
    store.save(taken, calm(taken))
    others = [store.claim("support", week(1), "a", START, LEASE), store.claim("other", week(0), "a", START, LEASE)]
    assert len({first.run_id, *(one.run_id for one in others)}) == 3


def test_a_lease_is_respected_until_it_ends(store):
    store.claim("support", week(0), "a", START, LEASE)
    assert store.claim("support", week(0), "b", START + LEASE - SECOND, LEASE) is None
    taken = store.claim("support", week(0), "b", START + LEASE, LEASE)
    assert (taken.worker, taken.attempt, taken.lease_until) == ("b", 2, START + 2 * LEASE)


def test_renewing_keeps_others_out(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    renewed = store.renew(claim, START + LEASE / 2, LEASE)
    assert renewed == replace(claim, lease_until=START + LEASE * 1.5)
    assert store.claim("support", week(0), "b", START + LEASE, LEASE) is None


def test_a_zombie_can_neither_renew_nor_save(store):
    zombie = store.claim("support", week(0), "a", START, LEASE)
    heir = store.claim("support", week(0), "b", START + LEASE, LEASE)
    lost = (
        r"the window 2026-01-05T00:00:00\+00:00/2026-01-12T00:00:00\+00:00 of support is no longer attempt 1 of a: its "
        r"lease ended and another process took it over; nothing is saved here"
    )
    with pytest.raises(ClaimLost, match=lost):
        store.renew(zombie, START + LEASE, LEASE)
    with pytest.raises(ClaimLost, match=lost):
        store.save(zombie, finished(zombie))
    assert store.run("support", START).measurements == ()
    store.save(heir, finished(heir))
    with pytest.raises(ClaimLost):
        store.save(zombie, failed(zombie))
    assert store.run("support", START) == finished(heir)


def test_an_owner_that_slept_but_was_not_replaced_may_still_save(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, finished(claim, finished_at=START + 10 * LEASE))
    assert store.run("support", START).status is RunStatus.DONE


def test_saving_twice_is_refused(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, calm(claim))
    with pytest.raises(ClaimLost):
        store.save(claim, finished(claim))
    assert store.run("support", START) == calm(claim)


def test_done_is_done(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, finished(claim))
    assert store.claim("support", week(0), "b", START + 9 * LEASE, LEASE, retry_failed=True) is None


def test_a_failed_window_runs_again_only_when_asked(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, failed(claim))
    assert store.run("support", START) == failed(claim)
    later = START + 9 * LEASE
    assert store.claim("support", week(0), "b", later, LEASE) is None
    again = store.claim("support", week(0), "b", later, LEASE, retry_failed=True)
    assert again.attempt == 2
    running = store.run("support", START)
    assert (running.status, running.error, running.decision, running.started_at) == (RunStatus.RUNNING, "", None, later)
    store.save(again, finished(again))
    assert store.run("support", START) == finished(again)


def test_a_window_given_back_is_free_at_once(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.release(claim)
    assert store.unfinished("support", START) == [week(0)]
    heir = store.claim("support", week(0), "b", START + SECOND, LEASE)
    assert heir.attempt == 2
    store.release(claim)
    assert store.claim("support", week(0), "c", START + 2 * SECOND, LEASE) is None


def test_what_the_dead_left_is_found_even_behind_the_watermark(store):
    claim = store.claim("support", week(3), "b", START, LEASE)
    store.save(claim, finished(claim))
    for number in (2, 0):
        store.release(store.claim("support", week(number), "dead", START, LEASE))
    last = store.claim("support", week(0), "dead", START, LEASE)
    store.claim("other", week(1), "dead", START, LEASE)
    assert store.unfinished("support", START) == [week(2)]
    store.renew(last, START + SECOND, LEASE)
    assert store.unfinished("support", START + LEASE) == [week(2)]
    assert store.unfinished("support", START + LEASE + SECOND) == [week(0), week(2)]
    assert store.watermark("support") == START + 4 * WEEK


def test_windows_of_a_monitor_run_one_at_a_time_and_in_order(store):
    first = store.claim("support", week(1), "a", START, LEASE)
    assert store.claim("support", week(2), "b", START, LEASE) is None
    assert store.claim("support", week(0), "b", START, LEASE) is None
    assert store.claim("other", week(2), "b", START, LEASE) is not None
    # Its process is dead: what it left comes first.
    assert store.claim("support", week(2), "b", START + LEASE, LEASE) is None
    heir = store.claim("support", week(1), "b", START + LEASE, LEASE)
    assert (heir.attempt, first.attempt) == (2, 1)
    store.save(heir, finished(heir))
    assert store.claim("support", week(2), "b", START + LEASE, LEASE).attempt == 1
    # Earlier than one that was left unfinished.
    assert store.claim("support", week(0), "a", START + 2 * LEASE, LEASE) is not None


def race_for_any(url, barrier, number, results):
    with Store.open(url) as store:
        barrier.wait(30)
        claim = store.claim("support", week(number), f"w{number}", START, LEASE)
        results.put(None if claim is None else number)


def test_of_eight_windows_of_a_monitor_one_is_run(store, database_url):
    found = in_processes(8, race_for_any, database_url)
    assert len([one for one in found if one is not None]) == 1
    assert len(store.runs("support")) == 1


def linger_while_saving(url, reached):
    """Come as far as the commit, and stay there for a while."""
    outbox.wish = lambda *args: (reached.set(), time.sleep(1))
    with Store.open(url) as store:
        claim = store.claim("support", week(0), "stopped", START, LEASE)
        store.save(claim, finished(claim))


def test_a_process_that_stands_still_in_the_middle_of_saving_holds_nobody_up(postgres_database):
    """Its transaction has the row; those who would take the window over are told no, and do not wait. SQLite has one writer."""
    with Store.open(postgres_database) as store:
        store.upgrade()
        stand_still_while_saving(store, postgres_database)


def stand_still_while_saving(store, database_url):
    reached = FORKS.Event()
    process = FORKS.Process(target=linger_while_saving, args=(database_url, reached))
    process.start()
    assert reached.wait(60)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert store.claim("support", week(0), "heir", START + LEASE, LEASE) is None
    finally:
        os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode == 0
    assert store.run("support", START).claimed_by == "stopped"


def test_what_is_left_behind_and_how_far_windows_have_come(store):
    store.claim("support", week(0), "dead", START, LEASE)
    broken = store.claim("other", week(0), "a", START, LEASE)
    store.save(broken, failed(broken))
    assert store.left_behind(START + LEASE - SECOND) == set()
    assert store.left_behind(START + LEASE) == {"support"}
    (one,) = store.attempts("support", limit=5)
    assert (one.window, one.status, one.failures, one.failed_at) == (week(0), RunStatus.RUNNING, 0, None)
    again = store.claim("other", week(0), "a", START + LEASE, LEASE, retry_failed=True)
    store.save(again, failed(again))
    (one,) = store.attempts("other", limit=5)
    assert (one.status, one.failures, one.failed_at) == (RunStatus.FAILED, 2, failed(again).finished_at)


def test_naive_times_are_refused_before_anything_is_written(store):
    naive = datetime(2026, 1, 5)  # noqa: DTZ001 - the point of this test
    with pytest.raises(
        ValueError, match=r"^time 2026-01-05T00:00:00 has no time zone; give an offset, for example \+00:00$"
    ):
        store.claim("support", week(0), "a", naive, LEASE)
    assert store.runs() == []
    claim = store.claim("support", week(0), "a", START, LEASE)
    with pytest.raises(ValueError, match="has no time zone"):
        store.save(claim, finished(claim, started_at=naive))
    with pytest.raises(ValueError, match="has no time zone"):
        store.run("support", naive)
    assert store.run("support", START).status is RunStatus.RUNNING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "x"}, "is not that of the claim"),
        ({"attempt": 7}, "is not that of the claim"),
        ({"status": RunStatus.RUNNING}, "is saved finished, with its decision and finishing time"),
        ({"finished_at": None}, "is saved finished, with its decision and finishing time"),
        ({"decision": None}, "is saved finished, with its decision and finishing time"),
    ],
)
def test_only_the_claimed_and_finished_run_is_saved(store, change, message):
    claim = store.claim("support", week(0), "a", START, LEASE)
    with pytest.raises(ValueError, match=message):
        store.save(claim, finished(claim, **change))
    assert store.run("support", START).status is RunStatus.RUNNING


def test_the_clock_is_the_databases(store):
    assert abs(store.now() - datetime.now(store.now().tzinfo)) < timedelta(minutes=1)
    assert store.now().utcoffset() == timedelta(0)


def test_claim_lost_is_a_store_error():
    assert issubclass(ClaimLost, StoreError)
