"""Connections that break, servers that restart, answers that are lost: ridden out, and each change made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from conftest import free_port, run_checked
from run_examples import LEASE, SECOND, START, calm, export, finished, tickets, week
from starlette.testclient import TestClient
from tcp_proxy import Proxy

from monitor.awaiting import wait_for_store
from monitor.errors import StoreError, StoreUnavailable
from monitor.serve import application
from monitor.store import DeliveryStatus, Store, postgres, schema
from monitor.values import Baseline, Known

SAVED = START + timedelta(seconds=90, microseconds=5)


def through(proxy, url):
    parts = urlsplit(url)
    return url.replace(f":{parts.port}", f":{proxy.port}")


@pytest.fixture
def proxy(postgres_database):
    with Proxy(urlsplit(postgres_database).port) as made:
        yield made


@pytest.fixture
def far(proxy, postgres_database):
    """A store behind the proxy."""
    with Store.open(through(proxy, postgres_database)) as opened:
        opened.upgrade()
        yield opened


def claimed(store, number=0):
    return store.claim("support", week(number), "a", START, LEASE)


def test_a_cut_connection_is_not_noticed(far, proxy):
    for _ in range(3):
        assert proxy.cut() >= 1
        assert far.runs() == []


def test_a_server_that_is_away_for_a_moment_is_waited_for(far, proxy):
    proxy.refuse()
    threading.Timer(0.7, proxy.accept).start()
    assert claimed(far).attempt == 1
    assert proxy.accepted > 3


def test_patience_ends(proxy, postgres_database):
    with Store.open(through(proxy, postgres_database), patience=timedelta(seconds=0.3)) as store:
        store.upgrade()
        proxy.refuse()
        with pytest.raises(StoreUnavailable, match=r"it cannot be reached; check that the server runs, host and port$"):
            store.runs()
        assert proxy.accepted > 3
        seen = proxy.accepted
        with pytest.raises(StoreUnavailable):
            store.without_patience().runs()
        assert proxy.accepted == seen + 1


def test_hurry_ends_a_wait_under_way(far, proxy):
    proxy.refuse()
    threading.Timer(0.3, far.hurry).start()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        far.runs()
    assert time.monotonic() - began < 30, "a minute is the patience of a store"


@pytest.mark.parametrize("when", ["before", "after"])
class TestALostCommit:
    """The connection breaks just before the COMMIT reaches the server, or just before its answer gets back."""

    def test_of_a_claim(self, far, proxy, when):
        proxy.lose(b"COMMIT", when)
        claim = claimed(far)
        assert (claim.attempt, proxy.lost) == (1, 1)
        assert far.claim("support", week(0), "b", START + SECOND, LEASE) is None
        far.save(claim, finished(claim))

    def test_of_a_takeover(self, far, proxy, when):
        claimed(far)
        proxy.lose(b"COMMIT", when)
        heir = far.claim("support", week(0), "b", START + LEASE, LEASE)
        assert (heir.attempt, heir.worker, proxy.lost) == (2, "b", 1)

    def test_of_a_run(self, far, proxy, when):
        claim = claimed(far)
        run = finished(claim)
        proxy.lose(b"COMMIT", when)
        far.save(claim, run, tickets=tickets(run), exports={"file": export(run)}, masked={"email": 3})
        assert proxy.lost == 1
        assert far.run("support", START) == run
        assert (len(far.tickets()), len(far.exports())) == (1, 1)
        assert far.overview()[0].redactions == {("report", "report", "email"): 3}

    def test_of_a_lease_on_what_is_due(self, far, proxy, when):
        claim = claimed(far)
        run = finished(claim)
        far.save(claim, run, exports={"file": export(run)})
        proxy.lose(b"COMMIT", when)
        (due,) = far.due_exports(SAVED)
        assert proxy.lost == 1
        proxy.lose(b"COMMIT", when)
        due = far.hold(due, SAVED + LEASE, LEASE)
        assert proxy.lost == 2
        far.sent(due, "there", SAVED + LEASE)
        assert far.exports()[0].status is DeliveryStatus.SENT

    def test_of_a_ticket_that_is_settled(self, far, proxy, when):
        claim = claimed(far)
        run = finished(claim)
        far.save(claim, run, tickets=tickets(run))
        (due,) = far.due_tickets(SAVED)
        accepted = Baseline("support", START, "label", "label accepted", SAVED, None, {"mmd embeddings ": 0.25})
        proxy.lose(b"COMMIT", when)
        far.settled(due, Known("ticket 1", open=True), SAVED, baseline=accepted)
        assert proxy.lost == 1
        assert list(far.baselines("support", week(1).end)) == [accepted]
        (ticket,) = far.tickets()
        assert ticket.location == "ticket 1"


def test_a_run_that_another_took_over_is_not_taken_for_a_lost_answer(far, proxy):
    zombie = claimed(far)
    heir = far.claim("support", week(0), "b", START + LEASE, LEASE)
    far.save(heir, calm(heir))
    proxy.lose(b"COMMIT", "before")
    with pytest.raises(StoreError, match="nothing is saved here"):
        far.save(zombie, finished(zombie))


def test_two_that_are_in_each_others_way_both_get_through(postgres_database):
    """A deadlock: the server ends one of the two, which does its transaction again."""
    with Store.open(postgres_database) as store:
        store.upgrade()
        claim, other = claimed(store), store.claim("sales", week(0), "a", START, LEASE)
        both, met = iter([1, 1]), threading.Barrier(2)

        def crossed(one, two):
            with store._database.write() as connection:
                for number, run in enumerate((one, two)):
                    connection.execute(
                        sa.text("UPDATE runs SET error = error || 'x' WHERE id = :id"), {"id": run.run_id}
                    )
                    if number == 0 and next(both, None):
                        met.wait(30)

        failed = []

        def work(one, two):
            from monitor.store.patience import _patient  # noqa: PLC0415 - what every method of the store goes through

            try:
                _patient(lambda self: crossed(one, two))(store)
            except StoreError as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=pair) for pair in ((claim, other), (other, claim))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert {run.error for run in store.runs()} == {"xx"}


def test_a_silent_network_is_given_up_and_connected_past(proxy, postgres_database, monkeypatch):
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 1)
    with Store.open(through(proxy, postgres_database)) as store:
        store.upgrade()
        proxy.silence()
        threading.Timer(1.5, lambda: (proxy.cut(), proxy.accept())).start()
        assert store.runs() == []


def test_a_process_that_says_nothing_in_the_middle_of_a_change_loses_it(postgres_database, monkeypatch):
    words = "the connection was idle in the middle of a change for too long and was cut; run again$"
    with Store.open(postgres_database) as other, Store.open(postgres_database) as store:
        # Before the limit: on a busy machine the steps of an upgrade may lie further apart.
        other.upgrade()
        claim = claimed(other)
        monkeypatch.setattr(postgres, "IDLE_SECONDS", 1)

        def hang():
            with store._database.write() as connection:
                connection.execute(sa.text("UPDATE runs SET error = 'half'"))
                time.sleep(1.6)
                connection.execute(sa.text("SELECT 1"))

        with pytest.raises(StoreUnavailable, match=words):
            hang()
        # Its locks are free.
        other.save(claim, finished(claim))
        assert other.run("support", START).error == ""


def test_a_statement_that_takes_too_long_is_cancelled_and_not_repeated(postgres_database, monkeypatch):
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 1)
    with Store.open(postgres_database) as store:

        def sleep():
            with store._database.read() as connection:
                connection.execute(sa.text("SELECT pg_sleep(30)"))

        with pytest.raises(StoreError, match="a statement took too long and was cancelled") as caught:
            sleep()
        assert not isinstance(caught.value, StoreUnavailable)
        # A change of the schema may take its time.
        store.upgrade()


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ("postgresql://u@one,two/db?target_session_attrs=read-write", "one,two", ","),
        ("postgresql://u:p%40,x@one:5432,two:5433/db", "one,two", "5432,5433"),
        ("postgres://one:1,two:2,three:3", "one,two,three", "1,2,3"),
        ("postgresql://u@one:5432/db", "one", 5432),
    ],
)
def test_urls_of_several_servers(given, host, port):
    with Store.open(given) as store:
        _, asked = store._database._engine.dialect.create_connect_args(store._database._engine.url)
        assert (asked["host"], asked.get("port")) == (host, port)
        assert "p%40" not in store._database.name
        assert "x@" not in store._database.name


@contextmanager
def standby(url):
    """A second server that follows the first; its port, and what makes it the primary."""
    root = os.geteuid() == 0
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if root else []
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if root:
        shutil.chown(folder, "postgres", "postgres")
    port, control = free_port(), [*user, "pg_ctl", "-D", str(folder / "data")]
    place = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c max_connections=150"
    try:
        run_checked([*user, "pg_basebackup", "-h", "127.0.0.1", "-p", str(urlsplit(url).port), "-U", "postgres", "-R",
                     "--no-sync", "-c", "fast", "-D", str(folder / "data")])  # fmt: skip
        run_checked([*control, "-w", "-t", "60", "-l", str(folder / "log"), "-o", place, "start"])
        yield port, lambda: run_checked([*control, "-W", "promote"])
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, check=False, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


def caught_up(url, port):
    """Wait until the standby has all that the primary has."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as primary:
        wanted = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
    there = url.replace("+psycopg", "").replace(f":{urlsplit(url).port}", f":{port}")
    with psycopg.connect(there, autocommit=True) as follower:
        until = time.monotonic() + 30
        while not follower.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [wanted]).fetchone()[0]:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_failover_to_a_standby(proxy, far, postgres_database):
    """The URL names both servers; a claim made on the one is saved on the other."""
    with standby(postgres_database) as (port, promote):
        both = through(proxy, postgres_database).replace(f":{proxy.port}", f":{port},127.0.0.1:{proxy.port}")
        alone = postgres_database.replace(f":{urlsplit(postgres_database).port}", f":{port}")
        with Store.open(f"{both}?target_session_attrs=read-write") as store, Store.open(alone) as follower:
            store.check()
            claim = claimed(store)
            caught_up(postgres_database, port)
            refused = "the server is read-only, a standby"
            with pytest.raises(StoreUnavailable, match=refused):
                follower.check()
            with pytest.raises(StoreUnavailable, match=refused):
                follower.without_patience().claim("sales", week(0), "a", START, LEASE)
            assert follower.run("support", START).claimed_by == "a"
            proxy.refuse()
            with pytest.raises(StoreUnavailable, match=refused):
                store.without_patience().runs()
            threading.Timer(0.5, promote).start()
            store.save(claim, finished(claim))
            assert follower.run("support", START) == finished(claim)


def readyz(url):
    with Store.open(url) as store, TestClient(application(store, {})) as client:
        assert client.get("/healthz").text == "alive\n"
        answer = client.get("/readyz")
        return answer.status_code, answer.text


def test_readyz_says_why_not(postgres_database, proxy):
    name = f"database {postgres_database}"
    assert readyz(postgres_database) == (503, f"not ready: {name} is empty, this release needs {schema.NEEDED}; run drift-monitor db upgrade\n")  # fmt: skip
    with Store.open(postgres_database) as store:
        with store._database.write() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(schema._LOCK)))
            told = f"not ready: {name}: another process is upgrading the schema from nothing; wait for it\n"
            assert readyz(postgres_database) == (503, told)
        store.upgrade()
        assert readyz(postgres_database) == (200, "ready\n")
        for version, oldest, status, words in (
            ("0011", "0011", 503, "has schema 0011, this release needs"),
            ("9999", schema.NEEDED, 200, "ready"),
            ("9999", "9998", 503, "has schema 9999, made by a newer drift-monitor;"),
        ):
            with store._database.write() as connection:
                connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
                connection.exec_driver_sql(f"UPDATE schema_compatibility SET oldest = '{oldest}'")
            code, text = readyz(postgres_database)
            assert (code, words in text, text.count("\n")) == (status, True, 1)
    proxy.refuse()
    secret = through(proxy, postgres_database).replace("postgres@", "postgres:left-boot-42@")
    code, text = readyz(secret)
    assert (code, text.endswith(": it cannot be reached; check that the server runs, host and port\n")) == (503, True)
    assert "left-boot-42" not in text
    assert "postgres:***@" in text


def test_a_service_waits_for_a_database_that_comes_up_later(proxy, postgres_database, caplog):
    proxy.refuse()
    with Store.open(through(proxy, postgres_database)) as store, caplog.at_level("INFO", logger="monitor.serve"):
        threading.Timer(0.5, proxy.accept).start()
        assert wait_for_store(store, threading.Event(), first=timedelta(seconds=0.1))
        store.check()
    assert [record.getMessage() for record in caplog.records] == ["waiting for the database", "database ready"]
    assert proxy.accepted > 3


def test_a_service_that_is_told_to_stop_waits_no_longer(proxy, postgres_database):
    proxy.refuse()
    stop = threading.Event()
    with Store.open(through(proxy, postgres_database)) as store:
        threading.Timer(0.3, stop.set).start()
        assert not wait_for_store(store, stop)


def test_what_no_waiting_heals_is_said_at_once(postgres_database):
    with Store.open(postgres_database) as store:
        store.upgrade()
        with store._database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
            connection.exec_driver_sql("UPDATE schema_compatibility SET oldest = '9999'")
        with pytest.raises(StoreError, match=r"install the newer version$"):
            wait_for_store(store, threading.Event())
