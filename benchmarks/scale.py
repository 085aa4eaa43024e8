"""Whether 300 monitors at a one-minute period keep up: how far behind their windows the verdicts come, and what that takes.

`drift-monitor serve` itself, as a process with its children, on SQLite and on PostgreSQL; every minute 300 windows of 60 records end at
once. Each monitor starts with a past of 70 windows, of which 64 are kept, so that looking back costs what it costs in the long run; they are
played by one monitor and copied to the others. The hashing embedder stands for a model whose vectors are at hand. Lag is
the time from the end of a window to the moment its run is saved; the first two minutes, in which processes start and read their references,
are left out. Shares of the processor are those of one core.

python benchmarks/scale.py [--quick] [--minutes 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import sqlalchemy as sa
import yaml
from fleet_world import floor_to, free_port, monitor, postgres
from results_file import goal, write

from monitor.config import parse
from monitor.desk import Desk
from monitor.pipeline import run_window
from monitor.settings import Settings
from monitor.store import Store
from monitor.store.claims import run_id_of
from monitor.store.tables import block_sums, decisions, monitors, runs
from monitor.values import RunStatus, Window
from monitor.wiring import build_reference, open_shelf, wire

MINUTE = timedelta(minutes=1)
MONITORS, PAST, STARTING = 300, 70, 2


def settings_of(folder: Path, url: str, count: int, port: int) -> tuple[dict[str, Any], Settings]:
    raw = {
        "store": url,
        "artifacts": f"{folder}/artifacts",
        "cache": None,
        "serve": {"port": port, "workers": 2, "poll": "15s", "log_format": "json"},
        "monitors": [
            monitor(
                f"m{n:03}", "calm", "1m", folder, tickets=[{"kind": "file", "folder": f"{folder}/tickets"}], run={"timeout": "5m"}
            )
            for n in range(count)
        ],
    }  # fmt: skip
    return raw, parse(raw)


def build(settings: Settings, store: Store) -> None:
    now = datetime.now(UTC)
    for one in settings.monitors:
        reference, _ = build_reference(settings, one, now=now)
        entry = open_shelf(settings).save(reference)
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(one.name, entry.version)


def remember(settings: Settings, store: Store, until: datetime) -> None:
    """A past of 70 windows for everyone, the first monitor's."""
    first, *others = settings.monitors
    desk = Desk(store, lambda: until, "past")
    wired = wire(settings, first, store)
    for number in range(PAST, 0, -1):
        run = run_window(wired, Window(until - number * MINUTE, until - (number - 1) * MINUTE), desk)
        assert run is not None
        assert run.status is RunStatus.DONE, run.error
    for one in others:
        store.register_monitor(one.name, settings=one.fingerprint(), period=MINUTE, now=until)
    with store._database.write() as connection:  # noqa: SLF001 - no release needs to copy a past
        known = {table: [dict(row) for row in connection.execute(sa.select(table)).mappings()] for table in (runs, decisions, block_sums)}  # fmt: skip
        starts = {row["id"]: row["window_start"] for row in known[runs]}
        for one in others:
            ids = {run: run_id_of(one.name, start) for run, start in starts.items()}
            for table, rows in known.items():
                key = "id" if table is runs else "run_id"
                its = [row | {key: ids[row[key]]} | ({"monitor": one.name} if "monitor" in row else {}) for row in rows]
                connection.execute(sa.insert(table), its)
        assert connection.execute(sa.select(sa.func.count()).select_from(monitors)).scalar() == len(settings.monitors)


@contextmanager
def served(folder: Path, raw: dict[str, Any]) -> Iterator[psutil.Process]:
    config = folder / "drift-monitor.yaml"
    config.write_text(yaml.safe_dump(raw))
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "serve", "-c", str(config)], stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
        if process.poll() is not None:
            raise SystemExit((folder / "serve.log").read_text()[-3000:])
    finally:
        process.terminate()
        process.wait(60)


class Takings:
    """Processor time and memory of processes by role, also of those that ended meanwhile."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}
        self._before: dict[str, float] = {}
        self.memory: dict[str, float] = {}

    def look(self, service: psutil.Process, database: int | None) -> None:
        roles = [("service", [service]), ("workers", service.children(recursive=True))]
        if database is not None:
            keeper = psutil.Process(database)
            roles.append(("database", [keeper, *keeper.children(recursive=True)]))
        for role, found in roles:
            held = 0.0
            for one in found:
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    self._seconds[role, one.pid] = times.user + times.system
                    # Shared buffers would count once for each process.
                    held += one.memory_full_info().uss if role != "database" else one.memory_info().rss - one.memory_info().shared  # fmt: skip
            self.memory[role] = max(self.memory.get(role, 0.0), held / 2**20)

    def begin(self) -> None:
        self._before = self._by_role()

    def shares(self, seconds: float) -> dict[str, float]:
        return {role: (spent - self._before.get(role, 0.0)) / seconds for role, spent in self._by_role().items()}

    def _by_role(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (role, _), spent in self._seconds.items():
            found[role] = found.get(role, 0.0) + spent
        return found


def play(kind: str, url: str, database: int | None, count: int, minutes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:  # fmt: skip
    takings, port = Takings(), free_port()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        raw, settings = settings_of(folder, url or f"sqlite:///{folder}/monitor.db", count, port)
        with Store.open(settings.store.url) as store:
            store.upgrade()
            build(settings, store)
            begin = floor_to(datetime.now(UTC) + timedelta(seconds=20 + count / 4), MINUTE)
            remember(settings, store, begin)
            while datetime.now(UTC) < begin:
                time.sleep(0.5)
            scrapes = []
            with served(folder, raw) as service:
                counted = begin + STARTING * MINUTE
                end = counted + minutes * MINUTE
                started = None
                while datetime.now(UTC) < end + 0.9 * MINUTE and service.is_running():
                    takings.look(service, database)
                    if started is None and datetime.now(UTC) >= counted:
                        takings.begin()
                        started = time.monotonic()
                    if started is not None:
                        scrapes += _scrape(port)
                    time.sleep(5)
                takings.look(service, database)
                seconds = time.monotonic() - (started or 0.0)
            return _judged(kind, store, settings, (counted, end), takings, seconds, scrapes)


def _scrape(port: int) -> list[float]:
    began = time.perf_counter()
    try:
        httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).raise_for_status()
    except httpx.TransportError:
        return []
    return [time.perf_counter() - began]


def _judged(
    kind: str,
    store: Store,
    settings: Settings,
    between: tuple[datetime, datetime],
    takings: Takings,
    seconds: float,
    scrapes: list[float],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with store._database.read() as connection:  # noqa: SLF001 - two columns of many runs
        columns = (runs.c.window_end, runs.c.finished_at, runs.c.status)
        which = sa.and_(runs.c.window_end > between[0], runs.c.window_end <= between[1])
        found = connection.execute(sa.select(*columns).where(which)).all()
    done = [row for row in found if row.status == RunStatus.DONE.value]
    lags = {}
    for row in done:
        lags.setdefault(row.window_end, []).append((row.finished_at - row.window_end).total_seconds())
    every = np.array([lag for some in lags.values() for lag in some])
    wanted = len(settings.monitors) * round((between[1] - between[0]) / MINUTE)
    shares = takings.shares(seconds)
    row = {
        "database": kind,
        "monitors": len(settings.monitors),
        "windows_due": wanted,
        "windows_done": len(done),
        "windows_failed": sum(one.status == RunStatus.FAILED.value for one in found),
        "lag_median_s": round(float(np.median(every)), 1),
        "lag_p95_s": round(float(np.quantile(every, 0.95)), 1),
        "lag_max_s": round(float(every.max()), 1),
        **{f"cores_{role}": round(share, 3) for role, share in shares.items()},
        "cores_in_all": round(sum(shares.values()), 3),
        **{f"memory_{role}_mib": round(held) for role, held in takings.memory.items()},
        "scrape_median_s": round(float(np.median(scrapes)), 3),
        "scrape_max_s": round(max(scrapes), 3),
    }
    by_minute = [
        {"database": kind, "minute": number, "windows": len(some), "lag_median_s": round(float(np.median(some)), 1), "lag_max_s": round(max(some), 1)}
        for number, (_, some) in enumerate(sorted(lags.items()), 1)
    ]  # fmt: skip
    return row, by_minute


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--quick", action="store_true")
    reader.add_argument("--minutes", type=int, default=10)
    given = reader.parse_args()
    count, minutes = (20, 1) if given.quick else (MONITORS, given.minutes)
    rows, by_minute = [], []
    for kind in ("sqlite", "postgresql"):
        with postgres() if kind == "postgresql" else nowhere() as (url, database):
            row, some = play(kind, url, database, count, minutes)
        print(row, flush=True)
        rows.append(row)
        by_minute += some
    goals = []
    for row in rows:
        kind, lost = row["database"], row["windows_due"] - row["windows_done"]
        goals.append(goal(f"{kind}: windows not done by the end of the next minute", "0", lost, lost == 0))
        goals.append(
            goal(f"{kind}: 95 % of verdicts within a period", "<= 60 s", row["lag_p95_s"], row["lag_p95_s"] <= 60)
        )
        grown = _growth([one for one in by_minute if one["database"] == kind])
        goals.append(goal(f"{kind}: lag does not grow, in seconds a minute", "<= 1", grown, grown <= 1))
        goals.append(goal(f"{kind}: cores taken in all", "reported", row["cores_in_all"], True))
    if not given.quick:
        write(
            "scale", {"fleets": rows, "by_minute": by_minute}, goals, f"python benchmarks/scale.py --minutes {minutes}"
        )


def _growth(by_minute: list[dict[str, Any]]) -> float:
    if len(by_minute) < 3:
        return 0.0
    line = np.polyfit([one["minute"] for one in by_minute], [one["lag_median_s"] for one in by_minute], 1)
    return round(float(line[0]), 2)


@contextmanager
def nowhere() -> Iterator[tuple[str, None]]:
    """SQLite needs no server."""
    yield "", None


if __name__ == "__main__":
    main()
