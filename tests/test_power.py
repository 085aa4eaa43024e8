"""What a quiet window says it would have caught, is caught."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import around, dataset, intents, reference, unit

from monitor.detectors.kernels import gaussian_kernel
from monitor.detectors.mmd import MmdDetector, mmd2_unbiased
from monitor.detectors.power import Alternatives, alternatives, detectable
from monitor.detectors.ruler import make_ruler

WORLD = intents(60, 24)


def traffic(rows, rng, first=0, last=40):
    return around(WORLD, rng.integers(first, last, rows), rng, 0.5)


def embeddings(detector, known, vectors, rng):
    return next(m for m in detector.measure(known, dataset(vectors, prefix="c"), rng) if m.subject == "embeddings")


def test_the_statement_by_hand():
    drawn = np.random.default_rng(0).normal(size=(4, 50_000))
    level = 1 - 0.95**0.25
    critical = 2.234  # of the standard normal at that level
    assert level == pytest.approx(0.0127, abs=1e-4)
    against = Alternatives(np.array([0.0, 100.0, 0.0, 10.0]), np.array([4.0, 0.0, 0.0, 0.0]))
    share, shift = detectable(drawn, against)
    assert share == pytest.approx(min(np.sqrt((critical + 1.05) / 100), (critical + 1.05) / 10), rel=0.03)
    assert shift == pytest.approx(np.sqrt((critical + 1.75 * 0.84) / 4), rel=0.03)
    nothing = Alternatives(np.zeros(4), np.zeros(4))
    assert detectable(drawn, nothing) == (1.0, np.inf)


def test_the_effect_of_a_small_shift_is_the_predicted_one():
    rng = np.random.default_rng(0)
    x, y = traffic(2_000, rng), traffic(2_000, rng)
    found = alternatives(x, make_ruler(x), 0.8)
    directions = unit(rng.normal(size=(40, 24)))
    length = 0.2
    real = np.mean([mmd2_unbiased(x, y + np.float32(length) * v, 0.8) for v in directions])
    calm = mmd2_unbiased(x, y, 0.8)
    assert real - calm == pytest.approx(found.shift[0] * length**2, rel=0.1)
    whitening = make_ruler(x).whitening
    assert found.shift[2] == pytest.approx(np.mean([np.square(v @ whitening).sum() for v in directions]), rel=0.15)


def test_a_cluster_of_the_content_is_about_as_far_as_an_intent():
    rng = np.random.default_rng(0)
    x = traffic(1_500, rng)
    found = alternatives(x, None, 0.8)
    whole = gaussian_kernel(x, x, 0.8).mean()
    one = [around(WORLD, np.full(200, i), rng, 0.5) for i in range(10)]
    real = [gaussian_kernel(c, c, 0.8).mean() + whole - 2 * gaussian_kernel(c, x, 0.8).mean() for c in one]
    assert 0.6 * np.median(real) < found.content[0] < 1.6 * np.median(real)
    assert len(found.content) == 2


def test_what_would_have_been_caught_is_caught():
    rng = np.random.default_rng(1)
    known = reference(dataset(traffic(900, rng), prefix="t"), dataset(traffic(300, rng), prefix="p"))
    detector = MmdDetector(permutations=299, refined=299)
    calm = [embeddings(detector, known, traffic(200, rng), rng) for _ in range(8)]
    share = np.median([m.detail["detectable_share"] for m in calm])
    shift = np.median([m.detail["detectable_shift"] for m in calm])
    assert 0.01 < share < 0.3
    assert 0.01 < shift < 0.3
    caught = np.zeros(3)
    repetitions = 40
    for repetition in range(repetitions):
        window = traffic(200, rng)
        dirty = window.copy()
        count = int(share * 200 + rng.random())
        dirty[:count] = around(WORLD, np.full(count, 40 + repetition % 20), rng, 0.5)
        moved = unit(window + shift * unit(rng.normal(size=(1, 24))))
        for place, vectors in enumerate((dirty[rng.permutation(200)], moved, window)):
            caught[place] += embeddings(detector, known, vectors, rng).p_value <= 0.05
    assert 0.6 * repetitions <= caught[0]
    assert 0.6 * repetitions <= caught[1] <= 0.98 * repetitions
    assert caught[2] <= 7


def test_small_and_dull_references_make_no_promise_they_cannot_keep():
    same = np.tile(unit(np.ones((1, 5))), (80, 1))
    found = alternatives(same, make_ruler(same), 1.0)
    assert np.isfinite(found.content).all()
    assert (found.content <= 1e-6).all()
    two = alternatives(unit(np.eye(5)[:2]), None, 1.0)
    assert np.isfinite(two.content).all()
