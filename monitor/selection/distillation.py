"""For those who can serve one model only: what to weigh and what to imitate in training, in place of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.values import FloatArray

__all__ = ["Additions", "Targets", "added_weights", "imitation_targets"]

_WEIGHT = 0.5
_IMITATED = 0.3
_RISKIEST = 0.1
_STATIONARY = 0.2


@dataclass(frozen=True, slots=True)
class Additions:
    """Labelled records to add to the training set.

    ids          in the order given
    weights      (n,) float64, beside weight 1 of the records that are there already
    second_look  (n,) bool, the riskiest: have another person check the label, or leave these out
    """

    ids: tuple[str, ...]
    weights: FloatArray
    second_look: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Targets:
    """Unlabelled records on which the refreshed model should answer like the old one.

    classes  names of the columns of ``chances``
    chances  (n, C) float64, rows sum to one: soft labels
    weights  (n,) float64
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    chances: FloatArray
    weights: FloatArray


def added_weights(
    ids: Sequence[str], risk: FloatArray, weight: float = _WEIGHT, riskiest: float = _RISKIEST
) -> Additions:
    """Weights of labelled records, and which tenth of them breaks most.

    Parameters
    ----------
    ids : (n,)
    risk : (n,) from :func:`~monitor.selection.risk.label_risk`; ties go to the earlier record, and no risk is never marked
    weight : of each added record, > 0
    riskiest : share to be marked, in [0, 1]
    """
    if len(ids) != len(risk):
        raise ValueError(f"{len(risk)} risks do not belong to {len(ids)} records; give one for each")
    if not np.isfinite(risk).all():
        raise ValueError(f"{int((~np.isfinite(risk)).sum())} of {len(ids)} risks are NaN or infinite")
    marked = np.zeros(len(ids), dtype=bool)
    marked[np.argsort(-risk, kind="stable")[: round(riskiest * len(ids))]] = True
    return Additions(tuple(ids), np.full(len(ids), weight), marked & (risk > 0))


def imitation_targets(
    ids: Sequence[str],
    classes: Sequence[str],
    chances: FloatArray,
    excess: FloatArray,
    taken: npt.ArrayLike,
    weight: float = _IMITATED,
) -> Targets:
    """The old model's soft answers on unselected records where the traffic is as it always was.

    Churn reduction by distillation: Jiang et al., "Churn reduction via distillation", ICLR 2022. Train on each record once for
    each class, with ``weight`` times its chance, or with cross-entropy against the chances.

    Parameters
    ----------
    ids, classes : (n,) and (C,)
    chances : (n, C) probabilities of the old model
    excess : (n,) in [0, 1], share of the traffic around each record that is new; those below 0.2 are imitated
    taken : positions of selected records, which get labels and are left out
    weight : of each record, > 0

    Raises
    ------
    ValueError
        when shapes do not fit, or a chance is NaN
    """
    if chances.shape != (len(ids), len(classes)) or excess.shape != (len(ids),):
        raise ValueError(
            f"chances of shape {chances.shape} and {len(excess)} excesses do not belong to {len(ids)} records "
            f"and {len(classes)} classes"
        )
    if not np.isfinite(chances).all():
        raise ValueError(f"{int((~np.isfinite(chances).all(axis=1)).sum())} of {len(ids)} rows of chances hold NaN")
    kept = excess < _STATIONARY
    kept[np.asarray(taken, dtype=np.int64)] = False
    kept &= chances.sum(axis=1) > 0
    rows = np.flatnonzero(kept)
    soft = chances[rows] / chances[rows].sum(axis=1, keepdims=True)
    return Targets(
        tuple(record for record, stays in zip(ids, kept, strict=True) if stays),
        tuple(classes),
        soft,
        np.full(len(rows), weight),
    )
