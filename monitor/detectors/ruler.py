"""The ruler: a piece of the reference that measures, and is never itself tested.

Bandwidth, whitening, novelty and clusters must not be learned from the rows they are then used on: one quarter of the
reference is set aside for them, chosen by a hash of the block or record, so that the choice is the same for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import Blocks
from monitor.detectors.kernels import median_squared_distance
from monitor.values import Dataset, FloatArray, Vectors

__all__ = ["DEAD", "Ruler", "in_ruler", "make_ruler"]

DEAD = 1e-6
"""Dimensions with a smaller standard deviation carry rounding errors only, and are dropped."""

_SHARE = 0.25
_NEAREST = 5
_RIDGE, _LEAST_RIDGE, _MOST_RIDGE = 0.08, 1e-3, 1.0


def in_ruler(data: Dataset, blocks: Blocks, share: float = _SHARE) -> npt.NDArray[np.bool_]:
    """Which rows belong to the ruler: whole blocks, by a hash of the smallest record id in each.

    Returns
    -------
    (n,) bool
    """
    first: dict[int, str] = {}
    for code, record in zip(blocks.codes.tolist(), data.ids, strict=True):
        if code not in first or record < first[code]:
            first[code] = record
    limit = int(share * 2**64)
    chosen = np.zeros(blocks.count, dtype=bool)
    for code, record in first.items():
        chosen[code] = int.from_bytes(blake2b(f"ruler {record}".encode(), digest_size=8).digest(), "big") < limit
    return chosen[blocks.codes]


@dataclass(frozen=True, slots=True)
class Ruler:
    """What the tests measure with.

    rows       (r, d) float32, the ruler's own rows, live dimensions only
    live       (D,) bool, dimensions that vary
    median     median squared distance of its rows, > 0
    mean       (d,) float32, of its rows
    whitening  (d, d) float32, symmetric; ``(x - mean) @ whitening`` has about unit covariance on traffic like the reference
    """

    rows: Vectors
    live: npt.NDArray[np.bool_]
    median: float
    mean: Vectors
    whitening: Vectors

    def whitened(self, vectors: Vectors) -> Vectors:
        """(n, D) -> (n, d) float32."""
        return np.asarray((vectors[:, self.live] - self.mean) @ self.whitening, dtype=np.float32)

    def novelty(self, vectors: Vectors) -> FloatArray:
        """How far each row is from all the ruler knows: minus the mean of its five largest cosines, (n,) float64 in [-1, 1]."""
        scores = np.empty(len(vectors))
        nearest = min(_NEAREST, len(self.rows))
        for start in range(0, len(vectors), 2_048):
            cosines = vectors[start : start + 2_048, self.live] @ self.rows.T
            scores[start : start + 2_048] = -_largest(cosines, nearest).mean(axis=1, dtype=np.float64)
        return scores


def _largest(values: Vectors, count: int) -> Vectors:
    """The ``count`` largest of each row, (n, count), one after the other: for few, several times as fast as a partition. Overwrites them."""
    found = np.empty((len(values), count), dtype=np.float32)
    rows = np.arange(len(values))
    for place in range(count):
        at = values.argmax(axis=1)
        found[:, place] = values[rows, at]
        values[rows, at] = -np.inf
    return found


def make_ruler(vectors: Vectors) -> Ruler:
    """A ruler from its rows, in an order that does not depend on how they came.

    So that few rows do, a part of the covariance's mean eigenvalue is added to all of them: 0.08 d / r, within [0.001, 1].
    Measured on sentence embeddings of 384 dimensions with 300, 1,000 and 3,000 rows (benchmarks/ruler_shrinkage.py) this finds about as much as
    the best fixed part for each size; linear shrinkage after Ledoit and Wolf misses more small shifts with few rows, and nonlinear shrinkage breaks
    where r is near d.

    Parameters
    ----------
    vectors : (r, D) float32 unit rows, r >= 2
    """
    deviation = vectors.std(axis=0, dtype=np.float64)
    live = deviation >= DEAD
    if not live.any():
        live = np.ones_like(live)
    rows = np.ascontiguousarray(vectors[:, live])
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    n, d = centred.shape
    values, directions = np.linalg.eigh(centred.T @ centred / n)
    level = max(float(values.mean()), DEAD**2)
    ridge = min(_MOST_RIDGE, max(_LEAST_RIDGE, _RIDGE * d / n)) * level
    whitening = (directions / np.sqrt(np.maximum(values, 0.0) + ridge)) @ directions.T
    return Ruler(rows, live, median_squared_distance(rows), mean.astype(np.float32), whitening.astype(np.float32))
