"""The window as a pool to choose from: checked, in the order of ids, near-duplicates found, drift mass known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from monitor.selection.drift_mass import DriftMass, drift_mass, label_need
from monitor.selection.near_duplicates import representatives
from monitor.values import Dataset, FloatArray, Reference, Vectors

__all__ = ["Pool", "pool_of"]


@dataclass(frozen=True)
class Pool:
    """Rows of a window in the order of their ids.

    reference          all rows of the reference, (m, d), and ``reference_weights`` (m,)
    leaders            (n,) int64, the row that stands for each row
    """

    window: Dataset
    train: Dataset
    reference: Vectors
    reference_weights: FloatArray
    leaders: npt.NDArray[np.int64]
    mass: DriftMass
    need: FloatArray

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The rows that may be proposed: one of each group of near-duplicates."""
        return np.unique(self.leaders)

    def duplicates(self, row: int) -> int:
        """Rows that this one stands for, itself not counted."""
        return int((self.leaders == row).sum()) - 1


def pool_of(reference: Reference, current: Dataset, near_duplicate: float, bandwidth: float) -> Pool:
    """The window as a pool; ``ValueError`` when it cannot be compared with the reference."""
    _check_comparable(reference, current)
    window, train, protected = _by_id(current), _by_id(reference.train), _by_id(reference.protected)
    vectors = np.concatenate([train.vectors, protected.vectors])
    weights = np.concatenate([train.weights, protected.weights])
    mass = drift_mass(window.vectors, window.weights, vectors, weights, bandwidth)
    confidence = window.column("confidence").astype(np.float64)  # None becomes NaN
    return Pool(
        window,
        train,
        vectors,
        weights,
        representatives(window.vectors, near_duplicate),
        mass,
        label_need(mass.excess, confidence),
    )


def _by_id(data: Dataset) -> Dataset:
    """Each id once, in order, so that no choice depends on the order in which rows came."""
    first = np.unique(np.array(data.ids, dtype=object), return_index=True)[1]
    return data.take(first)


def _check_comparable(reference: Reference, current: Dataset) -> None:
    known, new = reference.train.vectors.shape[1], current.vectors.shape[1]
    if known != new or reference.embedder != current.embedder:
        raise ValueError(
            f"window vectors of {current.embedder} ({new} dimensions) cannot be compared with the reference's of "
            f"{reference.embedder} ({known} dimensions); use one embedder for both"
        )
    for data, side in ((reference.train, "train"), (reference.protected, "protected"), (current, "window")):
        broken = int((~np.isfinite(data.vectors).all(axis=1)).sum())
        if broken:
            raise ValueError(f"{broken} of {len(data)} {side} vectors hold NaN or infinity; embed these records again")
