"""What labels have bought on the new traffic so far, and what the next ones would buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.selection.heads import Head, Labels, fit_head
from monitor.values import Estimate, FloatArray, Vectors

__all__ = ["LEAST_LABELS", "GainCurve", "cross_fitted", "drift_weights", "gain_curve"]

LEAST_LABELS = 30
"""Useful labels below which nothing is said."""

_FOLDS = 5
_PARTS = (0.25, 0.5, 1.0)
_DRAWS = 400
_WIDER = 1.25
_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class GainCurve:
    """Change of accuracy on the new traffic.

    labels     useful labels in hand
    sizes      labels learnt from at each point of the curve, from 0 on
    gains      change of accuracy with so many labels, cross-fitted
    so_far     with all labels in hand, of which cross-fitting learns from four fifths
    next_gain  what ``step`` more labels would add
    step       how many those are
    """

    labels: int
    sizes: tuple[int, ...]
    gains: tuple[float, ...]
    so_far: Estimate
    next_gain: Estimate
    step: int


def drift_weights(
    labelled: Vectors, pool: Vectors, excess: FloatArray, useful: npt.NDArray[np.bool_] | None = None
) -> FloatArray:
    """How much of the new traffic each labelled record speaks for: the drift mass of the pool records nearest to it.

    Records picked for their use are no random sample of the new traffic, so they are not counted one for one. Nearest-neighbour
    importance weights: Loog, "Nearest neighbor-based importance weighting", MLSP 2012.

    Parameters
    ----------
    labelled : (k, d) float32
    pool : (n, d) float32, the window, with the labelled records in it or not
    excess : (n,) float64 in [0, 1], share of the traffic around each pool record that is new; best 0 where it is no more than luck
    useful : (k,) bool, labels the model should learn; the others take their neighbours' mass away with them

    Returns
    -------
    (k,) float64 that sum to one; equal over the useful ones when no mass is near any; 0 for the others
    """
    keep = np.ones(len(labelled), dtype=bool) if useful is None else useful
    mass = np.zeros(len(labelled))
    if len(labelled):
        for start in range(0, len(pool), _BLOCK):
            block = slice(start, start + _BLOCK)
            mass += np.bincount((pool[block] @ labelled.T).argmax(axis=1), excess[block], len(labelled))
    mass = np.where(keep, mass, 0.0)
    if mass.sum() <= 0:
        mass = keep.astype(np.float64)
    return mass / mass.sum() if mass.any() else mass


def cross_fitted(
    train: tuple[Vectors, Labels],
    drift: tuple[Vectors, Labels],
    old: Head,
    rng: np.random.Generator,
    parts: tuple[float, ...] = _PARTS,
) -> tuple[tuple[int, ...], FloatArray]:
    """Whether each drift record is right before and after learning from parts of the others.

    Parameters
    ----------
    train : (n, d) float32 and (n,) labels of the training set
    drift : (k, d) float32 and (k,) labels of the new traffic; each is held out once, by fifths
    parts : of the other four fifths to learn from, the last one twice the one before

    Returns
    -------
    labels learnt from at each point, 0 first; (points, k) float64 of 0 and 1
    """
    vectors, labels = drift
    k = len(labels)
    fold = np.empty(k, dtype=np.int64)
    fold[rng.permutation(k)] = np.arange(k) % _FOLDS
    right = np.zeros((len(parts) + 1, k))
    right[0] = old.predict(vectors) == labels
    sizes = [0]
    for point, part in enumerate(parts, start=1):
        learnt = []
        for held in range(_FOLDS):
            others = np.flatnonzero(fold != held)
            seen = rng.permutation(others)[: max(1, round(part * len(others)))]
            head = fit_head(
                np.concatenate([train[0], vectors[seen]]), np.concatenate([train[1], labels[seen]]), start=old
            )
            out = np.flatnonzero(fold == held)
            right[point, out] = head.predict(vectors[out]) == labels[out]
            learnt.append(len(seen))
        sizes.append(round(float(np.mean(learnt))))
    return tuple(sizes), right


def gain_curve(
    train: tuple[Vectors, Labels],
    drift: tuple[Vectors, Labels],
    weights: FloatArray,
    old: Head,
    rng: np.random.Generator,
    step: int = 50,
) -> GainCurve | None:
    """Learn from parts of the labels in hand, test on those held out, and go on as over the last doubling.

    Over one doubling a learning curve is about straight in the logarithm of its labels (Viering & Loog, "The shape of learning curves:
    a review", TPAMI 45, 2023). Values count labelled records one for one, which came nearer to the truth than their drift mass did;
    intervals hold both, and are widened by a quarter, as neither sample is that of the new traffic (benchmarks/selection_advice.py).

    Parameters
    ----------
    train, drift : vectors and labels of the training set, and of the new traffic's useful labels
    weights : (k,) float64 of :func:`drift_weights`
    old : head in service
    step : labels more

    Returns
    -------
    ``None`` with fewer than 30 useful labels

    Raises
    ------
    ValueError
        when rows do not fit together, or vectors hold NaN
    """
    vectors, labels = drift
    if not len(vectors) == len(labels) == len(weights):
        raise ValueError(
            f"{len(vectors)} vectors, {len(labels)} labels and {len(weights)} weights: give one of each a record"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("labelled vectors hold NaN or infinity; embed these records again")
    if len(labels) < LEAST_LABELS or weights.sum() <= 0:
        return None
    sizes, right = cross_fitted(train, drift, old, rng)
    even = np.full(len(labels), 1 / len(labels))
    gains = _gains(right, even[None, :])
    room = 1.0 - float(right[0].mean())
    doublings = np.log2([1 + 1 / (_FOLDS - 1), 1 + step / len(labels)])
    reached = min(room, float(gains[0, -1] + doublings[0] * max(0.0, _last_rise(gains)[0])))
    coming = min(room - reached, float(doublings[1] * max(0.0, _last_rise(gains)[0])))
    drawn = [_redrawn(right, weight, rng) for weight in (even, weights)]
    return GainCurve(
        labels=len(labels),
        sizes=sizes,
        gains=tuple(float(gain) for gain in gains[0]),
        so_far=_estimate(reached, [some[:, -1] + doublings[0] * _last_rise(some) for some in drawn]),
        next_gain=_estimate(coming, [doublings[1] * _last_rise(some) for some in drawn]),
        step=step,
    )


def _last_rise(gains: FloatArray) -> FloatArray:
    """What the last doubling of labels brought, (draws,)."""
    return np.asarray(gains[:, -1] - gains[:, -2])


def _redrawn(right: FloatArray, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gains of records drawn anew, (draws, points).

    Among those drawn from are halves of a record mended and of one broken, by the first labels and by the last ones: records of which
    none has changed are no proof that none will. Agresti & Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24, 2005.
    """
    k, points = len(weights), np.arange(len(right))
    first, last = points > 0, points == len(right) - 1
    seen = np.column_stack([right, first, ~first, last, ~last])
    halves = seen.shape[1] - k
    usual = (weights**2).sum() / weights.sum()
    total = k + halves / 2
    drawn = rng.multinomial(round(total), np.append(np.ones(k), np.full(halves, 0.5)) / total, _DRAWS)
    drawn = drawn * np.append(weights, np.full(halves, usual))
    return _gains(seen, drawn[drawn.sum(axis=1) > 0])


def _gains(right: FloatArray, weights: FloatArray) -> FloatArray:
    """(draws, points) weighted accuracy less that of the old head."""
    accuracy = weights @ right.T / weights.sum(axis=1, keepdims=True)
    return np.round(np.asarray(accuracy - accuracy[:, :1]), 12)


def _estimate(value: float, draws: Sequence[FloatArray]) -> Estimate:
    ends = np.array([np.quantile(some, [0.025, 0.975]) for some in draws])
    low, high = min(value, float(ends[:, 0].min())), max(value, float(ends[:, 1].max()))
    return Estimate(value, max(-1.0, value - _WIDER * (value - low)), min(1.0, value + _WIDER * (high - value)))
