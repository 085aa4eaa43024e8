"""The shared data sets with vectors of the packaged MiniLM model, computed once and kept in the user's cache folder."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitor.embedders.sentence_transformer import SentenceTransformerEmbedder
from monitor.values import Vectors, record_schema

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CACHE = Path.home() / ".cache" / "drift-monitor" / "benchmarks"

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Embedded:
    """One data set: (n, 384) float32 unit vectors and (n,) strings of each column, ``""`` where there is none."""

    vectors: Vectors
    ids: Strings
    texts: Strings
    label: Strings
    group: Strings
    timestamp: Strings

    def __iter__(self) -> Any:
        yield from (self.vectors, self.ids, self.texts, self.label, self.group, self.timestamp)


@cache
def embedder() -> SentenceTransformerEmbedder:
    """One for the process; loading the model takes longer than most batches."""
    return SentenceTransformerEmbedder()


def embed(texts: Sequence[str]) -> Vectors:
    """(n, 384) float32 unit vectors of texts, in their order; texts seen before come from the cache."""
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
    path = CACHE / f"texts-{key}.npy"
    if path.exists():
        return np.asarray(np.load(path))
    schema = record_schema()
    n = len(texts)
    columns = {"id": [str(i) for i in range(n)], "text": list(texts)}
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    vectors = embedder().embed(pa.Table.from_arrays(arrays, schema=schema))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return np.asarray(vectors)


def embedded(name: str) -> Embedded:
    """A data set by name (``clinc150``, ``banking77``, ``arxiv_cs``, ``emobank``), embedded on first use.

    ``SystemExit`` says where the file belongs when it is not there.
    """
    source, kept = DATA / f"{name}.csv.gz", CACHE / f"{name}.npz"
    if not kept.exists():
        if not source.exists():
            raise SystemExit(f"{source} is not there; the shared data sets belong beside this checkout")
        with gzip.open(source, "rt", encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = {c: np.array([row[c] for row in rows]) for c in ("id", "text", "label", "group", "timestamp")}
        CACHE.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=embed([row["text"] for row in rows]), **columns)
    with np.load(kept) as found:
        return Embedded(*(found[c] for c in ("vectors", "id", "text", "label", "group", "timestamp")))
