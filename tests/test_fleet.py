"""The fleet as it runs: child processes that are stopped, killed and replaced, and monitors that do not wait for each other."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from shop import FIRST, raw_settings, write_shop

from monitor.config import parse
from monitor.fleet import Conductor, Turns
from monitor.fleet.child import memory_here
from monitor.store import Store
from monitor.values import RunStatus, State
from monitor.wiring import build_reference, open_shelf

SOURCES = """
import os, pathlib, time
from datetime import timedelta
from shop import rows_of

def calm(start, end):
    return [row | {"timestamp": (start + timedelta(hours=1)).isoformat()} for row in rows_of(0)]

def stuck(start, end):
    pathlib.Path(__file__).with_name("stuck").touch()
    time.sleep(600)

def hungry(start, end):
    kept = []
    while True:
        kept.append(b"x" * 20_000_000)
        time.sleep(0.02)

def dies(start, end):
    os._exit(7)

def raises(start, end):
    raise ValueError("a secret text")
"""
SECRET = "a secret text"


@pytest.fixture
def sources(tmp_path, monkeypatch):
    (tmp_path / "fleet_sources.py").write_text(SOURCES)
    monkeypatch.syspath_prepend(str(tmp_path))
    places = [str(tmp_path), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))


def fleet_of(folder, calls, database_url=None, **serve):
    """A fleet of monitors by name, each with its own function for a source; its first window is due."""
    raw = raw_settings(folder, database_url)
    (shop,) = raw["monitors"]
    raw["serve"] |= {"poll": "1s", **serve}
    raw["cache"] = None
    raw["monitors"] = [
        shop
        | {
            "name": name,
            "source": {"kind": "python", "call": f"fleet_sources:{call}"},
            "schedule": {"every": "1w", "start": FIRST.isoformat()},
            "run": run,
        }
        for name, (call, run) in calls.items()
    ]
    write_shop(folder, ())
    settings = parse(raw)
    store = Store.open(settings.store.url)
    store.upgrade()
    for one in settings.monitors:
        reference, _ = build_reference(settings, one, now=FIRST)
        entry = open_shelf(settings).save(reference)
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(one.name, entry.version)
    return raw, settings, store


@contextmanager
def conducted(settings, store):
    """A conductor at work; at the end it is stopped, and nothing of it is left."""
    before = set(psutil.Process().children(recursive=True))
    conductor = Conductor(settings, store, worker="me")
    thread = threading.Thread(target=conductor.run)
    thread.start()
    try:
        yield
    finally:
        conductor.stop()
        thread.join(60)
    assert not thread.is_alive()
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in left if "resource_tracker" not in " ".join(one.cmdline())]


def wait_until(holds, seconds=120):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.1)


def newest(store):
    return {run.monitor: run for run in store.runs()}


def ended(store, *names):
    """Whether each of these has a run that is over."""
    runs = newest(store)
    return all(name in runs and runs[name].status is not RunStatus.RUNNING for name in names)


def test_what_hangs_grows_or_dies_is_stopped_and_said_and_the_others_go_on(tmp_path, sources, caplog):
    broken = {
        "stuck": ("stuck", {"timeout": "3s"}),
        "hungry": ("hungry", {"memory": "600MB"}),
        "dies": ("dies", {}),
        "raises": ("raises", {}),
    }
    _, settings, store = fleet_of(tmp_path, broken | {f"calm{n}": ("calm", {}) for n in range(3)}, workers=2)
    with caplog.at_level(logging.INFO, "monitor"), conducted(settings, store):
        wait_until(lambda: ended(store, *(one.name for one in settings.monitors)))
    runs = newest(store)
    said = {name: run.error for name, run in runs.items()}
    assert {name for name, run in runs.items() if run.status is RunStatus.DONE} == {"calm0", "calm1", "calm2"}
    assert said["stuck"] == "the run was stopped: it took longer than 3 s (run.timeout)"
    assert said["hungry"].startswith("the run was stopped: its process took 0.")
    assert "0.56 are allowed (run.memory)" in said["hungry"]
    assert said["dies"] == "the run's process died (status 7), perhaps for want of memory"
    assert "raised ValueError" in said["raises"]
    assert {runs[name].decision.state for name in broken} == {State.FAILED}
    assert {run.attempt for run in runs.values()} == {1}, "who failed rests"
    assert SECRET not in caplog.text
    store.close()


def test_one_that_hangs_starves_nobody_even_with_one_worker(tmp_path, sources, monkeypatch):
    monkeypatch.setattr("monitor.fleet.conductor._GRACE", 1.0)
    monkeypatch.setattr(Turns.__init__, "__defaults__", (2.0,))
    _, settings, store = fleet_of(tmp_path, {"stuck": ("stuck", {}), "calm": ("calm", {})}, workers=1)
    with conducted(settings, store):
        wait_until(lambda: ended(store, "calm"))
        assert newest(store)["stuck"].status is RunStatus.RUNNING
    # It was killed in the middle, and its window given back.
    assert store.unfinished("stuck", store.now())
    store.close()


@contextmanager
def at_work(folder, command):
    """A command on a fleet whose only monitor hangs, as a process that has come so far; at the end it is killed, if it still runs."""
    raw, _, store = fleet_of(folder, {"stuck": ("stuck", {})})
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    words = [sys.executable, "-m", "monitor", command, "-c", str(folder / "drift-monitor.yaml")]
    with (folder / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            wait_until((folder / "stuck").exists)
            yield process, store
        finally:
            process.kill()
    store.close()


def test_a_service_that_is_killed_takes_its_children_with_it(tmp_path, sources):
    with at_work(tmp_path, "serve") as (service, store):
        children = psutil.Process(service.pid).children(recursive=True)
        assert len(children) >= 2
        service.kill()
        service.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive, (tmp_path / "log").read_text()
        assert newest(store)["stuck"].status is RunStatus.RUNNING, "its lease ends, then another takes it over"


def test_a_run_by_cron_that_is_told_to_stop_gives_its_window_back(tmp_path, sources):
    """Process 1 of a container hears SIGTERM only if it asks for it."""
    with at_work(tmp_path, "run") as (run, store):
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) != 0
        assert "Traceback" not in (tmp_path / "log").read_text()
        assert len(store.unfinished("stuck", store.now())) == 1, "free at once, long before the lease ends"


def test_the_memory_of_the_container_counts(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    monkeypatch.setattr("monitor.fleet.child._CONTAINER", (str(limit), str(tmp_path / "none")))
    whole = memory_here()
    assert whole == psutil.virtual_memory().total
    limit.write_text(f"{whole // 3}\n")
    assert memory_here() == whole // 3
