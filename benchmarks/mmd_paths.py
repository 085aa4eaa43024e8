"""One measured run of this package's own tests, in a process of its own: the same job and answer as the peers' runners.

The job's ``path``: ``float32`` or ``int8`` (exact over rows), ``blocks`` (two Gaussian kernels summed over units of rows), ``sketch`` (block sums, then
their test), ``kernel`` (matrix products and kernel tiles by turns), ``look``
(the detector as it runs).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from job import Job, answer
from worlds import dataset, reference, unit

from monitor.detectors.blocks import Blocks
from monitor.detectors.kernels import gaussian_kernel, median_squared_distance
from monitor.detectors.mmd import MmdDetector
from monitor.detectors.pair_sums import PairSums, gaussian_across, gaussian_within, joined
from monitor.detectors.permutation import labellings
from monitor.detectors.tiles import exponents, permuted_forms, unbiased_mmd2
from monitor.detectors.units import blocks_per_unit, exchanged, units_of
from monitor.sketches import Accumulator, compare, make_plan
from monitor.values import Reference

__all__ = ["fit", "run"]

torch.set_num_threads(1)
_POWERS = (0, 2)
_LABELS_AT_ONCE = 100
_SGEMM = 4_096


Fitted = tuple[np.ndarray, float, tuple[float, ...]]


def _bandwidth(rows: np.ndarray, powers: tuple[int, ...]) -> tuple[float, tuple[float, ...]]:
    gamma = 1.0 / median_squared_distance(rows)
    kernel = gaussian_kernel(rows[:500], rows[:500], gamma)
    np.fill_diagonal(kernel, 0.0)
    pairs = len(kernel) * (len(kernel) - 1)
    return gamma, tuple(float((kernel ** (2**s)).sum(dtype=np.float64)) / pairs for s in powers)


def _labels(n: int, total: int, count: int) -> np.ndarray:
    """(total, 1 + count) int8, the true labelling first."""
    rng, labels = np.random.default_rng(0), np.zeros((total, 1 + count), np.int8)
    labels[total - n :, 0] = 1
    for first in range(1, 1 + count, _LABELS_AT_ONCE):
        last = min(first + _LABELS_AT_ONCE, 1 + count)
        labels[:, first:last] = labellings(n, total, last - first, rng)
    return labels


def _p_value(values: np.ndarray) -> float:
    return float((values >= values[0] - 1e-12).mean())


def _rows(fitted: Fitted, y: np.ndarray, job: Job, *, int8: bool) -> float:
    x, gamma, constants = fitted
    rows = np.concatenate([x, y])
    labels = _labels(len(y), len(rows), job["permutations"])
    forms = permuted_forms(rows, labels, gamma, constants=constants[:1], int8=int8)
    return _p_value(unbiased_mmd2(forms.within[0], forms.touching[0], forms.total[0], len(rows), len(y)))


def _blocks(fitted: Fitted, y: np.ndarray, job: Job) -> float:
    rng = np.random.default_rng(0)
    x, gamma, constants = fitted
    alone = [Blocks(np.arange(len(side)), len(side), "record") for side in (x, y)]
    per_unit = blocks_per_unit(*alone)
    units = [units_of(blocks, size, rng) for blocks, size in zip(alone, per_unit, strict=True)]
    factors = [exponents(side[u.order], gamma) for side, u in zip((x, y), units, strict=True)]
    within = [gaussian_within(*f, u, _POWERS, constants) for f, u in zip(factors, units, strict=True)]
    across = gaussian_across(factors[0][0], units[0], factors[1][1], units[1], _POWERS, constants)
    labels = exchanged(units[0], units[1], job["permutations"], rng)
    rows, own = (np.concatenate([getattr(u, name) for u in units]) for name in ("rows", "own"))
    pooled = [joined(a, c, b) for a, c, b in zip(within[0], across, within[1], strict=True)]
    return min(_p_value(PairSums(sums, rows, own).mmd2(labels)) for sums in pooled)


def _sketch(x: np.ndarray, y: np.ndarray, job: Job) -> dict[str, float]:
    """Repeats the rows, part by part, until there are ``rows`` on each side; making the parts is not counted."""
    plan = make_plan(_reference(x[:2_000]))
    spent, sides = 0.0, []
    for number, vectors in enumerate((x, y)):
        sums = Accumulator.empty(plan, 32)
        for first in range(0, job["rows"], len(vectors)):
            part = dataset(vectors[: job["rows"] - first], prefix=f"{number}-{first}-")
            start = time.process_time()
            sums.add(part)
            spent += time.process_time() - start
        sides.append(sums.finished())
    start = time.process_time()
    found = compare([sides[0]], [sides[1]], plan, np.random.default_rng(0))
    test = time.process_time() - start
    return {"sketch_cpu_seconds": spent, "test_cpu_seconds": test, "p": found[0].p_value or 1.0}


def _reference(rows: np.ndarray, classes: Sequence[str] | None = None) -> Reference:
    cut = len(rows) * 3 // 4
    named = (None, None) if classes is None else (classes[:cut], classes[cut:])
    return reference(dataset(rows[:cut], named[0]), dataset(rows[cut:], named[1], prefix="p"))


def _classes(rows: np.ndarray) -> list[str]:
    """Ten regions of the sphere that stand for predicted classes."""
    directions = np.random.default_rng(1).normal(size=(rows.shape[1], 10)).astype(np.float32)
    return [f"class {i}" for i in ((rows - rows[:1_000].mean(axis=0)) @ directions).argmax(axis=1)]


def _looks(x: np.ndarray, y: np.ndarray, job: Job) -> dict[str, Any]:
    """CPU milliseconds of ``measure``, all of it, on windows of 500 rows of ``y``; the first look, which prepares the reference, apart."""
    size = min(500, len(y) // 2)
    if job["drifted"]:
        y = unit(y + 0.02 * np.random.default_rng(2).choice([-1.0, 1.0], size=y.shape[1]))
    names = [_classes(side) if job["classes"] else None for side in (x, y)]
    detector, theirs = MmdDetector(refined=job["refined"]), _reference(x, names[0])
    spent, p_values = [], []
    for number in range(len(y) // size):
        part = slice(number * size, (number + 1) * size)
        window = dataset(y[part], names[1] and names[1][part], prefix=f"w{number}-")
        rng = np.random.default_rng(number)
        start = time.process_time()
        found = detector.measure(theirs, window, rng)
        spent.append(1_000 * (time.process_time() - start))
        p_values.append(found[0].p_value)
    quartiles = np.percentile(spent[1:], (25, 50, 75))
    return {
        "first": spent[0],
        "quartiles": quartiles.tolist(),
        "looks": len(spent) - 1,
        "median_p": np.median(p_values),
    }


def _timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _kernel(x: np.ndarray, y: np.ndarray, job: Job) -> dict[str, Any]:
    """GFLOP/s of matrix products and of the kernel tiles by turns, useful operations only: N² (d + B + 1)."""
    rows, count = np.concatenate([x, y]), job["permutations"]
    size = _SGEMM if count > 2 else 64
    square = np.random.default_rng(0).random((size, size), dtype=np.float32)
    tensor = torch.from_numpy(square)
    gamma, constants = _bandwidth(rows, (0,))
    start = time.process_time()
    labels = _labels(len(y), len(rows), count)
    drawing = time.process_time() - start
    useful = len(rows) ** 2 * (rows.shape[1] + count + 1) / 1e9
    calls = {
        "sgemm_numpy": (lambda: square @ square, 2 * size**3 / 1e9),
        "float32": (lambda: permuted_forms(rows, labels, gamma, constants=constants), useful),
        "sgemm_torch": (lambda: tensor @ tensor, 2 * size**3 / 1e9),
        "int8": (lambda: permuted_forms(rows, labels, gamma, constants=constants, int8=True), useful),
    }
    rounds = [{name: flops / _timed(call) for name, (call, flops) in calls.items()} for _ in range(job["rounds"])]
    return {"rounds": rounds, "drawing_cpu_seconds": drawing, "useful_gflop": useful}


def fit(x: np.ndarray, job: Job) -> Any:
    """The reference's rows; for exact tests with their bandwidth, which the detector too finds once for a reference."""
    return (x, *_bandwidth(x, _POWERS)) if job["path"] in {"float32", "int8", "blocks"} else x


def run(fitted: Any, y: np.ndarray, job: Job) -> Any:
    """What the job's path finds."""
    path = job["path"]
    if path in {"float32", "int8"}:
        return _rows(fitted, y, job, int8=path == "int8")
    return {"blocks": _blocks, "sketch": _sketch, "kernel": _kernel, "look": _looks}[path](fitted, y, job)


if __name__ == "__main__":
    answer(fit, run)
