"""One peer's test on many pairs in one process: a job as JSON on standard input, what it found as JSON on standard output.

A job: {"peer": of run_PEER.py, "sets": file, "permutations": [B, ...], ...}. The file is a .npz of x0, y0, x1, y1, ...: in each set references
(r, n, d) and windows (k, m, d), float32, with one reference for each window or one for all. The answer: CPU seconds, and for each set a list
of p-values, or of true and false from a peer that only decides.

Several numbers of permutations are one draw in parts, which ends once "enough" of them reached the window's statistic: what is decided at
the level that this stands for is what all of them would decide. With "alarm" in the job a set ends at its first p-value of at most that.
"""

import importlib
import json
import os
import random
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from job import Job, cpu_seconds


def tests(peer: ModuleType, x: Any, y: Any, job: Job) -> Iterator[float]:
    """What the peer says of each window, one after the other."""
    fitted: dict[int, Any] = {}
    for turn, window in enumerate(y):
        if len(x) > 1:
            fitted.clear()

        def one(count: int, place: int = min(turn, len(x) - 1), window: Any = window) -> float:
            part = {**job, "permutations": count}
            if count not in fitted:
                fitted[count] = peer.fit(x[place], part)
            return peer.test(fitted[count], window, part)

        yield in_parts(one, job)


def in_parts(one: Any, job: Job) -> float:
    """The p-value, from as many of the permutations as decide."""
    counts = job["permutations"]
    if len(counts) == 1:
        return one(counts[0])
    reached = drawn = 0
    for count in counts:
        reached += round(one(count) * count)
        drawn += count
        if reached >= job["enough"]:
            break
    return reached / drawn


def upto(found: Iterator[float], alarm: float | None) -> list[float]:
    """All of them, or those up to the first that is an alarm."""
    kept = []
    for one in found:
        kept.append(one)
        if alarm is not None and one <= alarm:
            break
    return kept


def main() -> None:
    warnings.filterwarnings("ignore")
    job = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # progress bars and notices go elsewhere
    peer = importlib.import_module(f"run_{job['peer']}")
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  peers draw from the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    sets, start = np.load(job["sets"]), cpu_seconds()
    found = [
        upto(tests(peer, sets[f"x{i}"], sets[f"y{i}"], job), job.get("alarm")) for i in range(len(sets.files) // 2)
    ]
    os.write(out, json.dumps({"cpu_seconds": cpu_seconds() - start, "found": found}).encode())


if __name__ == "__main__":
    main()
