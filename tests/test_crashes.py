"""kill -9 at every step, then a restart: one run, one ticket, one export, nothing lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from shop import DAY, FIRST, open_shop, window

from monitor.store import DeliveryStatus
from monitor.values import RunStatus, State

WORKER = Path(__file__).with_name("crash_worker.py")
AT = FIRST + 30 * DAY
# Killed before ...: claimed, sampled, embedded, all but saved, saved, ticket written but not marked.
STEPS = ["reference", "embed", "detect", "save", "send", "mark"]


def work(folder, url, deadly, at):
    command = [sys.executable, str(WORKER), str(folder), url, deadly, at.isoformat()]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_a_step_and_restarted(tmp_path, step):
    kill_and_restart(tmp_path, step, f"sqlite:///{tmp_path}/monitor.db")


@pytest.mark.parametrize("step", ["detect", "mark"])
def test_killed_and_restarted_on_postgresql(tmp_path, step, postgres_database):
    kill_and_restart(tmp_path, step, postgres_database)


def kill_and_restart(tmp_path, step, database_url):
    _, store, _ = open_shop(tmp_path, database_url)
    killed = work(tmp_path, database_url, step, AT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    unsaved = step not in {"send", "mark"}
    if unsaved:
        assert store.run("shop", window(2).start).status is RunStatus.RUNNING
        assert work(tmp_path, database_url, "", AT).stdout == "left\n", (
            "the claim of the dead lasts as long as its lease"
        )
    later = work(tmp_path, database_url, "", AT + timedelta(hours=1))
    assert (later.returncode, later.stdout) == (0, "ran\n" if unsaved else "left\n"), later.stderr

    (run,) = store.runs("shop")
    assert (run.status, run.decision.state, run.attempt) == (RunStatus.DONE, State.DRIFTED, 2 if unsaved else 1)
    assert len(run.candidates) > 0
    (ticket,), (export,) = store.tickets("shop"), store.exports("shop")
    assert (ticket.status, export.status) == (DeliveryStatus.SENT, DeliveryStatus.SENT)
    assert [str(p) for p in (tmp_path / "tickets").glob("*.md")] == [ticket.location]
    files = sorted(p.name for p in (tmp_path / "exports").rglob("*") if p.is_file())
    assert files == [
        "candidates.csv",
        "candidates.jsonl",
        "candidates.parquet",
        "latest.json",
        "manifest.json",
        "report.html",
    ]
    store.close()


def test_six_processes_race_for_a_window(tmp_path):
    """Whole processes; the claim alone is raced for on both databases in test_store_claims."""
    database_url = f"sqlite:///{tmp_path}/monitor.db"
    _, store, _ = open_shop(tmp_path, database_url)
    command = [sys.executable, str(WORKER), str(tmp_path), database_url, "", AT.isoformat()]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    said = [racer.communicate(timeout=300) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 6, [err for _, err in said if err]
    assert sorted(out for out, _ in said) == ["left\n"] * 5 + ["ran\n"]
    (run,) = store.runs("shop")
    assert (run.attempt, run.status) == (1, RunStatus.DONE)
    assert len(list((tmp_path / "tickets").glob("*.md"))) == 1
    assert len(store.exports("shop")) == 1
    store.close()
