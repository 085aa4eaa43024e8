"""Blocks: the records that may depend on each other. Tests permute whole blocks, never single records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.values import Dataset, Vectors

__all__ = ["FEWEST", "Blocks", "blocks_of", "dependence_length", "few_blocks"]

FEWEST = 20
"""With fewer blocks on a side there is no p-value: too few ways to exchange them, and each weighs too much."""

_LONGEST = 64
_SURE = 3.0

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Which block each row belongs to.

    codes  (n,) int64 in [0, count), every value taken
    count  number of blocks
    rule   how they were found: ``field``, ``time`` (neighbours in time depend on each other) or ``record`` (each row alone)
    """

    codes: Codes
    count: int
    rule: str

    @property
    def sizes(self) -> Codes:
        """Rows of each block, (count,) int64."""
        return np.bincount(self.codes, minlength=self.count)

    def of(self, rows: npt.NDArray[np.int64]) -> Blocks:
        """The blocks of these rows alone, numbered anew."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        return Blocks(codes.astype(np.int64), len(kept), self.rule)


def _numbered(keys: npt.NDArray[np.object_], rule: str) -> Blocks:
    _, codes = np.unique(keys, return_inverse=True)
    codes = codes.astype(np.int64)
    return Blocks(codes, int(codes.max(initial=-1)) + 1, rule)


def dependence_length(vectors: Vectors, longest: int = _LONGEST) -> int:
    """Over how many neighbours rows in time order resemble each other more than any two rows do; 1 when they do not.

    With r(k) the mean cosine of rows k apart, less the mean of all pairs, in units of its spread over independent rows:
    the length is the largest power of two up to which the mean of r(1..k) lies ``3`` standard errors above 0, times two, but
    never so long that fewer than 20 blocks remain: a slow trend through the whole window is no burst, and must not silence
    the test.

    Parameters
    ----------
    vectors : (n, d) float32 unit rows in time order
    longest : length that is never exceeded

    Returns
    -------
    in [1, longest]
    """
    n = len(vectors)
    if n < 2 * FEWEST:
        return 1
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    gram_scale = float(np.sqrt(np.square(centred.T @ centred, dtype=np.float64).sum())) / n
    if gram_scale < 1e-12:
        return 1
    length, total, pairs, k = 1, 0.0, 0, 1
    while k <= min(longest, n // FEWEST):
        for lag in range(k, min(2 * k, n)):
            total += float(np.einsum("ij,ij->", centred[:-lag], centred[lag:], dtype=np.float64))
            pairs += n - lag
        if total / np.sqrt(pairs) / gram_scale < _SURE:
            break
        length, total, pairs, k = 2 * k, 0.0, 0, 2 * k
    return max(1, min(length, longest, n // FEWEST))


def blocks_of(data: Dataset) -> Blocks:
    """The blocks of a data set.

    With the column ``block``, rows of one value are one block and rows without a value stand alone. Without, where every
    row has a time, neighbours in time are grouped as far as :func:`dependence_length` finds them alike. Else each row
    stands alone. No result depends on the order of the rows.
    """
    if data.records.column("block").null_count < len(data):
        given = data.column("block")
        ids = np.array(data.ids, dtype=object)
        # An id and a block of the same name must not meet.
        keys = np.array([f"b{b}" if b is not None else f"r{i}" for b, i in zip(given, ids, strict=True)], dtype=object)
        return _numbered(keys, "field")
    times = data.records.column("observed_at")
    if len(data) and not times.null_count:
        # Microseconds as they lie there: a datetime for each row costs more than the rest.
        order = np.lexsort((np.array(data.ids, dtype=object), times.cast("int64").to_numpy()))
        length = dependence_length(data.vectors[order])
        if length > 1:
            codes = np.empty(len(data), dtype=np.int64)
            codes[order] = np.arange(len(data)) // length
            return Blocks(codes, int(codes.max()) + 1, "time")
    return Blocks(np.arange(len(data), dtype=np.int64), len(data), "record")


def few_blocks(reference: Blocks, current: Blocks) -> str | None:
    """Why there can be no p-value, and how to get one; ``None`` when there are enough blocks on both sides."""
    for blocks, side in ((reference, "reference"), (current, "window")):
        if blocks.count < FEWEST:
            what = {"field": "sessions", "time": "stretches of time", "record": "records"}[blocks.rule]
            return (
                f"{len(blocks.codes)} {side} records lie in {blocks.count} {what}; a test needs {FEWEST}. "
                "Use longer windows, a larger sample, or a finer fields.block"
            )
    return None
