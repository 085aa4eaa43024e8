"""MMD against loops, enumeration and its promised level."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, allowed_rejections, dataset, names, reference, unit

from monitor.detectors.blocks import blocks_of
from monitor.detectors.kernels import centred_kernel, gaussian_kernel, median_squared_distance
from monitor.detectors.mmd import MmdDetector, mmd2_unbiased
from monitor.detectors.pair_sums import PairSums
from monitor.detectors.permutation import corrected, holm, labellings, permutation_test
from monitor.detectors.segments import each_segment, equalised
from monitor.detectors.strata import compare, shared_classes
from monitor.detectors.within_classes import Stratum, class_strata
from monitor.values import Measurement


def naive_mmd2(x, y, gamma):
    def k(a, b):
        return np.exp(-gamma * sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True)))

    xx = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    yy = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    xy = [k(a, b) for a in x for b in y]
    return np.mean(xx) + np.mean(yy) - 2 * np.mean(xy)


def sides(n, m, shift=0.0, seed=0, d=6):
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(n, d))), unit(rng.normal(size=(m, d)) + shift)


def alone(kernel):
    """Every row a unit."""
    return PairSums(kernel, np.ones(len(kernel)), np.ones(len(kernel)))


def stratum(kernel, n):
    return Stratum(alone(kernel), n)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 9), m=st.integers(2, 9), gamma=st.floats(0.1, 8), seed=st.integers(0, 2**32 - 1))
def test_mmd_is_the_naive_double_loop(n, m, gamma, seed):
    x, y = sides(n, m, seed=seed)
    want = naive_mmd2(x, y, gamma)
    assert mmd2_unbiased(x, y, gamma) == pytest.approx(want, abs=1e-6)
    pooled = centred_kernel(np.concatenate([x, y]), gamma)
    assert stratum(pooled, n).observed == pytest.approx(want, abs=1e-6)


def test_every_permuted_statistic_is_the_naive_one_of_its_labelling():
    x, y = sides(5, 7, shift=0.3)
    pooled = np.concatenate([x, y])
    labels = labellings(5, 12, 40, np.random.default_rng(1))
    assert (labels.sum(axis=0) == 5).all()
    got = alone(centred_kernel(pooled, 0.7)).mmd2(labels)
    want = [naive_mmd2(pooled[column == 1], pooled[column == 0], 0.7) for column in labels.T]
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_float32_sums_keep_their_digits():
    x, y = sides(600, 300, shift=0.05, d=64)
    exact = np.concatenate([x, y]).astype(np.float64)
    squared = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    kernel = np.exp(-0.5 * squared)
    a, b, c = kernel[:600, :600], kernel[600:, 600:], kernel[:600, 600:]
    want = (a.sum() - 600) / (600 * 599) + (b.sum() - 300) / (300 * 299) - 2 * c.mean()
    assert stratum(centred_kernel(np.concatenate([x, y]), 0.5), 600).observed == pytest.approx(want, abs=1e-8)


@pytest.mark.parametrize(("n", "total", "count"), [(3, 7, 5), (60, 247, 999), (30, 40_000, 7), (0, 9, 2)])
def test_labellings_in_pieces_use_the_same_random_numbers_as_all_at_once(n, total, count):
    marks = np.zeros((count, total), dtype=np.int8)
    marks[:, :n] = 1
    mine, other = np.random.default_rng(5), np.random.default_rng(5)
    found = labellings(n, total, count, mine)
    np.testing.assert_array_equal(found, other.permuted(marks, axis=1).T)
    assert found.flags.c_contiguous
    assert mine.bit_generator.state == other.bit_generator.state


def test_labellings_are_uniform():
    labels = labellings(2, 4, 6_000, np.random.default_rng(0))
    _, counts = np.unique(labels, axis=1, return_counts=True)
    assert len(counts) == 6
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 20.5  # chi-square with 5 degrees of freedom, 99.9 %


def test_the_p_value_agrees_with_full_enumeration():
    x, y = sides(5, 6, shift=0.5, seed=4)
    pooled = np.concatenate([x, y])
    kernel = centred_kernel(pooled, 0.6)
    choices = list(combinations(range(11), 5))
    labels = np.zeros((11, len(choices)), dtype=np.float32)
    for column, rows in enumerate(choices):
        labels[list(rows), column] = 1
    exact = np.mean(alone(kernel).mmd2(labels) >= stratum(kernel, 5).observed - 1e-7)
    _, _, p = compare([stratum(kernel, 5)], 19_999, np.random.default_rng(0))
    assert 0.005 < exact < 0.5
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))


def test_within_strata_enumeration():
    x, y = sides(8, 6, shift=0.6, seed=2)
    strata = [
        stratum(centred_kernel(np.concatenate([x[:4], y[:2]]), 0.6), 4),
        stratum(centred_kernel(np.concatenate([x[4:], y[2:]]), 0.6), 4),
    ]

    def every(one):
        total = sum(one.sizes)
        labels = [np.isin(np.arange(total), rows) for rows in combinations(range(total), one.n)]
        return one.pairs.mmd2(1 - np.array(labels, dtype=np.float32).T)

    one, two = (every(s) / every(s).std() for s in strata)
    joint = np.maximum(one, 0)[:, None] ** 2 + np.maximum(two, 0)[None, :] ** 2
    exact = np.mean(joint >= joint[0, 0] - 1e-4)  # the first labelling is the true one
    effect, _, p = compare(strata, 19_999, np.random.default_rng(0))
    weights = np.array([4 * 2 / 6, 4 * 4 / 8])
    assert effect == pytest.approx(weights @ [s.observed for s in strata] / weights.sum())
    # The scales are estimated from 200 labellings, so the order of a few labellings can differ.
    assert p == pytest.approx(exact, abs=0.03)
    assert 0.02 < exact < 0.5


def test_strata_need_two_rows_of_a_class_on_both_sides():
    x = np.array(["a", "a", "b", "b", "c", None, None], dtype=object)
    y = np.array(["a", "a", "b", "c", "c", "d", "d", None, None], dtype=object)
    assert shared_classes(x, y) == ["a"]


def test_the_jackknife_is_the_one_that_leaves_rows_out():
    x, y = sides(7, 5, shift=0.4)
    left_x = np.array([mmd2_unbiased(np.delete(x, i, 0), y, 0.6) for i in range(7)])
    left_y = np.array([mmd2_unbiased(x, np.delete(y, i, 0), 0.6) for i in range(5)])
    want = 6 / 7 * ((left_x - left_x.mean()) ** 2).sum() + 4 / 5 * ((left_y - left_y.mean()) ** 2).sum()
    assert stratum(centred_kernel(np.concatenate([x, y]), 0.6), 7).variance == pytest.approx(want, rel=1e-4)


def test_the_interval_covers_the_true_effect():
    world = World()
    rng = np.random.default_rng(0)
    shares = [0.4, 0.3, 0.2, 0.1]
    truth = np.mean(
        [
            mmd2_unbiased(world.mixed(2_000, rng, "a").vectors, world.mixed(2_000, rng, "b", shares).vectors, 0.6)
            for _ in range(8)
        ]
    )
    below = above = 0
    for _ in range(200):
        x, y = world.mixed(120, rng, "a").vectors, world.mixed(80, rng, "b", shares).vectors
        effect, error, _ = compare([stratum(centred_kernel(np.concatenate([x, y]), 0.6), 120)], 99, rng)
        below += truth < effect - 1.96 * error
        above += truth > effect + 1.96 * error
    # A small MMD² is skewed: the lower end, which decides about alarms, errs on the safe side, the upper one does not.
    assert below <= 5
    assert above <= 22


def test_sequential_p_values_stop_early_and_go_on_when_it_matters():
    calls = []

    def draw(count, reach):
        calls.append(count)
        return np.where(np.arange(count) < reach, 2.0, 0.0)

    assert permutation_test(1.0, lambda c: draw(c, 50), 999, 9_999) == 51 / 1_000
    assert calls == [999]
    calls.clear()
    assert permutation_test(1.0, lambda c: draw(c, 1), 999, 9_999) == 11 / 10_000
    assert sum(calls) == 9_999
    assert max(calls) <= 1_000
    calls.clear()
    assert permutation_test(1.0, lambda c: draw(c, 60), 999, 9_999, first=299) == 61 / 300
    assert calls == [299]
    calls.clear()
    assert permutation_test(1.0, lambda c: draw(c, 59), 999, 9_999, first=299) == (2 * 59 + 1) / 1_000
    assert calls == [299, 700]
    assert permutation_test(1.0, lambda c: draw(c, 20), 99, 99, first=299) == 21 / 100
    assert permutation_test(1.0, np.ones, 99) == 1.0  # ties count
    assert permutation_test(1.0, np.zeros, 99) == 1 / 100  # never 0


def test_stopping_early_keeps_the_level():
    rng = np.random.default_rng(0)
    p = [permutation_test(rng.normal(), lambda c: rng.normal(size=c), 399, 999, first=299) for _ in range(2_000)]
    for level in (0.01, 0.05, 0.1, 0.2, 0.3, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=3.3 * np.sqrt(level * (1 - level) / 2_000))


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    untested = Measurement("d", "shown", 0, 0, 0, None, 5, 5)
    tested = Measurement("d", "tested", 0, 0, 0, 0.2, 5, 5)
    assert [m.p_value for m in corrected([tested, untested, tested])] == [0.4, None, 0.4]


@pytest.mark.parametrize("within", [False, True], ids=["embeddings", "within classes"])
def test_false_alarms_stay_at_their_level(within):
    world, rng = World(dimensions=8), np.random.default_rng(7)
    rejected = 0
    for _ in range(500):
        # The class mix differs on purpose in the second case: given the classes there is still no difference.
        x = world.mixed(40, rng, "a")
        y = world.mixed(30, rng, "b", [0.6, 0.2, 0.1, 0.1] if within else None)
        pooled = np.concatenate([x.vectors, y.vectors])
        strata = (
            class_strata(x, blocks_of(x), y, blocks_of(y), 0.6)
            if within
            else [stratum(centred_kernel(pooled, 0.6), 40)]
        )
        rejected += compare(strata, 99, rng)[2] <= 0.05
    low, high = allowed_rejections(500)
    assert low <= rejected <= high


def by_subject(measurements, segment=""):
    return {m.subject: m for m in measurements if m.segment == segment}


def test_a_class_swing_moves_the_embeddings_but_not_within_classes_and_a_new_topic_moves_both():
    world, rng = World(dimensions=32), np.random.default_rng(3)
    known = world.reference(500, 250, rng)
    detector = MmdDetector(permutations=199, refined=1_999)

    calm = by_subject(detector.measure(known, world.mixed(150, rng, "c"), rng))
    assert calm["embeddings"].p_value > 0.05
    assert calm["embeddings within classes"].p_value > 0.05
    assert calm["embeddings"].n_reference == pytest.approx(0.75 * 750, abs=50)  # the rest is the ruler
    assert calm["embeddings within classes"].n_reference == 750
    assert calm["embeddings"].low < 0 < calm["embeddings"].high

    swing = by_subject(detector.measure(known, world.mixed(150, rng, "c", [0.7, 0.1, 0.1, 0.1]), rng))
    assert swing["embeddings"].p_value <= 0.001
    assert swing["embeddings"].low > 0
    assert swing["embeddings within classes"].p_value > 0.05

    topic = by_subject(detector.measure(known, world.mixed(150, rng, "c", [0.19, 0.19, 0.19, 0.18, 0.25]), rng))
    assert topic["embeddings"].p_value <= 0.001
    assert topic["embeddings within classes"].p_value <= 0.001
    assert topic["embeddings within classes"].low > 0


def test_many_held_out_predictions_stand_alone_within_classes():
    world, rng = World(), np.random.default_rng(3)
    found = MmdDetector(permutations=19, refined=19).measure(
        world.reference(100, 1_000, rng), world.mixed(50, rng, "c"), rng
    )
    rows = {m.subject: m.n_reference for m in found}
    assert rows["embeddings within classes"] == 1_000
    assert rows["embeddings"] == pytest.approx(0.75 * 1_100, abs=60)


def test_row_order_changes_nothing_and_inputs_stay_as_they_were():
    world, rng = World(), np.random.default_rng(5)
    known, window = world.reference(80, 40, rng), world.mixed(60, rng, "c", [0.5, 0.3, 0.1, 0.1])
    before = known.train.vectors.copy(), window.vectors.copy()
    detector = MmdDetector(permutations=99, refined=99, max_rows=50)
    first = detector.measure(known, window, np.random.default_rng(1))
    assert first == detector.measure(known, window, np.random.default_rng(1))
    shuffled = reference(known.train.take(rng.permutation(80)), known.protected.take(rng.permutation(40)))
    assert detector.measure(shuffled, window.take(rng.permutation(60)), np.random.default_rng(1)) == first
    assert detector.fit(known.train) == detector.fit(shuffled.train)
    np.testing.assert_array_equal(known.train.vectors, before[0])
    np.testing.assert_array_equal(window.vectors, before[1])
    assert {m.n_reference for m in first if m.subject == "embeddings"} == {50}


def test_the_stored_bandwidth_is_used():
    world, rng = World(), np.random.default_rng(5)
    plain, window = world.reference(60, 30, rng), world.mixed(40, rng, "c")
    detector = MmdDetector(permutations=19, refined=19)
    fitted = detector.fit(plain.everything)
    assert fitted.keys() == {"mmd.median_squared_distance"}
    stored = reference(plain.train, plain.protected, fitted)
    assert detector.measure(stored, window, np.random.default_rng(0)) == detector.measure(
        plain, window, np.random.default_rng(0)
    )
    other = reference(plain.train, plain.protected, {"mmd.median_squared_distance": 0.1})
    effect = detector.measure(other, window, np.random.default_rng(0))[0].effect
    assert effect == pytest.approx(mmd2_unbiased(plain.everything.vectors, window.vectors, 10.0), abs=1e-6)


def test_segments_are_measured_on_their_own_rows():
    world, rng = World(), np.random.default_rng(9)
    country = ["DE"] * 60 + ["FR"] * 60 + ["SE"] * 10 + [None] * 10
    known = reference(
        world.data(rng.integers(0, 4, 140), rng, "t", segments={"country": country}),
        world.data(rng.integers(0, 4, 140), rng, "p", segments={"country": country}),
    )
    which = np.concatenate([np.full(40, 4), rng.integers(0, 4, 100)])
    where = ["DE"] * 40 + ["FR"] * 60 + ["SE"] * 40
    order = rng.permutation(140)
    where = [where[i] for i in order]
    window = world.data(which[order], rng, "c", segments={"country": where, "shop": ["x"] * 140})
    found = MmdDetector(permutations=199, refined=999, minimum=25).measure(known, window, rng)
    assert {m.segment for m in found} == {"", "country=DE", "country=FR"}
    moved, calm = (by_subject(found, s)["embeddings"] for s in ("country=DE", "country=FR"))
    assert moved.n_current == 40
    assert 60 <= moved.n_reference <= 120
    assert moved.p_value <= 0.002
    assert calm.p_value > 0.02


def test_only_the_busiest_values_of_a_segment_field_are_taken():
    values = ["a"] * 9 + ["b"] * 7 + ["c"] * 5 + ["d"] * 3
    data = dataset(unit(np.ones((24, 3))), segments={"country": values})
    assert [s for s, _, _ in each_segment(data, data, 4, most=2)] == ["", "country=a", "country=b"]
    assert [s for s, _, _ in each_segment(data, data, 4)] == ["", "country=a", "country=b", "country=c"]
    assert list(each_segment(data, data, 25)) == []


def test_unequal_weights_are_thinned_to_what_the_population_holds():
    weights = np.array([90.0] * 500 + [10.0] * 500)
    data = dataset(unit(np.ones((1_000, 3))), ["big"] * 500 + ["small"] * 500, weights=weights)
    kept = equalised(data, np.random.default_rng(0)).classes
    assert (kept == "big").sum() == 500
    assert (kept == "small").sum() == pytest.approx(500 / 9, abs=25)
    same = dataset(unit(np.ones((5, 3))), ids=list("badce"), weights=np.full(5, 7.0))
    assert equalised(same, np.random.default_rng(0)).ids == list("abcde")


def test_a_stratified_window_without_drift_is_no_alarm():
    world, rng = World(), np.random.default_rng(2)
    known = world.reference(400, 200, rng)
    which = rng.permutation(np.repeat([0, 1, 2, 3], [40, 40, 40, 300]))
    weights = np.where(which == 3, 25.0 * 40 / 300, 25.0)
    window = world.data(which, rng, "c", weights=weights)
    detector = MmdDetector(permutations=199, refined=199)
    assert by_subject(detector.measure(known, window, rng))["embeddings"].p_value > 0.05
    ignored = dataset(window.vectors, list(window.classes), prefix="c")
    assert by_subject(detector.measure(known, ignored, rng))["embeddings"].p_value <= 0.01


def test_rows_without_classes_are_compared_as_a_whole_only():
    rng = np.random.default_rng(0)
    x, y = sides(60, 30)
    known = reference(dataset(x[:40], prefix="t"), dataset(x[40:], prefix="p"))
    found = MmdDetector(permutations=19, refined=19).measure(known, dataset(y, prefix="c"), rng)
    assert [m.subject for m in found] == ["embeddings"]
    lonely = dataset(y, ["only here"] * 30, prefix="c")
    assert [m.subject for m in MmdDetector(19, 19).measure(known, lonely, rng)] == ["embeddings"]


def test_degenerate_rows():
    rng = np.random.default_rng(0)
    same = unit(np.ones((60, 4)))
    known = reference(dataset(same[:30], names([0] * 30), prefix="t"), dataset(same[:30], names([0] * 30), prefix="p"))
    for m in MmdDetector(permutations=99, refined=99).measure(known, dataset(same[:25], names([0] * 25)), rng):
        assert (m.effect, m.low, m.high) == pytest.approx((0, 0, 0), abs=1e-6)
        assert m.p_value == 1.0
    two = stratum(centred_kernel(np.concatenate(sides(2, 2)), 1.0), 2)
    effect, error, p = compare([two], 99, rng)
    assert np.isfinite([effect, error]).all()
    assert p > 0.2  # six labellings, three distinct pairs of sides


def test_a_large_reference_of_one_row_repeated_is_no_drift_and_another_row_is():
    rng = np.random.default_rng(0)
    same = np.tile(unit(np.ones((1, 6))), (400, 1))
    known = reference(dataset(same[:300], prefix="t"), dataset(same[:100], prefix="p"))
    detector = MmdDetector(permutations=199, refined=199)
    (calm,) = detector.measure(known, dataset(same[:60], prefix="c"), rng)
    assert calm.p_value == 1.0
    assert calm.effect == pytest.approx(0, abs=1e-6)
    moved = same[:60].copy()
    moved[:30] = unit(np.eye(6)[:1])
    (found,) = detector.measure(known, dataset(moved, prefix="c"), rng)
    assert found.p_value <= 0.01
    assert all(np.isfinite(value) for value in found.detail.values())


def test_ties_of_templated_texts_keep_the_level():
    rng = np.random.default_rng(1)
    templates = unit(rng.normal(size=(6, 8)))
    detector = MmdDetector(permutations=99, refined=99)
    rejected = 0
    for _ in range(150):
        parts = [
            dataset(templates[rng.integers(0, 6, size)], prefix=name)
            for size, name in ((150, "t"), (100, "p"), (60, "c"))
        ]
        rejected += detector.measure(reference(*parts[:2]), parts[2], rng)[0].p_value <= 0.05
    assert rejected <= allowed_rejections(150)[1]


def test_every_component_names_its_kind_of_drift():
    rng = np.random.default_rng(2)
    world = World(count=30, dimensions=48, spread=0.5)
    known = world.reference(900, 300, rng)
    detector = MmdDetector(permutations=199, refined=199)

    def z_of(vectors):
        found = detector.measure(known, dataset(vectors, prefix="c"), rng)[0]
        return {name: found.detail[f"z_{name}"] for name in ("rbf1", "rbf4", "whitened", "novelty")}

    calm = world.mixed(300, rng, "c").vectors
    assert max(z_of(calm).values()) < 4
    shifted = z_of(unit(calm + 0.12 * unit(rng.normal(size=(1, 48)))))
    assert shifted["whitened"] > 4
    assert shifted["whitened"] > shifted["novelty"]
    strange = calm.copy()
    strange[::12] = unit(rng.normal(size=(25, 48)))
    unseen = z_of(strange)
    assert max(unseen, key=unseen.get) == "novelty"
    grown = calm.copy()
    grown[::8] = world.data(np.full(38, 3), rng, "x").vectors
    topic = z_of(grown)
    assert max(topic["rbf1"], topic["rbf4"]) > topic["novelty"]


def test_the_share_that_would_explain_the_effect_is_near_the_true_one():
    rng = np.random.default_rng(3)
    world = World(count=30, dimensions=48, spread=0.5)
    known = world.reference(1_200, 400, rng)
    which = np.concatenate([np.full(120, 30), rng.integers(0, 30, 280)])
    found = MmdDetector(99, 99).measure(known, world.data(rng.permutation(which), rng, "c"), rng)[0]
    assert 0.15 < found.detail["share"] < 0.5
    assert found.detail["share_low"] <= found.detail["share"] <= found.detail["share_high"]
    assert found.detail["standardised"] > 5


def test_bandwidth():
    x, _ = sides(40, 2)
    pairs = [((x[i] - x[j]) ** 2).sum() for i, j in combinations(range(40), 2)]
    assert median_squared_distance(x) == pytest.approx(np.median(pairs), rel=1e-5)
    assert median_squared_distance(unit(np.ones((30, 4)))) == 1.0
    mostly = np.concatenate([np.tile(x[:1], (30, 1)), x[1:3]])
    assert median_squared_distance(mostly) > 0.01
    many, _ = sides(3_000, 2)
    assert median_squared_distance(many) == pytest.approx(median_squared_distance(many[:1_000]), rel=0.02)
    assert gaussian_kernel(x, x, 1.0).max() <= 1.0


def test_refusals():
    rng = np.random.default_rng(0)
    x, y = sides(40, 30)
    known = reference(dataset(x[:20], prefix="t"), dataset(x[20:], prefix="p"))
    detector = MmdDetector(permutations=19, refined=19)
    with pytest.raises(ValueError, match="19 current rows are too few to compare; at least 20 are needed"):
        detector.measure(known, dataset(y[:19]), rng)
    broken = y.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 30 current vectors hold NaN or infinity; embed these records again"):
        detector.measure(known, dataset(broken), rng)
    detector.measure(known, dataset(y), rng)
    with pytest.raises(ValueError, match="1 of 30 current vectors hold NaN"):  # a remembered reference checks as well
        detector.measure(known, dataset(broken), rng)
    with pytest.raises(ValueError, match=r"\(6 dimensions\) and current ones of made-up \(4 dimensions\)"):
        detector.measure(known, dataset(y[:, :4]), rng)
    with pytest.raises(ValueError, match="needs 2 rows on each side, not 1 and 30"):
        mmd2_unbiased(x[:1], y, 1.0)
    with pytest.raises(ValueError, match="max_rows is 10; it must be at least 20"):
        MmdDetector(max_rows=10)
    with pytest.raises(ValueError, match="permutations is 5; it must be at least 19"):
        MmdDetector(permutations=5)
