"""Batch strategies against the plain loops of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pools import CENTRES, NOBODY, a_pool, a_reference, calm, junk, labelled, mixed, of_intents, rng, with_column
from worlds import around, unit

from monitor.selection import Answers, coverage, ranking
from monitor.selection.badge import DriftBadgeStrategy, drift_weights, gradient_factors, spread_out, squared_distances
from monitor.selection.coverage import ProbCoverStrategy, farthest_first, max_coverage, pure_radius
from monitor.selection.kernel_herding import KernelHerdingStrategy, covering
from monitor.selection.typiclust import TypiclustStrategy, most_typical, typicality


def points(rows, seed=0, spread=0.8):
    return around(CENTRES, rng(seed).integers(0, 5, rows), rng(seed + 1), spread)


def chances(rows, classes=4, seed=0):
    return rng(seed).dirichlet(np.ones(classes), rows)


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(ranking, "_PAIRS", 100)  # so that every loop over stretches takes several turns


def embeddings(p, x):
    """Gradient embeddings, formed."""
    found = []
    for row, vector in zip(p.astype(float), x.astype(float), strict=True):
        factor = row.copy()
        factor[row.argmax()] -= 1
        found.append(np.kron(factor, np.append(vector, 1.0)))
    return np.array(found)


def test_distances_are_those_of_the_formed_gradient_embeddings():
    p, x = chances(12), points(12)
    factors = gradient_factors(p)
    np.testing.assert_allclose(factors.sum(axis=1), 0, atol=1e-6)
    found = squared_distances(factors, x, factors[:5], x[:5])
    formed = embeddings(p, x)
    for i in range(12):
        for j in range(5):
            assert found[i, j] == pytest.approx(((formed[i] - formed[j]) ** 2).sum(), abs=1e-4)
    assert (np.diag(found) == 0).all()


def naive_seeding(formed, weights, count, random):
    """k-means++ as it is told: the longest first, then with probability in proportion to D² w."""
    picks = [int((np.square(formed).sum(axis=1) * weights).argmax())]
    while len(picks) < count:
        d2 = np.array([min(((a - formed[b]) ** 2).sum() for b in picks) for a in formed])
        d2[picks] = 0
        line = np.cumsum(d2 * weights)
        picks.append(int(np.searchsorted(line, random.random() * line[-1], side="right")))
    return picks


@pytest.mark.parametrize("seed", range(5))
def test_badge_is_the_plain_seeding(seed):
    p, x, weights = chances(25, seed=seed), points(25, seed), rng(seed).uniform(0, 1, 25)
    found = spread_out(gradient_factors(p), x, np.arange(25), 8, rng(seed), weights)
    assert found == naive_seeding(embeddings(p, x), weights, 8, rng(seed))


def test_badge_draws_in_proportion_to_distance_and_weight():
    x, p = unit(np.eye(3)[[0, 1, 2]]), np.array([[0.5, 0.5], [0.7, 0.3], [0.4, 0.6]])
    weights = np.array([1.0, 0.5, 2.0])
    formed = embeddings(p, x)
    d2 = np.array([((row - formed[0]) ** 2).sum() for row in formed]) * weights
    random, factors = rng(), gradient_factors(p)
    drawn = [spread_out(factors, x, np.arange(3), 1, random, weights, np.array([0]))[0] for _ in range(3_000)]
    assert drawn.count(0) == 0
    assert drawn.count(1) / 3_000 == pytest.approx(d2[1] / d2.sum(), abs=0.03)  # 3.3 standard deviations


def test_badge_ends_when_all_is_equal_or_sure():
    x, p = points(1)[[0] * 9], chances(1)[[0] * 9]
    assert spread_out(gradient_factors(p), x, np.arange(9), 5, rng()) == [0]
    assert spread_out(gradient_factors(p), x, np.arange(1, 9), 5, rng(), taken=np.array([0])) == []
    assert spread_out(gradient_factors(np.eye(4)[[0, 1, 2]]), points(3), np.arange(3), 5, rng()) == []
    assert spread_out(gradient_factors(chances(9)), points(9), np.arange(9), 5, rng(), np.zeros(9)) == []


def test_drift_weights_are_the_plain_formula():
    random = rng()
    excess, shrink, ok, bad = random.uniform(0, 1, (4, 30))
    for i, found in enumerate(drift_weights(excess, shrink, ok, bad)):
        veto = 1 / (1 + math.exp(-(ok[i] - bad[i]) / 0.05))
        assert found == pytest.approx(shrink[i] * (0.15 + excess[i]) * veto, rel=1e-9)
    np.testing.assert_allclose(drift_weights(excess, shrink, ok, None), shrink * (0.15 + excess))


def test_junk_answers_are_a_veto():
    window = calm(40, 3).append(of_intents([7] * 20, 4, "a")).append(of_intents([8] * 20, 5, "b"))
    said = with_column(of_intents([8] * 10, 6, "s"), "label", ["junk"] * 10)
    drawn = {}
    for name, answers in (("before", None), ("after", Answers(said, frozenset({"junk"})))):
        pool = a_pool(window, a_reference(), answers)
        rows = [row for seed in range(20) for row in DriftBadgeStrategy().pick(pool, 6, NOBODY, rng(seed))]
        kinds = [pool.window.ids[row][0] for row in rows]
        drawn[name] = [kinds.count(kind) for kind in "ab"]
    assert drawn["before"][1] >= 30
    assert drawn["after"][1] <= drawn["before"][1] / 3
    assert drawn["after"][0] >= 80


def naive_cover(vectors, weights, eligible, count, radius, before):
    near = vectors.astype(float) @ vectors.T.astype(float) >= 1 - radius
    bare = [all(v @ b < 1 - radius for b in before) for v in vectors]
    picks = []
    while len(picks) < count:
        gains = [
            sum(weights[z] for z in range(len(vectors)) if bare[z] and near[z, x]) if x not in picks else 0
            for x in eligible
        ]
        if max(gains) <= 0:
            return picks
        picks.append(int(eligible[int(np.argmax(gains))]))
        bare = [b and not near[z, picks[-1]] for z, b in enumerate(bare)]
    return picks


@pytest.mark.parametrize("radius", [0.05, 0.3, 0.5])
def test_prob_cover_is_the_plain_greedy(radius, monkeypatch):
    monkeypatch.setattr(coverage, "_TIDY", 3)
    vectors, before = points(60), points(4, 30)
    weights = rng().integers(1, 9, 60).astype(float)
    for eligible in (np.arange(60), np.arange(0, 60, 3)):
        found = max_coverage(vectors, weights, eligible, 30, radius, before)
        assert found == naive_cover(vectors, weights, eligible, 30, radius, before)
        assert len(found) > 1


def test_prob_cover_ends_when_all_is_covered():
    vectors = CENTRES[[0, 0, 0, 1, 1, 2]]
    assert max_coverage(vectors, np.ones(6), np.arange(6), 6, 0.1, CENTRES[:0]) == [0, 3, 5]
    assert max_coverage(vectors, np.ones(6), np.arange(6), 6, 0.1, CENTRES[1:2]) == [0, 5]
    assert max_coverage(vectors, np.ones(6), NOBODY, 6, 0.1, CENTRES[:0]) == []


def test_the_pure_radius_is_the_largest_with_enough_pure_balls():
    vectors, labels = points(80, spread=1.5), rng().choice(np.array(["a", "b"], dtype=object), 80, p=[0.9, 0.1])
    distance = 1 - vectors.astype(float) @ vectors.T.astype(float)

    def purity(radius):
        return np.mean([len(set(labels[row < radius])) <= 1 for row in distance])

    found = pure_radius(vectors, labels, 0.7)
    assert (
        purity(found - 1e-5)
        >= 0.7
        > purity(found + 1e-5 + np.diff(np.sort(distance[labels == "a"][:, labels == "b"].min(1))).max())
    )
    assert pure_radius(vectors, np.array(["a"] * 80, dtype=object)) is None
    assert pure_radius(vectors[:0], labels[:0]) is None


def test_prob_cover_survives_twins_with_two_labels():
    train = labelled(mixed()).take([*range(40), *range(40)])
    train = with_column(with_column(train, "label", ["a"] * 40 + ["b"] * 40), "id", [f"t{i}" for i in range(80)])
    picks = ProbCoverStrategy().pick(a_pool(mixed(), a_reference(train)), 10, NOBODY, rng())
    assert len(picks) == 10


def test_k_center_is_the_plain_farthest_first():
    vectors, before = points(40), points(3, 30)
    picks = []
    for _ in range(10):
        centres = [*before, *vectors[picks]]
        picks.append(int(np.argmax([min(1 - float(v @ c) for c in centres) for v in vectors])))
    assert farthest_first(vectors, np.arange(40), 10, before) == picks
    assert farthest_first(vectors[[3, 3, 3]], np.arange(3), 3, vectors[:0]) == [0]


def test_typicality_is_the_plain_mean_distance():
    vectors = points(30)
    for k, used in ((20, 20), (50, 29)):
        for i, found in enumerate(typicality(vectors, k)):
            distance = sorted(float(np.linalg.norm(vectors[i] - v)) for j, v in enumerate(vectors) if j != i)
            assert found == pytest.approx(1 / np.mean(distance[:used]), rel=2e-3)
    assert typicality(vectors[:1]).tolist() == [0.0]


def test_large_clusters_without_labels_come_first():
    clusters = np.array([0] * 8 + [1] * 6 + [2] * 7 + [3] * 2)
    typical, eligible = np.arange(23.0), np.arange(23)
    assert most_typical(typical, clusters, np.array([1, 0, 0, 0]), eligible, 5) == [20, 13, 7, 19, 12]
    assert most_typical(typical, clusters, np.zeros(4, dtype=int), eligible[20:], 9) == [20, 22, 21]


def test_typiclust_prefers_what_training_lacks():
    with pytest.raises(ValueError, match="most_clusters is 0; give a whole number above 0"):
        TypiclustStrategy(most_clusters=0)
    pool = a_pool(mixed())
    picks = TypiclustStrategy().pick(pool, 3, NOBODY, rng())
    assert pool.window.ids[picks[0]].startswith("n")


def naive_covering(vectors, value, eligible, count, h, before, spent):
    kernel = np.exp((np.minimum(vectors.astype(float) @ vectors.T, 1) - 1) / h)
    covered = np.exp((np.minimum(vectors.astype(float) @ before.T, 1) - 1) / h).max(axis=1, initial=0)
    floor = spent * max(kernel[x] @ value for x in eligible)
    picks = []
    while len(picks) < count:
        gains = [value @ np.maximum(kernel[x] - covered, 0) if x not in picks else -1 for x in eligible]
        if max(gains) <= floor:
            break
        picks.append(int(eligible[int(np.argmax(gains))]))
        covered = np.maximum(covered, kernel[picks[-1]])
    return picks


@pytest.mark.parametrize("spent", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("before", [0, 3])
def test_drift_coverage_is_the_plain_greedy(spent, before):
    vectors, value = points(70), rng(4).uniform(0.1, 1, 70)
    for eligible in (np.arange(70), np.arange(1, 70, 4)):
        found = covering(vectors, value, eligible, 25, 0.1, points(before, 30), spent)
        assert found == naive_covering(vectors, value, eligible, 25, 0.1, points(before, 30), spent)
        assert len(found) > 2


def test_drift_coverage_without_need_picks_nothing():
    assert covering(points(9), np.zeros(9), np.arange(9), 5, 0.1, CENTRES[:0]) == []


def test_kernel_herding_copies_the_traffic():
    window = mixed()
    pool = a_pool(window, a_reference(labelled(junk(40, 77))))  # training data that cover nothing
    picks = KernelHerdingStrategy().pick(pool, 40, NOBODY, rng())
    share = np.mean([pool.window.ids[row].startswith("n") for row in picks])
    assert share == pytest.approx(30 / 110, abs=0.15)
