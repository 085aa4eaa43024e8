"""Calibration: Platt against scikit-learn, both maps against the truth, its error without what sampling adds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from worlds import dataset, unit

from monitor.detectors.calibration import answers, calibrated_by, platt, squared_calibration_error, usable_confidence


def overconfident(rng, n):
    """Answers whose chance of being right is half as many log-odds as they say."""
    confidence = rng.beta(6, 2, n)
    return confidence, rng.random(n) < expit(0.5 * logit(confidence))


def test_platt_is_logistic_regression():
    confidence, right = overconfident(np.random.default_rng(0), 5_000)
    want = LogisticRegression(C=1e6).fit(logit(confidence)[:, None], right)
    found = platt(confidence, right)
    assert found.values == pytest.approx([want.coef_[0, 0], want.intercept_[0]], abs=0.01)
    assert found(confidence).mean() == pytest.approx(right.mean(), abs=1e-3)


@pytest.mark.parametrize("n", [600, 5_000], ids=["Platt", "isotonic"])
def test_the_map_finds_the_truth(n):
    rng = np.random.default_rng(1)
    found = calibrated_by(*overconfident(rng, n))
    at = np.linspace(0.4, 0.95, 12)
    np.testing.assert_allclose(found(at), expit(0.5 * logit(at)), atol=0.09)
    assert (np.diff(found(np.linspace(0, 1, 101))) >= 0).all()


def test_confidence_that_points_the_wrong_way_is_worth_nothing():
    rng = np.random.default_rng(2)
    confidence = rng.random(500)
    flat = platt(confidence, rng.random(500) < 1 - confidence)
    assert np.ptp(flat(confidence)) == 0
    assert np.isfinite(platt(np.ones(40), np.arange(40) < 20)(np.ones(3))).all()
    assert np.isfinite(platt(confidence, np.ones(500, bool))(confidence)).all()


def test_the_error_is_free_of_what_sampling_adds():
    rng = np.random.default_rng(3)
    calm, off = [], []
    for _ in range(50):
        chances = rng.uniform(0.5, 1, 300)
        calm.append(squared_calibration_error(chances, rng.random(300) < chances))
        off.append(squared_calibration_error(chances, rng.random(300) < chances - 0.2))
    assert abs(np.mean(calm)) < 4 * np.std(calm) / np.sqrt(50)
    assert np.std(calm) < 0.004
    assert np.sqrt(np.mean(off)) == pytest.approx(0.2, abs=0.02)


def test_what_is_no_confidence_is_left_out():
    values = [0.5, None, float("nan"), 1.2, -0.1, 0.0, 1.0, 0.9]
    data = dataset(unit(np.ones((8, 3))), [*"aaaaaa", None, "a"], [*"aabbb", None, "a", "b"], confidence=values)
    confidence, usable = usable_confidence(data)
    assert usable.tolist() == [True, False, False, False, False, True, True, True]
    assert np.isnan(confidence[~usable]).all()
    known = answers(data)
    assert known.rows.tolist() == [0, 7]
    assert known.right.tolist() == [True, False]
