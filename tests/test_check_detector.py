"""The conformance checks of detectors and strategies: ours pass, and each fault they promise to see is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import World

from monitor.detectors.class_balance import ClassBalanceDetector
from monitor.detectors.ks import KsDetector
from monitor.detectors.mmd import MmdDetector
from monitor.selection.herding import HerdingStrategy
from monitor.selection.random_share import RandomStrategy
from monitor.testing import check_detector, check_strategy
from monitor.values import Measurement


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    world = World(dimensions=16)
    known = world.reference(150, 120, rng)
    return known, world.mixed(100, rng, "c", [0.2, 0.2, 0.2, 0.1, 0.3])


@pytest.mark.parametrize(
    "detector",
    [MmdDetector(99, 99), KsDetector(permutations=99, refined=99), ClassBalanceDetector(permutations=199)],
    ids=["mmd", "ks", "class_balance"],
)
def test_our_detectors_conform(detector, sides):
    check_detector(detector, *sides)


@pytest.mark.parametrize("strategy", [HerdingStrategy(), RandomStrategy()], ids=["herding", "random"])
def test_our_strategies_conform(strategy, sides):
    check_strategy(strategy, *sides)


class Mean:
    """A well-behaved detector: the distance of means along the first axis."""

    def fit(self, reference):
        return {"mean.zero": 0.0}

    def measure(self, reference, current, rng):
        if len(current) < 2:
            raise ValueError("1 row is too few; at least 2 are needed")
        known = reference.everything
        effect = round(float(current.vectors[:, 0].mean() - known.vectors[:, 0].mean()), 4)
        return [Measurement("mean", "x", effect, effect - 1, effect + 1, 1.0, len(known), len(current))]


class Broken(Mean):
    """Does one thing wrong, by name."""

    def __init__(self, fault):
        self.fault = fault

    def fit(self, reference):
        return {"mean.zero": np.nan if self.fault == "fit" else 0.0}

    def measure(self, reference, current, rng):
        if self.fault == "few" and len(current) < 2:
            return []
        if self.fault == "silent" and len(current) < 2:
            raise ValueError("too few rows")
        (m,) = super().measure(reference, current, rng)
        if self.fault == "changes":
            current.vectors[0] = 0.0
        faulty = {
            "interval": lambda: [replace(m, low=m.effect + 1, high=m.effect + 2)],
            "rows": lambda: [replace(m, n_current=m.n_current + 1)],
            "twice": lambda: [m, m],
            "random": lambda: [replace(m, effect=float(np.random.default_rng().random()), low=-9, high=9)],
            "order": lambda: [replace(m, effect=float(current.vectors[0, 0]), low=-9, high=9)],
            "nothing": list,
            "alarms": lambda: [replace(m, p_value=1e-6)],
        }
        return faulty.get(self.fault, lambda: [m])()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fit", "fit gives mean.zero = nan"),
        ("few", "one row is measured; a ValueError should name the minimum"),
        ("silent", "the refusal of one row names no minimum: too few rows"),
        ("changes", "measure changes the window"),
        ("interval", "is outside"),
        ("rows", "x: 101 current rows of 100"),
        ("twice", "a subject of a segment is measured twice"),
        ("random", "the same generator gives another answer"),
        ("order", "another order of rows gives another answer"),
        ("nothing", "there is no measurement"),
        ("alarms", "the protected set itself is called drift: x  has p = 1e-06"),
    ],
)
def test_each_fault_of_a_detector_is_seen(fault, said, sides):
    known, window = sides
    own = replace(window, vectors=window.vectors.copy())
    check_detector(Mean(), known, own)
    with pytest.raises(AssertionError, match=said):
        check_detector(Broken(fault), known, own)


class Unruly(RandomStrategy):
    """A strategy that does one thing wrong, by name."""

    def __init__(self, fault):
        self.fault = fault

    def pick(self, pool, count, taken, rng):
        if self.fault == "nothing":
            return []
        if self.fault == "greedy":
            count = max(count, 1)
        if self.fault == "seeded":
            rng = np.random.default_rng()
        if self.fault == "deaf":
            taken = taken[:0]
        if self.fault == "orders" and len(pool.window):
            rng = np.random.default_rng(len(pool.window.ids[0]))
        if self.fault == "changes" and len(pool.window):
            pool.reference[0][:] = 0.0
        found = super().pick(pool, count, taken, rng)
        wrong = {
            "numbers": [float(row) for row in found],
            "stranger": [*found[1:], len(pool.window) + 3],
            "twice": [*found[:1], *found[:-1]],
            "more": [*found, *super().pick(pool, 1, np.array([*taken, *found], dtype=np.int64), rng)],
        }
        return wrong.get(self.fault, found) if count else found


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("nothing", "nothing is picked"),
        ("greedy", "a budget of 0 picks something|11 rows|1 rows picked for a budget of 0"),
        ("seeded", "the same generator gives another batch"),
        ("deaf", "a row is picked that is taken already"),
        ("numbers", "a pick is not a whole number"),
        ("stranger", "a row is picked that may not be proposed"),
        ("twice", "a row is picked twice"),
        ("more", "11 rows picked for a budget of 10"),
    ],
)
def test_each_fault_of_a_strategy_is_seen(fault, said, sides):
    with pytest.raises(AssertionError, match=said):
        check_strategy(Unruly(fault), *sides)
