"""What is to be sent is sent: once, in the end, whatever dies or fails on the way."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from forked import in_processes
from run_examples import LEASE, SECOND, START, WEEK, export, failed, finished, open_ticket, tickets, week, wish

from monitor.errors import ClaimLost
from monitor.store import Delivery, DeliveryStatus, Due, Store
from monitor.store.outbox import wait
from monitor.values import Baseline, Known, Said, Silence

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
        tickets=tickets(run, key, destinations),
        exports=dict.fromkeys(destinations, export(run)),
    )
    return run


def test_wishes_come_back_as_they_were_made(store):
    run = saved(store, destinations=("file", "tracker"))
    assert store.due_tickets(SAVED - SECOND) == []
    assert store.due_tickets(SAVED) == [
        Due(to, wish(run, "episode-support-0"), 1, revision=1) for to in ("file", "tracker")
    ]
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
    open_ticket(store, ticket, "https://tracker.invalid/7", SAVED + MINUTE)
    store.sent(file, "/exports/support.parquet", SAVED + MINUTE)
    assert store.due_tickets(SAVED + WEEK) == []
    assert store.due_exports(SAVED + WEEK) == []
    assert [(t.status, t.location, t.sent_at) for t in store.tickets() + store.exports()] == [
        (DeliveryStatus.SENT, "https://tracker.invalid/7", SAVED + MINUTE),
        (DeliveryStatus.SENT, "/exports/support.parquet", SAVED + MINUTE),
    ]


def test_the_first_to_send_is_believed(store):
    saved(store)
    (slow,) = store.due_exports(SAVED, lease=MINUTE)
    (fast,) = store.due_exports(SAVED + MINUTE)
    store.sent(fast, "first", SAVED + MINUTE)
    store.sent(slow, "second", SAVED + 2 * MINUTE)
    store.not_sent(slow, "too late to matter", SAVED + 2 * MINUTE, permanent=True)
    assert [(t.status, t.location, t.error, t.failures) for t in store.exports()] == [
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
    (sent,) = store.due_tickets(SAVED + MINUTE)
    open_ticket(store, sent, "here", SAVED + MINUTE)
    store.not_sent(waiting, "down", SAVED)
    assert store.unpark() == 1
    assert [one.key for one in store.due_tickets(SAVED)] == [waiting.key]
    assert {t.key: t.status for t in store.tickets()}[working.key] is DeliveryStatus.PENDING


def test_the_same_key_is_the_same_ticket_and_due_again(store):
    saved(store, 0, keys="episode")
    (ticket,) = store.due_tickets(SAVED)
    open_ticket(store, ticket, "ticket 1", SAVED)
    assert store.due_tickets(SAVED + WEEK) == []
    run = saved(store, 1, keys="episode", destinations=("file", "tracker"))
    again, new = store.due_tickets(SAVED + WEEK)
    assert (again.destination, again.wish, again.revision, again.attempt) == ("file", wish(run, "episode"), 2, 1)
    assert again.known == Known("ticket 1", open=True)
    assert (new.destination, new.known, new.revision) == ("tracker", Known(), 1)
    assert [(t.destination, t.location, t.window) for t in store.tickets()] == [
        ("file", "ticket 1", week(1)),
        ("tracker", "", week(1)),
    ]


def test_what_is_asked_while_it_is_being_sent_is_sent_next(store):
    saved(store, 0, keys="episode")
    (working,) = store.due_tickets(SAVED)
    saved(store, 1, keys="episode")
    assert store.due_tickets(SAVED) == []
    open_ticket(store, working, "ticket 1", SAVED + MINUTE)
    (next_,) = store.due_tickets(SAVED + MINUTE)
    assert next_.known == Known("ticket 1", open=True)
    open_ticket(store, next_, "ticket 1", SAVED + MINUTE)
    assert store.due_tickets(SAVED + WEEK) == []


def test_how_a_ticket_was_left_is_kept_step_by_step(store):
    saved(store)
    (ticket,) = store.due_tickets(SAVED, lease=MINUTE)
    known = Known("ticket 1", open=True, told=frozenset({"b", "a"}))
    store.keep_ticket(ticket, known)
    # Its process died: whoever comes next knows how far it had come.
    assert [one.known for one in store.due_tickets(SAVED + MINUTE)] == [known]


def test_a_parked_ticket_takes_up_what_is_new_and_waits_for_a_person(store):
    saved(store, 0, keys="episode")
    (ticket,) = store.due_tickets(SAVED)
    store.not_sent(ticket, "the token is refused", SAVED, permanent=True)
    run = saved(store, 1, keys="episode")
    assert store.due_tickets(SAVED + WEEK) == []
    store.unpark()
    assert [one.wish for one in store.due_tickets(SAVED + WEEK)] == [wish(run, "episode")]


def test_comments_are_kept_once_in_the_order_they_were_said(store):
    said = [Said("1 changed", ("Class balance has drifted too.",)), Said("2 over", ("It is over.",), lasting=True)]
    for number, notes in ((0, ()), (1, said[:1]), (2, said)):
        claim = store.claim("support", week(number), "a", START + number * WEEK, LEASE)
        run = finished(claim)
        store.save(claim, run, tickets=[("file", wish(run, notes=tuple(notes)))])
    (ticket,) = store.due_tickets(SAVED + 3 * WEEK)
    assert ticket.wish.notes == tuple(said)
    (episode,) = store.living("support")
    assert (episode.run_id, episode.told_run) == (run.id, run.id)
    assert not store.tell("episode-1", said[0], SAVED)
    assert not store.tell("no such episode", said[0], SAVED)
    open_ticket(store, ticket, "ticket 1", SAVED + 3 * WEEK)
    assert store.tell("episode-1", Said("verified", ("The new model breaks nothing.",), lasting=True), SAVED + 4 * WEEK)
    (ticket,) = store.due_tickets(SAVED + 4 * WEEK)
    assert [note.key for note in ticket.wish.notes] == ["1 changed", "2 over", "verified"]


def test_a_silence_counts_until_it_runs_out_or_is_lifted(store):
    def said(key, hours):
        return Silence("support", SAVED + timedelta(hours=hours), "kim", "known", SAVED, key)

    store.silence(said("", 1))
    store.silence(said("episode", 3))
    store.silence(said("episode", 2))
    assert store.silenced(SAVED) == {"support": said("episode", 2)}
    assert store.silenced(SAVED + timedelta(hours=2)) == {}
    assert store.lift_silence("support") == 2
    assert store.silenced(SAVED) == {}


def test_what_a_person_asked_for_is_done_with_the_marking(store):
    run = saved(store)
    (ticket,) = store.due_tickets(SAVED)
    accepted = Baseline(
        "support", run.window.start, "label on 7", "label accepted", SAVED, None, {"mmd embeddings ": 0.25}
    )
    silence = Silence("support", SAVED + WEEK, "label on 7", "label wont-fix", SAVED, ticket.key)
    left = Known("7", open=True, labels=frozenset({"accepted", "wont-fix"}))
    store.settled(ticket, left, SAVED, baseline=accepted, silence=silence)
    assert list(store.baselines("support", week(1).end)) == [accepted]
    assert store.silenced(SAVED) == {"support": silence}
    saved(store, 1, keys=ticket.key)
    (again,) = store.due_tickets(SAVED + WEEK)
    assert again.known == left
    store.settled(again, Known("7", open=True), SAVED, lifted=True)
    assert store.silenced(SAVED) == {}


def test_a_lost_claim_wishes_for_nothing(store):
    zombie = store.claim("support", week(0), "a", START, LEASE)
    store.claim("support", week(0), "b", START + LEASE, LEASE)
    run = finished(zombie)
    with pytest.raises(ClaimLost):
        store.save(zombie, run, tickets=tickets(run, destinations=["file"]), exports={"file": export(run)})
    assert store.tickets() == store.exports() == []


def test_a_failed_run_that_is_repeated_keeps_its_first_ticket(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, failed(claim), tickets=tickets(failed(claim), destinations=["file"]))
    again = store.claim("support", week(0), "a", START + LEASE, LEASE, retry_failed=True)
    store.save(
        again,
        finished(again),
        tickets=tickets(finished(again), destinations=["file"]),
        exports={"file": export(finished(again))},
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
                open_ticket(store, one, f"by {number}", SAVED)
    results.put(mine)


def test_eight_processes_send_each_ticket_once(store, database_url):
    for number in range(60):
        saved(store, number)
    found = [pair for mine in in_processes(8, send_all, database_url) for pair in mine]
    assert sorted(key for key, _ in found) == sorted(f"episode-support-{n}" for n in range(60))
    assert {t.status for t in store.tickets()} == {DeliveryStatus.SENT}
