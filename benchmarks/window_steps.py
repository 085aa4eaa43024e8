"""A window of 50,000 rows down to a sample of 2,000 with the real model: seconds of every step, first run and all cached.

python benchmarks/window_steps.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import results_file

from monitor.config import parse
from monitor.demo.story import reference_messages
from monitor.desk import Desk
from monitor.pipeline import run_window
from monitor.store import Store
from monitor.values import Run, Window
from monitor.wiring import build_reference, open_shelf, wire

START = datetime(2026, 3, 2, tzinfo=UTC)
STEPS = ("reference", "canary", "sample", "embed", "detect", "decide", "select", "save")
WINDOW = Window(START, START + timedelta(days=1))


def write_data(folder: Path, rows: int) -> None:
    """Training messages of the demo, and traffic whose texts are pairs of their halves, nearly all distinct."""
    messages = reference_messages()
    columns = {
        "id": [m.id for m in messages],
        "text": [m.text for m in messages],
        "label": [m.intent for m in messages],
    }
    pq.write_table(pa.table(columns), folder / "training.parquet")
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, len(messages), (2, rows))
    halves = [m.text.split() for m in messages]
    texts = [
        " ".join(halves[a][: len(halves[a]) // 2 + 1] + halves[b][len(halves[b]) // 2 :])
        for a, b in zip(first, second, strict=True)
    ]
    moments = [START + timedelta(seconds=float(s)) for s in np.sort(rng.uniform(0, 86_400, rows))]
    traffic = {
        "id": [f"r{n}" for n in range(rows)],
        "text": texts,
        "timestamp": moments,
        "predicted": [messages[a].intent for a in first],
    }
    pq.write_table(pa.table(traffic), folder / "traffic.parquet")


def settings(folder: Path, run: str) -> dict[str, object]:
    return {
        "store": f"sqlite:///{folder}/{run}.db",
        "artifacts": f"{folder}/artifacts-{run}",
        "cache": f"{folder}/cache.db",
        "monitors": [
            {
                "name": "bench",
                "source": {"kind": "files", "path": f"{folder}/traffic.parquet"},
                "fields": {"predicted": "predicted"},
                "reference": {
                    "train": {"kind": "files", "path": f"{folder}/training.parquet"},
                    "fields": {"timestamp": None, "label": "label"},
                },
            }
        ],
    }


def once(folder: Path, name: str) -> Run:
    parsed = parse(settings(folder, name))
    one = parsed.monitors[0]
    with Store.open(parsed.store.url) as store:
        store.upgrade()
        reference, _ = build_reference(parsed, one, now=START)
        entry = open_shelf(parsed).save(reference)
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(one.name, entry.version)
        run = run_window(wire(parsed, one, store), WINDOW, Desk(store, store.now, "bench"))
    assert run is not None
    return run


def main(arguments: Sequence[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="5,000 rows")
    quick = options.parse_args(arguments).quick
    rows = 5_000 if quick else 50_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, rows)
        runs = {name: once(folder, name) for name in ("first", "cached")}
    table = [
        {
            "run": name,
            "rows": run.counts.population,
            "sampled": run.counts.sampled,
            **{f"{k}_s": round(v, 3) for k, v in run.seconds.items()},
            "total_s": round(sum(run.seconds.values()), 3),
        }
        for name, run in runs.items()
    ]
    for row in table:
        print(row)
    equal = sum(a == b for a, b in zip(runs["first"].measurements, runs["cached"].measurements, strict=True))
    measured = len(runs["first"].measurements)
    steps = [step for step in STEPS if step in runs["cached"].seconds]
    goals = [
        results_file.goal(
            "steps with their seconds in the canonical log line",
            f"all {len(STEPS)}",
            len(steps),
            len(steps) == len(STEPS),
        ),
        results_file.goal(
            "measurements of the cached run equal to the first run's", f"all {measured}", equal, equal == measured
        ),
    ]
    results_file.write(
        "window_steps", {"steps": table}, goals, "python benchmarks/window_steps.py" + " --quick" * quick
    )


if __name__ == "__main__":
    main(sys.argv[1:])
