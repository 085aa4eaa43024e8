"""The service as it runs: its own process, a real Prometheus, SIGTERM in the middle of a run, a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest
import yaml
from conftest import free_port
from shop import DAY, FIRST, build, desk, open_shop, raw_settings, window, write_shop

from monitor.config import parse
from monitor.pipeline import Stopped, run_window
from monitor.store import Store
from monitor.values import RunStatus, State
from monitor.wiring import wire


class Running:
    """`drift-monitor serve` on a folder."""

    def __init__(self, folder, port, raw, *words):
        (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
        self.log = folder / "serve.log"
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "monitor", "serve", "-c", str(folder / "drift-monitor.yaml"), *words]
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def wait_for(self, path, holds, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                answer = httpx.get(self.url + path)
            except httpx.TransportError:
                answer = None
            if answer is not None and holds(answer):
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{path} never got there: {answer and answer.text}\n{self.log.read_text()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def query(prometheus, expression, seconds=30):
    """The one value of an expression, once Prometheus has scraped it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()["data"]["result"]
        if found:
            (series,) = found
            return float(series["value"][1])
        time.sleep(0.2)
    raise AssertionError(f"Prometheus never had {expression}")


@pytest.fixture
def running(tmp_path):
    started = []

    def start(raw, port, *words):
        started.append(Running(tmp_path, port, raw, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def built(tmp_path, raw):
    """A shop whose reference is there."""
    write_shop(tmp_path)
    settings = parse(raw)
    with Store.open(settings.store.url) as store:
        store.upgrade()
        build(settings, store)
    return settings


def live_settings(tmp_path):
    """A shop that waits so long for late records that the third of its days is the newest to run."""
    port = free_port()
    days = (datetime.now(UTC) - FIRST).days - 3
    raw = raw_settings(tmp_path, schedule={"every": "1d", "delay": f"{days}d"})
    raw["serve"] |= {"port": port, "poll": "1s"}
    return raw, port


def test_without_a_schedule_it_shows_what_cron_runs_and_runs_nothing_itself(tmp_path, running):
    raw, port = live_settings(tmp_path)
    settings = built(tmp_path, raw)
    service = running(raw, port, "--no-schedule")
    # A window is due since long, and the schedule looks every second.
    service.wait_for("/readyz", lambda r: r.status_code == 200)
    time.sleep(3)
    shown = service.wait_for("/metrics", lambda r: "drift_monitor_store_up 1.0" in r.text).text
    assert "drift_monitor_run_finish_timestamp_seconds{" not in shown
    config = str(tmp_path / "drift-monitor.yaml")
    day = f"{window(1).start:%Y-%m-%d}"
    by_cron = [sys.executable, "-m", "monitor", "run", "--window", day, "-c", config]
    done = subprocess.run(by_cron, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = service.wait_for(
        "/metrics", lambda r: 'drift_monitor_run_finish_timestamp_seconds{monitor="shop"}' in r.text
    )
    assert 'drift_monitor_runs_total{monitor="shop",status="done"} 1.0' in told.text
    with Store.open(settings.store.url) as store:
        assert [run.window for run in store.runs("shop")] == [window(1)]
    assert service.stop() == 0


def test_pages_metrics_prometheus_and_restart(tmp_path, running, prometheus_server, promtool):
    raw, port = live_settings(tmp_path)
    settings = built(tmp_path, raw)
    with Store.open(settings.store.url) as store:
        drifted = run_window(wire(settings, settings.monitors[0], store), window(2), desk(store))
        assert drifted.decision.state is State.DRIFTED
    service = running(raw, port)
    assert service.wait_for("/readyz", lambda r: r.status_code == 200).text == "ready\n"
    assert httpx.get(service.url + "/healthz").text == "alive\n"
    assert httpx.get(service.url + "/nothing").status_code == 404

    before = httpx.get(service.url + "/metrics")
    assert before.headers["content-type"].startswith("text/plain; version=")
    assert "drift_monitor_" in before.text
    linted = subprocess.run(
        [promtool, "check", "metrics"], input=before.text, capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stderr) == (0, "")
    prometheus = prometheus_server(f"127.0.0.1:{port}")
    assert query(prometheus, 'up{job="drift-monitor"}') == 1
    effect = 'drift_monitor_effect{monitor="shop",detector="mmd",subject="embeddings",segment=""}'
    assert query(prometheus, effect) == pytest.approx(
        next(m.effect for m in drifted.measurements if (m.detector, m.subject) == ("mmd", "embeddings")), rel=1e-6
    )
    assert service.stop() == 0
    again = running(raw, port)
    again.wait_for("/readyz", lambda r: r.status_code == 200)
    shown = [
        line for line in httpx.get(again.url + "/metrics").text.splitlines() if line.startswith("drift_monitor_effect")
    ]
    assert shown
    assert set(shown) <= set(before.text.splitlines())
    assert again.stop() == 0
    assert again.lines()[-1]["message"] == "stopped"


def test_a_service_without_its_database_says_so(tmp_path, running, postgres_database):
    raw, port = live_settings(tmp_path)
    raw["store"] = postgres_database
    built(tmp_path, raw)
    service = running(raw, port)
    service.wait_for("/readyz", lambda r: r.status_code == 200)
    with taken_away(postgres_database):
        answer = service.wait_for("/readyz", lambda r: r.status_code == 503)
        assert answer.text.startswith("not ready: ")
        assert httpx.get(service.url + "/healthz").status_code == 200
        assert "drift_monitor_store_up 0.0" in httpx.get(service.url + "/metrics").text
    service.wait_for("/readyz", lambda r: r.status_code == 200)
    assert service.stop() == 0


@contextmanager
def taken_away(url):
    """The database is gone for a while."""
    import psycopg  # noqa: PLC0415 - an extra; only here

    server, _, name = url.replace("+psycopg", "").rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize("step", ["reference", "canary", "sample", "embed", "detect", "decide", "select"])
def test_stopped_in_the_middle_of_a_run_the_window_is_given_back(tmp_path, step):
    _, store, monitor = open_shop(tmp_path)

    def watch(name):
        if name == step:
            raise Stopped(name)

    with pytest.raises(Stopped):
        run_window(monitor, window(2), desk(store, step=watch))
    assert store.run("shop", window(2).start).status is RunStatus.RUNNING
    run = run_window(monitor, window(2), desk(store, worker="another"))
    assert (run.status, run.attempt, run.claimed_by) == (RunStatus.DONE, 2, "another"), "no waiting for the lease"
    store.close()


def test_sigterm_in_the_middle_of_a_run(tmp_path, running):
    """The embedder is slow on purpose; SIGTERM comes while it works."""
    (tmp_path / "slow_embedder.py").write_text(
        "import time, pathlib\n"
        "from monitor.embedders.hashing import HashingEmbedder\n"
        "class Slow(HashingEmbedder):\n"
        "    def embed(self, records, progress=None):\n"
        "        for n in range(600):\n"
        f"            pathlib.Path({str(tmp_path / 'embedding')!r}).touch()\n"
        "            time.sleep(0.05)\n"
        "            if progress and records.num_rows > 50: progress(n, 600)\n"
        "            elif n > 1: break\n"
        "        return super().embed(records)\n"
    )
    info = tmp_path / "slow_part-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-part\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[monitor.embedders]\nslow = slow_embedder:Slow\n")
    raw, port = live_settings(tmp_path)
    settings = built(tmp_path, raw)
    with Store.open(settings.store.url) as store:
        raw["monitors"][0]["embedder"] = {"kind": "slow", "dimension": 64}
        raw["cache"] = None
        # One window that holds all days and has ended.
        days = (datetime.now(UTC) - (FIRST - DAY)).days
        raw["monitors"][0]["schedule"] = {"every": f"{days}d", "start": (FIRST - DAY).isoformat()}
        raw["monitors"][0]["policy"] = {"false_alarms": "1 per 10 years"}
        raw["monitors"][0]["source"] = {"kind": "files", "path": f"{tmp_path}/traffic/*.jsonl"}
        os.environ["PYTHONPATH"] = str(tmp_path)
        try:
            service = running(raw, port)
        finally:
            del os.environ["PYTHONPATH"]
        until = time.monotonic() + 60
        while not (tmp_path / "embedding").exists():
            assert time.monotonic() < until, service.log.read_text()
            time.sleep(0.05)
        assert service.stop() == 0
        assert service.lines()[-1]["message"] == "stopped"
        assert [run.status for run in store.runs("shop")] in ([], [RunStatus.RUNNING])
