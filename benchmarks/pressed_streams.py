"""Many streams of looks at once: block sums pressed to the leading directions of each component, p-values side by side.

The statistic, the choices and the p-value are those of ``monitor.sketches.exchange``; :func:`check` holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.sketches import Plan
from monitor.sketches.exchange import Component, Family, choices, combined, randomised_p
from monitor.sketches.features import CHUNK, row_features
from monitor.sketches.plan import FOURIER_UNIT, FOURIER_WIDTH

DIRECTIONS = 24
PERMUTATIONS = 199
PARTS = (slice(0, 24), slice(24, 48), slice(48, 72))
"""Columns of the three quadratic components; the last column is the novelty score."""


def features(plan: Plan, vectors: np.ndarray) -> np.ndarray:
    """(n, f) whole numbers of the sketch, of any number of rows."""
    return np.concatenate([row_features(plan, vectors[i : i + CHUNK]) for i in range(0, len(vectors), CHUNK)])


def pressed(plan: Plan, vectors: np.ndarray) -> np.ndarray:
    """(n, 73) float32: each quadratic component on its 24 leading directions over these rows, and the novelty score."""
    whole, places = features(plan, vectors), plan.columns
    unit = FOURIER_UNIT * np.sqrt(FOURIER_WIDTH)
    parts = [
        whole[:, places["rbf1"]] / unit,
        whole[:, places["rbf4"]] / unit,
        plan.ruler.whitened(vectors),
    ]
    columns = []
    for part in parts:
        centred = (part - part.mean(axis=0)).astype(np.float32)
        _, directions = np.linalg.eigh(centred.T @ centred)
        columns.append(centred @ directions[:, -DIRECTIONS:])
    novelty = whole[:, places["novelty"].start]
    return np.column_stack([*columns, novelty - novelty.mean()]).astype(np.float32)


def p_values(
    past: np.ndarray, current: np.ndarray, rng: np.random.Generator, *, marks: np.ndarray | None = None
) -> np.ndarray:
    """The randomised p-value of each stream: current blocks (S, g, 73) among these and past ones (S, h, 73), all of one size."""
    units = np.concatenate([current, past], axis=1)
    units -= units.mean(axis=1, keepdims=True)
    total, count = units.shape[1], current.shape[1]
    if marks is None:
        marks = np.zeros((PERMUTATIONS + 1, total), dtype=np.float32)
        marks[0, :count] = 1
        np.put_along_axis(marks[1:], choices(count, total, PERMUTATIONS, rng), 1.0, axis=1)
    # |sum of the chosen|² is MMD² but for a factor that all choices share when blocks are of one size.
    values = [np.square(np.matmul(marks, units[:, :, part])).sum(axis=2) for part in PARTS]
    stacked = np.stack([*values, units[:, :, -1] @ marks.T], axis=1)
    return _ranked(stacked, 1.0 - rng.random(len(units)))


def _ranked(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``combined`` and ``randomised_p`` for (S, C, B) statistics, the observed ones first."""
    order = np.argsort(-values, axis=2)
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(
        ranks, order, np.broadcast_to(np.arange(1, values.shape[2] + 1, dtype=np.int32), values.shape), axis=2
    )
    z = ((values - values.mean(axis=2, keepdims=True)) / values.std(axis=2, keepdims=True)).max(axis=1)
    keys = ranks.min(axis=1) - 0.5 * z / (1.0 + np.abs(z))
    first = keys[:, :1]
    return ((keys < first).sum(axis=1) + share * (keys == first).sum(axis=1)) / keys.shape[1]


@dataclass
class _Fixed:
    """A generator whose uniform numbers are all 0, so that ties count."""

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)


def check(pool: np.ndarray, rng: np.random.Generator) -> float:
    """Largest difference between these p-values and those of the shipped functions, over 20 streams."""
    worst = 0.0
    for _ in range(20):
        past, current = pool[rng.integers(len(pool), size=(1, 40))], pool[rng.integers(len(pool), size=(1, 4))]
        chosen = np.concatenate([np.arange(4)[None], choices(4, 44, PERMUTATIONS, rng)])
        marks = np.zeros((len(chosen), 44), dtype=np.float32)
        np.put_along_axis(marks, chosen, 1.0, axis=1)
        mine = p_values(past, current, _Fixed(), marks=marks)  # type: ignore[arg-type]
        units = np.concatenate([current[0], past[0]]).astype(np.float64)
        components = [Component.quadratic(units[:, part], np.ones(44)) for part in PARTS]
        components.append(Component.linear(units[:, -1], np.ones(44), sided=True))
        worst = max(
            worst, abs(float(mine[0]) - randomised_p(combined(Family.of(components, 4).statistics(chosen)), 1.0))
        )
    return worst
