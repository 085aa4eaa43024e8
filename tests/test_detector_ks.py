"""KS on directions and novelty: against scipy and loops, at its level, blind to what it should be blind to."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from worlds import World, allowed_rejections, dataset, reference, unit

from monitor.detectors.blocks import Blocks
from monitor.detectors.ks import KsDetector, ks_over_blocks, novelty, principal_directions, two_sample_ks
from monitor.detectors.ranks import RankStratum, compare_ranks, rank_strata
from monitor.detectors.sides import Sides, among


def alone(n):
    return Blocks(np.arange(n), n, "record")


def stratum(x, y):
    return RankStratum(x, y, Sides(alone(len(x)), alone(len(y))), np.arange(len(x) + len(y)))


def in_sessions(rng, count, size, strength):
    """Numbers of sessions whose rows share a part."""
    values = strength * np.repeat(rng.normal(size=count), size) + rng.normal(size=count * size)
    return values, Blocks(np.repeat(np.arange(count), size), count, "field")


def test_directions_are_the_ones_of_largest_variance_and_dead_ones_are_dropped():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6)) * np.array([1.0, 5.0, 0.5, 3.0, 1e-9, 0.0])
    rows[:, 5] = 7.0
    found = principal_directions(rows.astype(np.float32), 10)
    assert found.shape == (4, 6)  # two dimensions hold nothing
    np.testing.assert_allclose(np.abs(found[0]), [0, 1, 0, 0, 0, 0], atol=0.15)
    np.testing.assert_allclose(np.abs(found[1]), [0, 0, 0, 1, 0, 0], atol=0.15)
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-9)
    assert (found[np.arange(4), np.abs(found).argmax(axis=1)] > 0).all()
    assert principal_directions(rows.astype(np.float32), 2).shape == (2, 6)
    assert principal_directions(np.ones((9, 3), np.float32), 2).shape == (0, 3)


def test_novelty_is_the_mean_distance_to_the_nearest():
    rng = np.random.default_rng(1)
    rows, train = unit(rng.normal(size=(30, 5))), unit(rng.normal(size=(40, 5)))
    want = [np.mean(sorted(1 - float(row @ t) for t in train)[:3]) for row in rows]
    np.testing.assert_allclose(novelty(rows, train, 3), want, atol=1e-6)
    np.testing.assert_allclose(novelty(rows, train[:2], 5), 1 - (rows @ train[:2].T).mean(axis=1), atol=1e-6)


def test_the_ks_distance_and_its_exact_p_value():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=30), rng.normal(size=20) + 0.5
    effect, half_width, p = two_sample_ks(x, y)
    grid = np.concatenate([x, y])
    assert effect == pytest.approx(max(abs((x <= g).mean() - (y <= g).mean()) for g in grid))
    assert p == pytest.approx(stats.ks_2samp(x, y, method="exact").pvalue)
    assert half_width == pytest.approx(1.3581 * np.sqrt(1 / 30 + 1 / 20), rel=1e-4)
    assert two_sample_ks(np.arange(400.0), np.arange(400.0) + 1_000)[2] == pytest.approx(1e-239, rel=1e3)
    large = two_sample_ks(rng.normal(size=900), rng.normal(size=700))
    assert 0.01 < large[2] < 1


def test_the_ks_p_value_over_blocks():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=60), rng.normal(size=50) + 0.4
    sides = Sides(alone(60), alone(50))
    effect, half_width, p = ks_over_blocks(x, y, sides, rng, 20_000, 20_000)
    want = two_sample_ks(x, y)
    assert (effect, half_width) == pytest.approx(want[:2])
    assert p == pytest.approx(want[2], abs=4 * np.sqrt(want[2] / 20_000) + 1e-3)
    few = Sides(among(sides.reference, np.arange(19)), sides.current)
    assert ks_over_blocks(x[:19], y, few, rng, 99, 99)[2] is None
    # Five values only: ties are exchanged like everything else.
    tied = [
        ks_over_blocks(np.round(rng.normal(size=60)), np.round(rng.normal(size=50)), sides, rng, 99, 99)[2]
        for _ in range(300)
    ]
    low, high = allowed_rejections(300)
    assert low <= sum(p <= 0.05 for p in tied) <= high


@pytest.mark.parametrize("digits", [0, 1, 12])
def test_the_ks_distance_over_blocks_is_that_of_scipy_to_the_bit(digits):
    rng = np.random.default_rng(8)
    for n, m in ((30, 7), (41, 60), (200, 333)):
        x, y = rng.normal(size=n).round(digits), (rng.normal(size=m) + rng.normal()).round(digits)
        effect, _, _ = ks_over_blocks(x, y, Sides(alone(n), alone(m)), rng, 19, 19)
        assert effect == stats.ks_2samp(x, y, method="asymp").statistic


def test_sessions_raise_no_false_alarms():
    rng = np.random.default_rng(4)
    rejected = within = naive = missed = 0
    for _ in range(200):
        (x, a), (y, b) = in_sessions(rng, 40, 6, 1.5), in_sessions(rng, 30, 6, 1.5)
        sides = Sides(a, b)
        _, half_width, p = ks_over_blocks(x, y, sides, rng, 99, 99)
        rejected += p <= 0.05
        naive += two_sample_ks(x, y)[2] <= 0.05
        classes = tuple(rng.choice(np.array(["u", "v", "w"], dtype=object), len(z)) for z in (x, y))
        within += compare_ranks(rank_strata(x, y, classes, sides), sides, rng, 99, 99)[2] <= 0.05
        missed += stats.ks_2samp(x, y).statistic > half_width
    low, high = allowed_rejections(200)
    assert low <= rejected <= high
    assert within <= high
    assert missed <= high
    assert naive > 40


def test_cliffs_delta_by_loops_and_its_permutations_by_enumeration():
    x, y = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 3.0, 6.0])
    pair = stratum(x, y)

    def delta(a, b):
        return np.mean([np.sign(q - p) for p in a for q in b])

    assert pair.observed == pytest.approx(delta(x, y))
    pooled = np.concatenate([x, y])
    every = [delta(np.delete(pooled, list(rows)), pooled[list(rows)]) for rows in combinations(range(7), 3)]
    drawn = pair.delta(pair.labels(np.random.default_rng(0).random((7, 20_000))))
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(np.std(every), rel=0.02)
    assert set(np.round(drawn, 6)) == set(np.round(every, 6))


def test_the_pieces_of_a_session_change_sides_together():
    rng = np.random.default_rng(0)
    blocks = Blocks(np.repeat(np.arange(4), 2), 4, "field")
    sides = Sides(blocks, blocks)
    classes = np.array(["u", "v"] * 4, dtype=object)
    values = rng.normal(size=8)
    u, v = rank_strata(values, values, (classes, classes), sides)
    keys = rng.random((8, 50))
    assert u.places.tolist() == list(range(8))
    np.testing.assert_array_equal(u.labels(keys), v.labels(keys))
    assert (u.labels(keys).sum(axis=0) == 4).all()


def test_the_variance_of_cliffs_delta_by_loops():
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(size=9), 1), np.round(rng.normal(size=7), 1)
    signs = np.sign(y[:, None] - x[None, :])
    want = signs.mean(axis=0).var(ddof=1) / 9 + signs.mean(axis=1).var(ddof=1) / 7
    assert stratum(x, y).variance == pytest.approx(want)


def test_the_interval_of_cliffs_delta_covers_the_truth():
    rng = np.random.default_rng(0)
    truth = 2 * stats.norm.cdf(0.7 / np.sqrt(2)) - 1
    strata = [stratum(rng.normal(size=60), rng.normal(size=40) + 0.7) for _ in range(400)]
    covered = sum(abs(s.observed - truth) <= 1.96 * np.sqrt(s.variance) for s in strata)
    assert 366 <= covered <= 392
    truth = 2 * stats.norm.cdf(0.7 / np.sqrt(2 * 3.25)) - 1
    covered = 0
    for _ in range(200):
        (x, a), (y, b) = in_sessions(rng, 40, 6, 1.5), in_sessions(rng, 40, 6, 1.5)
        one = RankStratum(x, y + 0.7, Sides(a, b), np.arange(80))
        covered += abs(one.observed - truth) <= 1.96 * np.sqrt(one.variance)
    assert covered >= 180


def by_subject(measurements, segment=""):
    return {m.subject: m for m in measurements if m.segment == segment}


@pytest.mark.parametrize("swing", [False, True], ids=["calm", "class swing"])
def test_false_alarms_of_each_detector_run_stay_below_their_level(swing):
    # Correction makes the family conservative, so the upper limit alone is binding. Under a swing of classes the
    # directions move rightly; what is compared within classes must not.
    world, rng = World(dimensions=8), np.random.default_rng(11)
    detector = KsDetector(directions=3, permutations=99, refined=99)
    rejected = 0
    for _ in range(250):
        known = world.reference(60, 40, rng)
        window = world.mixed(30, rng, "c", [0.6, 0.2, 0.1, 0.1] if swing else None)
        found = by_subject(detector.measure(known, window, rng))
        chosen = [found["novelty within classes"]] if swing else found.values()
        rejected += min(m.p_value for m in chosen) <= 0.05
    assert rejected <= allowed_rejections(250)[1]
    assert swing or rejected >= 2


def test_the_stratified_rank_test_keeps_its_level():
    rng = np.random.default_rng(5)
    names = [np.repeat(np.array(["u", "v", "w"], dtype=object), n) for n in ((12, 8, 20), (9, 7, 6))]
    sides = Sides(alone(40), alone(22))
    rejected = 0
    for _ in range(500):
        strata = rank_strata(rng.normal(size=40), rng.normal(size=22), tuple(names), sides)
        rejected += compare_ranks(strata, sides, rng, 99, 99)[2] <= 0.05
    low, high = allowed_rejections(500)
    assert low <= rejected <= high


def test_what_is_new_is_further_away():
    world, rng = World(dimensions=24), np.random.default_rng(3)
    known = world.reference(400, 200, rng)
    calm = by_subject(KsDetector().measure(known, world.mixed(120, rng, "c"), rng))
    assert list(calm) == [*(f"direction {i}" for i in range(1, 11)), "novelty", "novelty within classes"]
    assert min(m.p_value for m in calm.values()) > 0.05
    assert {(m.n_reference, m.n_current) for m in calm.values()} == {(200, 120)}
    new = by_subject(KsDetector().measure(known, world.mixed(120, rng, "c", [0.19, 0.19, 0.19, 0.18, 0.25]), rng))
    for subject in ("novelty", "novelty within classes"):
        assert new[subject].p_value <= 0.001
        assert new[subject].low > 0
    assert new["novelty"].detail["median_current"] > new["novelty"].detail["median_reference"]
    swing = by_subject(KsDetector().measure(known, world.mixed(120, rng, "c", [0.7, 0.1, 0.1, 0.1]), rng))
    assert min(m.p_value for m in swing.values()) <= 0.001
    assert swing["novelty within classes"].p_value > 0.05


def test_p_values_are_corrected_for_each_other_in_two_halves():
    world, rng = World(dimensions=24), np.random.default_rng(3)
    known, window = world.reference(100, 50, rng), world.mixed(40, rng, "c")
    found = by_subject(KsDetector(directions=2).measure(known, window, rng))
    alone = by_subject(KsDetector(directions=0).measure(known, dataset(window.vectors, prefix="c"), rng))
    assert list(alone) == ["novelty"]
    a, b = found["direction 1"], found["direction 2"]
    raw = []
    directions = principal_directions(known.train.vectors, 2)
    for i in range(2):
        sides = [np.round(d.vectors.astype(float) @ directions[i], 6) for d in (known.protected, window)]
        raw.append(two_sample_ks(*sides)[2])
    small, large = sorted(raw)
    assert sorted([a.p_value, b.p_value]) == pytest.approx(
        [min(1, 4 * small), min(1, max(4 * small, 2 * large))], rel=1e-6
    )
    assert found["novelty"].p_value >= min(1.0, 2 * alone["novelty"].p_value) - 1e-12


def test_a_missing_protected_set_is_replaced_by_held_out_training_rows():
    world, rng = World(), np.random.default_rng(0)
    known = reference(world.mixed(100, rng, "t"), world.mixed(3, rng, "p"))
    found = by_subject(KsDetector(directions=1).measure(known, world.mixed(40, rng, "c"), rng))
    assert found["novelty"].n_reference == 25  # a quarter of 103 rows
    few = reference(world.mixed(15, rng, "t"), world.mixed(6, rng, "p"))
    with pytest.raises(ValueError, match="21 reference rows are too few to hold some out; at least 22 are needed"):
        KsDetector().measure(few, world.mixed(40, rng, "c"), rng)


def test_row_order_changes_nothing():
    world, rng = World(), np.random.default_rng(5)
    known, window = world.reference(80, 40, rng), world.mixed(60, rng, "c")
    detector = KsDetector(permutations=99, refined=99)
    first = detector.measure(known, window, np.random.default_rng(1))
    shuffled = reference(known.train.take(rng.permutation(80)), known.protected.take(rng.permutation(40)))
    assert detector.measure(shuffled, window.take(rng.permutation(60)), np.random.default_rng(1)) == first
    assert detector.fit(known.train) == {}


def test_segments_compare_their_own_rows():
    world, rng = World(dimensions=24), np.random.default_rng(9)
    country = ["DE"] * 60 + ["FR"] * 60
    sides = [world.data(rng.integers(0, 4, 120), rng, prefix, segments={"country": country}) for prefix in "tp"]
    known = reference(*sides)
    order = rng.permutation(100)
    which = np.concatenate([np.full(40, 4), rng.integers(0, 4, 60)])[order]
    window = world.data(which, rng, "c", segments={"country": np.array(["DE"] * 40 + ["FR"] * 60)[order].tolist()})
    found = KsDetector(directions=2).measure(known, window, rng)
    assert by_subject(found, "country=DE")["novelty"].p_value < 1e-6
    assert by_subject(found, "country=FR")["novelty"].p_value > 0.05


def test_degenerate_rows():
    rng = np.random.default_rng(0)
    same = unit(np.ones((60, 4)))
    known = reference(dataset(same[:30], prefix="t"), dataset(same[:30], prefix="p"))
    (only,) = KsDetector().measure(known, dataset(same[:25], prefix="c"), rng)
    assert (only.subject, only.effect, only.p_value) == ("novelty", 0.0, 1.0)
    with pytest.raises(ValueError, match="at least 20 are needed"):
        KsDetector().measure(known, dataset(same[:5], prefix="c"), rng)
    with pytest.raises(ValueError, match="neighbours is 0; it must be at least 1"):
        KsDetector(neighbours=0)
