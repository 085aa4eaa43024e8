"""Sums over pairs of units against loops over pairs of rows, and looks that remember their reference."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from worlds import World, unit

from monitor.detectors.blocks import Blocks
from monitor.detectors.choices import Choices
from monitor.detectors.mmd import MmdDetector
from monitor.detectors.novelty_ranks import mean_difference, savage_scores
from monitor.detectors.pair_sums import PairSums, gaussian_across, gaussian_within, joined, linear_within
from monitor.detectors.tiles import exponents
from monitor.detectors.units import blocks_per_unit, exchanged, units_of

GAMMA = 0.6


def sessions(sizes):
    return Blocks(np.repeat(np.arange(len(sizes)), sizes), len(sizes), "field")


def pooled(x, a, y, b, per_unit=(1, 1), seed=0):
    rng = np.random.default_rng(seed)
    u, v = units_of(a, per_unit[0], rng), units_of(b, per_unit[1], rng)
    x, y = x[u.order], y[v.order]
    (lx, rx), (ly, ry) = exponents(x, GAMMA), exponents(y, GAMMA)
    one = gaussian_within(lx, rx, u, (0, 2), (0.3, 0.1))
    two = gaussian_within(ly, ry, v, (0, 2), (0.3, 0.1))
    across = gaussian_across(lx, u, ry, v, (0, 2), (0.3, 0.1))
    rows, own = np.concatenate([u.rows, v.rows]), np.concatenate([u.own, v.own])
    kernels = [PairSums(joined(*parts), rows, own) for parts in zip(one, across, two, strict=True)]
    (within_x, sums_x), (within_y, sums_y) = linear_within(x, u), linear_within(y, v)
    return u, v, [*kernels, PairSums(joined(within_x, sums_x @ sums_y.T, within_y), rows, own)]


def naive(x, a, y, b, kernel):
    """Mean over pairs of rows of different blocks, on either side and across."""
    xx = [kernel(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if a[i] != a[j]]
    yy = [kernel(p, q) for i, p in enumerate(y) for j, q in enumerate(y) if b[i] != b[j]]
    return np.mean(xx) + np.mean(yy) - 2 * np.mean([kernel(p, q) for p in x for q in y])


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=3, max_size=7),
    st.lists(st.integers(1, 4), min_size=3, max_size=7),
    st.sampled_from([1, 2]),
    st.integers(0, 2**32 - 1),
)
def test_mmd_over_units_is_the_double_loop_over_rows_of_different_blocks(first, second, per_unit, seed):
    a, b = sessions(first), sessions(second)
    rng = np.random.default_rng(seed)
    x, y = unit(rng.normal(size=(sum(first), 4))), unit(rng.normal(size=(sum(second), 4)) + 0.3)
    u, v, kernels = pooled(x, a, y, b, (per_unit, per_unit), seed)
    truth = exchanged(u, v, 0, rng)

    def rbf(power):
        return lambda p, q: np.exp(-power * GAMMA * np.square(p.astype(float) - q).sum())

    for found, kernel in zip(kernels, (rbf(1), rbf(4), lambda p, q: float(p.astype(float) @ q)), strict=True):
        want = naive(x, a.codes, y, b.codes, kernel)
        assert found.mmd2(truth)[0] == pytest.approx(want, abs=2e-5)


def test_the_jackknife_leaves_units_out():
    a, b = sessions([1, 3, 2, 2, 1]), sessions([2, 2, 1, 3])
    rng = np.random.default_rng(0)
    x, y = unit(rng.normal(size=(9, 4))), unit(rng.normal(size=(8, 4)) + 0.5)
    _, _, (one, *_) = pooled(x, a, y, b)
    current = np.arange(9) >= 5

    def kernel(p, q):
        return np.exp(-GAMMA * np.square(p.astype(float) - q).sum())

    want = 0.0
    for side in (0, 1):
        left = []
        for block in range((5, 4)[side]):
            kept = [a.codes != block, np.ones(8, bool)] if side == 0 else [np.ones(9, bool), b.codes != block]
            left.append(naive(x[kept[0]], a.codes[kept[0]], y[kept[1]], b.codes[kept[1]], kernel))
        left = np.array(left)
        want += (len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()
    assert one.jackknife(current) == pytest.approx(want, rel=1e-3)


def test_every_labelling_of_units_is_that_mmd():
    rng = np.random.default_rng(1)
    a, b = sessions([2, 1, 2]), sessions([1, 2, 2])
    x, y = unit(rng.normal(size=(5, 3))), unit(rng.normal(size=(5, 3)))
    _, _, (one, *_) = pooled(x, a, y, b)
    z, codes = np.concatenate([x, y]), np.concatenate([a.codes, 3 + b.codes])
    for chosen in combinations(range(6), 3):
        mine = np.isin(codes, chosen)
        want = naive(
            z[~mine],
            codes[~mine],
            z[mine],
            codes[mine],
            lambda p, q: np.exp(-GAMMA * np.square(p.astype(float) - q).sum()),
        )
        assert one.mmd2(Choices(np.array(chosen)[:, None], 6))[0] == pytest.approx(want, abs=1e-5)


def test_units_hold_equally_many_blocks_and_left_over_ones_stay():
    blocks = sessions(np.full(1_003, 2))
    u = units_of(blocks, 4, np.random.default_rng(0))
    assert (len(u), u.exchangeable, u.left_over) == (251, 250, True)
    assert (u.rows[:-1] == 8).all()
    assert u.rows[-1] == 6
    assert (u.own[:-1] == 4 * 4).all()
    assert sorted(u.order.tolist()) == list(range(2_006))
    assert len(set(blocks.codes[u.order][:8].tolist())) == 4  # whole blocks
    v = units_of(sessions(np.full(40, 2)), 4, np.random.default_rng(0))
    labels = exchanged(u, v, 50, np.random.default_rng(0)).dense()
    assert (labels[:, 0] == np.repeat([0, 1], [251, 10])).all()
    assert (labels[250] == 0).all()
    assert (labels.sum(axis=0) == 10).all()


def test_units_are_few_but_not_too_few_on_the_smaller_side():
    def alone(n):
        return Blocks(np.arange(n), n, "record")

    assert blocks_per_unit(alone(300), alone(300)) == (1, 1)
    assert blocks_per_unit(alone(3_750), alone(500)) == (8, 8)
    assert blocks_per_unit(alone(3_750), alone(150)) == (2, 2)
    # A reference without sessions beside production in sessions of ten.
    assert blocks_per_unit(alone(400), sessions(np.full(40, 10))) == (10, 1)


def test_savage_scores_by_hand_and_under_ties():
    third = 1 / 3
    assert savage_scores(np.array([2.0, 1.0, 3.0])) == pytest.approx([third + 0.5 - 1, third - 1, third + 1.5 - 1])
    tied = savage_scores(np.array([1.0, 5.0, 5.0]))
    assert tied == pytest.approx([third - 1, (third - 1) / -2, (third - 1) / -2])
    assert savage_scores(np.ones(7)) == pytest.approx(np.zeros(7), abs=1e-12)
    sums, rows = np.array([4.0, 6.0, 3.0]), np.array([2.0, 1.0, 2.0])
    for labels in (Choices(np.array([[1], [2]]), 3), Choices(np.array([[0]]), 3, current=False)):
        assert mean_difference(sums, rows, labels)[0] == pytest.approx(3.0 - 2.0)


def test_a_remembered_reference_answers_as_a_new_one():
    world, rng = World(dimensions=16), np.random.default_rng(0)
    known, other = world.reference(300, 150, rng), world.reference(300, 150, rng)
    windows = [world.mixed(100, rng, "c"), world.mixed(100, rng, "d", [0.7, 0.1, 0.1, 0.1])]
    detector = MmdDetector(199, 199)
    for window in windows:
        for reference in (known, other, known):
            remembered = detector.measure(reference, window, np.random.default_rng(1))
            assert remembered == MmdDetector(199, 199).measure(reference, window, np.random.default_rng(1))


@pytest.mark.parametrize(("n", "m"), [(4, 2), (2, 4), (3, 3)])
def test_every_exchange_is_as_likely_as_any_other(n, m):
    def alone(count):
        return units_of(Blocks(np.arange(count), count, "record"), 1, np.random.default_rng(0))

    labels = exchanged(alone(n), alone(m), 30_000, np.random.default_rng(1)).dense()
    assert labels[:, 0].tolist() == [0.0] * n + [1.0] * m
    assert set(labels.sum(axis=0).tolist()) == {float(m)}
    _, counts = np.unique(labels[:, 1:], axis=1, return_counts=True)
    assert len(counts) == comb(n + m, m)
    assert stats.chisquare(counts).pvalue > 1e-3
