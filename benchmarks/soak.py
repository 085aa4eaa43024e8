"""Whether memory and open files stay flat over 10,000 runs in one process.

Ten monitors take their turns as a worker of the service has them take it, with its allocator set as there, over 1,000 windows of ten
minutes each, with drift every now and then: tickets are opened, updated and closed, exports written. All but one have a season of a day,
which makes their looks back short. Every 20 windows all metrics are scraped and the pages of monitors and of the newest run are read, as
the service's own process has to; then resident memory, open files, threads and Python's objects are counted. The slope is that of a
straight line through what was measured after the first fifth (least squares, with the standard error of the slope).

python benchmarks/soak.py [--quick]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from fleet_world import monitor
from results_file import goal, write
from starlette.testclient import TestClient

from monitor.config import parse
from monitor.desk import Desk
from monitor.fleet import take_turn
from monitor.fleet.child import KEPT_PAGES
from monitor.pipeline import publish_pending
from monitor.serve import application
from monitor.store import Store
from monitor.wiring import Shared, build_reference, open_shelf, terms_of, wire

MONITORS, WINDOWS = 10, 1_000
LENGTH = timedelta(minutes=10)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)


class World:
    """The store, the monitors, and a clock that goes from window to window."""

    def __init__(self, folder: Path) -> None:
        raw = {
            "store": f"sqlite:///{folder}/monitor.db",
            "artifacts": f"{folder}/artifacts",
            "cache": f"{folder}/cache.db",
            "monitors": [
                monitor(
                    f"m{n}",
                    "waves" if n % 2 else "calm",
                    "10m",
                    folder,
                    tickets=[{"kind": "file", "folder": f"{folder}/tickets"}],
                    exports=[{"kind": "files", "folder": f"{folder}/exports{n}"}],
                    policy={"minimum_sample": 20, "keep": 64, "false_alarms": "1 per month"}
                    | ({"season": "1d"} if n else {}),
                    detectors=[{"kind": "mmd", "permutations": 99}, "class_balance"],
                )
                for n in range(MONITORS)
            ],
        }
        self.settings = parse(raw)
        self.store = Store.open(self.settings.store.url)
        self.store.upgrade()
        for one in self.settings.monitors:
            reference, _ = build_reference(self.settings, one, now=FIRST)
            entry = open_shelf(self.settings).save(reference)
            self.store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
            self.store.use_reference(one.name, entry.version)
        shared = Shared()
        self.monitors = {one.name: wire(self.settings, one, self.store, shared) for one in self.settings.monitors}
        self.now = FIRST
        self.desk = Desk(self.store, lambda: self.now, "soak")
        self.pages = TestClient(application(self.store, terms_of(self.settings)))

    def window(self) -> int:
        """Every monitor's next window; how many runs that were."""
        self.now += LENGTH
        turns = [take_turn(one, self.monitors[one.name], self.desk) for one in self.settings.monitors]
        publish_pending(self.monitors, self.desk)
        return sum(turn.run is not None for turn in turns)

    def look(self) -> None:
        """What Prometheus and people ask for."""
        newest = self.store.runs("m0", limit=1)[0]
        for path in ("/metrics", "/", "/monitors/m0", f"/runs/{newest.id}", "/tickets"):
            answer = self.pages.get(path)
            assert answer.status_code == 200, (path, answer.status_code)


def counted(me: psutil.Process, runs: int) -> dict[str, Any]:
    gc.collect()
    return {
        "runs": runs,
        "resident_mib": round(me.memory_info().rss / 2**20, 2),
        "files": me.num_fds(),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }


def slope(rows: list[dict[str, Any]], what: str) -> tuple[float, float]:
    """Of a line through the later four fifths, for each thousand runs, and its standard error."""
    later = rows[len(rows) // 5 :]
    x = np.array([row["runs"] for row in later], dtype=float) / 1_000
    y = np.array([row[what] for row in later], dtype=float)
    x -= x.mean()
    rise = float(x @ y / (x @ x))
    left = y - y.mean() - rise * x
    return rise, float(np.sqrt((left @ left) / max(len(y) - 2, 1) / (x @ x)))


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--quick", action="store_true")
    quick = reader.parse_args().quick
    if not KEPT_PAGES.items() <= os.environ.items():
        # Read by the allocator when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEPT_PAGES})
    windows, every = (30, 5) if quick else (WINDOWS, 20)
    me, rows, runs, began = psutil.Process(), [], 0, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        with world.pages:
            for number in range(1, windows + 1):
                runs += world.window()
                if number % min(20, every) == 0:
                    world.look()
                if number % every == 0:
                    rows.append(counted(me, runs))
                    print(rows[-1], flush=True)
        tickets = len(world.store.tickets())
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        world.store.close()
    spent = time.process_time() - began
    table = []
    for what in ("resident_mib", "files", "threads", "objects"):
        rise, error = slope(rows, what)
        first, last = rows[len(rows) // 5][what], rows[-1][what]
        table.append({"what": what, "after_a_fifth": first, "at_the_end": last, "per_1000_runs": round(rise, 4), "standard_error": round(error, 4)})  # fmt: skip
    by = {row["what"]: row for row in table}
    grown = by["resident_mib"]["per_1000_runs"]
    goals = [
        goal("runs in one process", "10,000", runs, runs >= 10_000),
        goal("memory grows by at most 1 MiB in 1,000 runs", "<= 1", grown, grown <= 1),
        goal("open files at the end, above those after a fifth", "0", by["files"]["at_the_end"] - by["files"]["after_a_fifth"], by["files"]["at_the_end"] <= by["files"]["after_a_fifth"]),
        goal("threads at the end, above those after a fifth", "0", by["threads"]["at_the_end"] - by["threads"]["after_a_fifth"], by["threads"]["at_the_end"] <= by["threads"]["after_a_fifth"]),
    ]  # fmt: skip
    more = [{"runs": runs, "tickets": tickets, "cpu_seconds": round(spent), "cpu_seconds_per_run": round(spent / runs, 4), "disk_mb": round(disk / 1e6)}]  # fmt: skip
    if not quick:
        write("soak", {"slopes": table, "about": more, "measured": rows[:: max(1, len(rows) // 50)]}, goals, "python benchmarks/soak.py")  # fmt: skip
    else:
        print(table, more)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
