"""What labels bought, and what the next ones would buy."""

import numpy as np
import pytest
from worlds import around, intents, names

from monitor.selection.gain_curve import (
    LEAST_LABELS,
    cross_fitted,
    drift_weights,
    gain_curve,
)
from monitor.selection.heads import fit_head

CENTRES = intents(8, 16, 3)


def rng(seed=0):
    return np.random.default_rng(seed)


def rows(which, seed, spread=0.7):
    return around(CENTRES, which, rng(seed), spread), np.array(names(which), dtype=object)


TRAIN = rows([i % 5 for i in range(150)], 1)
OLD = fit_head(*TRAIN)
FRESH = [5 + i % 3 for i in range(60)]


def curve(drift, **more):
    return gain_curve(TRAIN, drift, np.full(len(drift[1]), 1 / max(len(drift[1]), 1)), OLD, rng(), **more)


def test_new_classes_are_gained_and_old_ones_are_not():
    fresh = curve(rows(FRESH, 2))
    assert fresh.gains[0] == 0
    assert fresh.sizes == (0, 12, 24, 48)
    assert 0.8 < fresh.gains[-1] <= fresh.so_far.value < fresh.gains[-1] + 0.1
    assert fresh.so_far.low <= fresh.so_far.value <= fresh.so_far.high <= 1
    assert 0 <= fresh.next_gain.value < 0.2
    calm = curve(rows([i % 5 for i in range(60)], 3))
    assert abs(calm.so_far.value) < 0.05
    assert calm.next_gain.value < 0.05


def test_records_of_which_none_has_changed_are_no_proof_that_none_will():
    few, many = (curve(rows([i % 5 for i in range(count)], 3, 0.1)).so_far for count in (30, 240))
    assert few.value == many.value == 0
    assert few.low < -0.02
    assert 0.02 < few.high < 0.15
    assert many.high < few.high / 3


def test_labels_that_say_nothing_gain_nothing():
    vectors, labels = rows(FRESH, 2)
    noise = curve((vectors, rng(9).permutation(labels)))
    assert noise.so_far.value < 0.6
    assert noise.so_far.value + 0.3 < curve((vectors, labels)).so_far.value


def test_held_out_records_are_right_as_a_plain_loop_finds_them():
    vectors, labels = rows(FRESH[:30], 4)
    sizes, right = cross_fitted(TRAIN, (vectors, labels), OLD, rng(5), parts=(1.0,))
    assert sizes == (0, 24)
    order, fold = rng(5).permutation(30), np.empty(30, dtype=int)
    fold[order] = np.arange(30) % 5
    for i in range(30):
        others = np.flatnonzero(fold != fold[i])
        head = fit_head(np.concatenate([TRAIN[0], vectors[others]]), np.concatenate([TRAIN[1], labels[others]]))
        assert right[1, i] == (head.predict(vectors[i : i + 1])[0] == labels[i])
    assert (right[0] == 0).all()


def test_records_count_by_the_new_traffic_nearest_to_them():
    eye = np.eye(4, dtype=np.float32)
    pool, excess = eye[[0, 0, 1, 2, 3]], np.array([1.0, 0.5, 0.5, 0.0, 1.0])
    np.testing.assert_allclose(drift_weights(eye[:3], pool[:4], excess[:4]), [0.75, 0.25, 0.0])
    veto = drift_weights(eye[[0, 1, 3]], pool, excess, np.array([True, True, False]))
    np.testing.assert_allclose(veto, [0.75, 0.25, 0.0])
    np.testing.assert_allclose(drift_weights(eye[:2], pool, np.zeros(5)), [0.5, 0.5])
    assert drift_weights(eye[:0], pool, excess).shape == (0,)
    assert drift_weights(eye[:2], pool, excess, np.zeros(2, bool)).tolist() == [0, 0]
    assert drift_weights(eye[:2], pool[:0], excess[:0]).tolist() == [0.5, 0.5]


def test_the_interval_holds_both_ways_of_counting():
    vectors, labels = rows([5] * 20 + [0] * 20, 6)
    found = [
        gain_curve(TRAIN, (vectors, labels), np.repeat(weights, 20), OLD, rng()).so_far
        for weights in ([0.0, 1.0], [0.5, 0.5], [1.0, 0.0])
    ]
    assert [estimate.value for estimate in found] == [found[1].value] * 3
    assert 0.4 < found[1].value < 0.6
    assert found[0].low < 0
    assert found[1].low > 0.2
    assert found[1].high < 0.9 < found[2].high


def test_what_is_to_come_goes_on_as_the_last_doubling(monkeypatch):
    right = np.zeros((4, 100))
    for point, count in enumerate([30, 40, 50, 60]):
        right[point, :count] = 1
    monkeypatch.setattr("monitor.selection.gain_curve.cross_fitted", lambda *_: ((0, 20, 40, 80), right))
    found = curve(rows([5] * 100, 1), step=100)
    assert found.gains == (0.0, 0.1, 0.2, 0.3)
    assert found.so_far.value == pytest.approx(0.3 + 0.1 * np.log2(1.25))
    assert found.next_gain.value == pytest.approx(0.1)
    few = curve(rows([5] * 100, 1), step=50)
    assert few.next_gain.value == pytest.approx(0.1 * np.log2(1.5))
    assert 0 < few.next_gain.low < few.next_gain.high < found.next_gain.high
    right[3] = 1
    full = curve(rows([5] * 100, 1))
    assert full.so_far.value == 0.7  # there is no more to gain
    assert full.next_gain.value == 0


def test_the_same_seed_tells_the_same():
    assert curve(rows(FRESH, 2)) == curve(rows(FRESH, 2))
    assert curve(rows(FRESH, 2), step=100).next_gain.high > curve(rows(FRESH, 2)).next_gain.high


def test_too_few_labels_tell_nothing():
    assert curve(rows(FRESH[: LEAST_LABELS - 1], 2)) is None
    assert curve(rows(FRESH[:LEAST_LABELS], 2)) is not None
    assert curve((TRAIN[0][:0], TRAIN[1][:0])) is None
    vectors, labels = rows(FRESH, 2)
    assert gain_curve(TRAIN, (vectors, labels), np.zeros(60), OLD, rng()) is None


def test_one_unseen_class_only_is_learnt():
    found = curve(rows([6] * 40, 2))
    assert found.so_far.value == 1.0
    assert found.next_gain.value < 0.02


def test_what_does_not_fit_is_refused():
    vectors, labels = rows(FRESH, 2)
    with pytest.raises(ValueError, match="60 vectors, 60 labels and 3 weights: give one of each a record"):
        gain_curve(TRAIN, (vectors, labels), np.ones(3), OLD, rng())
    vectors[0, 0] = np.nan
    with pytest.raises(ValueError, match="labelled vectors hold NaN or infinity"):
        gain_curve(TRAIN, (vectors, labels), np.ones(60), OLD, rng())
