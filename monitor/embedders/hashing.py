"""Hashed character trigrams: no model, no meaning. For fast tests, never for production."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa

from monitor.embedders import Progress
from monitor.values import Vectors

__all__ = ["HashingEmbedder"]

_SHORT = 12
"""Letters of a feature that is likely to come again."""


class HashingEmbedder:
    """Signed feature hashing of words and character trigrams (Weinberger et al., ICML 2009) into ``dimension`` numbers."""

    reads: Literal["text", "vector"] = "text"

    def __init__(self, dimension: int = 64, seed: int = 0) -> None:
        if dimension < 1:
            raise ValueError(f"dimension is {dimension}; it must be at least 1")
        if not 0 <= seed < 2**128:
            raise ValueError(f"seed is {seed}; it must be at least 0 and have at most 128 bits")
        self._dimension = dimension
        self._seed = seed

    @property
    def fingerprint(self) -> str:
        """Its options."""
        return f"hashing:{self._dimension}:{self._seed}"

    def embed(self, records: pa.Table, progress: Progress | None = None) -> Vectors:
        """One row per text; a text without any trigram gets its own hash."""
        texts = records.column("text").to_pylist()
        salt = self._seed.to_bytes(16, "little")
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            lowered = (text or "").lower()
            features = lowered.split() + [lowered[i : i + 3] for i in range(len(lowered) - 2)] or [lowered]
            values = [_known(one, salt) if len(one) <= _SHORT else _hashed(one, salt) for one in features]
            places = [(value >> 1) % self._dimension for value in values]
            signs = [1.0 if value & 1 else -1.0 for value in values]
            vectors[row] = np.bincount(places, signs, self._dimension)
            if not vectors[row].any():
                vectors[row, 0] = 1.0
            if progress is not None:
                progress(row + 1, len(texts))
        lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths


def _hashed(feature: str, salt: bytes) -> int:
    return int.from_bytes(blake2b(feature.encode(), digest_size=8, salt=salt).digest(), "big")


_known = lru_cache(maxsize=2**14)(_hashed)
