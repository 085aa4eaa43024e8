"""What labels have bought on the new traffic so far, and what the next ones would buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.selection.heads import Head, Labels, fit_head
from monitor.values import Estimate, FloatArray, Vectors

__all__ = ["LEAST_LABELS", "GainCurve", "cross_fitted", "drift_weights", "gain_curve", "saturating"]

LEAST_LABELS = 30
"""Useful labels below which nothing is said."""

_FOLDS = 5
_PARTS = (0.25, 0.5, 1.0)
_DRAWS = 400
_SCALES, _EXPONENTS = (
    grid.ravel() for grid in np.meshgrid([2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0], [0.5, 1.0, 2.0])
)
_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class GainCurve:
    """Change of accuracy on the new traffic.

    labels     useful labels in hand
    sizes      labels learnt from at each point of the curve, from 0 on
    gains      change of accuracy with so many labels, cross-fitted
    so_far     with all labels in hand, read off the fitted curve: cross-fitting learns from four fifths of them
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
    parts : of the other four fifths to learn from

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


def saturating(sizes: npt.ArrayLike, gains: FloatArray, at: npt.ArrayLike, room: npt.ArrayLike = 1.0) -> FloatArray:
    """Fit gain(n) = A (1 - (1 + n / s)^-c) by least squares over s and c, 0 <= A <= room, and read it at other sizes.

    A power law that saturates, its scale s and exponent c taken from a short list: more is not to be had from four points.

    Parameters
    ----------
    sizes : (p,) labels
    gains : (..., p) float64, one curve a row
    at : (q,) labels
    room : (...) the most there is to gain

    Returns
    -------
    (..., q) float64 >= 0
    """
    shape, there = (1.0 - (1.0 + np.asarray(n, float) / _SCALES[:, None]) ** -_EXPONENTS[:, None] for n in (sizes, at))
    power = (shape**2).sum(axis=1)
    most = np.maximum(np.asarray(room, float), 0.0)[..., None]
    height = np.clip(gains @ shape.T / np.where(power > 0, power, 1.0), 0.0, most)
    loss = ((gains[..., None, :] - height[..., None] * shape) ** 2).sum(axis=-1)
    best = loss.argmin(axis=-1)
    return np.asarray(np.take_along_axis(height, best[..., None], axis=-1) * there[best])


def gain_curve(
    train: tuple[Vectors, Labels],
    drift: tuple[Vectors, Labels],
    weights: FloatArray,
    old: Head,
    rng: np.random.Generator,
    step: int = 50,
) -> GainCurve | None:
    """Learn from parts of the labels in hand, test on those held out, and go on from there.

    Intervals are bootstrapped over the labelled records and two halves of a record, one mended and one broken, so that records of
    which none has changed are no proof that none will (Agresti & Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24, 2005). They hold the luck of which records were labelled, not the difference between drift
    mass and the traffic that is truly new.

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
    gains, room = _gains(right, weights[None, :])
    some, rooms = _redrawn(right, weights, rng)
    now, then = len(labels), len(labels) + step

    def read(curves: FloatArray, room: FloatArray) -> FloatArray:
        """Gain now and what is to come: the curve's rise is added to what was found with most labels."""
        reached, all_of_them, later = saturating(sizes, curves, [sizes[-1], now, then], room).T
        gained = np.minimum(curves[:, -1] + all_of_them - reached, room)
        return np.stack([gained, np.clip(later - all_of_them, 0.0, np.maximum(room - gained, 0.0))])

    found, spread = read(gains, room)[:, 0], read(some, rooms)
    return GainCurve(
        labels=now,
        sizes=sizes,
        gains=tuple(float(gain) for gain in gains[0]),
        so_far=_estimate(float(found[0]), spread[0]),
        next_gain=_estimate(float(found[1]), spread[1]),
        step=step,
    )


def _redrawn(right: FloatArray, weights: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Gains and room of records drawn anew; half a mended and half a broken one are among those drawn from."""
    k = len(weights)
    mended = np.arange(len(right)) > 0
    usual = (weights**2).sum() / weights.sum()
    drawn = rng.multinomial(k + 1, np.append(np.ones(k), [0.5, 0.5]) / (k + 1), _DRAWS)
    drawn = drawn * np.append(weights, [usual, usual])
    return _gains(np.column_stack([right, mended, ~mended]), drawn[drawn.sum(axis=1) > 0])


def _gains(right: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(draws, points) weighted accuracy less that of the old head, and (draws,) what the old head has wrong."""
    accuracy = weights @ right.T / weights.sum(axis=1, keepdims=True)
    return np.round(np.asarray(accuracy - accuracy[:, :1]), 12), 1.0 - np.round(accuracy[:, 0], 12)


def _estimate(value: float, draws: FloatArray) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value))
