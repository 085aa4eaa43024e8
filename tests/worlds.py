"""Made-up worlds for tests: intents are bumps on the unit sphere, data sets and references are built from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from monitor.values import Dataset, FloatArray, Reference, Vectors, record_schema

START = datetime(2026, 3, 2, tzinfo=UTC)
EMBEDDER = "made-up"


def unit(rows: Any) -> Vectors:
    """Rows scaled to length one."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def intents(count: int, dimensions: int, seed: int = 0) -> Vectors:
    """Directions of ``count`` intents."""
    return unit(np.random.default_rng(seed).normal(size=(count, dimensions)))


def around(centres: Vectors, which: Sequence[int], rng: np.random.Generator, spread: float = 0.4) -> Vectors:
    """One unit vector near ``centres[i]`` for each ``i`` of ``which``."""
    d = centres.shape[1]
    return unit(centres[np.asarray(which)] + rng.normal(scale=spread / np.sqrt(d), size=(len(which), d)))


def dataset(
    vectors: Any,
    predicted: Sequence[str | None] | None = None,
    labels: Sequence[str | None] | None = None,
    *,
    ids: Sequence[str] | None = None,
    prefix: str = "r",
    weights: FloatArray | None = None,
    confidence: Sequence[float] | None = None,
    segments: Mapping[str, Sequence[str | None]] | None = None,
) -> Dataset:
    """A data set around these vectors; ids are ``prefix`` and a number, texts say nothing."""
    vectors = np.asarray(vectors, dtype=np.float32)
    n, segments = len(vectors), segments or {}
    columns = {
        "id": ids or [f"{prefix}{i:05d}" for i in range(n)],
        "text": [f"text {prefix}{i}" for i in range(n)],
        "observed_at": [START + timedelta(minutes=i) for i in range(n)],
        "predicted": predicted,
        "confidence": confidence,
        "label": labels,
    } | {f"segment.{name}": values for name, values in segments.items()}
    schema = record_schema(list(segments))
    arrays = [
        pa.nulls(n, field.type) if columns.get(field.name) is None else pa.array(list(columns[field.name]), field.type)
        for field in schema
    ]
    records = pa.Table.from_arrays(arrays, schema=schema)
    return Dataset(records, vectors, np.ones(n) if weights is None else np.asarray(weights, float), EMBEDDER)


def reference(train: Dataset, protected: Dataset, fitted: Mapping[str, float] | None = None) -> Reference:
    """Version 1 of a reference."""
    canaries = np.zeros((0, train.vectors.shape[1]), dtype=np.float32)
    return Reference("made-up", 1, START, train, protected, "f" * 64, canaries, fitted or {})


def names(which: Sequence[int]) -> list[str]:
    """Intent numbers as class names."""
    return [f"intent {i}" for i in which]


class World:
    """A reference of some intents with a perfect classifier, and windows with any mix of them."""

    def __init__(self, count: int = 4, dimensions: int = 12, spread: float = 0.6, seed: int = 0) -> None:
        self.centres = intents(count + 2, dimensions, seed)
        self.count, self.spread = count, spread

    def data(self, which: Sequence[int], rng: np.random.Generator, prefix: str, **more: Any) -> Dataset:
        """Records of these intents; an unknown intent (``count`` or above) is predicted as the nearest known one."""
        vectors = around(self.centres, which, rng, self.spread)
        nearest = (vectors @ self.centres[: self.count].T).argmax(axis=1)
        return dataset(vectors, names(nearest), prefix=prefix, **more)

    def mixed(self, rows: int, rng: np.random.Generator, prefix: str, shares: Sequence[float] | None = None) -> Dataset:
        """``rows`` records with these shares of intents, equal ones unless given."""
        return self.data(rng.choice(len(shares) if shares else self.count, rows, p=shares), rng, prefix)

    def reference(self, train: int, protected: int, rng: np.random.Generator) -> Reference:
        """A reference of calm traffic."""
        return reference(self.mixed(train, rng, "t"), self.mixed(protected, rng, "p"))


def allowed_rejections(repetitions: int, level: float = 0.05, sure: float = 0.999) -> tuple[int, int]:
    """The central ``sure`` interval of a binomial count of rejections of a test that keeps its level."""
    low, high = stats.binom.interval(sure, repetitions, level)
    return int(low), int(high)
