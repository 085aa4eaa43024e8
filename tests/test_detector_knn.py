"""The neighbour graph: against loops, without a side in its ties, at its level in sessions."""

from __future__ import annotations

import numpy as np
import pytest
from sessions import in_blocks, known_sessions, rows, sessions
from worlds import World, allowed_rejections, dataset, reference, unit

from monitor.detectors.knn import KnnDetector, excess, neighbour_graph
from monitor.testing import check_detector


@pytest.mark.parametrize("size", [1, 3])
def test_the_graph_and_its_excess_by_loops(size):
    rng = np.random.default_rng(0)
    vectors, sides, k = unit(rng.normal(size=(21, 6))), in_blocks(12, 9, size), 4
    codes = sides.codes
    want = np.zeros((sides.count, sides.count))
    shares, expected = [], []
    for i, row in enumerate(vectors):
        others = [j for j in range(21) if codes[j] != codes[i]]
        near = sorted(others, key=lambda j: -float(row @ vectors[j]))[:k]
        for j in near:
            want[codes[i], codes[j]] += 1
        if i >= 12:
            shares.append(np.mean([j >= 12 for j in near]))
            expected.append(np.mean([j >= 12 for j in others]))
    graph = neighbour_graph(vectors, sides, k, rng)
    np.testing.assert_array_equal(graph.toarray(), want)
    assert excess(graph, sides.sizes, sides.truth)[0] == pytest.approx(np.mean(shares) - np.mean(expected))


def test_duplicates_are_no_neighbours_of_one_side():
    # All rows are one point: neighbours are drawn at random, not from whichever side comes first.
    vectors = unit(np.ones((80, 3)))
    found = [
        excess(neighbour_graph(vectors, s, 5, np.random.default_rng(i)), s.sizes, s.truth)[0]
        for i, s in enumerate([rows(50, 30)] * 60)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(60)


def test_exchanging_blocks_gives_no_excess_on_average():
    rng = np.random.default_rng(1)
    vectors, sides = unit(rng.normal(size=(120, 6))), in_blocks(72, 48, 3)
    graph = neighbour_graph(vectors, sides, 5, rng)
    drawn = sides.drawn(lambda labels: excess(graph, sides.sizes, labels), 4_000, rng)
    assert abs(drawn.mean()) < 0.005


def test_sessions_raise_no_false_alarms():
    world, rng = World(dimensions=8), np.random.default_rng(2)
    detector = KnnDetector(5, 99, 99)
    found = [
        detector.measure(known_sessions(world, 40, 5, rng), sessions(world, 25, 5, rng, "c"), rng)[0]
        for _ in range(200)
    ]
    low, high = allowed_rejections(200)
    assert low <= sum(m.p_value <= 0.05 for m in found) <= high
    assert sum(m.low > 0 for m in found) <= high


def test_new_content_keeps_to_itself():
    world, rng = World(dimensions=24), np.random.default_rng(3)
    window = world.mixed(120, rng, "c", [0.2, 0.2, 0.2, 0.2, 0.2])
    (found,) = KnnDetector().measure(world.reference(400, 200, rng), window, rng)
    assert found.subject == "neighbours"
    assert found.p_value <= 0.001
    assert found.low > 0


def test_conformance_and_degenerate_rows():
    rng = np.random.default_rng(0)
    world = World(dimensions=16)
    check_detector(KnnDetector(5, 99, 99), world.reference(150, 120, rng), world.mixed(100, rng, "c"))
    same = unit(np.ones((60, 4)))
    known = reference(dataset(same[:30], prefix="t"), dataset(same[:30], prefix="p"))
    (found,) = KnnDetector(5, 99, 99).measure(known, dataset(same[:25], prefix="c"), rng)
    assert abs(found.effect) < 0.2
    few = sessions(world, 10, 5, rng, "c")
    (found,) = KnnDetector(5, 99, 99).measure(known_sessions(world, 40, 5, rng), few, rng)
    assert found.p_value is None
    assert KnnDetector().measure(known_sessions(world, 40, 5, rng), sessions(world, 1, 30, rng, "c"), rng) == []
    with pytest.raises(ValueError, match="neighbours is 0; it must be at least 1"):
        KnnDetector(0)
