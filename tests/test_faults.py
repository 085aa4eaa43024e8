"""The judge of the fault suite: what is lost, doubled or broken is seen. The suite itself is `make faults`, a minute or two."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from run_examples import LEASE, START, export, finished, tickets, week

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from fault_judge import of_exports, of_tickets, of_windows, order_of, saved_in_logs, window  # noqa: E402 - found there
from fault_tracker import REPOSITORY, Tracker  # noqa: E402 - found there

from monitor.exporters.files import FilesExporter  # noqa: E402 - the same
from monitor.store import Store  # noqa: E402 - the same
from monitor.tickets.marks import note_mark, ticket_mark  # noqa: E402 - the same
from monitor.values import Known, RunStatus  # noqa: E402 - the same


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/judged.db") as opened:
        opened.upgrade()
        yield opened


def saved(store, **wanted):
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    store.save(claim, run, **{name: make(run) for name, make in wanted.items()})
    return run


def test_windows_that_are_lost_or_run_twice_are_counted(store):
    run = saved(store)
    runs = {"m00": [replace(run, window=window(place)) for place in (0, 1, 1, 3)]}
    assert of_windows(runs, 4) == {"windows": 4, "done": 3, "duplicates": 1, "lost": 1}
    runs["m00"][0] = replace(runs["m00"][0], status=RunStatus.FAILED)
    assert of_windows(runs, 4)["lost"] == 2


def test_a_run_that_two_replicas_saved_is_seen_in_their_logs(tmp_path):
    lines = [
        {"logger": "monitor.run", "message": "run", "monitor": "m00", "window": "w", "state": state}
        for state in ("failed", "stable")
    ]
    for name, said in (("a", lines), ("b", lines[1:])):
        (tmp_path / name).write_text("".join(f"{json.dumps(line)}\n" for line in said) + "no line\n")
    found = saved_in_logs([tmp_path / "a", tmp_path / "b"])
    assert (found["saved twice"], found["failed runs"], found["lines that are no log lines"]) == (1, 1, 2)


def test_issues_and_comments_made_twice_or_left_open_are_counted(store):
    saved(store, tickets=tickets)
    (due,) = store.due_tickets(START + LEASE)
    tracker, path = Tracker(), f"/repos/{REPOSITORY}/issues"
    issue = {"title": "drift", "body": f"words\n{ticket_mark(due.key)}\n"}
    assert tracker.answer("POST", path, issue)[1]["html_url"].endswith("/issues/1")
    store.settled(due, Known("https://github.example/acme/shops/issues/1", open=True), START + LEASE)
    for _ in range(2):
        tracker.answer("POST", f"{path}/1/comments", {"body": f"it goes on\n{note_mark('one')}\n"})
    found = of_tickets(store, tracker)
    wrong = ("duplicate issues", "comments twice", "not as the store says", "lost", "not sent")
    assert [found[name] for name in wrong] == [0, 1, 0, 0, 0]
    tracker.answer("POST", path, issue)
    tracker.answer("PATCH", f"{path}/1", {"state": "closed"})
    found = of_tickets(store, tracker)
    assert [found[name] for name in wrong] == [1, 1, 1, 0, 0]
    assert of_tickets(store, Tracker())["lost"] == 1


def test_exports_that_are_not_whole_are_counted(store, tmp_path):
    run = saved(store, exports=lambda run: {"files": export(run)})
    (due,) = store.due_exports(START + LEASE)
    folder = tmp_path / "exports"
    assert of_exports(store, folder)["not sent"] == 1
    location = Path(FilesExporter(str(folder), formats=["jsonl"]).write(due.wish))
    store.sent(due, str(location), START + LEASE)
    found = of_exports(store, folder)
    assert found == dict.fromkeys(found, 0) | {"exports": 1, "folders": 1}, run.candidates
    (lines,) = location.rglob("*.jsonl")
    lines.write_text(lines.read_text() + "{}\n")
    (location / "left.tmp").touch()
    found = of_exports(store, folder)
    assert (found["not whole"], found["left-over files"]) == (1, 1)


def test_the_order_in_which_windows_were_ended_says_which_failed_before(store):
    run = saved(store)
    ended = [
        replace(run, window=window(place), finished_at=START + after * LEASE)
        for after, place in enumerate((0, 2, 3, 1))
    ]
    assert list(order_of(ended)) == [("done", 0), ("failed", 1), ("done", 2), ("done", 3), ("done", 1)]
