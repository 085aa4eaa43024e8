"""Embedders: from records to unit vectors. Each is one file with one class; see :class:`Embedder`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import pyarrow as pa

from monitor.values import Vectors

__all__ = ["Embedder", "Progress"]

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""


class Embedder(Protocol):
    """Turns records into vectors of length one."""

    reads: Literal["text", "vector"]
    """What it needs of a record. Vectors of text are cached and watched by canaries."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever weights, tokenizer, pooling or backend do; never with time or machine."""
        ...

    def embed(self, records: pa.Table, progress: Progress | None = None) -> Vectors:
        """(n, d) float32 unit rows in the order of ``records``; ``EmbedError`` on anything else."""
        ...
