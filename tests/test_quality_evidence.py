"""The numbers under the gate: thresholds and margins of confident learning, shares of errors with right intervals, neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.quality.chances import likelihoods, sharpness
from monitor.quality.confident import confident_places, normalised_margin, thresholds
from monitor.quality.neighbours import nearest_labels
from monitor.quality.posterior import drawn

CHANCES = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9]])
LABELS = np.array([0, 0, 0, 1, 1])


def test_confident_learning_as_in_the_paper():
    bars = thresholds(CHANCES, LABELS)
    assert bars == pytest.approx([(0.9 + 0.6 + 0.2) / 3, (0.55 + 0.9) / 2])
    assert confident_places(CHANCES, bars).tolist() == [0, 0, 1, -1, 1]
    assert normalised_margin(CHANCES, LABELS) == pytest.approx([0.8, 0.2, -0.6, 0.1, 0.8])


def test_a_class_without_rows_has_the_mean_threshold():
    assert thresholds(np.array([[0.5, 0.3, 0.2]]), np.array([0])) == pytest.approx([0.5, 0.5, 0.5])


def calibrated(rows, rate, seed, classes=10, scale=1.0):
    """Logits whose softmax at ``scale`` is right, labels drawn from it, and a share of them replaced by any other."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=5.0, size=(rows, classes))
    chances = np.exp(logits / scale)
    chances /= chances.sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(0, classes - 1)
    wrong = rng.random(rows) < rate
    other = (truth + rng.integers(1, classes, rows)) % classes
    return logits, np.where(wrong, other, truth), wrong


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("scale", [0.6, 1.5])
def test_temperature_and_share_of_errors_are_told_apart(rate, scale):
    logits, given, _ = calibrated(3_000, rate, 1, scale=scale)
    temperature, found = sharpness(logits, given)
    assert temperature == pytest.approx(scale, rel=0.2)
    assert found == pytest.approx(rate, abs=0.03)


def test_the_posterior_holds_the_true_count_as_often_as_it_says():
    covered, rounds = 0, 60
    for seed in range(rounds):
        logits, given, wrong = calibrated(300, 0.05, seed)
        _, right, otherwise = likelihoods(logits, given, 1.0)
        groups = given % 5
        nobody = np.full(len(given), np.nan)
        draws = drawn(
            right, otherwise, groups, (groups + 1) % 5, (np.zeros(len(given)), 0.2), nobody, np.random.default_rng(seed)
        )
        low, high = np.quantile(draws.weights.sum(axis=1), [0.05, 0.95])
        covered += low <= wrong.sum() <= high
    assert covered / rounds == pytest.approx(0.9, abs=0.12)


def test_what_a_person_found_is_certain_and_counts_as_it_weighs():
    even = np.full(40, 0.5)
    known = np.full(40, np.nan)
    known[:4] = 0.0, 0.0, 1.0, 0.2
    draws = drawn(
        even, even, np.zeros(40, dtype=int), np.ones(40, dtype=int), (np.ones(40), 0.2), known, np.random.default_rng(0)
    )
    assert draws.wrong[:4].tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert np.allclose(draws.weights[:, :4], known[:4])
    assert np.unique(draws.weights[:, 4:]).tolist() == pytest.approx([0.0, 0.2])


def test_neighbours_are_others_from_both_sides_nearest_first():
    reference = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    vectors = np.array([[0.96, 0.28], [0.28, 0.96]], dtype=np.float32)
    found = nearest_labels(
        vectors, np.array(["a", "b"], dtype=object), reference, np.array(["x", "y"], dtype=object), 2
    )
    assert found.tolist() == [["x", "b"], ["y", "a"]]
    every = nearest_labels(
        vectors, np.array(["a", "b"], dtype=object), reference, np.array(["x", "y"], dtype=object), 10
    )
    assert every.shape == (2, 3)
