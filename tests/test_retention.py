"""Retention: what is older than the settings allow is forgotten by itself, once, and what is counted stays."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe

import yaml
from forked import in_processes
from shop import DAY, FIRST, desk, open_shop, raw_settings, window
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse
from monitor.embedders.cache import forget_vectors
from monitor.fleet.worker import Worker
from monitor.pipeline import publish_pending, run_window
from monitor.retention import forget_old
from monitor.store import Store

ENDED = FIRST + 30 * DAY
KEPT = {"privacy": {"retention": "10d"}}


def played(folder, database_url, days=(0, 40, 40)):
    """A shop with two drifted windows, all runs ended at the same time."""
    _, store, monitor = open_shop(folder, database_url, days)
    for day in range(len(days)):
        run_window(monitor, window(day), desk(store, at=ENDED))
    publish_pending({"shop": monitor}, desk(store, at=ENDED))
    return parse({**raw_settings(folder, database_url), **KEPT}), store


def bare(run):
    return replace(run, candidates=tuple(replace(one, text=None, vector=None, cluster=None) for one in run.candidates))


def test_texts_vectors_and_pictures_go_and_all_that_is_counted_stays(tmp_path, database_url):
    settings, store = played(tmp_path, database_url)
    before = store.runs("shop")
    assert sum(one.text is not None and one.vector is not None for run in before for one in run.candidates) > 10
    overview = store.overview()
    found = forget_old(settings, store, ENDED + 9 * DAY)
    assert found == {}
    assert store.runs("shop") == before
    told = forget_old(settings, store, ENDED + 11 * DAY, dry_run=True)
    assert store.runs("shop") == before
    found = forget_old(settings, store, ENDED + 11 * DAY)
    assert {place: found[place] for place in ("candidates", "pictures")} == {
        "candidates": sum(len(run.candidates) for run in before),
        "pictures": 2,
    }
    assert {place: n for place, n in told.items() if place != "cached vectors"} == {
        place: n for place, n in found.items() if place != "cached vectors"
    }
    assert store.runs("shop") == [bare(run) for run in before]
    assert [store.picture(run.id) for run in before] == [None] * 3
    assert store.overview() == overview
    assert forget_old(settings, store, ENDED + 11 * DAY) == {}
    # Files stay: they are somebody's work.
    assert list((tmp_path / "tickets").glob("*.md"))
    assert list((tmp_path / "exports").rglob("manifest.json"))
    store.close()


def test_what_waits_to_be_sent_keeps_its_words(tmp_path):
    _, store, monitor = open_shop(tmp_path, None, (0, 40))
    for day in (0, 1):
        run_window(monitor, window(day), desk(store, at=ENDED))
    settings = parse({**raw_settings(tmp_path), **KEPT})
    assert "tickets" not in forget_old(settings, store, ENDED + 11 * DAY)
    publish_pending({"shop": monitor}, desk(store, at=ENDED))
    assert "## What moved" in next((tmp_path / "tickets").glob("*.md")).read_text()
    store.close()


def test_a_little_at_a_time(tmp_path):
    _settings, store = played(tmp_path, None)
    first = store.forget(ENDED + DAY, 1)
    assert set(first) == {"candidates", "pictures"}
    second = store.forget(ENDED + DAY, 1)
    assert set(second) == {"candidates", "pictures"}
    assert store.forget(ENDED + DAY, 1) == {}
    store.close()


def forget(folder, database_url, barrier, number, results):
    settings = parse({**raw_settings(folder, database_url), **KEPT})
    with Store.open(database_url) as store:
        barrier.wait(60)
        results.put(dict(forget_old(settings, store, ENDED + 11 * DAY)))


def test_vectors_of_the_cache_go_by_their_age(tmp_path):
    _settings, store = played(tmp_path, None)
    store.close()
    path = tmp_path / "cache.db"
    held = forget_vectors(path, None, dry_run=True)
    assert held > 300
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE vectors SET kept_at = 1000 WHERE row <= 7")
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert forget_vectors(path, long_ago, dry_run=True) == 7
    assert forget_vectors(path, long_ago) == 7
    assert forget_vectors(path, long_ago) == 0
    assert forget_vectors(path, None, dry_run=True) == held - 7
    assert forget_vectors(tmp_path / "none.db", None) == 0
    assert not (tmp_path / "none.db").exists()


def test_a_cache_without_dates_counts_from_now(tmp_path):
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as cache:
        cache.execute(
            "CREATE TABLE vectors (row INTEGER PRIMARY KEY, embedder TEXT, text_hash BLOB, vector BLOB NOT NULL, UNIQUE (embedder, text_hash))"
        )
        cache.execute("INSERT INTO vectors VALUES (1, 'e', x'00', x'01')")
    now = datetime.now(UTC)
    assert forget_vectors(path, now - timedelta(minutes=5)) == 0
    assert forget_vectors(path, now + timedelta(minutes=5)) == 1


def test_the_service_forgets_by_itself_once_an_hour(tmp_path, database_url, monkeypatch):
    settings, store = played(tmp_path, database_url)
    clock = [ENDED + 11 * DAY]
    monkeypatch.setattr(store, "now", lambda: clock[0])
    ours, theirs = Pipe()
    worker = Worker(theirs, settings, store, "a/1", held=0)
    assert worker.done({"do": "post"})["say"] == "posted"
    assert all(one.text is None for run in store.runs("shop") for one in run.candidates)
    calls = []
    monkeypatch.setattr("monitor.fleet.worker.forget_in_time", lambda *given: calls.append(given[2]))
    for minutes in (1, 58, 2, 61):
        clock[0] += timedelta(minutes=minutes)
        worker.done({"do": "post"})
    assert calls == [ENDED + 11 * DAY + timedelta(minutes=61), ENDED + 11 * DAY + timedelta(minutes=122)]
    ours.close()
    theirs.close()
    store.close()


def test_the_command_says_what_was_forgotten(tmp_path):
    _, store = played(tmp_path, None)
    store.close()
    path = tmp_path / "drift-monitor.yaml"
    path.write_text(yaml.safe_dump({**raw_settings(tmp_path), **KEPT}))
    dry = CliRunner().invoke(app, ["retention", "-c", str(path), "--dry-run"])
    assert (dry.exit_code, dry.stdout.partition(":")[0]) == (0, "Would forget")
    done = CliRunner().invoke(app, ["retention", "-c", str(path)])
    assert done.stdout.removeprefix("Forgotten") == dry.stdout.removeprefix("Would forget")
    assert "40 candidates, 2 pictures" in done.stdout
    assert CliRunner().invoke(app, ["retention", "-c", str(path)]).stdout == "Forgotten: nothing\n"
    path.write_text(yaml.safe_dump(raw_settings(tmp_path)))
    refused = CliRunner().invoke(app, ["retention", "-c", str(path)])
    assert "privacy.retention is not set" in str(refused.exception)


def test_run_forgets_too(tmp_path):
    _, store = played(tmp_path, None)
    path = tmp_path / "drift-monitor.yaml"
    path.write_text(yaml.safe_dump({**raw_settings(tmp_path), **KEPT}))
    assert CliRunner().invoke(app, ["run", "-c", str(path), "--window", "2026-03-02T01:00:00Z"]).exit_code == 0
    assert all(one.text is None for run in store.runs("shop") for one in run.candidates)
    store.close()


def test_several_processes_at_once_forget_everything_once(tmp_path, database_url):
    _, store = played(tmp_path, database_url)
    proposed = sum(len(run.candidates) for run in store.runs("shop"))
    found = in_processes(3, forget, tmp_path, database_url)
    assert sum(one.get("candidates", 0) for one in found) == proposed
    assert sum(one.get("pictures", 0) for one in found) == 2
    store.close()
