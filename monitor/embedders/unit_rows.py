"""What every embedder's output must be: finite float32 rows of length one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from monitor.embedders import Embedder, Progress
from monitor.errors import EmbedError
from monitor.values import Dataset, Sample, Vectors

__all__ = ["to_dataset", "unit_rows"]

UNUSABLE_SHARE = 0.5
"""With more unusable vectors than this the embedder is broken, not the records."""


def unit_rows(matrix: npt.ArrayLike, rows: int) -> Vectors:
    """Scale each row to length one.

    Parameters
    ----------
    matrix : array_like, shape (rows, d)
        Any real dtype.
    rows : int
        How many rows there must be.

    Returns
    -------
    ndarray, shape (rows, d), float32
        Unit rows; a row that is not finite or is all zeros becomes NaN throughout.

    Raises
    ------
    EmbedError
        When the shape is wrong; the message names both.
    """
    try:
        vectors = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EmbedError(
            f"the embedder gave no array of numbers for {rows} records; wanted shape ({rows}, d)"
        ) from error
    if vectors.ndim != 2 or len(vectors) != rows or (rows and not vectors.shape[1]):
        raise EmbedError(f"the embedder gave an array of shape {vectors.shape} for {rows} records; wanted ({rows}, d)")
    # Scaled by the largest number first: squares of very large or small ones leave the range of float64.
    peak = np.max(np.abs(vectors), axis=1, keepdims=True, initial=0.0)
    peak[~np.isfinite(peak) | (peak == 0)] = np.nan
    scaled = vectors / peak
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True), dtype=np.float32)


def to_dataset(
    embedder: Embedder, sample: Sample, progress: Progress | None = None
) -> tuple[Dataset, Mapping[str, int]]:
    """Embed a sample; records without a usable vector are left out and counted by reason.

    ``EmbedError`` when most vectors are unusable: then the embedder is at fault.
    """
    rows = len(sample)
    vectors = unit_rows(embedder.embed(sample.records, progress), rows)
    usable = np.isfinite(vectors).all(axis=1)
    bad = int(rows - usable.sum())
    if bad and bad > UNUSABLE_SHARE * rows:
        raise EmbedError(
            f"{bad} of {rows} vectors hold NaN or infinity, are all zeros or have the wrong dimension; "
            "check the model, or the vector column the source maps"
        )
    data = Dataset(sample.records, vectors, sample.weights, embedder.fingerprint)
    if not bad:
        return data, {}
    kept = data.take(usable)
    # The kept rows now stand for the dropped ones too.
    scale = float(sample.weights.sum() / kept.weights.sum())
    return replace(kept, weights=kept.weights * scale), {"unusable vector": bad}
