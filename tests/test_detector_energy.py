"""Energy distance: against loops and enumeration, at its level in sessions, degenerate rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sessions import in_blocks, known_sessions, sessions
from worlds import World, allowed_rejections, dataset, reference, unit

from monitor.detectors.energy import EnergyDetector, between_blocks, energy_distances, jackknife_error
from monitor.testing import check_detector


def naive(x, y, a, b):
    """Means over pairs of rows in different blocks."""
    xx, yy = a[:, None] != a[None, :], b[:, None] != b[None, :]
    return 2 * cdist(x, y).mean() - cdist(x, x)[xx].mean() - cdist(y, y)[yy].mean()


@pytest.mark.parametrize("size", [1, 3])
def test_energy_distance_by_loops(size):
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(21, 5)))
    sides = in_blocks(12, 9, size)
    between = between_blocks(vectors, sides)
    found = energy_distances(between, sides.sizes, sides.truth)[0]
    assert found == pytest.approx(
        naive(vectors[:12], vectors[12:], sides.reference.codes, sides.current.codes), abs=1e-6
    )
    labels = next(sides.labels(6, rng))
    for column, got in zip(labels.T, energy_distances(between, sides.sizes, labels), strict=True):
        one = column[sides.codes] > 0
        want = naive(vectors[~one], vectors[one], sides.codes[~one], sides.codes[one])
        assert got == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_the_jackknife_by_leaving_each_block_out(size):
    vectors = unit(np.random.default_rng(1).normal(size=(21, 5)))
    sides = in_blocks(12, 9, size)
    x, y, a, b = vectors[:12], vectors[12:], sides.reference.codes, sides.current.codes
    left = [naive(x[a != c], y, a[a != c], b) for c in range(sides.reference.count)]
    right = [naive(x, y[b != c], a, b[b != c]) for c in range(sides.current.count)]
    want = sum((len(v) - 1) ** 2 / len(v) * np.var(v, ddof=1) for v in (left, right))
    assert jackknife_error(between_blocks(vectors, sides), sides) ** 2 == pytest.approx(want, rel=1e-3)


def test_sessions_raise_no_false_alarms_and_bias_no_effect():
    world, rng = World(dimensions=8), np.random.default_rng(2)
    detector = EnergyDetector(99, 99)
    found = [
        detector.measure(known_sessions(world, 40, 5, rng), sessions(world, 25, 5, rng, "c"), rng)[0]
        for _ in range(200)
    ]
    low, high = allowed_rejections(200)
    assert low <= sum(m.p_value <= 0.05 for m in found) <= high
    effects = np.array([m.effect for m in found])
    assert abs(effects.mean()) < 4 * effects.std() / np.sqrt(200)
    assert sum(m.low > 0 for m in found) <= high


def test_a_shift_is_found_and_covered():
    world, rng = World(dimensions=24), np.random.default_rng(3)
    known = world.reference(200, 100, rng)
    (found,) = EnergyDetector().measure(known, world.mixed(120, rng, "c", [0.7, 0.1, 0.1, 0.1]), rng)
    assert found.p_value <= 0.001
    assert found.low > 0
    assert found.detail == {"blocks_reference": 300, "blocks_current": 120}


def test_conformance_and_degenerate_rows():
    rng = np.random.default_rng(0)
    world = World(dimensions=16)
    check_detector(EnergyDetector(99, 99), world.reference(150, 120, rng), world.mixed(100, rng, "c"))
    same = unit(np.ones((60, 4)))
    known = reference(dataset(same[:30], prefix="t"), dataset(same[:30], prefix="p"))
    (found,) = EnergyDetector(99, 99).measure(known, dataset(same[:25], prefix="c"), rng)
    assert (found.effect, found.p_value) == (pytest.approx(0, abs=1e-6), 1.0)
    few = sessions(world, 10, 5, rng, "c")
    (found,) = EnergyDetector(99, 99).measure(known_sessions(world, 40, 5, rng), few, rng)
    assert found.p_value is None
    assert found.detail["blocks_current"] == 10
    one = sessions(world, 1, 30, rng, "c")
    assert EnergyDetector().measure(known_sessions(world, 40, 5, rng), one, rng) == []
    with pytest.raises(ValueError, match="max_rows is 3; it must be at least 20"):
        EnergyDetector(max_rows=3)
