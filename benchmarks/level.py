"""How often each test rejects where nothing has drifted, on CLINC150: 20,000 nulls for each size, sessions, and every other test.

Given a pool of rows without drift, every labelling of its units as reference and window is one null, with labellings of its own to
compare with. So the kernel sums of one pool serve many nulls, and each p-value is as good as one from fresh rows: its units are
exchangeable. Standard errors are taken over pools. Labellings to compare with are slices of 12,000 drawn once for each pool.

python benchmarks/level.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import results_file
from real_data import embedded

from monitor.detectors import Detector
from monitor.detectors.blocks import Blocks
from monitor.detectors.c2st import C2stDetector
from monitor.detectors.class_balance import ClassBalanceDetector
from monitor.detectors.energy import EnergyDetector
from monitor.detectors.knn import KnnDetector
from monitor.detectors.ks import KsDetector
from monitor.detectors.min_p import joint_p_value, sequential
from monitor.detectors.mmd import MmdDetector
from monitor.detectors.novelty_ranks import mean_difference, savage_scores
from monitor.detectors.pair_sums import PairSums
from monitor.detectors.permutation import labellings
from monitor.detectors.prepared import Prepared, Side, prepare, side_of
from monitor.detectors.units import blocks_per_unit
from monitor.sketches import make_plan
from monitor.sketches.change import change
from monitor.sketches.features import CHUNK, row_features
from monitor.values import BlockSums, Dataset, FloatArray, Reference, Vectors, record_schema

SIZES = ((10, 10), (20, 20), (50, 50), (200, 200), (2_000, 2_000), (10, 100), (20, 200), (200, 2_000))
DRAWN = 12_000
PERMUTATIONS, REFINED = 999, 9_999
SESSION_ROWS = 500
NOTES = (
    "core-4 by the sums, labellings and p-values of the mmd detector, ruler of 2,000 other rows",
    "with 10 rows on a side the detector gives no p-value (it wants 20 blocks): the test under it is measured",
    "given a pool of units without drift, random labellings are the nulls: 100 of each pool; labellings to compare with are slices of 12,000",
    "single rows: labellings of rows instead of sessions, 999 of them",
    "detectors as a whole: any p-value of theirs at or below the level, after their own correction",
)

Rows = np.ndarray


def data_of(vectors: Vectors, predicted: Sequence[str] | None = None, prefix: str = "r") -> Dataset:
    """Rows that stand alone, with predicted classes where there are any."""
    n, schema = len(vectors), record_schema()
    columns = {"id": [f"{prefix}{i:05d}" for i in range(n)]} | ({} if predicted is None else {"predicted": predicted})
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return Dataset(pa.Table.from_arrays(arrays, schema=schema), np.asarray(vectors, np.float32), np.ones(n), "minilm")


def reference_of(train: Dataset, protected: Dataset) -> Reference:
    canaries = np.zeros((0, train.vectors.shape[1]), np.float32)
    return Reference("clinc150", 1, datetime(2026, 1, 1, tzinfo=UTC), train, protected, "", canaries)


def alone(n: int) -> Blocks:
    return Blocks(np.arange(n), n, "record")


@dataclass(frozen=True, slots=True)
class Pool:
    """Units of one pool, their kernel sums and novelty scores."""

    sums: list[PairSums]
    scores: FloatArray
    rows: FloatArray

    def statistics(self, labels: np.ndarray) -> FloatArray:
        """What :func:`monitor.detectors.core4.look` computes of each labelling."""
        found = [sums.mmd2(labels) for sums in self.sums]
        return np.array([*found, mean_difference(self.scores, self.rows, labels)])


class World:
    """In-scope CLINC150 rows; a ruler from 2,000 of them, the others for pools."""

    def __init__(self, seed: int) -> None:
        data = embedded("clinc150")
        known = np.random.default_rng(seed).permutation(np.flatnonzero(data.label != "oos"))
        self.vectors, self.label, self.group = data.vectors[known], data.label[known], data.group[known]
        first = data_of(self.vectors[:8_000])
        self.prepared: Prepared = prepare(first, {}, 2_000)
        self.free = np.arange(8_000, len(known))
        rest = data_of(self.vectors)
        self.side: Side = side_of(rest, alone(len(rest)), self.prepared.gamma, self.prepared.ruler)
        self.intents = [self.free[self.label[self.free] == name] for name in np.unique(self.label)]

    def pool(self, rows: Rows, blocks: Blocks, per_unit: int, rng: np.random.Generator) -> Pool:
        found = self.prepared.summed(self.side, rows, blocks, per_unit, rng)
        units = found.units
        assert found.linear is not None
        assert self.side.novelty is not None
        scores = savage_scores(self.side.novelty[rows[units.order]])
        sums = [PairSums(s, units.rows, units.own) for s in (*found.gaussian, found.linear[0])]
        return Pool(sums, np.add.reduceat(scores, units.starts), units.rows)


def p_value(observed: FloatArray, drawn: FloatArray, start: int) -> tuple[float, float]:
    """The detector's p-value, its labellings taken from ``drawn`` from ``start`` on; and what 999 labellings alone would give, 1 where 299 settle it."""
    place = start

    def draw(count: int) -> FloatArray:
        nonlocal place
        taken = drawn.take(np.arange(place, place + count), axis=1, mode="wrap")
        place += count
        return taken

    p, used = sequential(draw, observed, PERMUTATIONS, REFINED)
    if used.shape[1] < PERMUTATIONS:
        return p, 1.0
    return p, joint_p_value(np.concatenate([observed[:, None], used[:, :PERMUTATIONS]], axis=1))


def level(world: World, n: int, m: int, nulls: int, pools: int, rng: np.random.Generator) -> dict[str, Any]:
    """Core-4 on n rows against m, all of one distribution."""
    start = time.process_time()
    per_unit, _ = blocks_per_unit(alone(n), alone(m))
    found = []
    for _ in range(pools):
        rows = rng.choice(world.free, n + m, replace=False)
        pool = world.pool(rows, alone(n + m), per_unit, rng)
        current, units = m // per_unit, (n + m) // per_unit
        observed = pool.statistics(labellings(current, units, nulls // pools, rng))
        drawn = pool.statistics(labellings(current, units, DRAWN, rng))
        found.append([p_value(column, drawn, int(rng.integers(DRAWN))) for column in observed.T])
    p = np.array(found)
    return {
        "n": n,
        "m": m,
        **rates(p[:, :, 0]),
        "at_0.01_by_999_labellings_alone": round(float((p[:, :, 1] <= 0.01).mean()), 5),
        "rows_a_unit": per_unit,
        "pools": pools,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def rates(p: np.ndarray) -> dict[str, Any]:
    """Rejections among p-values (pools, nulls of each), standard errors over pools."""
    found: dict[str, Any] = {"nulls": p.size}
    for limit in (0.05, 0.01):
        each = (p <= limit).mean(axis=1)
        found[f"at_{limit}"] = round(float(each.mean()), 5)
        found[f"se_{limit}"] = round(float(each.std(ddof=1) / np.sqrt(len(each))), 5)
    return found


def sessions(world: World, size: int, share: float, pools: int, each: int, rng: np.random.Generator) -> dict[str, Any]:
    """500 rows against 500 in sessions of ``size``, each row of a session on its topic with probability ``share``: blocks against rows."""
    start, many = time.process_time(), 2 * SESSION_ROWS // size
    found = []
    for _ in range(pools):
        rows = np.concatenate([session(world, size, share, rng) for _ in range(many)])
        blocks = Blocks(np.repeat(np.arange(many), size), many, "field")
        by_block = world.pool(rows, blocks, 1, rng)
        by_row = world.pool(rows, alone(len(rows)), 1, rng)
        truths = labellings(many // 2, many, each, rng)
        drawn = by_block.statistics(labellings(many // 2, many, DRAWN, rng))
        observed = by_block.statistics(truths)
        rowwise = by_row.statistics(np.repeat(truths, size, axis=0))
        against = by_row.statistics(labellings(SESSION_ROWS, 2 * SESSION_ROWS, PERMUTATIONS, rng))
        for k in range(each):
            p, _ = p_value(observed[:, k], drawn, int(rng.integers(DRAWN)))
            found.append([p, joint_p_value(np.concatenate([rowwise[:, k : k + 1], against], axis=1))])
    p = np.array(found).reshape(pools, each, 2)
    return {
        "session_rows": size,
        "on_one_topic": share,
        **rates(p[:, :, 0]),
        "single_rows_at_0.05": round(float((p[:, :, 1] <= 0.05).mean()), 4),
        "pools": pools,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def session(world: World, size: int, share: float, rng: np.random.Generator) -> Rows:
    """One session's rows: its topic is an intent, the rest comes from anywhere."""
    topic = world.intents[rng.integers(len(world.intents))]
    count = int(rng.binomial(size, share))
    return np.concatenate([rng.choice(topic, count, replace=False), rng.choice(world.free, size - count)])


def change_level(world: World, nulls: int, rng: np.random.Generator) -> dict[str, Any]:
    """The sketches' change test: 4 blocks of 25 rows against 40 such blocks before them."""
    start, blocks, size = time.process_time(), 44, 25
    vectors = world.vectors
    plan = make_plan(reference_of(data_of(vectors[:1_500]), data_of(vectors[1_500:2_000], prefix="p")))
    parts = [row_features(plan, vectors[i : i + CHUNK]) for i in range(2_000, len(vectors), CHUNK)]
    whole = np.concatenate(parts)
    whole = np.pad(whole, ((0, 0), (0, plan.width - whole.shape[1])))
    found = []
    for _ in range(nulls):
        rows = rng.choice(len(whole), blocks * size, replace=False)
        sums = whole[rows].reshape(blocks, size, -1).sum(axis=1, dtype=np.int64)
        windows = [
            BlockSums(plan.fingerprint, "", np.full(4, size), np.ascontiguousarray(sums[i : i + 4]))
            for i in range(0, blocks, 4)
        ]
        measured = change(windows[:-1], windows[-1], plan, rng)
        found.append(next(one.p_value for one in measured if one.subject == "embeddings"))
    p = np.array(found, dtype=float)[:, None]
    return {"test": "change (sketches, conformal)", "rows": "1,000 vs 100", **rates(p), **spent(start)}


def detector_level(
    world: World, name: str, detector: Detector, shape: tuple[int, int, int], counts: tuple[int, int], seed: int
) -> dict[str, Any]:
    """A detector as a whole, on references (train, protected) and windows; ``counts``: references, windows of each. The smallest corrected p-value counts."""
    start, (train, protected, window) = time.process_time(), shape
    rng, found = np.random.default_rng(seed), []
    for _ in range(counts[0]):
        rows = rng.choice(len(world.vectors), train + protected + counts[1] * window, replace=False)
        first, second, *others = np.split(rows, train + np.r_[0, protected + window * np.arange(counts[1])])
        known = reference_of(drawn(world, first, "t"), drawn(world, second, "p"))
        found.append([smallest(detector, known, drawn(world, other, "c"), rng) for other in others])
    rows_text = f"{train} + {protected} vs {window}"
    return {"test": name, "rows": rows_text, **rates(np.array(found)), **spent(start)}


def drawn(world: World, rows: Rows, prefix: str) -> Dataset:
    return data_of(world.vectors[rows], world.group[rows].tolist(), prefix)


def smallest(detector: Detector, known: Reference, current: Dataset, rng: np.random.Generator) -> float:
    tested = [m.p_value for m in detector.measure(known, current, rng) if m.p_value is not None]
    return min(tested)


def spent(start: float) -> dict[str, float]:
    return {"cpu_seconds": round(time.process_time() - start, 1)}


OTHERS: tuple[tuple[str, Callable[[], Detector], tuple[int, int, int], tuple[int, int]], ...] = (
    ("mmd (embeddings, within classes)", MmdDetector, (600, 200, 200), (200, 5)),
    ("class_balance", ClassBalanceDetector, (200, 100, 200), (1_000, 1)),
    ("ks", KsDetector, (400, 200, 200), (200, 5)),
    ("energy", EnergyDetector, (200, 100, 200), (1_000, 1)),
    ("knn", KnnDetector, (200, 100, 200), (1_000, 1)),
    ("c2st", C2stDetector, (200, 100, 200), (500, 1)),
)


def goals_of(
    sized: Sequence[dict[str, Any]], bursts: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], wider: float
) -> list[dict[str, Any]]:
    """``wider``: binomial standard errors by which a quick run may miss."""
    found = []
    for row in sized:
        for limit, low, high in ((0.05, 0.045, 0.055), (0.01, 0.008, 0.012)):
            slack, value = wider * binomial_error(limit, row["nulls"]), row[f"at_{limit}"]
            name = f"level at {limit:.0%}, n = {row['n']:,}, m = {row['m']:,}, {row['nulls']:,} nulls"
            met = low - slack <= value <= high + slack
            found.append(results_file.goal(name, f"{max(low - slack, 0):.1%} to {high + slack:.1%}", value, met))
    for row in bursts:
        name = f"sessions of {row['session_rows']}, {row['on_one_topic']:.0%} on one topic"
        value, single = row["at_0.05"], row["single_rows_at_0.05"]
        most = 0.06 + wider * binomial_error(0.05, row["nulls"])
        found.append(results_file.goal(f"{name}: level of the block test", f"<= {most:.1%}", value, value <= most))
        found.append(results_file.goal(f"{name}: rejections by single rows", "> 85 %", single, single > 0.85))
    for row in others:
        most, value = 0.05 + 3.0 * binomial_error(0.05, row["nulls"]), row["at_0.05"]
        found.append(results_file.goal(f"level of {row['test']}", f"<= {most:.1%}", value, value <= most))
    return found


def binomial_error(rate: float, count: int) -> float:
    return float(np.sqrt(rate * (1.0 - rate) / count))


def again(sizes: list[tuple[int, ...]], world: World) -> None:
    """Measure some sizes once more, each from a generator of its own, and put them in the place of the former."""
    tables = json.loads((results_file.RESULTS / "level.json").read_text(encoding="utf-8"))["tables"]
    for n, m in sizes:
        row = level(world, n, m, 20_000, 200, np.random.default_rng([n, m]))
        print(row, flush=True)
        sized = tables["core-4 on independent rows"]
        sized[:] = [row if (old["n"], old["m"]) == (n, m) else old for old in sized]
        bursts, others = tables["core-4 on sessions, 500 vs 500"], tables["other tests"]
        results_file.write("level", tables, goals_of(sized, bursts, others, 0.0), "python benchmarks/level.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few nulls of each")
    parser.add_argument("--sizes", help="measure only these, as 10x100,200x200; the rest is kept from the results file")
    given = parser.parse_args()
    quick = given.quick
    rng, world, few = np.random.default_rng(0), World(seed=0), 50 if quick else 1
    if given.sizes:
        again([tuple(map(int, size.split("x"))) for size in given.sizes.split(",")], world)
        return
    sized = []
    for n, m in SIZES:
        sized.append(level(world, n, m, 20_000 // few, 200 // few, rng))
        print(sized[-1], flush=True)
    bursts = []
    for size in (5, 10, 20):
        for share in (0.5, 1.0):
            bursts.append(sessions(world, size, share, 200 // few, 10, rng))
            print(bursts[-1], flush=True)
    others = [change_level(world, 2_000 // few, rng)]
    for seed, (name, make, shape, (references, windows)) in enumerate(OTHERS):
        others.append(detector_level(world, name, make(), shape, (max(2, references // few), windows), seed))
        print(others[-1], flush=True)
    tables = {"core-4 on independent rows": sized, "core-4 on sessions, 500 vs 500": bursts, "other tests": others}
    tables["notes"] = [{"note": note} for note in NOTES]
    name = "level-quick" if quick else "level"
    results_file.write(
        name,
        tables,
        goals_of(sized, bursts, others, 4.0 if quick else 0.0),
        "python benchmarks/level.py" + (" --quick" if quick else ""),
    )


if __name__ == "__main__":
    main()
