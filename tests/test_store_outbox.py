"""What is to be sent is sent: once, in the end, whatever dies or fails on the way."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from racing import in_processes
from run_examples import LEASE, SECOND, START, WEEK, draft, export, failed, finished, week

from monitor.errors import ClaimLost
from monitor.store import Delivery, DeliveryStatus, Due, Store
from monitor.store.outbox import wait

SAVED = START + timedelta(seconds=90, microseconds=5)
MINUTE = timedelta(minutes=1)


def saved(store, number=0, keys=None, destinations=("file",), monitor="support"):
    """A saved run that wishes for a ticket and an export at each destination."""
    claim = store.claim(monitor, week(number), "a", START, LEASE)
    run = finished(claim)
    key = keys or f"episode-{monitor}-{number}"
    store.save(
        claim,
        run,
        tickets=dict.fromkeys(destinations, draft(run, key)),
        exports=dict.fromkeys(destinations, export(run)),
    )
    return run


def test_wishes_come_back_as_they_were_made(store):
    run = saved(store, destinations=("file", "tracker"))
    assert store.due_tickets(SAVED - SECOND) == []
    assert store.due_tickets(SAVED) == [Due(to, draft(run, "episode-support-0"), 1) for to in ("file", "tracker")]
    assert store.due_exports(SAVED) == [Due(to, export(run), 1) for to in ("file", "tracker")]


def test_a_due_row_is_out_of_reach_until_its_lease_ends(store):
    saved(store)
    taken = store.due_tickets(SAVED, lease=MINUTE)
    assert store.due_tickets(SAVED + MINUTE - SECOND) == []
    # The process died between opening and marking: the same again, and the receiver knows the key.
    assert store.due_tickets(SAVED + MINUTE) == [replace(taken[0], attempt=2)]


def test_a_row_that_kills_its_process_waits_longer_each_time(store):
    saved(store)
    now = SAVED
    for minutes in (1, 1, 2, 4, 8, 16):
        assert len(store.due_tickets(now, lease=MINUTE)) == 1
        now += minutes * MINUTE
        assert store.due_tickets(now - SECOND, lease=MINUTE) == []


def test_sent_is_sent(store):
    saved(store)
    (ticket,), (file,) = store.due_tickets(SAVED), store.due_exports(SAVED)
    store.sent(ticket, "https://tracker.invalid/7", SAVED + MINUTE)
    store.sent(file, "/exports/support.parquet", SAVED + MINUTE)
    assert store.due_tickets(SAVED + WEEK) == []
    assert store.due_exports(SAVED + WEEK) == []
    assert [(t.status, t.location, t.sent_at) for t in store.tickets() + store.exports()] == [
        (DeliveryStatus.SENT, "https://tracker.invalid/7", SAVED + MINUTE),
        (DeliveryStatus.SENT, "/exports/support.parquet", SAVED + MINUTE),
    ]


def test_the_first_to_send_is_believed(store):
    saved(store)
    (slow,) = store.due_tickets(SAVED, lease=MINUTE)
    (fast,) = store.due_tickets(SAVED + MINUTE)
    store.sent(fast, "first", SAVED + MINUTE)
    store.sent(slow, "second", SAVED + 2 * MINUTE)
    store.not_sent(slow, "too late to matter", SAVED + 2 * MINUTE, permanent=True)
    assert [(t.status, t.location, t.error, t.failures) for t in store.tickets()] == [
        (DeliveryStatus.SENT, "first", "", 0)
    ]


def test_failures_push_the_row_further_and_further_ahead(store):
    saved(store)
    now = SAVED
    for attempt in range(1, 5):
        (ticket,) = store.due_tickets(now)
        assert ticket.attempt == attempt
        store.not_sent(ticket, f"tracker is down ({attempt})", now)
        after = timedelta(seconds=30 * 2 ** (attempt - 1))
        assert store.due_tickets(now + after - SECOND) == []
        now += after
    (row,) = store.tickets()
    assert (row.status, row.attempts, row.failures, row.error) == (DeliveryStatus.PENDING, 4, 4, "tracker is down (4)")
    assert row.due_at == now


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 30), (1, 30), (2, 60), (3, 120), (10, 15_360), (11, 21_600), (10**9, 21_600)]
)
def test_the_wait_doubles_up_to_six_hours(attempts, seconds):
    assert wait(attempts) == timedelta(seconds=seconds)


def test_what_no_repeat_can_heal_is_parked_and_seen_until_a_person_frees_it(store):
    saved(store)
    (ticket,) = store.due_tickets(SAVED)
    store.not_sent(ticket, "the token is refused", SAVED, permanent=True)
    assert store.due_tickets(SAVED + WEEK) == []
    assert [(t.status, t.error) for t in store.tickets()] == [(DeliveryStatus.PARKED, "the token is refused")]
    store.not_sent(ticket, "a slow twin fails too", SAVED + MINUTE)
    assert [(t.status, t.error) for t in store.tickets()] == [(DeliveryStatus.PARKED, "the token is refused")]
    assert store.unpark() == 1
    assert [one.attempt for one in store.due_tickets(SAVED + WEEK)] == [2]


def test_unparking_leaves_alone_what_is_sent_or_being_sent(store):
    for number in range(3):
        saved(store, number)
    sent, waiting, working = store.due_tickets(SAVED)
    store.not_sent(sent, "once", SAVED)
    store.sent(sent, "here", SAVED)
    store.not_sent(waiting, "down", SAVED)
    assert store.unpark() == 1
    assert [one.key for one in store.due_tickets(SAVED)] == [waiting.key]
    assert {t.key: t.status for t in store.tickets()}[working.key] is DeliveryStatus.PENDING


def test_the_same_key_opens_no_second_ticket(store):
    saved(store, 0, keys="episode")
    (ticket,) = store.due_tickets(SAVED)
    store.sent(ticket, "ticket 1", SAVED)
    saved(store, 1, keys="episode", destinations=("file", "tracker"))
    assert [(one.key, one.destination) for one in store.due_tickets(SAVED + WEEK)] == [("episode", "tracker")]
    assert [(t.destination, t.window) for t in store.tickets()] == [("file", week(0)), ("tracker", week(1))]


def test_a_lost_claim_wishes_for_nothing(store):
    zombie = store.claim("support", week(0), "a", START, LEASE)
    store.claim("support", week(0), "b", START + LEASE, LEASE)
    run = finished(zombie)
    with pytest.raises(ClaimLost):
        store.save(zombie, run, tickets={"file": draft(run)}, exports={"file": export(run)})
    assert store.tickets() == store.exports() == []


def test_a_failed_run_that_is_repeated_keeps_its_first_ticket(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, failed(claim), tickets={"file": draft(failed(claim))})
    again = store.claim("support", week(0), "a", START + LEASE, LEASE, retry_failed=True)
    store.save(
        again, finished(again), tickets={"file": draft(finished(again))}, exports={"file": export(finished(again))}
    )
    assert len(store.due_tickets(START + WEEK)) == 1
    assert store.due_exports(START + WEEK)[0].wish == export(finished(again))


def test_deliveries_are_listed_newest_first(store):
    for monitor, number in (("support", 0), ("sales", 0), ("support", 1)):
        saved(store, number, monitor=monitor)
    store.due_tickets(SAVED, limit=1, lease=MINUTE)
    run = store.run("support", START)
    expected = Delivery(
        key="episode-support-0",
        destination="file",
        monitor="support",
        run_id=run.id,
        window=week(0),
        title="Drift in support",
        status=DeliveryStatus.PENDING,
        attempts=0,
        failures=0,
        location="",
        error="",
        created_at=SAVED,
        due_at=SAVED,
        sent_at=None,
    )
    assert expected in store.tickets("support")
    assert [t.key for t in store.tickets("sales")] == ["episode-sales-0"]
    assert [t.monitor for t in store.exports("support")] == ["support", "support"]
    assert store.exports("support")[0].title == ""
    assert len(store.tickets(limit=2)) == 2


def test_the_limit_is_kept_and_the_oldest_go_first(store):
    for number in range(5):
        saved(store, number)
    keys = [f"episode-support-{n}" for n in range(5)]
    assert [t.key for t in store.due_tickets(SAVED, limit=2)] == keys[:2]
    assert [t.key for t in store.due_tickets(SAVED, limit=9)] == keys[2:]


def send_all(url, barrier, number, results):
    """Send what is due until nothing is left."""
    mine = []
    with Store.open(url) as store:
        barrier.wait(30)
        while batch := store.due_tickets(SAVED, limit=3):
            mine += [(one.key, os.getpid()) for one in batch]
            for one in batch:
                store.sent(one, f"by {number}", SAVED)
    results.put(mine)


def test_eight_processes_send_each_ticket_once(store, database_url):
    for number in range(60):
        saved(store, number)
    found = [pair for mine in in_processes(8, send_all, database_url) for pair in mine]
    assert sorted(key for key, _ in found) == sorted(f"episode-support-{n}" for n in range(60))
    assert {t.status for t in store.tickets()} == {DeliveryStatus.SENT}
