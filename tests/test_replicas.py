"""A replica that was cut off comes back: it saves nothing, sends nothing, and says so in one line."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

import psutil
import pytest
from crash_worker import work
from forked import Forked
from run_examples import LEASE, SECOND, START, export, finished, tickets, week, wish
from shop import DAY, FIRST, desk, open_shop, window

from monitor.errors import LeaseLost
from monitor.pipeline import run_window
from monitor.store import DeliveryStatus, Store
from monitor.tickets.living import settle
from monitor.values import Baseline, Known, RunStatus, Silence, State

MINUTE = timedelta(minutes=1)
SAVED = START + timedelta(seconds=90, microseconds=5)
AT = FIRST + 30 * DAY


@contextmanager
def stopped_worker(folder, url, step):
    """A worker that stands still before this step, as a frozen machine does."""
    worker = Forked(work, folder, url, f"stop:{step}", AT)
    process = psutil.Process(worker.pid)
    while process.status() != psutil.STATUS_STOPPED:
        assert process.status() != psutil.STATUS_ZOMBIE, worker.end(60)
        time.sleep(0.01)
    try:
        yield worker
    finally:
        worker.kill()


@pytest.mark.parametrize("step", ["embed", "save", "send", "mark"])
def test_a_replica_that_stood_still_for_longer_than_its_lease(tmp_path, step):
    stand_still(tmp_path, step, f"sqlite:///{tmp_path}/monitor.db")


@pytest.mark.parametrize("step", ["save", "mark"])
def test_a_replica_that_stood_still_on_postgresql(tmp_path, step, postgres_database):
    stand_still(tmp_path, step, postgres_database)


def stand_still(tmp_path, step, url):
    _, store, _ = open_shop(tmp_path, url)
    (tmp_path / "clock").write_text(AT.isoformat())
    with stopped_worker(tmp_path, url, step) as zombie:
        (tmp_path / "clock").write_text((AT + timedelta(hours=1)).isoformat())
        status, said, told = Forked(work, tmp_path, url, "", AT).end()
        unsaved = step not in {"send", "mark"}
        assert (status, said) == (0, "ran\n" if unsaved else "left\n"), told
        before = (store.runs("shop"), [(one.status, one.location, one.sent_at) for one in store.exports("shop")])
        os.kill(zombie.pid, signal.SIGCONT)
        status, said, told = zombie.end(60)
    assert (status, said) == (0, "left\n" if unsaved else "ran\n"), told
    assert "Traceback" not in told
    assert told.count("took it over; nothing is saved here") + told.count("another process took it over") in {0, 1}
    assert (store.runs("shop"), [(one.status, one.location, one.sent_at) for one in store.exports("shop")]) == before
    (run,) = store.runs("shop")
    assert (run.status, run.decision.state, run.attempt) == (RunStatus.DONE, State.DRIFTED, 2 if unsaved else 1)
    (ticket,) = store.tickets("shop")
    assert ticket.status is DeliveryStatus.SENT
    assert [str(p) for p in (tmp_path / "tickets").glob("*.md")] == [ticket.location]
    store.close()


def test_a_lost_run_is_one_line_and_no_failed_run(tmp_path, database_url, caplog):
    """Taken over while it runs: by a replica whose clock, the database's, says that the lease is over."""
    _, store, monitor = open_shop(tmp_path, database_url)

    def taken_over(name):
        if name == "detect":
            store.claim("shop", window(2), "heir", AT + 2 * MINUTE, MINUTE)

    with caplog.at_level(logging.INFO, logger="monitor"):
        assert run_window(monitor, window(2), desk(store, at=AT, step=taken_over)) is None
    (line,) = [record for record in caplog.records if record.name == "monitor.run"]
    assert (line.levelname, line.getMessage()) == ("WARNING", "run lost")
    (run,) = store.runs("shop")
    assert (run.status, run.claimed_by, run.attempt, run.decision) == (RunStatus.RUNNING, "heir", 2, None)
    assert store.tickets("shop") == store.exports("shop") == []
    store.close()


def leased_twice(store, ask):
    """A wish that a slow process has leased, and then a fast one."""
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    store.save(claim, run, tickets=tickets(run), exports={"file": export(run)})
    (slow,) = ask(SAVED, lease=MINUTE)
    (fast,) = ask(SAVED + MINUTE, lease=MINUTE)
    return slow, fast


def test_a_late_sender_may_neither_keep_nor_hold_nor_fail(store):
    slow, fast = leased_twice(store, store.due_tickets)
    late = (
        r"episode-1 is no longer this process's to send to file: it was held up for longer than its lease and another"
    )
    with pytest.raises(LeaseLost, match=late):
        store.hold(slow, SAVED + MINUTE)
    with pytest.raises(LeaseLost, match=late):
        store.keep_ticket(slow, Known("ticket 9", open=True))
    store.not_sent(slow, "it hung", SAVED + MINUTE, permanent=True)
    (left,) = store.tickets()
    assert (left.status, left.location, left.failures) == (DeliveryStatus.PENDING, "", 0)
    store.keep_ticket(fast, Known("ticket 1", open=True))
    assert store.settled(fast, Known("ticket 1", open=True), SAVED + MINUTE)


def test_what_a_late_sender_wrote_last_is_put_right(store):
    slow, fast = leased_twice(store, store.due_tickets)
    assert store.settled(fast, Known("ticket 1", open=True), SAVED + MINUTE)
    accepted = Baseline("support", START, "label", "label accepted", SAVED, None, {"mmd embeddings ": 0.25})
    silence = Silence("support", SAVED + LEASE, "label", "label wont-fix", SAVED, slow.key)
    late = Known("ticket 0", open=False, by_hand=True)
    assert not store.settled(slow, late, SAVED + 2 * MINUTE, baseline=accepted, silence=silence)
    assert list(store.baselines("support", week(1).end)) == []
    assert store.silenced(SAVED) == {}
    # The words out there may be the late one's; how it was left is the fast one's.
    (again,) = store.due_tickets(SAVED + 2 * MINUTE)
    assert again.known == Known("ticket 1", open=True)


def test_a_late_sender_makes_the_one_at_work_look_again(store):
    slow, fast = leased_twice(store, store.due_tickets)
    assert not store.settled(slow, Known("ticket 0", open=True), SAVED + MINUTE)
    assert store.due_tickets(SAVED + MINUTE) == []
    assert store.settled(fast, Known("ticket 1", open=True), SAVED + MINUTE)
    (again,) = store.due_tickets(SAVED + MINUTE)
    assert again.known.location == "ticket 1"


def test_holding_on_to_what_is_due(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    store.save(claim, run, exports={"file": export(run)})
    (due,) = store.due_exports(SAVED, lease=LEASE)
    assert store.hold(due, SAVED + SECOND, LEASE).until == SAVED + LEASE
    longer = store.hold(due, SAVED + LEASE - SECOND, LEASE)
    assert longer.until == SAVED + 2 * LEASE - SECOND
    assert store.due_exports(SAVED + LEASE) == []
    # Nobody else wanted it.
    assert store.hold(longer, SAVED + 9 * LEASE, LEASE).until == SAVED + 10 * LEASE
    with pytest.raises(LeaseLost):
        store.hold(due, SAVED + 9 * LEASE, LEASE)


class Tracker:
    """Where tickets are opened; somebody else takes the lease over while it is asked whether there is one."""

    def __init__(self):
        self.made = []

    def find(self, draft, location):
        return None

    def create(self, draft):
        self.made.append(draft)


def test_no_ticket_is_opened_by_who_lost_it_while_looking_for_one(store):
    slow, _ = leased_twice(store, store.due_tickets)
    tracker = Tracker()
    with pytest.raises(LeaseLost):
        settle(tracker, wish(store.runs()[0]), slow.known, hold=lambda: store.hold(slow, SAVED + 2 * MINUTE, MINUTE))
    assert tracker.made == []


def test_every_time_that_replicas_compare_is_the_databases(tmp_path, postgres_database):
    """A replica whose own clock is an hour wrong claims and leases by the database's."""
    with Store.open(postgres_database) as store:
        store.upgrade()
        now = store.now()
    script = (
        "import sys, time, datetime as d\n"
        "real = d.datetime\n"
        "class Wrong(real):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None): return real.now(tz) + d.timedelta(hours=float(sys.argv[2]))\n"
        "d.datetime = Wrong\n"
        "wrong, time.time = time.time, lambda: wrong() + 3600 * float(sys.argv[2])\n"
        "from monitor.store import Store\n"
        "print(Store.open(sys.argv[1]).now().timestamp())\n"
    )
    for hours in ("-1", "1"):
        command = [sys.executable, "-c", script, postgres_database, hours]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert abs(float(told) - now.timestamp()) < 600
