"""Confidence: at its level with ties and sessions, seen when it moves, silent without it."""

from __future__ import annotations

import numpy as np
import pytest
from sessions import blocked
from worlds import allowed_rejections, dataset, reference, unit

from monitor.detectors.confidence import ConfidenceDetector
from monitor.testing import check_detector


def rows(confidence, prefix, labels=None, size=1):
    n = len(confidence)
    data = dataset(unit(np.ones((n, 3))), ["x"] * n, labels, prefix=prefix, confidence=confidence)
    return blocked(data, [f"{prefix}{i // size}" for i in range(n)])


def sure(rng, n, size=1, digits=2):
    """Confidence to a few digits; sessions are easy or hard."""
    level = np.repeat(rng.normal(size=-(-n // size)), size)[:n]
    return np.round(1 / (1 + np.exp(-1 - level - rng.normal(size=n))), digits).tolist()


@pytest.mark.parametrize(("size", "digits"), [(1, 1), (5, 2)], ids=["ties", "sessions"])
def test_false_alarms_stay_at_their_level(size, digits):
    rng, detector = np.random.default_rng(0), ConfidenceDetector(99, 99)
    rejected = 0
    for _ in range(150):
        base = reference(rows(sure(rng, 20), "t"), rows(sure(rng, 200, size, digits), "p", size=size))
        (found,) = detector.measure(base, rows(sure(rng, 120, size, digits), "c", size=size), rng)
        rejected += found.p_value <= 0.05
    low, high = allowed_rejections(150)
    assert low <= rejected <= high


def test_less_sure_is_seen_and_said_in_accuracy():
    rng = np.random.default_rng(1)
    confidence = sure(rng, 400)
    labels = ["x" if rng.random() < c else "y" for c in confidence]
    base = reference(rows(sure(rng, 20), "t"), rows(confidence, "p", labels))
    window = rows((np.array(sure(rng, 200)) * 0.8).tolist(), "c")
    (found,) = ConfidenceDetector().measure(base, window, rng)
    assert found.p_value <= 0.001
    assert found.low > 0
    assert found.detail["mean_current"] < found.detail["mean_reference"]
    assert found.detail["calibrated_reference"] == pytest.approx(np.mean([label == "x" for label in labels]), abs=0.01)
    assert found.detail["calibrated_current"] < found.detail["calibrated_reference"]


def test_without_confidence_there_is_nothing():
    rng = np.random.default_rng(2)
    base = reference(rows(sure(rng, 20), "t"), rows(sure(rng, 100), "p"))
    detector = ConfidenceDetector(99, 99)
    bare = dataset(unit(np.ones((60, 3))), ["x"] * 60, prefix="c")
    assert detector.measure(base, bare, rng) == []
    assert detector.measure(reference(bare, bare), rows(sure(rng, 50), "c"), rng) == []
    holes = [*sure(rng, 50), *[None] * 20, *[float("nan")] * 30]
    (found,) = detector.measure(base, rows(holes, "c"), rng)
    assert found.n_current == 50
    (same,) = detector.measure(reference(rows([1.0] * 30, "t"), rows([1.0] * 30, "p")), rows([1.0] * 30, "c"), rng)
    assert (same.effect, same.p_value) == (0.0, 1.0)
    with pytest.raises(ValueError, match="5 current rows are too few"):
        detector.measure(base, rows(sure(rng, 5), "c"), rng)


def test_conformance():
    rng = np.random.default_rng(3)
    base = reference(rows(sure(rng, 60), "t"), rows(sure(rng, 100), "p"))
    check_detector(ConfidenceDetector(99, 99), base, rows(sure(rng, 80), "c"))
    few = rows(sure(rng, 80, 8), "c", size=8)
    (found,) = ConfidenceDetector(99, 99).measure(base, few, rng)
    assert found.p_value is None
    assert found.detail["blocks_current"] == 10
