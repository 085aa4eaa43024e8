"""The domain classifier: its AUC, its forward p-value in sessions, degenerate rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sessions import known_sessions, rows, sessions
from sklearn.metrics import roc_auc_score
from worlds import World, allowed_rejections, dataset, reference, unit

from monitor.detectors.c2st import C2stDetector, domain_scores, fisher
from monitor.detectors.ranks import RankStratum
from monitor.testing import check_detector


def test_scores_point_to_the_window():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 6)).astype(np.float32), rng.normal(size=(200, 6)).astype(np.float32)
    x[:, 4:], y[:, 4:] = 0.5, 0.5  # dead dimensions
    y[:, 2] += 1.5
    ours = np.arange(500) >= 300
    scores = domain_scores(np.concatenate([x, y]), ours, np.concatenate([x, y]))
    # The best there is: normal distributions 1.5 apart.
    assert roc_auc_score(ours, scores) == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=0.03)
    assert (domain_scores(np.ones((9, 3), np.float32), ours[-9:] & (np.arange(9) > 4), x[:4, :3]) == 0).all()


def test_half_of_cliffs_delta_is_the_auc():
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(size=30), 1), np.round(rng.normal(size=20), 1)
    stratum = RankStratum(x, y, rows(30, 20), np.arange(50))
    auc = roc_auc_score(np.arange(50) >= 30, np.concatenate([x, y]))
    assert stratum.observed / 2 == pytest.approx(auc - 0.5)


def test_fisher():
    assert fisher([0.1, 0.2, 0.4]) == pytest.approx(stats.combine_pvalues([0.1, 0.2, 0.4]).pvalue)
    assert fisher([1.0, 1.0]) == 1.0


def test_sessions_raise_no_false_alarms():
    world, rng = World(dimensions=8), np.random.default_rng(2)
    detector = C2stDetector(permutations=99)
    found = [
        detector.measure(known_sessions(world, 40, 5, rng), sessions(world, 30, 5, rng, "c"), rng)[0]
        for _ in range(150)
    ]
    low, high = allowed_rejections(150)
    assert low <= sum(m.p_value <= 0.05 for m in found) <= high


def test_a_shift_is_told_apart():
    world, rng = World(dimensions=24), np.random.default_rng(3)
    known = world.reference(200, 100, rng)
    (found,) = C2stDetector().measure(known, world.mixed(120, rng, "c", [0.7, 0.1, 0.1, 0.1]), rng)
    assert found.p_value <= 0.001
    assert found.detail["auc"] == pytest.approx(0.5 + found.effect)
    assert 0.1 < found.low < found.effect < found.high <= 0.5


def test_conformance_and_degenerate_rows():
    rng = np.random.default_rng(0)
    world = World(dimensions=16)
    check_detector(C2stDetector(permutations=99), world.reference(150, 120, rng), world.mixed(100, rng, "c"))
    same = unit(np.ones((60, 4)))
    known = reference(dataset(same[:30], prefix="t"), dataset(same[:30], prefix="p"))
    (found,) = C2stDetector(permutations=99).measure(known, dataset(same[:25], prefix="c"), rng)
    assert (found.effect, found.p_value) == (0.0, 1.0)
    few = sessions(world, 10, 5, rng, "c")
    (found,) = C2stDetector(permutations=99).measure(known_sessions(world, 40, 5, rng), few, rng)
    assert found.p_value is None
    assert C2stDetector().measure(known_sessions(world, 40, 5, rng), sessions(world, 1, 30, rng, "c"), rng) == []
    with pytest.raises(ValueError, match="folds is 1; it must be at least 2"):
        C2stDetector(1)
