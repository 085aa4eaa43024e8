"""Whether what a quiet window says it would have caught is caught about four times in five.

A window of CLINC150 queries states the smallest share of unseen content of one topic and the smallest mean shift that it would have caught with 80 % power.
The same windows are then given just that, from intents the reference has never held, and the share of alarms at 5 % is counted. Run:
``python benchmarks/power_statement.py [--quick]``.
"""

from __future__ import annotations

import argparse

import numpy as np
from results_file import goal, write
from ruler_shrinkage import Traffic, window_of

from monitor.detectors.core4 import look, measurement
from monitor.detectors.kernels import median_squared_distance
from monitor.detectors.power import alternatives
from monitor.detectors.prepared import Prepared
from monitor.detectors.ruler import make_ruler
from monitor.values import Vectors


def prepared_of(known: Vectors, size: int) -> Prepared:
    ruler = make_ruler(known[:size])
    gamma = 1.0 / median_squared_distance(known[:size])
    return Prepared(
        window_of(known[size:], gamma, ruler), ruler, gamma, (0.4, 0.05), alternatives(known[:size], ruler, gamma)
    )


def compared(prepared: Prepared, window: Vectors, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """p-value and detail of one look."""
    x, y = np.arange(prepared.test.blocks.count), np.arange(len(window))
    found = look(prepared, "", x, window_of(window, prepared.gamma, prepared.ruler), y, (999, 999), rng)
    return found.p_value, dict(measurement(found, prepared, "", x, y, (len(x), len(y))).detail)


def row(traffic: Traffic, reference: int, n: int, repetitions: int) -> dict[str, float]:
    """Median statement and the power found at it."""
    shares, shifts, caught = [], [], np.zeros(3)
    for repetition in range(repetitions):
        rng = np.random.default_rng((reference, n, repetition))
        if repetition % 10 == 0:
            known, rest = traffic.split((reference, len(traffic.known) - reference), rng)
            prepared = prepared_of(known, reference // 4)
        window = rest[rng.choice(len(rest), n, replace=False)]

        p, said = compared(prepared, window, rng)
        share, shift = said["detectable_share"], said["detectable_shift"]
        shares.append(share)
        shifts.append(shift)
        dirty = window.copy()
        pool = traffic.new[rng.integers(len(traffic.new))]
        count = min(int(share * n + rng.random()), n)
        dirty[:count] = pool[rng.choice(len(pool), count, replace=count > len(pool))]
        moved = traffic.drifted(window, f"mean shift {shift}", rng)
        caught += [
            p <= 0.05,
            compared(prepared, dirty[rng.permutation(n)], rng)[0] <= 0.05,
            compared(prepared, moved, rng)[0] <= 0.05,
        ]
    null, content, moved_found = (100 * caught / repetitions).round(1).tolist()
    return {
        "reference": reference,
        "window": n,
        "repetitions": repetitions,
        "detectable_share": round(float(np.median(shares)), 4),
        "power_at_share": content,
        "detectable_shift": round(float(np.median(shifts)), 4),
        "power_at_shift": moved_found,
        "alarms_without_drift": null,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    quick = parser.parse_args().quick
    traffic, table, goals = Traffic(), [], []
    for reference, n in ((1_200, 250), (4_000, 250), (4_000, 500), (4_000, 1_000)):
        found = row(traffic, reference, n, 10 if quick else 100)
        table.append(found)
        print(found, flush=True)
        for kind in ("share", "shift"):
            power = found[f"power_at_{kind}"]
            name = f"power at the stated {kind}, {n} rows against {reference}"
            goals.append(goal(name, "65 to 95 %", power, 65 <= power <= 95))
    write(
        "power_statement_quick" if quick else "power_statement",
        {"power": table},
        goals,
        "python benchmarks/power_statement.py",
    )


if __name__ == "__main__":
    main()
