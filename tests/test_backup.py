"""Backup while others write, loss of everything, restore as docs/backup.md says: what was there is there, and no ticket is opened twice."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import yaml
from conftest import missing
from run_examples import week
from shop import DAY, FIRST, build, desk, raw_settings, window, write_shop
from tracker_github import GitHub
from trackers import TOKEN
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse
from monitor.pipeline import publish_pending, run_window
from monitor.store import DeliveryStatus, Store
from monitor.values import RunStatus, State
from monitor.wiring import open_shelf, wire

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "backup.md").read_text(encoding="utf-8")
WRITER = Path(__file__).with_name("backup_writer.py")


def drift_monitor(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def shell(line, folder, **variables):
    """Run a line of docs/backup.md, as it stands there, in a folder."""
    assert line in PAGE, f"docs/backup.md does not say: {line}"
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "drift-monitor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m monitor "$@"\n')
    program.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def opened(folder, url, github):
    """A shop with traffic of three days, the last two with a new topic, whose tickets go to GitHub."""
    write_shop(folder, (0, 40, 40))
    (folder / "token").write_text(TOKEN)
    part = {"kind": "github", "repository": "acme/robots", "token_file": f"{folder}/token", "url": github.url}
    raw = raw_settings(folder, url, tickets=[part], detectors=[{"kind": "mmd", "permutations": 199}]) | {
        "artifacts": f"{folder}/artifacts"
    }
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    return parse(raw)


def live(settings, store, *days):
    """Run these days and send what they ask for."""
    monitor = wire(settings, settings.monitors[0], store)
    runs = [run_window(monitor, window(day), desk(store)) for day in days]
    publish_pending({"shop": monitor}, desk(store))
    return runs


class Sqlite:
    """A store in one file beside its references."""

    def __init__(self, folder):
        self.folder, self.url = folder, f"sqlite:///{folder}/drift-monitor.db"

    def back_up(self):
        shell("drift-monitor db backup backup/drift-monitor.db", self.folder)

    def lose(self):
        # As after a crash: what is not in the main file yet lies beside it, and must not get into the restored one.
        for path in self.folder.glob("drift-monitor.db*"):
            path.write_bytes(os.urandom(4096))

    def restore(self):
        shell("rm -f drift-monitor.db drift-monitor.db-wal drift-monitor.db-shm", self.folder)
        shell("install -m 600 backup/drift-monitor.db drift-monitor.db", self.folder)


class Postgres:
    """A database of a server."""

    def __init__(self, folder, url):
        if shutil.which("pg_dump") is None:
            missing("no pg_dump")
        self.folder, self.url = folder, url
        self.server, _, self.name = url.replace("+psycopg", "").rpartition("/")
        self.variables = {"DATABASE": f"{self.server}/{self.name}"}

    def back_up(self):
        line = 'pg_dump --format=custom --no-owner --file=backup/drift-monitor.dump "$DATABASE"'
        shell(line, self.folder, **self.variables)

    def lose(self):
        with psycopg.connect(f"{self.server}/postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {self.name}")

    def restore(self):
        line = (
            'pg_restore --exit-on-error --single-transaction --no-owner --dbname="$DATABASE" backup/drift-monitor.dump'
        )
        shell(line, self.folder, **self.variables)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Each kind of database with its way to be backed up, lost and restored."""
    (tmp_path / "backup").mkdir(mode=0o700)
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    return Postgres(tmp_path, request.getfixturevalue("postgres_database"))


@contextmanager
def busy(url):
    """A process that saves runs all the while; yields a function that waits for some more of them."""
    writer = subprocess.Popen([sys.executable, str(WRITER), url], stdout=subprocess.PIPE, text=True)

    def more(count):
        for _ in range(count):
            last = writer.stdout.readline()
            assert last, "the writer died"
        return int(last)

    try:
        yield more
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_all_is_back_and_no_ticket_is_opened_twice(database, tmp_path):
    # The alarm that is lost came before the backup, its ticket waiting, or after it.
    saved_before = database.url.startswith("sqlite")
    with GitHub() as github:
        github.clock = FIRST + 30 * DAY
        settings = opened(tmp_path, database.url, github)
        with Store.open(database.url) as store:
            store.upgrade()
            build(settings, store)
            live(settings, store, 0)
            if saved_before:
                run_window(wire(settings, settings.monitors[0], store), window(1), desk(store))
            with busy(database.url) as more:
                more(5)
                least = store.watermark("busy")
                database.back_up()
                most = store.watermark("busy")
                assert least < most, "nothing was written meanwhile"
            shell("tar --create --file=backup/artifacts.tar artifacts", tmp_path)
            known, watermark = {run.id for run in store.runs("shop")}, store.watermark("shop")
            live(settings, store, 1, 2)
            assert github.count() == 1
        exports = exported(tmp_path)

        database.lose()
        database.restore()
        shell("rm -rf artifacts", tmp_path)
        shell("tar --extract --file=backup/artifacts.tar", tmp_path)

        with Store.open(database.url) as store:
            store.check()
            assert {run.id for run in store.runs("shop")} == known
            assert store.watermark("shop") == watermark == window(1 if saved_before else 0).end
            whole(store, least, most)
            version = store.active_reference("shop")
            assert version == 1
            reference = open_shelf(settings).load("shop", version)
            assert reference.fingerprint == store.references("shop")[0].fingerprint
            waiting = [one for one in store.tickets("shop") if one.status is DeliveryStatus.PENDING]
            assert len(waiting) == saved_before
            runs = live(settings, store, *([2] if saved_before else [1, 2]))
            assert [run.decision.state for run in runs] == [State.DRIFTED] * len(runs)
            (ticket,) = store.tickets("shop")
            assert ticket.status is DeliveryStatus.SENT
        assert (github.count(), github.violations) == (1, [])
        assert len(exports) == 2
        assert exported(tmp_path) == exports


def exported(folder):
    """The records that each export in the folder lists, in order; each is there once."""
    found = {}
    for manifest in (folder / "exports" / "shop").glob("*/manifest.json"):
        (file,) = manifest.parent.glob("*/candidates.jsonl")
        found[manifest.parent.name] = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    return found


def whole(store, least, most):
    """The runs of the writer, up to some moment during the backup, each with all that was saved with it."""
    runs = store.runs("busy", limit=100_000)
    numbers = sorted(run.window.start for run in runs)
    assert numbers == [week(n).start for n in range(len(runs))]
    assert least <= store.watermark("busy") <= most
    done = [run for run in runs if run.status is RunStatus.DONE]
    # The newest may have been claimed only.
    assert len(done) >= len(runs) - 1
    assert {len(run.candidates) for run in done} == {2}
    assert [len(measured) for measured in store.measured([run.id for run in done]).values()] == [3] * len(done)


def test_who_was_purged_comes_back_with_a_backup_and_is_purged_again(tmp_path):
    with GitHub() as github:
        github.clock = FIRST + 30 * DAY
        database = Sqlite(tmp_path)
        settings = opened(tmp_path, database.url, github)
        (tmp_path / "backup").mkdir()
        with Store.open(database.url) as store:
            store.upgrade()
            build(settings, store)
            live(settings, store, 0, 1)
            who = {one.record_id for one in store.run("shop", window(1).start).candidates}
        database.back_up()
        shell("tar --create --file=backup/artifacts.tar artifacts", tmp_path)
        training = open_shelf(settings).load("shop", 1).train.records.column("id")[0].as_py()
        person = [min(who), training]
        (tmp_path / "purged-ids").write_text("\n".join(person) + "\n")
        again = "xargs --no-run-if-empty --max-args=1 printf -- '--id=%s\\n' < purged-ids | xargs drift-monitor purge"
        settings_file = tmp_path / "drift-monitor.yaml"
        assert drift_monitor("purge", "-c", settings_file, *[f"--id={one}" for one in person]).exit_code == 0
        assert here(settings, person) == set()
        database.lose()
        database.restore()
        shell("rm -rf artifacts", tmp_path)
        shell("tar --extract --file=backup/artifacts.tar", tmp_path)
        assert here(settings, person) == set(person)
        shell(again, tmp_path)
        assert here(settings, person) == set()


def here(settings, person):
    """Who of these is a candidate or in the reference that is in use."""
    with Store.open(settings.store.url) as store:
        found = {one.record_id for run in store.runs("shop") for one in run.candidates}
        reference = open_shelf(settings).load("shop", store.active_reference("shop"))
    found |= set(reference.train.records.column("id").to_pylist())
    return found & set(person)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw_settings(tmp_path)))
    return tmp_path


def test_only_the_owner_may_read_a_backup_and_nothing_is_replaced(shop):
    assert drift_monitor("db", "upgrade").exit_code == 0
    old = os.umask(0)
    try:
        done = drift_monitor("db", "backup", "copy.db")
    finally:
        os.umask(old)
    assert (done.exit_code, done.output[:16]) == (0, "copy.db written,")
    assert stat.S_IMODE((shop / "copy.db").stat().st_mode) == 0o600
    before = (shop / "copy.db").read_bytes()
    for taken in ("copy.db", "monitor.db", "traffic"):
        refused = drift_monitor("db", "backup", taken)
        assert "exists already and is left as it is" in str(refused.exception)
    assert (shop / "copy.db").read_bytes() == before
    assert sorted(path.name for path in shop.glob("*copy*")) == ["copy.db"]


def test_a_schema_of_before_is_copied_as_it_is(shop):
    """One wants the backup before the upgrade."""
    assert drift_monitor("db", "upgrade").exit_code == 0
    with sqlite3.connect(shop / "monitor.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    assert drift_monitor("db", "backup", "copy.db").exit_code == 0
    for name in ("monitor.db", "copy.db"):
        connection = sqlite3.connect(shop / name)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        connection.close()


def test_what_cannot_be_backed_up_says_what_to_do_and_leaves_nothing(shop, postgres_database):
    def refused(*words):
        return str(drift_monitor("db", "backup", *words).exception)

    assert "not there yet, so there is nothing to back up" in refused("copy.db")
    assert not (shop / "monitor.db").exists()
    assert drift_monitor("db", "upgrade").exit_code == 0
    assert refused("nowhere/copy.db") == "nowhere/copy.db cannot be written: No such file or directory"
    damaged = bytearray((shop / "monitor.db").read_bytes())
    damaged[8192:-4096] = bytes(len(damaged) - 12288)
    (shop / "monitor.db").write_bytes(damaged)
    assert "monitor.db" in refused("copy.db")
    raw = raw_settings(shop, postgres_database)
    (shop / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    assert "is backed up with PostgreSQL's own pg_dump; see docs/backup.md" in refused("copy.db")
    assert not list(shop.glob("*copy*"))
    assert not list(shop.glob(".*"))


def test_a_full_disk_leaves_no_half_backup(shop):
    """A limit on the size of files stands for it."""
    assert drift_monitor("db", "upgrade").exit_code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        refused = drift_monitor("db", "backup", "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "could not be copied to" in str(refused.exception)
    assert "is there space" in str(refused.exception)
    assert [path.name for path in shop.iterdir() if "copy" in path.name] == []
