"""Accuracy of the window estimated without its labels, with what the estimate is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.calibration import (
    Answers,
    Calibrator,
    answers,
    calibrated_by,
    squared_calibration_error,
    usable_confidence,
)
from monitor.detectors.permutation import at_least
from monitor.detectors.ranks import delta_variance
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.detectors.sides import Sides, among
from monitor.values import Dataset, FloatArray, Measurement, Reference

__all__ = ["AccuracyDetector", "Threshold", "Trial", "confidence_threshold", "cross_fitted"]

_ENOUGH = 10
_SPLITS = 50
_RESAMPLES = 200
_METHODS = ("accuracy", "accuracy (ATC)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """Average thresholded confidence: answers above ``at`` count as right, a share ``tied`` of those equal to it.

    Garg et al., "Leveraging unlabeled data to predict out-of-distribution performance", ICLR 2022.
    """

    at: float
    tied: float

    def __call__(self, confidence: FloatArray) -> FloatArray:
        """What each answer counts, in [0, 1]."""
        return np.where(confidence > self.at, 1.0, np.where(confidence == self.at, self.tied, 0.0))


def confidence_threshold(confidence: FloatArray, right: npt.NDArray[np.bool_]) -> Threshold:
    """The threshold above which as many answers lie as are right."""
    wanted, n = float(right.sum()), len(confidence)
    ordered = np.sort(confidence)
    at = float(ordered[min(n - 1, int(n - wanted))])
    above, equal = float((confidence > at).sum()), float((confidence == at).sum())
    return Threshold(at, (wanted - above) / equal)


Estimate = Calibrator | Threshold
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trial:
    """How estimates did on held-out parts of the protected set.

    errors       (2,) root mean square error of the mean of calibrated confidence, and of ATC
    biases       (2,) the same without what drawing so few held-out rows adds
    calibration  root mean square calibration error of held-out calibrated confidence
    """

    errors: FloatArray
    biases: FloatArray
    calibration: float


def _fitted(confidence: FloatArray, right: npt.NDArray[np.bool_]) -> tuple[Estimate, Estimate]:
    return calibrated_by(confidence, right), confidence_threshold(confidence, right)


def cross_fitted(known: Answers, blocks: Blocks, rng: np.random.Generator, splits: int = _SPLITS) -> Trial:
    """Fit on half of the blocks, estimate the other half, again and again.

    In every second split the held-out half keeps its class balance; in the others each true class weighs an exponential
    random number, so that one class may be many times as common as it was.
    """
    differences, noise, gaps = [], [], []
    classes, codes = np.unique(known.labels.astype(str), return_inverse=True)
    for split in range(splits):
        chosen = np.zeros(blocks.count, dtype=bool)
        chosen[rng.permutation(blocks.count)[: blocks.count // 2]] = True
        fit = chosen[blocks.codes]
        balance = rng.exponential(size=len(classes)) if split % 2 else np.ones(len(classes))
        if min(known.right[fit].sum(), (~known.right[fit]).sum(), (~fit).sum()) < 2:
            continue
        held, right = known.confidence[~fit], known.right[~fit]
        weights = balance[codes[~fit]]
        weights = weights / weights.sum()
        fitted = _fitted(known.confidence[fit], known.right[fit])
        off = np.array([estimate(held) - right for estimate in fitted])
        differences.append(off @ weights)
        within = np.bincount(blocks.codes[~fit], weights, minlength=blocks.count)
        sums = np.array([np.bincount(blocks.codes[~fit], weights * row, minlength=blocks.count) for row in off])
        noise.append(np.square(sums - (off @ weights)[:, None] * within).sum(axis=1))
        gaps.append(squared_calibration_error(fitted[0](held), right))
    if not differences:
        return Trial(np.ones(2), np.ones(2), 1.0)
    squares = np.square(differences).mean(axis=0)
    biases = np.sqrt(np.maximum(squares - np.mean(noise, axis=0), 0.0))
    return Trial(np.sqrt(squares), biases, float(np.sqrt(max(0.0, float(np.mean(gaps))))))


class AccuracyDetector:
    """Estimated accuracy of the window less the measured one of the protected set (of the segment), in [-1, 1]: shown, not tested.

    Two subjects: ``accuracy`` is the mean of confidence calibrated on the protected set, ``accuracy (ATC)`` the share of
    answers above the confidence that as many protected answers exceed as are right. Both assume that what a confidence is
    worth has not changed; new content that the model is wrongly sure of breaks that, and no estimate without labels can see it.

    The interval joins the sampling error, from resampling the blocks of both sides, and the measured bias: how far
    the estimate is off on held-out halves of the protected set, class balances shaken too. ``detail`` holds
    ``estimated`` and ``protected`` accuracy, ``error`` (root mean square on held-out halves) and ``calibration_error``.

    The estimate is refused, ``detail`` has ``refused`` = 1.0 and the interval is all that is possible, when fewer than 10
    protected answers are right or wrong; when confidence does not tell right from wrong answers there (the interval of
    its AUC reaches 0.5); or when the measured bias or calibration error exceeds ``most_error``. Without predictions,
    confidences and labels on ``minimum`` protected rows, or without confidence in the window, nothing is measured.

    most_error  largest measured bias, and calibration error, in percent points
    minimum     rows needed on each side
    segments    values of each segment field at most
    """

    def __init__(self, most_error: int = 5, minimum: int = 20, segments: int = 20) -> None:
        at_least(most_error=(most_error, 1), minimum=(minimum, 2), segments=(segments, 0))
        self._most_error, self._minimum, self._segments = most_error / 100, minimum, segments

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: the protected set is small."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        check_comparable(reference.everything, current, self._minimum)
        theirs = equalised(reference.protected, rng)
        known = answers(theirs)
        ours = equalised(current.take(usable_confidence(current)[1]), rng)
        if min(len(known.rows), len(ours)) < self._minimum:
            return []
        blocks = among(blocks_of(theirs), known.rows)
        trial, refused = self._trial(known, blocks, rng)
        fits = [] if refused else _refitted(known, blocks, rng)
        confidence, every = usable_confidence(ours)[0], blocks_of(ours)
        found = []
        for segment, left, rows in each_segment(theirs, ours, self._minimum, self._segments):
            here = np.isin(known.rows, left)
            if here.sum() < self._minimum:
                continue
            for method, subject in enumerate(_METHODS):
                window = confidence[rows], among(every, rows)
                found.append(_measured(subject, method, known.right, here, *window, fits, trial, refused, segment, rng))
        return found

    def _trial(self, known: Answers, blocks: Blocks, rng: np.random.Generator) -> tuple[Trial, bool]:
        good, bad = known.confidence[known.right], known.confidence[~known.right]
        if min(len(good), len(bad)) < _ENOUGH:
            return Trial(np.ones(2), np.ones(2), 1.0), True
        trial = cross_fitted(known, blocks, rng)
        sides = Sides(among(blocks, ~known.right), among(blocks, known.right))
        delta = 2 * stats.mannwhitneyu(good, bad).statistic / (len(good) * len(bad)) - 1
        tells = delta > 1.96 * np.sqrt(delta_variance(bad, good, sides))
        bad_fit = max(float(trial.biases[0]), trial.calibration) > self._most_error
        return trial, bool(not tells or bad_fit)


def _refitted(
    known: Answers, blocks: Blocks, rng: np.random.Generator
) -> list[tuple[Times, tuple[Estimate, Estimate]]]:
    """How often each answer counts, and the estimates fitted on that: all once, then blocks drawn with replacement."""
    fits = [(np.ones(len(known.right), dtype=np.int64), _fitted(known.confidence, known.right))]
    for _ in range(_RESAMPLES):
        times = _drawn_again(blocks, rng)
        rows = np.repeat(np.arange(len(times)), times)
        fits.append((times, _fitted(known.confidence[rows], known.right[rows])))
    return fits


def _drawn_again(blocks: Blocks, rng: np.random.Generator) -> Times:
    return np.bincount(rng.integers(0, blocks.count, blocks.count), minlength=blocks.count)[blocks.codes]


def _measured(
    subject: str,
    method: int,
    right: npt.NDArray[np.bool_],
    here: npt.NDArray[np.bool_],
    confidence: FloatArray,
    blocks: Blocks,
    fits: Sequence[tuple[Times, tuple[Estimate, Estimate]]],
    trial: Trial,
    refused: bool,
    segment: str,
    rng: np.random.Generator,
) -> Measurement:
    accuracy, n, m = float(right[here].mean()), int(here.sum()), len(confidence)
    detail = {"protected": accuracy, "calibration_error": trial.calibration, "error": float(trial.errors[method])}
    if refused:
        detail["refused"] = 1.0
        return Measurement("accuracy", subject, 0.0, -accuracy, 1 - accuracy, None, n, m, segment, detail)
    estimate = float(fits[0][1][method](confidence).mean())
    changes = []
    for times, fit in fits[1:]:
        again = _drawn_again(blocks, rng)
        now = float(fit[method](confidence) @ again) / float(again.sum())
        if times[here].any():
            changes.append(now - float(right[here] @ times[here]) / float(times[here].sum()))
    effect = estimate - accuracy
    margin = 1.96 * float(np.hypot(np.std(changes), trial.biases[method]))
    detail["estimated"] = estimate
    low, high = min(effect, max(-accuracy, effect - margin)), max(effect, min(1 - accuracy, effect + margin))
    return Measurement("accuracy", subject, effect, low, high, None, n, m, segment, detail)
