"""Whether what a quiet window says it would have caught is caught about four times in five.

A window of CLINC150 queries states the smallest share of unseen content of one topic and the smallest mean shift that it would have caught with 80 % power.
The same windows are then given just that, from intents the reference has never held, and the share of alarms at 5 % is counted; with kinds of content told
from the reference's classes, and without classes. The same for the look on block sums, against twelve windows accepted before. Run:
``python benchmarks/power_statement.py [--quick]``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from real_data import embedded
from results_file import goal, write
from ruler_shrinkage import Traffic, window_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from worlds import dataset, reference

from monitor.detectors.core4 import look, measurement
from monitor.detectors.kernels import median_squared_distance
from monitor.detectors.power import alternatives
from monitor.detectors.prepared import Prepared
from monitor.detectors.ruler import make_ruler
from monitor.sketches import Plan, block_sums, change, make_plan
from monitor.values import BlockSums, Vectors

WINDOWS, BLOCKS = 12, 8


def prepared_of(known: Vectors, size: int, classes: np.ndarray | None) -> Prepared:
    ruler = make_ruler(known[:size])
    gamma = 1.0 / median_squared_distance(known[:size])
    against = alternatives(known[:size], ruler, gamma, known[size:], classes)
    return Prepared(window_of(known[size:], gamma, ruler), ruler, gamma, (0.4, 0.05), against)


def with_share(window: Vectors, share: float, traffic: Traffic, rng: np.random.Generator) -> Vectors:
    """The window with this share of one new intent, in random order."""
    n, pool = len(window), traffic.new[rng.integers(len(traffic.new))]
    count = min(int(share * n + rng.random()), n)
    dirty = window.copy()
    dirty[:count] = pool[rng.choice(len(pool), count, replace=count > len(pool))]
    return dirty[rng.permutation(n)]


def compared(prepared: Prepared, window: Vectors, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """p-value and detail of one look."""
    x, y = np.arange(prepared.test.blocks.count), np.arange(len(window))
    found = look(prepared, "", x, window_of(window, prepared.gamma, prepared.ruler), y, (999, 999), rng)
    return found.p_value, dict(measurement(found, prepared, "", x, y, (len(x), len(y))).detail)


def row(
    traffic: Traffic, labels: np.ndarray, size: int, n: int, repetitions: int, *, classed: bool
) -> dict[str, object]:
    """Median statement of a look at all rows and the power found at it."""
    shares, shifts, caught = [], [], np.zeros(3)
    for repetition in range(repetitions):
        rng = np.random.default_rng((size, n, repetition))
        if repetition % 10 == 0:
            order = rng.permutation(len(traffic.known))
            known, rest = traffic.known[order[:size]], traffic.known[order[size:]]
            prepared = prepared_of(known, size // 4, labels[order[:size]] if classed else None)
        window = rest[rng.choice(len(rest), n, replace=False)]

        p, said = compared(prepared, window, rng)
        share, shift = said["detectable_share"], said["detectable_shift"]
        shares.append(share)
        shifts.append(shift)
        dirty = with_share(window, share, traffic, rng)
        moved = traffic.drifted(window, f"mean shift {shift}", rng)
        caught += [
            p <= 0.05,
            compared(prepared, dirty, rng)[0] <= 0.05,
            compared(prepared, moved, rng)[0] <= 0.05,
        ]
    null, content, moved_found = (100 * caught / repetitions).round(1).tolist()
    return {
        "reference": size,
        "classes": classed,
        "window": n,
        "repetitions": repetitions,
        "detectable_share": round(float(np.median(shares)), 4),
        "power_at_share": content,
        "detectable_shift": round(float(np.median(shifts)), 4),
        "power_at_shift": moved_found,
        "alarms_without_drift": null,
    }


def change_row(traffic: Traffic, n: int, repetitions: int) -> dict[str, object]:
    """Median statement of a look on block sums, and the power found at it."""
    shares, caught = [], np.zeros(2)
    for repetition in range(repetitions):
        rng = np.random.default_rng((n, repetition))
        if repetition % 10 == 0:
            known, rest = traffic.split((2_600, len(traffic.known) - 2_600), rng)
            plan = make_plan(reference(dataset(known[:2_000]), dataset(known[2_000:], prefix="p")))

            def summed(rows: Vectors, name: str, plan: Plan = plan) -> BlockSums:
                return block_sums(plan, dataset(rows, prefix=name), BLOCKS)[""]

        order = rng.permutation(len(rest))[: (WINDOWS + 1) * n]
        *past, window = np.split(rest[order], WINDOWS + 1)
        before = [summed(rows, f"{i}-") for i, rows in enumerate(past)]
        calm = change(before, summed(window, "now-"), plan, rng)[0]
        shares.append(calm.detail["detectable_share"])
        dirty = change(before, summed(with_share(window, shares[-1], traffic, rng), "now-"), plan, rng)[0]
        caught += [calm.p_value <= 0.05, dirty.p_value <= 0.05]
    null, found = (100 * caught / repetitions).round(1).tolist()
    return {
        "window": n,
        "windows_before": WINDOWS,
        "repetitions": repetitions,
        "detectable_share": round(float(np.median(shares)), 4),
        "power_at_share": found,
        "alarms_without_drift": null,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    quick = parser.parse_args().quick
    repetitions = 10 if quick else 100
    traffic, table, changes, goals = Traffic(), [], [], []
    labels = embedded("clinc150")
    names = np.unique(labels.label[labels.label != "oos"])
    drawn = np.random.default_rng(3).choice(names, len(traffic.new), replace=False)
    known = labels.label[(labels.label != "oos") & ~np.isin(labels.label, drawn)].astype(object)
    for size, n in ((1_200, 250), (4_000, 250), (4_000, 500), (4_000, 1_000)):
        for classed in (False, True):
            found = row(traffic, known, size, n, repetitions, classed=classed)
            table.append(found)
            print(found, flush=True)
            for kind in ("share", "shift")[: 1 if classed else 2]:
                power = found[f"power_at_{kind}"]
                name = f"power at the stated {kind}, {n} rows against {size}{', with classes' if classed else ''}"
                goals.append(goal(name, "65 to 95 %", power, 65 <= power <= 95))
    for n in (100, 250, 500, 1_000):
        found = change_row(traffic, n, repetitions)
        changes.append(found)
        print(found, flush=True)
        power = found["power_at_share"]
        goals.append(
            goal(f"power of the change test at the stated share, {n} rows", "65 to 95 %", power, 65 <= power <= 95)
        )
    name = "power_statement_quick" if quick else "power_statement"
    write(name, {"power": table, "change": changes}, goals, "python benchmarks/power_statement.py")


if __name__ == "__main__":
    main()
