"""Accuracy, gain and flips of two models on one set of records: overall, by true class, by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.flips import negative_flips, positive_flips
from monitor.values import Comparison, Estimate, Flip, FloatArray, VerifiedSet
from monitor.verification.paired import difference, effective, mcnemar, share

__all__ = ["compare", "verified_set"]

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.object_]


def compare(old: Mask, new: Mask, weights: FloatArray | None = None, group: str = "") -> Comparison:
    """Both models on the same records.

    Intervals are of single groups: of twenty that did not change one looks as if it had.

    Parameters
    ----------
    old, new : (n,) bool, whether each model has the record right; n at least 1
    weights : (n,) above 0, how much traffic each record stands for; all the same when not given

    Raises
    ------
    ValueError
        without records
    """
    if not len(old) or old.shape != new.shape:
        raise ValueError(f"{old.shape} and {new.shape} predictions: compare the same records, at least one")
    kept = np.ones(len(old)) if weights is None else weights
    negative, positive = old & ~new, new & ~old
    number = effective(kept)
    parts = number * kept / kept.sum()
    gain = difference(float(parts[positive].sum()), float(parts[negative].sum()), number)
    broken, mended = share(negative[old], kept[old]), share(positive[~old], kept[~old])
    still = share(~old[~new], kept[~new])
    return Comparison(
        group=group,
        records=len(old),
        old_right=int(old.sum()),
        new_right=int(new.sum()),
        negative=int(negative.sum()),
        positive=int(positive.sum()),
        old=_sure(share(old, kept)),
        new=_sure(share(new, kept)),
        gain=gain,
        negative_rate=broken,
        positive_rate=mended,
        # Bansal et al., "Updates in human-AI teams", AAAI 2019.
        trust=None if broken is None else 1 - broken.value,
        error=None if still is None else still.value,
        p_value=mcnemar(int(positive.sum()), int(negative.sum())),
    )


def _sure(found: Estimate | None) -> Estimate:
    if found is None:
        raise ValueError("no records")
    return found


def verified_set(
    name: str,
    ids: Sequence[str],
    labels: tuple[Labels, Labels, Labels],
    segments: Mapping[str, Labels],
    weights: FloatArray | None = None,
    left_out: Mapping[str, int] | None = None,
) -> VerifiedSet:
    """Both models on one set.

    Parameters
    ----------
    ids : n record ids
    labels : true, old and new class of each record, (n,) objects each
    segments : by name of the field, the value of each record or ``None``, (n,) objects each
    weights : see :func:`compare`
    left_out : records of the set that are not among these, by reason

    Returns
    -------
    classes and segments with the most negative flips first
    """
    truth, before, after = labels
    old, new = np.asarray(before == truth, dtype=bool), np.asarray(after == truth, dtype=bool)
    if not len(ids):
        return VerifiedSet(name, dict(left_out or {}))
    kept = np.ones(len(ids)) if weights is None else weights

    def grouped(values: Labels, said: str) -> list[Comparison]:
        found = sorted({value for value in values if value is not None})
        masks = ((value, np.asarray(values == value, dtype=bool)) for value in found)
        return [compare(old[mask], new[mask], kept[mask], f"{said}{value}") for value, mask in masks]

    flipped = [
        Flip(ids[row], truth[row], before[row], after[row], negative=negative)
        for negative, mask in (
            (True, negative_flips(truth, before, after)),
            (False, positive_flips(truth, before, after)),
        )
        for row in np.flatnonzero(mask).tolist()
    ]
    return VerifiedSet(
        name,
        dict(left_out or {}),
        compare(old, new, kept),
        _worst_first(grouped(truth, "class ")),
        _worst_first([one for field, values in segments.items() for one in grouped(values, f"{field}=")]),
        tuple(flipped),
    )


def _worst_first(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    return tuple(sorted(found, key=lambda one: (-one.negative, one.gain.value, one.group)))
