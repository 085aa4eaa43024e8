"""How much memory the processes of `drift-monitor serve` take: the service, a worker, the one that sends; with the usual model and without.

One monitor whose windows have 2,000 records; the service runs two of its windows. Resident memory is looked at five times a second, and the most of each
process stands in the table; unique memory is what would be free if the process ended.

python benchmarks/process_memory.py
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from fleet_world import free_port, monitor
from results_file import goal, write
from scale import build, served

from monitor.config import parse
from monitor.store import Store
from monitor.values import RunStatus

ROWS = 2_000


def processes(service: psutil.Process) -> list[int]:
    """The service and its children, without the small one that multiprocessing keeps for itself."""
    children = service.children(recursive=True)
    return [service.pid, *(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))]


def play(embedder: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Most resident and unique MiB of the service and of each child."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = datetime.now(UTC) - timedelta(days=3)
        one = monitor("m0", "many", "1d", folder, embedder=embedder, sample={"size": ROWS})
        one["schedule"] |= {"start": f"{start:%Y-%m-%dT00:00:00Z}"}
        raw = {
            "store": f"sqlite:///{folder}/monitor.db",
            "artifacts": f"{folder}/artifacts",
            "cache": None,
            "serve": {"port": free_port(), "workers": 1, "poll": "1s"},
            "monitors": [one],
        }
        settings = parse(raw)
        most: dict[int, tuple[float, float]] = {}
        with Store.open(settings.store.url) as store:
            store.upgrade()
            build(settings, store)
            with served(folder, raw) as service:
                until, done = time.monotonic() + 300, None
                while time.monotonic() < until and (done is None or time.monotonic() < done + 5):
                    with suppress(psutil.Error):
                        for pid in processes(service):
                            held = psutil.Process(pid).memory_full_info()
                            before = most.get(pid, (0.0, 0.0))
                            most[pid] = (max(before[0], held.rss / 2**20), max(before[1], held.uss / 2**20))
                    runs = store.runs("m0")
                    if done is None and runs and all(run.status is RunStatus.DONE for run in runs):
                        done = time.monotonic()
                    time.sleep(0.2)
                assert done is not None, [run.error for run in store.runs("m0")]
                parent = service.pid
    children = sorted((held for pid, held in most.items() if pid != parent), reverse=True)
    named = {"service": most[parent], "worker": children[0], "sender": children[1]}
    return {role: {"resident_mib": round(held[0]), "unique_mib": round(held[1])} for role, held in named.items()}


def main() -> None:
    rows = []
    for name, embedder in (("hashing, no model", {"kind": "hashing", "dimension": 64}), ("all-MiniLM-L6-v2", {"kind": "sentence_transformer"})):  # fmt: skip
        for role, held in play(embedder).items():
            rows.append({"embedder": name, "process": role, **held})
            print(rows[-1], flush=True)
    by = {(row["embedder"], row["process"]): row["resident_mib"] for row in rows}
    whole = sum(by["all-MiniLM-L6-v2", role] for role in ("service", "worker", "sender"))
    goals = [goal("MiB of service, one worker with the usual model, and sender", "<= 1,536", whole, whole <= 1_536)]
    write("process_memory", {"processes": rows}, goals, "python benchmarks/process_memory.py")


if __name__ == "__main__":
    main()
