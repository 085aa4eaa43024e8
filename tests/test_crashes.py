"""kill -9 at every step, then a restart: one run, one ticket, one export, nothing lost."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from crash_worker import work
from forked import Forked
from shop import DAY, FIRST, open_shop, window

from monitor.store import DeliveryStatus
from monitor.values import RunStatus, State

AT = FIRST + 30 * DAY
# Killed before ...: claimed, sampled, embedded, all but saved, saved, ticket written but not marked.
STEPS = ["reference", "embed", "detect", "save", "send", "mark"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_a_step_and_restarted(tmp_path, step):
    kill_and_restart(tmp_path, step, f"sqlite:///{tmp_path}/monitor.db")


@pytest.mark.parametrize("step", ["detect", "mark"])
def test_killed_and_restarted_on_postgresql(tmp_path, step, postgres_database):
    kill_and_restart(tmp_path, step, postgres_database)


def kill_and_restart(tmp_path, step, database_url):
    _, store, _ = open_shop(tmp_path, database_url)
    status, _, told = Forked(work, tmp_path, database_url, step, AT).end()
    assert status == -signal.SIGKILL, told
    unsaved = step not in {"send", "mark"}
    if unsaved:
        assert store.run("shop", window(2).start).status is RunStatus.RUNNING
        _, said, _ = Forked(work, tmp_path, database_url, "", AT).end()
        assert said == "left\n", "the claim of the dead lasts as long as its lease"
    status, said, told = Forked(work, tmp_path, database_url, "", AT + timedelta(hours=1)).end()
    assert (status, said) == (0, "ran\n" if unsaved else "left\n"), told

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
    racers = [Forked(work, tmp_path, database_url, "", AT) for _ in range(6)]
    ends = [racer.end() for racer in racers]
    assert [status for status, _, _ in ends] == [0] * 6, [told for _, _, told in ends if told]
    assert sorted(said for _, said, _ in ends) == ["left\n"] * 5 + ["ran\n"]
    (run,) = store.runs("shop")
    assert (run.attempt, run.status) == (1, RunStatus.DONE)
    assert len(list((tmp_path / "tickets").glob("*.md"))) == 1
    assert len(store.exports("shop")) == 1
    store.close()
