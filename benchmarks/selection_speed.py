"""How long it takes to choose 500 candidates, and what it costs in memory: 10,000 records against 10,000, and 100,000 against 100,000.

CLINC150 embeddings, repeated with a little noise beyond 11,000 rows a side; a fifth of the window's intents is new to the reference. Each size runs
in a process of its own, with as many threads as there are cores. What is measured is all of it: densities, near-duplicates, heads, the
choice, what stands beside a candidate, and what the batch is expected to do. Drift cover is the default strategy.

python benchmarks/selection_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from job import measured
from real_data import embedded
from results_file import goal, write
from selection_worlds import as_data

from monitor import plugins
from monitor.selection.batch import propose
from monitor.selection.heads import fit_head
from monitor.selection.mixture import Mixture, Share
from monitor.values import Dataset, Reference

NOISE = 0.01
SIZES = {10_000: 10.0, 100_000: 60.0}
STRATEGIES = ("drift_cover", "herding")
BUDGET = 500


def sides(size: int) -> tuple[Reference, Dataset]:
    """A reference and a window of this size; 30 intents are held back from the reference."""
    data, rng = embedded("clinc150"), np.random.default_rng(0)
    names = np.unique(data.label[data.label != "oos"])
    new = np.isin(data.label, rng.choice(names, 30, replace=False))
    known = rng.permutation(np.flatnonzero(~new & (data.label != "oos")))
    here, there = known[::2], known[1::2]
    window = np.concatenate([there, np.flatnonzero(new)])

    def some(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        places = np.resize(rng.permutation(rows), count)
        vectors = data.vectors[places] + NOISE * rng.standard_normal((count, 384), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), data.label[places]

    train, labels = some(here, size * 7 // 10)
    protected, more = some(here, size - len(train))
    old = fit_head(train[:5_000], labels[:5_000].astype(object))
    texts = [None] * size
    parts = [
        as_data(train, "t", labels, texts[: len(train)], old),
        as_data(protected, "p", more, texts[: len(more)], old),
    ]
    created = parts[0].column("observed_at")[0]
    reference = Reference("speed", 1, created, *parts, "f" * 64, np.zeros((0, 384), np.float32))
    vectors, _ = some(window, size)
    return reference, as_data(vectors, "w", None, texts, old)


def one(size: int, strategy: str) -> dict[str, Any]:
    """One batch, and whether another order of rows gives the same."""
    reference, window = sides(size)
    mixture = Mixture(*([Share(strategy, plugins.build("selection", strategy, {}))] for _ in range(2)))

    def batch(data: Dataset) -> list[str]:
        rng = np.random.default_rng(1)
        found, _ = propose(mixture, mixture.pool(reference, data, rng), BUDGET, 0.01, rng)
        return [candidate.record_id for candidate in found]

    start = time.perf_counter()
    first, cpu, peak = measured(lambda: batch(window))
    spent = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu}
    turned = batch(window.take(np.random.default_rng(2).permutation(len(window)))) if size <= 10_000 else first
    return {
        "rows a side": size,
        "strategy": strategy,
        **{name: round(value, 2) for name, value in spent.items()},
        "peak MB above the data": round(peak),
        "candidates": len(first),
        "same in any order": turned == first,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 rows alone")
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "STRATEGY"), help="one batch, its row on standard output")
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(one(int(given.one[0]), given.one[1])))
        return
    rows = []
    for size, strategy in product([10_000] if given.quick else SIZES, STRATEGIES):
        command = [sys.executable, str(Path(__file__)), "--one", str(size), strategy]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    goals = [
        goal(f"{row['rows a side']:,} against {row['rows a side']:,}, {row['strategy']}, seconds", f"<= {SIZES[row['rows a side']]:.0f}", row["seconds"], row["seconds"] <= SIZES[row["rows a side"]])
        for row in rows
    ]  # fmt: skip
    goals.append(
        goal(
            "same batch in another order of rows",
            "yes",
            float(all(row["same in any order"] for row in rows)),
            all(row["same in any order"] for row in rows),
        )
    )
    name = "selection_speed-quick" if given.quick else "selection_speed"
    write(name, {"batches": rows}, goals, "python benchmarks/selection_speed.py" + (" --quick" if given.quick else ""))


if __name__ == "__main__":
    main()
