"""What came of a run with faults, held against what should have: the store, the outside, and an undisturbed run of the same."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from fault_tracker import Tracker
from fault_traffic import FIRST, PERIOD, name_of
from fault_world import Replica

from monitor import pipeline
from monitor.config import parse
from monitor.desk import Desk
from monitor.pipeline import fail_window, run_window
from monitor.store import DeliveryStatus, Store
from monitor.tickets.marks import ticket_mark
from monitor.values import Run, RunStatus, Window
from monitor.wiring import open_shelf, wire

_RUNS = re.compile(r'^drift_monitor_runs_total\{monitor="([^"]+)",status="([^"]+)"\} (\S+)', re.MULTILINE)
_MARK = re.compile(r"<!--.*?-->")


def window(place: int) -> Window:
    """The window at a place; the one before the first is at -1."""
    return Window(FIRST + place * PERIOD, FIRST + (place + 1) * PERIOD)


def place_of(run: Run) -> int:
    """Where a run's window is."""
    return (run.window.start - FIRST) // PERIOD


def runs_of(store: Store, monitors: int, windows: int) -> dict[str, list[Run]]:
    """Runs by monitor, oldest window first, the one before the first left out."""
    names = [name_of(number) for number in range(monitors)]
    return {name: sorted(store.runs(name, limit=windows + 60, since=FIRST), key=place_of) for name in names}


def of_windows(runs: dict[str, list[Run]], windows: int) -> dict[str, int]:
    """Windows that ran, ran twice, were lost."""
    asked = len(runs) * windows
    done = Counter(
        (name, place_of(run)) for name, found in runs.items() for run in found if run.status is RunStatus.DONE
    )
    wanted = [(name, place) for name in runs for place in range(windows)]
    lost = [one for one in wanted if done[one] == 0]
    for name, place in lost:
        print(
            f"lost: window {place} of {name}, whose newest done is {max((p for n, p in done if n == name), default=None)}"
        )
    return {
        "windows": asked,
        "done": len(wanted) - len(lost),
        "duplicates": sum(number - 1 for number in done.values()),
        "lost": len(lost),
    }


def saved_in_logs(logs: Sequence[Path]) -> dict[str, int]:
    """What the replicas said: runs saved, the most for one window, and the faults that they noticed."""
    saved, said = Counter(), Counter()
    for path in logs:
        for line in path.read_bytes().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                said["lines that are no log lines"] += bool(line.strip())
                continue
            if not told["logger"].startswith("monitor"):
                continue
            message = told["message"]
            said[str(message)] += 1
            if message == "run" and told.get("state") != "failed":
                saved[told["monitor"], told["window"]] += 1
            said["failed runs"] += message == "run" and told.get("state") == "failed"
    return {"saved twice": sum(n - 1 for n in saved.values()), **said}


def of_tickets(store: Store, tracker: Tracker) -> dict[str, int]:
    """Episodes against issues."""
    rows = store.tickets(limit=10_000)
    keys = {row.key: row for row in rows}
    made = {key: [one for one in tracker.issues if ticket_mark(key) in one["body"]] for key in keys}
    comments = [_MARK.findall(note)[-1:] for notes in tracker.comments.values() for note in notes]
    again = sum(
        sum(number - 1 for number in Counter(str(_MARK.findall(note)[-1:]) for note in notes).values())
        for notes in tracker.comments.values()
    )
    return {
        "episodes": len(keys),
        "issues": len(tracker.issues),
        "duplicate issues": len(tracker.issues) - sum(bool(found) for found in made.values()),
        "never opened": sum(not found and not row.location for row, found in zip(keys.values(), made.values(), strict=True)),
        "lost": sum(not found and bool(row.location) for row, found in zip(keys.values(), made.values(), strict=True)),
        "not as the store says": sum((found[0]["state"] == "closed") != keys[key].over for key, found in made.items() if found),
        "comments": len(comments),
        "comments twice": again,
        "not sent": sum(row.status is not DeliveryStatus.SENT for row in rows),
    }  # fmt: skip


def of_exports(store: Store, folder: Path) -> dict[str, int]:
    """Export folders against wishes; each file is read and its checksum compared."""
    rows = store.exports(limit=100_000)
    folders = {path.parent for path in folder.glob("*/*/manifest.json")}
    wanted, broken, newest = set(), 0, {}
    for row in rows:
        if row.status is not DeliveryStatus.SENT:
            continue
        run = store.run_by_id(row.run_id)
        if run is None:
            broken += 1
            continue
        here = folder / row.monitor / f"{run.window.start:%Y%m%dT%H%M%SZ}"
        wanted.add(here)
        broken += not _whole(here, run)
        newest[row.monitor] = max(newest.get(row.monitor, ""), here.name)
    latest = {path.parent.name: json.loads(path.read_text())["export"] for path in folder.glob("*/latest.json")}
    named = {folder / "balloon", *(folder.glob("*/latest.json"))}
    files = {path for path in folder.rglob("*") if path.is_file()} - named
    listed = {path for here in folders for path in (here / "manifest.json", *(here / f for f in _files(here)))}
    return {
        "exports": len(rows),
        "folders": len(folders),
        "not whole": broken,
        "without a wish": len(folders - wanted),
        "not sent": sum(row.status is not DeliveryStatus.SENT for row in rows),
        "wrong latest.json": sum(latest.get(name) != here for name, here in newest.items()),
        "left-over files": len(files - listed),
    }


def _files(here: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((here / "manifest.json").read_text())["files"]
    return found


def _whole(here: Path, run: Run) -> bool:
    try:
        files = _files(here)
        sums = {name: one["sha256"] if isinstance(one, dict) else one for name, one in files.items()}
        if any(hashlib.sha256((here / name).read_bytes()).hexdigest() != wanted for name, wanted in sums.items()):
            return False
        (lines,) = [name for name in files if name.endswith(".jsonl")]
        rows = [json.loads(line) for line in (here / lines).read_text().splitlines()]
    except (OSError, ValueError, KeyError):
        return False
    return len(rows) == len(run.candidates)


def attempts_of(url: str) -> dict[str, dict[str, int]]:
    """Attempts by monitor and what became of them, asked of the database itself."""
    query = """SELECT monitor, count(*) FILTER (WHERE status = 'done'), sum(failures), sum(attempt), count(*) FILTER (WHERE status = 'running')
    FROM runs GROUP BY monitor"""
    with psycopg.connect(url) as connection:
        found = connection.execute(query).fetchall()
    return {
        name: {"done": done, "failed": failed, "abandoned": attempts - failed - done - running}
        for name, done, failed, attempts, running in found
    }


def _asked(address: str, patience: float = 120.0) -> str:
    """What is answered there; a replica that was killed last may be starting yet."""
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def of_metrics(url: str, replicas: Sequence[Replica]) -> dict[str, int]:
    """Counters of runs that each replica shows, against the database."""
    known = {(name, status): number for name, counts in attempts_of(url).items() for status, number in counts.items()}
    found = {"replicas asked": 0, "series": 0, "wrong": 0}
    for one in replicas:
        text = _asked(f"http://127.0.0.1:{one.port}/metrics")
        shown = {(m[1], m[2]): float(m[3]) for m in _RUNS.finditer(text)}
        found["replicas asked"] += 1
        found["series"] += len(shown)
        found["wrong"] += sum(known.get(key, 0) != shown.get(key, 0.0) for key in {*known, *shown})
        found["wrong"] += "drift_monitor_store_up 1" not in text
    return found


# --- the undisturbed run ---------------------------------------------------------------------------------------------


def order_of(runs: Sequence[Run]) -> Iterator[tuple[str, int]]:
    """In which order a monitor's windows were ended: ``done``, and ``failed`` where one came to its turn only after later ones."""
    left, failed = sorted(place_of(run) for run in runs), set()
    for run in sorted(runs, key=lambda one: one.finished_at or datetime.max.replace(tzinfo=UTC)):
        here = place_of(run)
        for place in left:
            if place < here and place not in failed:
                failed.add(place)
                yield "failed", place
        left.remove(here)
        yield "done", here


def _shape(run: Run) -> tuple[Any, ...]:
    return (
        run.window,
        run.counts,
        run.measurements,
        run.decision,
        run.candidates,
        run.reference_fingerprint,
        run.refresh,
    )


def _replay(task: tuple[dict[str, Any], str, str, Sequence[tuple[str, int]], dict[int, Any], Any]) -> dict[str, Any]:
    raw, name, url, order, found, tickets = task
    # Pictures come after the verdict and take as long as all before it.
    pipeline.illustrate = lambda *_: (None, {})
    settings = parse(raw | {"store": url})
    one = settings.monitor(name)
    with Store.open(url) as store:
        store.upgrade()
        prepare(settings, store, [name])
        monitor = wire(settings, one, store)
        desk = Desk(store, store.now, "undisturbed", timedelta(hours=1))
        differ: list[int] = []
        for what, place in order:
            if what == "failed":
                claim = store.claim(name, window(place), "undisturbed", store.now(), timedelta(hours=1))
                if claim is None:
                    raise RuntimeError(f"{name}: window {place} cannot be claimed")
                fail_window(monitor, claim, "as with the faults", desk)
                continue
            if run_window(monitor, window(place), desk, retry_failed=True) is None:
                raise RuntimeError(f"{name}: window {place} cannot be run")
            run = store.run(name, window(place).start)
            if run is None or _shape(run) != found[place]:
                differ.append(place)
        wishes = told_of(store, name)
    return {"monitor": name, "windows": len(found), "differ": differ, "out of order": sum(w == "failed" for w, _ in order), "tickets differ": wishes != tickets}  # fmt: skip


def told_of(store: Store, name: str) -> list[Any]:
    """Episodes as they should be told outside."""
    return sorted((one.key, one.since, one.open, one.over_at, one.causes) for one in store.living(name, limit=1_000))


def prepare(settings: Any, store: Store, names: Sequence[str]) -> None:
    """Register the references, and run the window before the first, which says where the monitors begin."""
    shelf = open_shelf(settings)
    for name in names:
        entry = shelf.entry(name, shelf.versions(name)[-1])
        store.register_reference(name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(name, entry.version)
        monitor = wire(settings, settings.monitor(name), store)
        run_window(monitor, window(-1), Desk(store, store.now, "first", timedelta(hours=1)))


def undisturbed(raw: dict[str, Any], store: Store, runs: dict[str, list[Run]], folder: Path) -> list[dict[str, Any]]:
    """Play each monitor's windows once more, alone, one process, on SQLite, in the order in which they were ended."""
    tasks = []
    for name, found in runs.items():
        done = [run for run in found if run.status is RunStatus.DONE]
        by = {place_of(run): _shape(store.run(name, run.window.start) or replace(run)) for run in done}
        tasks.append((raw, name, f"sqlite:///{folder}/{name}.db", list(order_of(done)), by, told_of(store, name)))
    if len(tasks) == 1:
        return [_replay(tasks[0])]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.map(_replay, tasks, chunksize=1)
