"""How long a scrape of many monitors takes, and how many series it gives.

200 monitors, each with 30 classes in 10 segments and in all traffic, drifted, with candidates, a ticket and an export. What is measured is an
HTTP request to the service's own application over SQLite: the first one after a start, those that follow, one after 20 monitors and one after
all have finished another window. The service writes everything once as it starts; how long that takes stands beside.

python benchmarks/scrape.py [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from results_file import goal, write
from starlette.testclient import TestClient

from monitor.metrics import METRICS
from monitor.serve import application
from monitor.store import Store
from monitor.values import (
    Candidate,
    Counts,
    Decision,
    Export,
    Measurement,
    MonitorTerms,
    Run,
    RunStatus,
    State,
    TicketWish,
    Window,
)

MONITORS, CLASSES, SEGMENTS = 200, 30, 10
START, DAY, LEASE = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
REPEATS, SOME = 5, 20


def measured(rng: np.random.Generator) -> tuple[Measurement, ...]:
    """What the default detectors give of all traffic and of each segment."""
    found = []
    for segment in ("", *(f"country=C{n}" for n in range(SEGMENTS))):
        for detector, subject in (("mmd", "embeddings"), ("mmd", "embeddings within classes"), ("ks", "novelty"), ("class_balance", "classes"), ("change", "embeddings")):  # fmt: skip
            found.append(_one(detector, subject, segment, {"detectable_share": 0.05}, rng))
        shares = rng.dirichlet(np.ones(CLASSES), 2)
        for place in range(CLASSES):
            detail = {"share_reference": float(shares[0, place]), "share_current": float(shares[1, place])}
            found.append(_one("class_balance", f"class:intent {place}", segment, detail, rng))
    return tuple(found)


def _one(detector: str, subject: str, segment: str, detail: dict[str, float], rng: np.random.Generator) -> Measurement:
    effect = float(rng.random())
    return Measurement(detector, subject, effect, effect - 0.1, effect + 0.1, float(rng.random()) + 1e-9, 8_000, 2_000, segment, detail)  # fmt: skip


def fill(store: Store, day: int, rng: np.random.Generator, count: int = MONITORS) -> None:
    """One more finished window of so many monitors."""
    window = Window(START + day * DAY, START + (day + 1) * DAY)
    for number in range(count):
        name = f"monitor-{number}"
        if not day:
            store.register_monitor(name, settings="s" * 16, period=DAY, now=START)
            store.register_reference(name, 1, "f" * 64, "file:///reference", START)
            store.use_reference(name, 1)
        claim = store.claim(name, window, "bench", window.end, LEASE)
        assert claim is not None
        run = Run(
            claim.run_id, name, window, RunStatus.DONE, 1, "bench", window.end,
            finished_at=window.end + timedelta(minutes=1), reference_version=1, reference_fingerprint="f" * 64,
            embedder="all-MiniLM-L6-v2@1", settings="s" * 16, counts=Counts(100_000, 2_000, rejected={"no text": 3}), measurements=measured(rng),
            decision=Decision(State.DRIFTED, ("Drifted.",), ("mmd embeddings",), ("content",), {"evidence": 500.0, "run_length": 365.0, "alarm_since": window.end.timestamp()}),
            candidates=tuple(Candidate(rank, f"r{rank}", "drift_cover", 0.5, 0.1, 0.01, None, (), "Because.", 0, "text", window.start, "intent 1", 0.5) for rank in range(50)),
            seconds={"sample": 1.0, "embed": 20.0, "detect": 2.0},
        )  # fmt: skip
        wish = TicketWish(f"{name}-{day}", name, "It drifted", window.start, run.id)
        export = Export(f"{name}-{day}", name, run.id, window, run.candidates, 1, None)
        store.save(claim, run, tickets=[("file", wish)], exports={"files": export})


def scrapes(client: TestClient, count: int) -> tuple[list[float], str]:
    """Seconds of each request, and the last answer."""
    found, text = [], ""
    for _ in range(count):
        start = time.perf_counter()
        text = client.get("/metrics").text
        found.append(time.perf_counter() - start)
    return found, text


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two repeats")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    terms = {
        f"monitor-{n}": MonitorTerms(f"team {n % 7}", 1.0, 50, {"lag": 2 * DAY, "failing": LEASE})
        for n in range(MONITORS)
    }
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{Path(folder) / 'monitor.db'}") as store:
        store.upgrade()
        fill(store, 0, rng)
        began = time.perf_counter()
        with TestClient(application(store, terms)) as client:
            start = time.perf_counter() - began
            first, _ = scrapes(client, 1)
            later, text = scrapes(client, 2 if given.quick else REPEATS)
            fill(store, 1, rng, SOME)
            after_some, _ = scrapes(client, 1)
            fill(store, 2, rng)
            after_all, _ = scrapes(client, 1)
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    by_name: dict[str, int] = {}
    for line in series:
        name = line.split("{")[0].split(" ")[0]
        by_name[name] = by_name.get(name, 0) + 1
    rows: list[dict[str, Any]] = [
        {"scrape": "first after a start", "seconds": round(first[0], 3)},
        {"scrape": "later, median", "seconds": round(float(np.median(later)), 3)},
        {"scrape": f"after {SOME} monitors have run again", "seconds": round(after_some[0], 3)},
        {"scrape": "after all have run again since the last scrape", "seconds": round(after_all[0], 3)},
        {"scrape": "the start itself", "seconds": round(start, 3)},
    ]
    slowest = max(row["seconds"] for row in rows[:3])
    each = len(series) / MONITORS
    goals = [
        goal(
            f"slowest scrape of 200 monitors, 30 classes, 10 segments, at most {SOME} of them new: seconds",
            "<= 1",
            slowest,
            slowest <= 1,
        ),
        goal("the same when all are new: seconds", "<= 1", rows[3]["seconds"], rows[3]["seconds"] <= 1),
        goal("series a monitor", "<= 600", round(each, 1), each <= 600),
    ]
    size = {"monitors": MONITORS, "classes": CLASSES, "segments": SEGMENTS, "series": len(series), "series a monitor": round(each, 1), "megabytes": round(len(text) / 1e6, 2)}  # fmt: skip
    table = [{"metric": one.name, "series": by_name.get(one.name, 0)} for one in METRICS if one.name in by_name]
    name = "scrape-quick" if given.quick else "scrape"
    command = "python benchmarks/scrape.py" + (" --quick" if given.quick else "")
    write(name, {"scrapes": rows, "size": [size], "metrics": table}, goals, command)


if __name__ == "__main__":
    main()
