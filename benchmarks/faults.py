"""What is left of faults: 20 monitors, 200 windows each, run by three replicas on PostgreSQL while processes, database, network, disks and clocks fail.

Two threads bring faults of every kind, in an order drawn from a seed, until all windows are done. Then everything is left to settle and is judged: each
window once, each episode one issue, each comment once, each export whole, the metrics of every replica as the store has it, and every verdict equal, bit
for bit, to that of an undisturbed run of the same traffic, alone, on SQLite.

python benchmarks/faults.py [--quick] [--seed N] [--minutes N]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fault_judge import (
    attempts_of,
    of_exports,
    of_metrics,
    of_tickets,
    of_windows,
    prepare,
    runs_of,
    saved_in_logs,
    undisturbed,
)
from fault_kinds import PROCESSES, QUICK, SURROUNDINGS, Injector, Scene
from fault_tracker import Tracker
from fault_traffic import FIRST, PERIOD
from fault_world import Database, Disk, Replica, killed_at_the_end, settings, wrong_clock
from fleet_world import free_port
from results_file import goal, write
from tcp_proxy import Proxy

from monitor.config import parse
from monitor.store import Store
from monitor.wiring import build_reference, open_shelf

SETTLED = 900
"""Seconds that what was asked for may take to be sent once the faults are over."""


def counted(url: str, query: str) -> int | None:
    """A number from the database; ``None`` while it is away."""
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.Error:
        return None
    return None if row is None else int(row[0])


def _done(windows: int) -> str:
    """Windows of the suite that are done; later ones become due while it goes on, and say nothing about these."""
    first, end = FIRST.isoformat(), (FIRST + windows * PERIOD).isoformat()
    return f"SELECT count(*) FROM runs WHERE status = 'done' AND window_start >= '{first}' AND window_start < '{end}'"


_LEFT = """SELECT (SELECT count(*) FROM runs WHERE status <> 'done') + (SELECT count(*) FROM tickets WHERE status = 'pending')
+ (SELECT count(*) FROM exports WHERE status = 'pending')"""


def until(url: str, query: str, wanted: int, replicas: list[Replica], *, seconds: float, least: bool) -> bool:
    """Wait until the number is at least, or at most, so high; replicas that ended by themselves are counted and started."""
    began = said = time.monotonic()
    while time.monotonic() - began < seconds:
        found = counted(url, query)
        if found is not None and (found >= wanted if least else found <= wanted):
            return True
        if not least:
            for one in replicas:
                one.revive()
        if time.monotonic() - said > 20:
            said = time.monotonic()
            print(f"{said - began:6.0f} s  {found} of {wanted}", flush=True)
        time.sleep(1)
    return False


def play(
    folder: Path, monitors: int, windows: int, seed: int, minutes: float, *, replicas: int, quick: bool
) -> dict[str, Any]:
    """The whole suite; its tables."""
    began = time.monotonic()
    (folder / "token").write_text("none is asked for\n")
    database, exports = Database(folder / "database"), Disk(folder / "exports", 256)
    ways = [Proxy(database.port) for _ in range(replicas)]
    try:
        with Tracker() as tracker, Proxy(tracker.port) as to_tracker:
            plans = [
                settings(folder, monitors, windows, database.url.replace(str(database.port), str(way.port)), to_tracker.port, free_port())
                for way in ways
            ]  # fmt: skip
            known = parse(plans[0] | {"store": database.url})
            for one in known.monitors:
                reference, _ = build_reference(known, one, now=FIRST)
                open_shelf(known).save(reference)
            with Store.open(database.url) as store:
                store.upgrade()
                prepare(known, store, [one.name for one in known.monitors])
            clock = wrong_clock(folder)
            running = [Replica(number, folder, raw, clock) for number, raw in enumerate(plans)]
            with killed_at_the_end(running):
                scene = Scene(running, ways, database, to_tracker, exports, quick)
                kinds = QUICK if quick else (PROCESSES, SURROUNDINGS)
                gap = (1.0, 2.0) if quick else (3.0, 9.0)
                injectors = [Injector(scene, one, seed + n, gap) for n, one in enumerate(kinds)]
                for thread in injectors:
                    thread.start()
                all_done = until(
                    database.url, _done(windows), monitors * windows, running, seconds=60 * minutes, least=True
                )
                disturbed = counted(database.url, _done(windows))
                while quick and time.monotonic() - scene.began < 120 and not all(one.once for one in injectors):
                    time.sleep(0.2)
                faulty = time.monotonic() - scene.began
                for thread in injectors:
                    thread.stop()
                for thread in injectors:
                    thread.join()
                    if thread.failure is not None:
                        raise thread.failure
                print(f"faults over after {faulty:.0f} s: {dict(scene.done)}", flush=True)
                if not all_done:
                    until(database.url, _done(windows), monitors * windows, running, seconds=600, least=True)
                settled = until(database.url, _LEFT, 0, running, seconds=120 if quick else SETTLED, least=False)
                with Store.open(database.url) as store:
                    return judged(
                        store, scene, tracker, folder, windows, plans[0],
                        {"disturbed windows": disturbed or 0, "seconds with faults": round(faulty), "settled": settled,
                         "seconds": round(time.monotonic() - began)},
                        monitors,
                    )  # fmt: skip
    finally:
        for way in ways:
            way.close()
        database.close()
        exports.close()


def judged(store: Store, scene: Scene, tracker: Tracker, folder: Path, windows: int, raw: dict[str, Any], about: dict[str, Any], monitors: int) -> dict[str, Any]:  # fmt: skip
    """All tables."""
    runs = runs_of(store, monitors, windows)
    every = [run for found in runs.values() for run in found]
    url = scene.database.url
    metrics, ended_so = of_metrics(url, scene.replicas), attempts_of(url)
    ended = [one.end() for one in scene.replicas]
    said = saved_in_logs([one.log for one in scene.replicas])
    about |= {
        "attempts": sum(run.attempt for run in every),
        "taken over": sum(one["abandoned"] for one in ended_so.values()),
        "failed runs": sum(one["failed"] for one in ended_so.values()),
        "windows attempted again": sum(run.attempt > 1 for run in every),
        "replicas that ended by themselves": sum(one.ended_by_itself for one in scene.replicas),
        "ended well on SIGTERM": sum(status == 0 for status in ended),
    }
    print("playing the same once more, undisturbed", flush=True)
    again = undisturbed(raw, store, runs, folder)
    return {
        "faults": [{"kind": kind, "times": number} for kind, number in sorted(scene.done.items())],
        "windows": [of_windows(runs, windows) | {"saved twice": said.pop("saved twice")}],
        "undisturbed": [{
            "monitors": len(again), "windows": sum(one["windows"] for one in again), "different": sum(len(one["differ"]) for one in again),
            "ended after a later one": sum(one["out of order"] for one in again), "monitors with other episodes": sum(one["tickets differ"] for one in again),
        }],
        "tickets": [of_tickets(store, tracker)],
        "exports": [of_exports(store, folder / "exports")],
        "metrics": [metrics],
        "log lines": [{"line": line, "times": number} for line, number in sorted(said.items())],
        "about": [about],
        "order of faults": scene.told,
    }  # fmt: skip


def goals_of(tables: dict[str, Any], *, quick: bool) -> list[dict[str, Any]]:
    """What had to come out."""
    windows, tickets, exports = tables["windows"][0], tables["tickets"][0], tables["exports"][0]
    about, same = tables["about"][0], tables["undisturbed"][0]
    least = min((one["times"] for one in tables["faults"]), default=0)
    kinds = len(tables["faults"])
    zero = {
        "windows lost": windows["lost"],
        "windows run twice": windows["duplicates"] + windows["saved twice"],
        "verdicts different from an undisturbed run": same["different"],
        "monitors with other episodes than an undisturbed run": same["monitors with other episodes"],
        "issues beyond one an episode": tickets["duplicate issues"],
        "issues lost": tickets["lost"],
        "issues open or closed against the store": tickets["not as the store says"],
        "comments written twice": tickets["comments twice"],
        "exports not whole": exports["not whole"] + exports["wrong latest.json"] + exports["without a wish"],
        "wishes not sent": tickets["not sent"] + exports["not sent"],
        "counters of runs that differ from the store": tables["metrics"][0]["wrong"],
        "replicas that ended by themselves": about["replicas that ended by themselves"],
    }
    wanted = windows["windows"] if quick else 4_000
    wanted_kinds = sum(map(len, QUICK)) if quick else len(PROCESSES) + len(SURROUNDINGS)
    return [
        goal("windows done", f"{wanted:,}", windows["done"], windows["done"] >= wanted),
        goal("kinds of fault", str(wanted_kinds), kinds, kinds == wanted_kinds),
        goal("faults of each kind, at least", "1" if quick else "5", least, least >= (1 if quick else 5)),
        *(goal(name, "0", number, number == 0) for name, number in zero.items()),
    ]


def main() -> None:
    """Read the command line, play, judge, write."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--quick", action="store_true")
    reader.add_argument("--seed", type=int, default=7)
    reader.add_argument("--minutes", type=float, default=60.0, help="faults for so long at most")
    reader.add_argument("--monitors", type=int)
    reader.add_argument("--windows", type=int)
    reader.add_argument("--replicas", type=int, default=3)
    reader.add_argument("--keep", action="store_true", help="leave the folder with logs behind")
    given = reader.parse_args()
    monitors, windows = given.monitors or (2 if given.quick else 20), given.windows or (6 if given.quick else 200)
    # So that an end asked for from outside leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    folder.chmod(0o755)
    try:
        tables = play(folder, monitors, windows, given.seed, given.minutes, replicas=given.replicas, quick=given.quick)
    finally:
        if given.keep:
            print(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    tables["about"][0] |= {
        "seed": given.seed,
        "monitors": monitors,
        "replicas": given.replicas,
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    goals = goals_of(tables, quick=given.quick)
    if given.quick:
        print({name: rows for name, rows in tables.items() if name != "order of faults"})
        for one in goals:
            print(f"{'met   ' if one['met'] else 'MISSED'} {one['name']}: {one['measured']} (goal {one['goal']})")
        sys.exit(any(not one["met"] for one in goals))
    write(
        "faults",
        tables,
        goals,
        f"python benchmarks/faults.py --windows {windows} --seed {given.seed} --minutes {given.minutes:g}",
    )


if __name__ == "__main__":
    main()
