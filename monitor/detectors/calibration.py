"""Calibration: what a model's confidence means in shares of right answers, learned on held-out records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from monitor.values import Dataset, FloatArray

__all__ = [
    "Answers",
    "Calibrator",
    "answers",
    "calibrated_by",
    "platt",
    "squared_calibration_error",
    "usable_confidence",
]

_ENOUGH_FOR_ISOTONIC = 1_000
_STEPS = 50
_CLIP = 1e-6

Mask = npt.NDArray[np.bool_]


def usable_confidence(data: Dataset) -> tuple[FloatArray, Mask]:
    """Confidence of every row, and whether it is one: a number in [0, 1], not missing and not NaN.

    Returns
    -------
    (n,) float64, NaN where unusable; (n,) bool
    """
    column = data.column("confidence")
    values = np.array([np.nan if value is None else float(value) for value in column], dtype=np.float64)
    usable = (values >= 0) & (values <= 1)
    return np.where(usable, values, np.nan), usable


@dataclass(frozen=True, slots=True)
class Answers:
    """Held-out records of which both the answer and the truth are known.

    rows       (n,) int64, their positions in the data set
    confidence (n,) float64 in [0, 1]
    right      (n,) bool, whether prediction and label agree
    labels     (n,) object, true classes
    """

    rows: npt.NDArray[np.int64]
    confidence: FloatArray
    right: Mask
    labels: npt.NDArray[np.object_]


def answers(data: Dataset) -> Answers:
    """The records that carry a prediction, its confidence and a label."""
    confidence, usable = usable_confidence(data)
    predicted, labels = data.column("predicted"), data.column("label")
    known = [u and p is not None and y is not None for u, p, y in zip(usable, predicted, labels, strict=True)]
    rows = np.flatnonzero(known)
    right = np.array(predicted[rows] == labels[rows], dtype=bool)
    return Answers(rows, confidence[rows], right, labels[rows])


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Non-decreasing map from confidence to the chance of being right.

    sigmoid  whether it is Platt's curve in the log-odds of confidence, or runs straight between knots
    knots    (k,) float64, increasing confidences; none for Platt's curve
    values   (k,) float64, chances at the knots; slope and offset of Platt's curve
    """

    knots: FloatArray
    values: FloatArray
    sigmoid: bool

    def __call__(self, confidence: FloatArray) -> FloatArray:
        """Chance of being right, same shape, in [0, 1]."""
        if self.sigmoid:
            slope, offset = self.values
            return np.asarray(expit(slope * _log_odds(confidence) + offset))
        return np.asarray(np.interp(confidence, self.knots, self.values))


def _log_odds(confidence: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(confidence, _CLIP, 1 - _CLIP)))


def platt(confidence: FloatArray, right: Mask) -> Calibrator:
    """A logistic curve in the log-odds of confidence, with Platt's smoothed targets; its slope is at least 0.

    Platt, "Probabilistic outputs for support vector machines", 1999; Newton steps as in Lin, Lin and Weng, Machine
    Learning 68, 2007.

    Parameters
    ----------
    confidence, right : (n,) float64 in [0, 1] and bool
    """
    good, bad = float(right.sum()), float((~right).sum())
    targets = np.where(right, (good + 1) / (good + 2), 1 / (bad + 2))
    z = _log_odds(confidence)
    theta = np.array([0.0, np.log((good + 1) / (bad + 1))])
    for _ in range(_STEPS):
        p = expit(theta[0] * z + theta[1])
        gradient = np.array([(p - targets) @ z, (p - targets).sum()])
        w = p * (1 - p)
        hessian = np.array([[w @ (z * z), w @ z], [w @ z, w.sum()]]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    if theta[0] < 0:
        theta = np.array([0.0, float(logit(targets.mean()))])
    return Calibrator(np.zeros(0), theta, sigmoid=True)


def calibrated_by(confidence: FloatArray, right: Mask) -> Calibrator:
    """Isotonic regression with 1,000 answers or more, Platt's curve with fewer, where isotonic regression overfits.

    Niculescu-Mizil and Caruana, "Predicting good probabilities with supervised learning", ICML 2005.
    """
    if len(confidence) < _ENOUGH_FOR_ISOTONIC:
        return platt(confidence, right)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(confidence, right.astype(float))
    return Calibrator(np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_), sigmoid=False)


def squared_calibration_error(chances: FloatArray, right: Mask, bins: int = 10) -> float:
    """Mean square gap between stated and true chance over bins of equal size, without what sampling adds.

    Kumar, Liang and Ma, "Verified uncertainty calibration", NeurIPS 2019.

    Returns
    -------
    in [-0.5, 1]; 0 on average when every chance is the true one
    """
    order = np.argsort(chances, kind="stable")
    total = 0.0
    for part in np.array_split(order, min(bins, max(len(order) // 2, 1))):
        share = float(right[part].mean())
        gap = (float(chances[part].mean()) - share) ** 2
        total += len(part) * (gap - share * (1 - share) / max(len(part) - 1, 1))
    return total / max(len(order), 1)
