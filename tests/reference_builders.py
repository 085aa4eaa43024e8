"""References to save, and builders that race or die while saving; imported by processes, so it imports little."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.errors import ArtifactError
from monitor.reference import Shelf, assemble
from monitor.values import Dataset, record_schema

NOW = datetime(2026, 3, 2, 12, 30, 15, 123456, tzinfo=UTC)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def data(rows, prefix="r", seed=0):
    """Records with something in every column, and gaps in all that may have them."""
    columns = {
        "id": [f"{prefix}{n:05d}" for n in range(rows)],
        "text": [None if n % 7 == 6 else f"text {n} ☃" for n in range(rows)],
        "observed_at": [None if n % 4 == 1 else NOW + timedelta(minutes=n) for n in range(rows)],
        "predicted": [None if n % 3 == 0 else f"class {n % 2}" for n in range(rows)],
        "confidence": [None if n % 4 == 0 else n / 7 for n in range(rows)],
        "probabilities": [None if n % 2 else [("a", n / 3), ("b", None)] for n in range(rows)],
        "label": [None if n % 5 == 0 else "naïve" for n in range(rows)],
        "vector": [None] * rows,
        "block": [None if n % 6 == 0 else f"session {n // 3}" for n in range(rows)],
        "segment.country": [None if n % 2 else "DE" for n in range(rows)],
    }
    schema = record_schema(["country"])
    records = pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    vectors = unit(np.random.default_rng(seed).normal(size=(rows, 5)))
    return Dataset(records, vectors, 1 + np.arange(rows) / 3, "made-up")


def reference(version=1, *, name="support", seed=0, **fields):
    given = {
        "name": name,
        "version": version,
        "created_at": NOW,
        "train": data(12, "t", seed),
        "protected": data(5, "p", seed),
        "canaries": unit(np.arange(1.0, 11.0).reshape(2, 5)),
        "fitted": {"bandwidth": 0.1 + 0.2},
        "settings": {"size": 12, "folder": "a/b", "zeros": "0" * 64},
    }
    return assemble(**(given | fields))


def race(url, storage, barrier, number, results):
    """Build version 1 of one of two contents as soon as all are ready."""
    shelf = Shelf(url, storage)
    made = reference(seed=number % 2)
    barrier.wait()
    try:
        results.put(("won", number % 2, shelf.save(made).fingerprint))
    except ArtifactError as error:
        results.put(("lost", number % 2, str(error)))


def die(url, writes):
    """Save, but be killed half-way through a file after this many whole ones."""
    write, left = Path.write_bytes, [writes]

    def dying(self, content):
        if not left[0]:
            write(self, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return write(self, content)

    Path.write_bytes = dying
    Shelf(url).save(reference())
