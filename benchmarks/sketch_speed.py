"""CPU time of sketches: rows a second into block sums, a million rows sketched and tested, and one look at several sizes.

Made-up unit vectors and real sentence embeddings (CLINC150, repeated). CPU time of one thread; embedding is not part of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from real_data import embedded
from results_file import goal, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from worlds import EMBEDDER, dataset, reference, unit

from monitor.sketches import Accumulator, Plan, change, compare, from_bytes, make_plan, to_bytes
from monitor.sketches.features import CHUNK, row_features
from monitor.values import BlockSums, Dataset, record_schema

PART = 50_000


def rows_like(vectors: np.ndarray, first: int, count: int) -> Dataset:
    """Records with ids and vectors alone, repeating ``vectors``."""
    schema = record_schema()
    columns = [
        pa.array([f"{i:09d}" for i in range(first, first + count)]) if f.name == "id" else pa.nulls(count, f.type)
        for f in schema
    ]
    x = vectors[np.arange(first, first + count) % len(vectors)]
    return Dataset(pa.Table.from_arrays(columns, schema=schema), x, np.ones(count), EMBEDDER)


def features_alone(plan: Plan, vectors: np.ndarray) -> float:
    """Rows a second of the 1,024 Fourier features and the rest, without sums; the best of five."""
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        for i in range(0, 20 * CHUNK, CHUNK):
            row_features(plan, vectors[i : i + CHUNK])
        best = min(best, time.process_time() - start)
    return 20 * CHUNK / best


def sketched(plan: Plan, vectors: np.ndarray, rows: int) -> dict[str, Any]:
    """Half of ``rows`` against the other half: sums in one pass each, then the test."""
    sketch = test = 0.0
    sides = []
    for side in range(2):
        accumulator = Accumulator.empty(plan, 32)
        for first in range(0, rows // 2, PART):
            part = rows_like(vectors, side * (rows // 2) + first, min(PART, rows // 2 - first))
            start = time.process_time()
            accumulator.add(part)
            sketch += time.process_time() - start
        sides.append(accumulator.finished())
    start = time.process_time()
    found = compare([sides[0]], [sides[1]], plan, np.random.default_rng(0))
    test += time.process_time() - start
    return {
        "rows": rows,
        "sketch_cpu_seconds": round(sketch, 3),
        "test_cpu_seconds": round(test, 3),
        "rows_per_cpu_second": round(rows / sketch),
        "p": found[0].p_value,
    }


def look(plan: Plan, vectors: np.ndarray, past: int, blocks: int, *, refined: bool) -> dict[str, Any]:
    """One call of ``change``: this many past blocks, this many current ones."""
    whole = np.concatenate([row_features(plan, vectors[i : i + CHUNK]) for i in range(0, 8 * CHUNK, CHUNK)])
    rng = np.random.default_rng(0)
    sums = whole[rng.integers(len(whole), size=((past + blocks), 10))].sum(axis=1).astype(np.int64)
    sums = np.pad(sums, ((0, 0), (0, plan.width - sums.shape[1])))
    if refined:
        sums[past:, plan.columns["novelty"]] += 50_000  # a difference no choice reaches, so that all choices are drawn
    sides = [BlockSums(plan.fingerprint, "", np.full(len(s), 10), s) for s in (sums[:past], sums[past:])]
    best = np.inf
    for _ in range(2 if refined else 5):
        start = time.process_time()
        found = change([sides[0]], sides[1], plan, np.random.default_rng(1), most_past=past)
        best = min(best, time.process_time() - start)
    return {
        "blocks_past": past,
        "blocks_current": blocks,
        "choices": 99_999 if refined else 999,
        "cpu_milliseconds": round(best * 1_000, 1),
        "p": found[0].p_value,
        "bytes_of_window": len(to_bytes(sides[1])),
        "read_back": bool(np.array_equal(from_bytes(to_bytes(sides[1])).sums, sides[1].sums)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a check that it runs")
    quick = parser.parse_args().quick
    rng = np.random.default_rng(0)
    real = embedded("clinc150").vectors
    real = real[rng.permutation(len(real))]
    made = unit(rng.normal(size=(50_000, 384)))
    growth, alone = [], []
    for name, vectors in (("real", real), ("made up", made)):
        plan = make_plan(reference(dataset(vectors[:1_500]), dataset(vectors[1_500:2_000], prefix="p")))
        alone.append({"vectors": name, "rows_per_cpu_second": round(features_alone(plan, vectors))})
        sizes = (10_000, 100_000) if quick else (10_000, 30_000, 100_000, 300_000, 1_000_000)
        for rows in sizes if name == "real" else sizes[:4]:
            growth.append({"vectors": name} | sketched(plan, vectors[2_000:], rows))
            print(growth[-1])
        if name == "real":
            looks = [
                look(plan, vectors[2_000:], past, blocks, refined=refined)
                for past, blocks, refined in (
                    (192, 8, False),
                    (500, 16, False),
                    (1_000, 16, False),
                    (1_000, 16, True),
                    (2_000, 16, False),
                    (2_000, 16, True),
                    (2_000, 32, True),
                )[: 2 if quick else 7]
            ]
            print(looks)
    largest = [row for row in growth if row["rows"] == max(r["rows"] for r in growth)]
    total = max(row["sketch_cpu_seconds"] + row["test_cpu_seconds"] for row in largest)
    rate = min(row["rows_per_cpu_second"] for row in largest)
    slowest = max(row["cpu_milliseconds"] for row in looks if row["choices"] == 99_999) if not quick else 0.0
    small = looks[0]["cpu_milliseconds"]
    goals = [
        goal(
            "rows a second and core into block sums, ids hashed, 1,024 Fourier features",
            ">= 120,000",
            rate,
            rate >= 120_000,
        ),
        goal(f"{largest[0]['rows']:,} rows sketched and tested, CPU seconds", "<= 10", round(total, 2), total <= 10),
        goal("a look at 200 blocks, 999 choices, CPU milliseconds", "<= 10", small, small <= 10),
        goal("a look at 2,000 blocks, 99,999 choices, CPU milliseconds", "<= 300", slowest, slowest <= 300),
    ]
    write(
        "sketch_speed",
        {"features_alone": alone, "growth": growth, "looks": looks},
        goals,
        "OMP_NUM_THREADS=1 python benchmarks/sketch_speed.py",
    )


if __name__ == "__main__":
    main()
