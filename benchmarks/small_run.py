"""CPU time of a small run in its steady state: 60 rows, 64 hashed dimensions, three detectors, SQLite, a past of 130 windows.

With ``--before REVISION`` the code of that commit runs the same windows in turns with this one, in processes of their own
on copies of one store, and every verdict, every test and every size is held against the other's bit for bit; not the details of what
is shown and not tested.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS = 60
MINUTE = timedelta(minutes=1)
SOURCE = """
from datetime import timedelta
from shop import rows_of

def rows(start, end):
    number = int(start.timestamp() // 60)
    moment = (start + timedelta(seconds=1)).isoformat()
    return [row | {"timestamp": moment, "id": f"{number}-{row['id']}"} for row in rows_of(number % 1000, calm=ROWS)]
""".replace("ROWS", str(ROWS))


def play(folder: Path) -> None:
    """Run the windows whose numbers come in on standard input, one a line; CPU seconds by step and a digest of all findings go out."""
    from shop import FIRST, build, raw_settings, write_shop  # noqa: PLC0415 - of the code that is measured

    from monitor.config import parse  # noqa: PLC0415
    from monitor.desk import Desk  # noqa: PLC0415
    from monitor.pipeline import run_window  # noqa: PLC0415
    from monitor.store import Store  # noqa: PLC0415
    from monitor.values import Window  # noqa: PLC0415
    from monitor.wiring import wire  # noqa: PLC0415

    sys.path.insert(0, str(folder))
    fresh = not (folder / "monitor.db").exists()
    (folder / "small_run_rows.py").write_text(SOURCE, encoding="utf-8")
    raw: dict[str, Any] = raw_settings(folder)
    raw["cache"] = None
    raw["monitors"][0] |= {
        "source": {"kind": "python", "call": "small_run_rows:rows"},
        "schedule": {"every": "1m"},
        "policy": {"false_alarms": "1 per year", "minimum_sample": 30},
    }
    settings = parse(raw)
    store = Store.open(settings.store.url)
    store.upgrade()
    if fresh:
        write_shop(folder, ())
        build(settings, store)
    monitor = wire(settings, settings.monitors[0], store)
    marks: list[tuple[str, float]] = []
    desk = Desk(
        store,
        lambda: FIRST + 30 * timedelta(days=1),
        "benchmark",
        MINUTE,
        step=lambda name: marks.append((name, time.process_time())),
    )
    for line in sys.stdin:
        window = Window(FIRST + int(line) * MINUTE, FIRST + (int(line) + 1) * MINUTE)
        marks.clear()
        start = time.process_time()
        run = run_window(monitor, window, desk)
        marks.append(("", time.process_time()))
        steps = {name: after - before for (name, before), (_, after) in pairwise(marks)}
        found = repr([run and ([*map(comparable, run.measurements)], run.decision)])
        told = {
            "cpu": marks[-1][1] - start,
            "steps": steps,
            "digest": hashlib.sha256(found.encode()).hexdigest(),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        print(json.dumps(told), flush=True)


def comparable(measurement: Any) -> Any:
    """All of a measurement that was tested, and the size of any other."""
    m = measurement
    return m if m.p_value is not None else (m.detector, m.subject, m.effect, m.low, m.high)


class Player:
    """A process that plays windows with the code of one tree."""

    def __init__(self, tree: Path, folder: Path) -> None:
        paths = {"PYTHONPATH": os.pathsep.join([str(tree), str(tree / "tests")]), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--play", str(folder)],
            env=os.environ | paths,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, number: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def tree_of(revision: str | None) -> Iterator[Path | None]:
    """The files of a commit, in a folder of their own."""
    if revision is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def bare(told: dict[str, Any]) -> float:
    """CPU seconds of a run without its picture."""
    return float(told["cpu"] - told["steps"].get("draw", 0.0))


def table(name: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"code": name, "runs": len(told)}
    for what, values in (
        ("cpu_seconds", [one["cpu"] for one in told]),
        ("without_picture", [bare(one) for one in told]),
    ):
        row |= {f"{what}_median": round(statistics.median(values), 3), f"{what}_least": round(min(values), 3)}
    for step in told[0]["steps"]:
        row[f"{step}_median"] = round(statistics.median(one["steps"].get(step, 0.0) for one in told), 4)
    return row | {"peak_mib": max(one["peak_mib"] for one in told)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short past, for a check that it runs")
    parser.add_argument("--before", metavar="REVISION", help="a commit to compare with")
    parser.add_argument("--play", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.play:
        play(asked.play)
        return
    from results_file import goal, write  # noqa: PLC0415 - which the code of another commit need not have

    past, runs = (12, 4) if asked.quick else (130, 24)
    with tempfile.TemporaryDirectory() as folder, tree_of(asked.before) as tree:
        # The older code may not read the newer schema, so the past is its own.
        first = Path(folder) / "past"
        first.mkdir()
        player = Player(tree or ROOT, first)
        for number in range(past):
            player.run(number)
        player.close()
        trees = {"now": ROOT} | ({"before": tree} if tree is not None else {})
        players = {name: Player(one, Path(shutil.copytree(first, Path(folder) / name))) for name, one in trees.items()}
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in players}
        # One run of each to warm up, then in turns: the machine may be busy with other things.
        for number in range(past, past + 1 + runs):
            for name, one in players.items():
                told[name].append(one.run(number))
        for one in players.values():
            one.close()
    now = [*map(bare, told["now"][1:])]
    middle = statistics.median(now)
    goals = [goal("CPU seconds of a run without its picture, median", "<= 0.15", round(middle, 3), middle <= 0.15)]
    if "before" in told:
        then = [*map(bare, told["before"][1:])]
        ratio = statistics.median(a / b for a, b in zip(now, then, strict=True))
        same = sum(a["digest"] != b["digest"] for a, b in zip(told["now"], told["before"], strict=True))
        goals += [
            goal(
                "the same as a share of the code before, median of runs in turns",
                "<= 0.6",
                round(ratio, 3),
                ratio <= 0.6,
            ),
            goal("runs whose verdict, tests or sizes differ from those of the code before", "0", same, same == 0),
        ]
    command = "OMP_NUM_THREADS=1 python benchmarks/small_run.py" + (f" --before {asked.before}" if asked.before else "")
    write("small_run", {"runs": [table(name, rows[1:]) for name, rows in told.items()]}, goals, command)


if __name__ == "__main__":
    main()
