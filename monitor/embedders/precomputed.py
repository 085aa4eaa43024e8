"""Vectors that the records already carry: images, audio, or text embedded elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.embedders import Progress
from monitor.errors import EmbedError
from monitor.values import Vectors

__all__ = ["PrecomputedEmbedder"]


class PrecomputedEmbedder:
    """Takes the ``vector`` column.

    ``dimension`` is that of the vectors, by default the most frequent one of the records. ``name`` says what made
    them and is all the fingerprint there is: change it when the model that makes them changes.
    """

    reads: Literal["text", "vector"] = "vector"

    def __init__(self, name: str = "precomputed", dimension: int | None = None) -> None:
        if dimension is not None and dimension < 1:
            raise ValueError(f"dimension is {dimension}; it must be at least 1")
        self._name = name
        self._dimension = dimension

    @property
    def fingerprint(self) -> str:
        """The given name."""
        return f"precomputed:{self._name}"

    def embed(self, records: pa.Table, progress: Progress | None = None) -> Vectors:
        """The vectors as they are; a record whose vector is missing or of another dimension becomes NaN."""
        rows = records.num_rows
        if not rows:
            return np.zeros((0, self._dimension or 0), dtype=np.float32)
        column = records.column("vector").combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        seen = Counter(int(n) for n in lengths if n)
        if not seen:
            raise EmbedError(
                f"none of {rows} records has a vector; map the column that holds them with fields.vector, "
                "or choose an embedder that reads text"
            )
        # Of equally frequent ones the largest, so that the order of records does not matter.
        dimension = self._dimension or max(seen, key=lambda n: (seen[n], n))
        if dimension not in seen:
            most = ", ".join(f"{n} in {count}" for n, count in sorted(seen.items(), key=lambda i: (-i[1], i[0]))[:3])
            raise EmbedError(
                f"none of {rows} records has a vector of {dimension} dimensions, there are {most} records; "
                "correct the embedder's dimension, or map another column with fields.vector"
            )
        good = lengths == dimension
        vectors = np.full((rows, dimension), np.nan, dtype=np.float32)
        flat = pc.list_flatten(column.filter(pa.array(good)))
        vectors[good] = flat.to_numpy(zero_copy_only=False).reshape(-1, dimension)
        if progress is not None:
            progress(rows, rows)
        return vectors
