"""Confidence of predictions: held-out reference against window, over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.detectors.blocks import blocks_of
from monitor.detectors.calibration import Calibrator, answers, platt, usable_confidence
from monitor.detectors.ks import ks_over_blocks
from monitor.detectors.permutation import at_least
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.detectors.sides import Sides
from monitor.values import Dataset, Measurement, Reference

__all__ = ["ConfidenceDetector"]

_ENOUGH_ANSWERS = 10


class ConfidenceDetector:
    """KS distance between confidences, as subject ``confidence``, in [0, 1], exact over blocks with ties too.

    Protected rows are compared with the window: a model is too sure of what it was trained on. Rows without a
    confidence in [0, 1] do not count; without ``minimum`` rows that have one on both sides there are no measurements.

    Platt's calibration is an increasing curve, which leaves a KS distance as it is: the distance of calibrated
    confidence is that of the confidence itself, and needs no labels. ``detail`` holds the mean of either side, and the
    calibrated one where at least 10 right and 10 wrong protected answers are known.

    permutations, refined  exchanges drawn; ``refined`` when fewer than 30 reach the observed value
    minimum                rows needed on each side
    segments               values of each segment field at most
    """

    def __init__(self, permutations: int = 999, refined: int = 9_999, minimum: int = 20, segments: int = 20) -> None:
        at_least(permutations=(permutations, 19), refined=(refined, permutations))
        at_least(minimum=(minimum, 2), segments=(segments, 0))
        self._permutations, self._refined = permutations, refined
        self._minimum, self._segments = minimum, segments

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: sorting is cheap."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        check_comparable(reference.everything, current, self._minimum)
        theirs, ours = (
            equalised(data.take(usable_confidence(data)[1]), rng) for data in (reference.protected, current)
        )
        if min(len(theirs), len(ours)) < self._minimum:
            return []
        x, y = usable_confidence(theirs)[0], usable_confidence(ours)[0]
        every = Sides(blocks_of(theirs), blocks_of(ours))
        calibrator = _calibrator(theirs)
        found = []
        for segment, left, right in each_segment(theirs, ours, self._minimum, self._segments):
            sides, a, b = every.among(left, right), x[left], y[right]
            effect, half_width, p = ks_over_blocks(a, b, sides, rng, self._permutations, self._refined)
            detail = {"mean_reference": float(a.mean()), "mean_current": float(b.mean())} | dict(sides.detail)
            if calibrator is not None:
                detail["calibrated_reference"] = float(calibrator(a).mean())
                detail["calibrated_current"] = float(calibrator(b).mean())
            low, high = max(0.0, effect - half_width), min(1.0, effect + half_width)
            found.append(Measurement("confidence", "confidence", effect, low, high, p, len(a), len(b), segment, detail))
        return found


def _calibrator(protected: Dataset) -> Calibrator | None:
    known = answers(protected)
    enough = min(int(known.right.sum()), int((~known.right).sum())) >= _ENOUGH_ANSWERS
    return platt(known.confidence, known.right) if enough else None
