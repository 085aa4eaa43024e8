"""Several statistics in one test: exact by enumeration, and at its level."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from monitor.detectors.min_p import critical_level, joint_p_value, ranks, sequential


def test_ranks_count_ties_and_themselves():
    assert ranks(np.array([[3.0, 1.0, 2.0, 3.0]]))[0].tolist() == [0.5, 1.0, 0.75, 0.5]


def test_the_smallest_p_value_decides_and_the_larger_z_breaks_its_ties():
    #            observed
    one = np.array([5.0, 1.0, 2.0, 3.0, 0.0])
    two = np.array([0.0, 9.0, 1.0, 2.0, 3.0])
    # Both the first and the second column are the largest of one row; the second's z is larger.
    assert joint_p_value(np.array([one, two])) == pytest.approx(2 / 5)
    assert joint_p_value(np.array([two, one])[:, [1, 0, 2, 3, 4]]) == pytest.approx(1 / 5)
    assert joint_p_value(np.ones((3, 10))) == 1.0


def test_over_all_orders_every_p_value_comes_as_often_as_it_should():
    statistics = np.random.default_rng(0).normal(size=(3, 6))
    found = [
        joint_p_value(statistics[:, [first, *rest]])
        for first in range(6)
        for rest in [[i for i in range(6) if i != first]]
    ]
    assert sorted(found) == pytest.approx([i / 6 for i in range(1, 7)])
    tied = np.round(statistics)
    for level in np.arange(1, 7) / 6:
        p = [joint_p_value(tied[:, list(order)]) for order in permutations(range(6))]
        assert np.mean(np.array(p) <= level + 1e-9) <= level + 1e-9


def test_the_level_is_kept_with_early_stops():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(1_500):
        observed = rng.gamma(1.0, size=3)
        p.append(sequential(lambda count: rng.gamma(1.0, size=(3, count)), observed, 399, 999)[0])
    for level in (0.01, 0.05, 0.1):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=3.3 * np.sqrt(level / 1_500))


def test_clear_answers_stop_and_small_ones_go_on():
    rng = np.random.default_rng(0)
    assert sequential(lambda c: rng.normal(size=(2, c)), np.zeros(2), 999, 9_999)[1].shape == (2, 299)
    assert sequential(lambda c: rng.normal(size=(2, c)), np.array([2.0, 0.0]), 999, 9_999)[1].shape == (2, 999)
    p, drawn = sequential(lambda c: rng.normal(size=(2, c)), np.array([9.0, 0.0]), 999, 9_999)
    assert (p, drawn.shape) == (1e-4, (2, 9_999))
    assert sequential(lambda c: rng.normal(size=(2, c)), np.zeros(2), 99, 99)[1].shape == (2, 99)


def test_one_of_several_must_be_more_extreme_to_be_alone_at_the_level():
    drawn = np.random.default_rng(0).normal(size=(4, 20_000))
    assert critical_level(drawn) == pytest.approx(1 - 0.95**0.25, rel=0.05)
    assert critical_level(np.tile(drawn[:1], (4, 1))) == pytest.approx(0.05, rel=0.02)
