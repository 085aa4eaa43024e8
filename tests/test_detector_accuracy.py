"""Estimated accuracy: exact where it must be, covered under shifts it allows for, refused where it cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sessions import blocked
from worlds import dataset, reference, unit

from monitor.detectors.accuracy import AccuracyDetector, confidence_threshold
from monitor.testing import check_detector


def answered(rng, n, prefix, hard=0.3, size=1, honest=True, labelled=True, **more):
    """Answers, a share ``hard`` of them with low confidence; confidence says twice as many log-odds as are true."""
    share = np.repeat(rng.beta(8 * hard, 8 * (1 - hard), -(-n // size)), size)[:n] if size > 1 else hard
    chance = np.where(rng.random(n) < share, rng.beta(3, 3, n), rng.beta(20, 2, n))
    right = rng.random(n) < chance
    confidence = expit(2 * logit(chance)) if honest else rng.random(n)
    truth = rng.random(n) < 0.5
    labels = np.where(truth, "x", "y").tolist() if labelled else None
    predicted = np.where(truth == right, "x", "y").tolist()
    data = dataset(unit(np.ones((n, 3))), predicted, labels, prefix=prefix, confidence=confidence.tolist(), **more)
    return blocked(data, [f"{prefix}{i // size}" for i in range(n)]), right.mean()


def known(rng, n=400, **more):
    return reference(answered(rng, 30, "t")[0], answered(rng, n, "p", **more)[0])


def test_the_threshold_counts_as_many_as_are_right():
    rng = np.random.default_rng(0)
    for digits in (1, 8):
        confidence, right = np.round(rng.random(200), digits), rng.random(200) < 0.7
        assert confidence_threshold(confidence, right)(confidence).mean() == pytest.approx(right.mean())


def test_of_the_protected_set_itself_the_estimate_is_its_accuracy():
    rng = np.random.default_rng(1)
    base = known(rng)
    for found in AccuracyDetector().measure(base, base.protected, rng):
        assert found.effect == pytest.approx(0, abs=0.01)
        assert found.p_value is None


@pytest.mark.parametrize("size", [1, 5], ids=["records", "sessions"])
def test_intervals_cover_the_accuracy_when_traffic_becomes_harder(size):
    rng, covered, off = np.random.default_rng(2), 0, []
    truth = 0.3 * 0.5 + 0.7 * 20 / 22
    harder = 0.6 * 0.5 + 0.4 * 20 / 22
    for _ in range(15):
        window, _ = answered(rng, 300, "c", hard=0.6, size=size, labelled=False)
        found, _ = AccuracyDetector(most_error=20).measure(known(rng, size=size), window, rng)
        assert "refused" not in found.detail
        covered += found.low <= harder - truth <= found.high
        off.append(found.effect - (harder - truth))
    assert covered >= 12
    assert abs(np.mean(off)) < 0.04


def test_the_measured_error_is_about_the_real_one():
    rng = np.random.default_rng(3)
    found, atc = AccuracyDetector().measure(known(rng, 600), answered(rng, 300, "c")[0], rng)
    # Held-out halves of 300: the truth itself is known to about sqrt(0.15 / 300).
    assert 0.01 < found.detail["error"] < 0.05
    assert 0.01 < atc.detail["error"] < 0.06
    assert found.detail["calibration_error"] < 0.05
    assert found.detail["estimated"] - found.detail["protected"] == pytest.approx(found.effect)


def test_refusals():
    rng = np.random.default_rng(4)
    window = answered(rng, 100, "c")[0]
    blind = AccuracyDetector().measure(known(rng, honest=False), window, rng)
    assert [m.detail["refused"] for m in blind] == [1.0, 1.0]
    assert (blind[0].effect, blind[0].p_value) == (0.0, None)
    assert blind[0].high - blind[0].low == pytest.approx(1.0)
    flawless = dataset(unit(np.ones((60, 3))), ["x"] * 60, ["x"] * 60, prefix="p", confidence=[0.9] * 60)
    assert AccuracyDetector().measure(reference(flawless, flawless), window, rng)[0].detail["refused"] == 1.0
    # One class is answered right when the model is sure, the other when it is not: sound on the whole, off for each.
    n = 600
    confidence, first = rng.random(n), rng.random(n) < 0.8
    right = rng.random(n) < np.where(first, confidence, 1 - confidence)
    labels = np.where(first, "x", "y")
    predicted = np.where(right, labels, "z")
    torn = dataset(
        unit(np.ones((n, 3))), predicted.tolist(), labels.tolist(), prefix="p", confidence=confidence.tolist()
    )
    (found, _) = AccuracyDetector(most_error=3).measure(reference(torn, torn), window, rng)
    assert found.detail["refused"] == 1.0


def test_what_cannot_be_measured():
    rng = np.random.default_rng(5)
    bare = dataset(unit(np.ones((60, 3))), ["x"] * 60, prefix="c")
    assert AccuracyDetector().measure(known(rng), bare, rng) == []
    assert AccuracyDetector().measure(reference(bare, bare), answered(rng, 50, "c")[0], rng) == []
    with pytest.raises(ValueError, match="most_error is 0; it must be at least 1"):
        AccuracyDetector(0)


def test_conformance_and_segments():
    rng = np.random.default_rng(6)
    country = {"country": ["DE"] * 150 + ["FR"] * 50}
    base = reference(*(answered(rng, 200, p, segments=country)[0] for p in "tp"))
    window = answered(rng, 200, "c", segments=country)[0]
    check_detector(AccuracyDetector(), base, window)
    found = AccuracyDetector().measure(base, window, rng)
    assert {m.segment for m in found} == {"", "country=DE", "country=FR"}
