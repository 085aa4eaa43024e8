"""Class balance: tables against formulas, level with rare classes, intervals, new and vanished classes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from worlds import allowed_rejections, dataset, reference, unit

from monitor.detectors.blocks import Blocks
from monitor.detectors.class_balance import ClassBalanceDetector, _share, adjusted_p_values
from monitor.detectors.class_table import OTHER, random_counts, tabulated, variation_interval
from monitor.detectors.proportions import (
    chi_square,
    held_out_variation,
    newcombe,
    total_variation,
)


def rows(classes, prefix="r", **more):
    return dataset(unit(np.ones((len(classes), 3))), classes, prefix=prefix, **more)


def known(classes):
    half = len(classes) // 2
    return reference(rows(classes[:half], "t"), rows(classes[half:], "p"))


def drawn(rng, shares, n):
    return [f"c{i:02d}" for i in rng.choice(len(shares), n, p=shares)]


def by_subject(measurements, segment=""):
    return {m.subject: m for m in measurements if m.segment == segment}


def tables(a, b):
    """Independent rows with these class counts."""
    classes = [[f"c{i:03d}" for i, k in enumerate(counts) for _ in range(k)] for counts in (a, b)]
    sides = [(np.array(c, dtype=object), alone(len(c))) for c in classes]
    return tabulated(*sides[0], *sides[1])[1:]


def alone(n):
    return Blocks(np.arange(n), n, "record")


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda pair: sum(pair) > 0), min_size=2).filter(
        lambda pairs: min(np.sum(pairs, axis=0)) > 0
    )
)
def test_chi_square_is_pearsons_without_the_factor_of_sizes(pairs):
    a, b = np.array(pairs).T
    n, m = a.sum(), b.sum()
    want = stats.chi2_contingency([a, b], correction=False)
    assert chi_square(b, a + b) * n * m / (n + m) == pytest.approx(want.statistic, abs=1e-9)


def test_random_counts_are_those_of_exchanged_rows_and_of_exchanged_sessions():
    rng = np.random.default_rng(0)
    a, b = tables([4, 3, 5], [3, 2, 4])
    drawn = random_counts(a, b, 4_000, rng)
    assert drawn.shape == (4_000, 3)
    assert (drawn.sum(axis=1) == 9).all()
    np.testing.assert_allclose(drawn.mean(axis=0), np.array([7, 5, 9]) * 9 / 21, atol=0.1)
    np.testing.assert_allclose(
        chi_square(drawn, a.totals + b.totals)[:3], [chi_square(t, a.totals + b.totals) for t in drawn[:3]]
    )
    # Sessions of three rows of one class each: counts are multiples of three.
    sessions = Blocks(np.repeat(np.arange(4), 3), 4, "field")
    classes = np.repeat(np.array(["x", "y", "x", "z"], dtype=object), 3)
    _, c, d = tabulated(classes, sessions, classes, sessions)
    drawn = random_counts(c, d, 4_000, rng)
    assert set(np.unique(drawn)) == {0.0, 3.0, 6.0, 9.0, 12.0}
    np.testing.assert_allclose(drawn.mean(axis=0), [6, 3, 3], atol=0.2)


def test_the_permutation_p_agrees_with_enumeration():
    a, b = np.array([16, 5, 0]), np.array([14, 3, 3])
    totals, n, m = a + b, 21, 20
    observed = chi_square(b, totals)
    chance = 0.0
    for table in product(*(range(t + 1) for t in totals)):
        if sum(table) == m and chi_square(np.array(table), totals) >= observed - 1e-9:
            chance += np.prod([comb(t, k) for t, k in zip(totals.tolist(), table, strict=True)]) / comb(n + m, m)
    names = [[x for x, k in zip("xyz", counts, strict=True) for _ in range(k)] for counts in (a, b)]
    detector = ClassBalanceDetector(permutations=20_000)
    found = by_subject(detector.measure(known(names[0]), rows(names[1]), np.random.default_rng(0)))
    assert found["classes"].p_value == pytest.approx(chance, abs=4 * np.sqrt(chance / 2_000))
    assert 0.02 < chance < 0.3


def test_the_permutation_p_agrees_with_the_asymptotic_one_where_that_holds():
    a, b = tables([300, 200, 100], [110, 90, 50])
    want = stats.chi2_contingency([[300, 200, 100], [110, 90, 50]], correction=False).pvalue
    found = ClassBalanceDetector(permutations=20_000).p_value(a, b, np.random.default_rng(0))
    assert found == pytest.approx(want, abs=4 * np.sqrt(want / 2_000))


@pytest.mark.parametrize("shares", [[0.25] * 4, [0.6, 0.3, 0.05, 0.03, 0.01, 0.01]], ids=["even", "rare classes"])
def test_false_alarms_stay_at_their_level(shares):
    rng = np.random.default_rng(3)
    detector = ClassBalanceDetector(permutations=199)
    rejected = 0
    for _ in range(500):
        a, b = tables(rng.multinomial(60, shares), rng.multinomial(40, shares))
        rejected += detector.p_value(a, b, rng) <= 0.05
    low, high = allowed_rejections(500)
    assert low <= rejected <= high


def sessions(rng, count, size, shares, purity=0.6):
    """Classes and blocks of sessions, each with a favourite class."""
    k = len(shares)
    favourite = np.repeat(rng.choice(k, count, p=shares), size)
    other = rng.choice(k, count * size, p=shares)
    which = np.where(rng.random(count * size) < purity, favourite, other)
    classes = np.array([f"c{i}" for i in which], dtype=object)
    return classes, Blocks(np.repeat(np.arange(count), size), count, "field")


@pytest.mark.parametrize("both", [True, False], ids=["both sides", "window only"])
def test_sessions_raise_no_false_alarms(both):
    rng, shares = np.random.default_rng(5), [0.4, 0.3, 0.2, 0.07, 0.03]
    detector = ClassBalanceDetector(permutations=199)
    rejected = naive = adjusted = 0
    for _ in range(300):
        ours = sessions(rng, 30, 8, shares)
        theirs = sessions(rng, 50, 8, shares) if both else sessions(rng, 400, 1, shares)
        _, a, b = tabulated(*theirs, *ours)
        rejected += detector.p_value(a, b, rng) <= 0.05
        adjusted += adjusted_p_values(a, b, rng, 99).min() <= 0.05
        flat = tabulated(theirs[0], alone(400), ours[0], alone(240))[1:]
        naive += detector.p_value(*flat, rng) <= 0.05
    low, high = allowed_rejections(300)
    assert (low if both else 0) <= rejected <= high
    assert adjusted <= high
    assert naive > 100


def test_newcombe_by_the_published_examples():
    # Newcombe 1998, table II, method 10, with the first sample as the current one.
    assert newcombe(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(3, 10, 9, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert newcombe(0, 20, 10, 10) == pytest.approx((0.6791, 1.0), abs=5e-5)
    low, high = newcombe(0, 50, 0, 50)
    assert low == pytest.approx(-high)


def test_newcombe_covers_rare_shares():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1_000):
        low, high = newcombe(int(rng.binomial(800, 0.01)), 800, int(rng.binomial(200, 0.03)), 200)
        covered += low <= 0.02 <= high
    assert covered >= 930


def test_intervals_of_shares_cover_the_truth_in_sessions():
    # A quarter of the sessions' rows are of the class, most of them in sessions that hold nothing else.
    rng = np.random.default_rng(2)
    shares, covered, naive = [0.25, 0.75], 0, 0
    for _ in range(200):
        names, a, b = tabulated(*sessions(rng, 60, 8, shares, 0.8), *sessions(rng, 40, 8, shares, 0.8))
        share = _share("c0", a, b, names.index("c0"), (a.effects, b.effects), "")
        covered += share.low <= 0 <= share.high
        low, high = newcombe(int(a.totals[0]), a.rows, int(b.totals[0]), b.rows)
        naive += low <= 0 <= high
    assert 180 <= covered <= 199
    assert naive < 150


def test_the_design_effect_of_whole_sessions_is_their_size():
    one = Blocks(np.repeat(np.arange(50), 4), 50, "field")
    pure = np.repeat(np.array(["x", "y"] * 25, dtype=object), 4)
    _, a, b = tabulated(pure, one, pure, alone(200))
    np.testing.assert_allclose(a.effects, 4 * 50 / 49)
    np.testing.assert_allclose(b.effects, 1.0)


def test_total_variation():
    assert total_variation(np.array([6.0, 4.0]), np.array([3.0, 7.0])) == pytest.approx(0.3)
    assert total_variation(np.array([5.0, 0.0]), np.array([0.0, 2.0])) == 1.0
    half = (np.array([[25.0, 0.0]]), np.array([[25.0, 0.0]])), (np.array([[0.0, 10.0]]), np.array([[0.0, 10.0]]))
    assert held_out_variation(*half, (1.0, 1.0)) == 1.0


@pytest.mark.parametrize(
    ("before", "now", "n", "m", "most"),
    [
        (np.full(8, 1 / 8), np.array([0.325, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), 400, 120, 0.04),
        (np.full(60, 1 / 60), np.append(np.full(59, 0.75 / 60), 0.75 / 60 + 0.25), 300, 80, 0.06),
        (np.full(4, 1 / 4), np.array([0.7, 0.1, 0.1, 0.1]), 400, 120, 0.02),
        (np.full(12, 1 / 12), np.full(12, 1 / 12), 1_000, 120, 0.01),
    ],
    ids=["one of eight", "one of sixty", "one of four", "none"],
)
def test_the_share_that_moved_is_found_without_what_chance_adds(before, now, n, m, most):
    rng = np.random.default_rng(1)
    truth = np.abs(before - now).sum() / 2
    pairs = [tables(rng.multinomial(n, before), rng.multinomial(m, now)) for _ in range(200)]
    mean = np.mean([held_out_variation(a.halves(20, rng), b.halves(20, rng), (1.0, 1.0)) for a, b in pairs])
    assert truth - most <= mean <= truth + 0.005
    found = [variation_interval(a, b, rng, resamples=200) for a, b in pairs]
    assert all(0 <= low <= effect <= high <= 1 for effect, low, high in found)
    assert sum(not low <= truth <= high for _, low, high in found) <= 14  # 5 % and the binomial spread of 99 %


def test_a_swing_is_measured_with_its_shares():
    rng = np.random.default_rng(0)
    reference_classes = ["refund"] * 80 + ["order"] * 500 + ["login"] * 420
    window = ["refund"] * 30 + ["order"] * 50 + ["login"] * 40
    found = by_subject(ClassBalanceDetector().measure(known(reference_classes), rows(window), rng))
    assert list(found) == ["classes", "class:login", "class:order", "class:refund"]
    total = found["classes"]
    assert total.p_value == 1 / 10_000
    assert (total.n_reference, total.n_current) == (1_000, 120)
    assert total.effect == pytest.approx(0.17, abs=0.02)
    refund = found["class:refund"]
    assert refund.effect == pytest.approx(0.17)
    assert refund.p_value is None
    assert refund.detail == {"share_reference": 0.08, "share_current": 0.25, "p_adjusted": 0.001}
    assert found["class:order"].detail["p_adjusted"] > 0.05
    assert (refund.low, refund.high) == pytest.approx(newcombe(80, 1_000, 30, 120))


def test_new_and_vanished_classes_are_marked():
    found = by_subject(
        ClassBalanceDetector().measure(
            known(["gone"] * 100 + ["stays"] * 300), rows(["new"] * 20 + ["stays"] * 60), np.random.default_rng(0)
        )
    )
    assert found["class:new"].detail == {"share_reference": 0.0, "share_current": 0.25, "new": 1.0, "p_adjusted": 0.001}
    gone = found["class:gone"].detail
    assert gone == {"share_reference": 0.25, "share_current": 0.0, "vanished": 1.0, "p_adjusted": 0.001}
    assert (found["classes"].detail["new"], found["classes"].detail["vanished"]) == (1.0, 1.0)
    assert found["classes"].p_value == 1 / 10_000


def test_the_rarest_classes_are_added_up():
    theirs, ours = (np.array(list(c), dtype=object) for c in ("aaaaabbbcd", "aaaaaeeeee"))
    names, a, b = tabulated(theirs, alone(10), ours, alone(10), 3)
    assert names == ["a", "b", "e", OTHER]
    assert a.totals.tolist() == [5, 3, 0, 2]
    assert b.totals.tolist() == [5, 0, 5, 0]
    assert a.grouped(np.array([0, 1, 1, 1])).totals.tolist() == [5, 5]


def test_the_largest_shares_on_either_side_are_shown_by_name_and_all_are_tested():
    rng = np.random.default_rng(0)
    many = [f"c{i:02d}" for i in range(60)] * 5
    window = ["c59"] * 20 + list(rng.choice(many, 60))
    found = by_subject(ClassBalanceDetector(classes=2).measure(known(many), rows(window), rng))
    assert len(found) == 4
    assert list(found)[2:] == ["class:c59", f"class:{OTHER}"]
    assert found["class:c59"].detail["share_current"] == pytest.approx(window.count("c59") / 80)
    assert sum(m.effect for name, m in found.items() if name != "classes") == pytest.approx(0)
    assert found["classes"].p_value < 0.01


def test_many_classes_of_one_size_are_no_alarm():
    # Showing the fifty that look largest must not make calm traffic look different.
    rng = np.random.default_rng(0)
    shares = np.full(150, 1 / 150)
    found = [
        ClassBalanceDetector(permutations=199)
        .measure(known(drawn(rng, shares, 600)), rows(drawn(rng, shares, 600)), rng)[0]
        .p_value
        for _ in range(40)
    ]
    assert sum(p <= 0.05 for p in found) <= allowed_rejections(40)[1]


def test_labels_stand_in_for_predictions_and_missing_classes_do_not_count():
    rng = np.random.default_rng(0)
    base = reference(
        dataset(unit(np.ones((40, 3))), labels=["x"] * 20 + ["y"] * 20, prefix="t"), rows(["x"] * 20 + [None] * 5, "p")
    )
    found = by_subject(ClassBalanceDetector().measure(base, rows(["x"] * 20 + ["y"] * 10 + [None] * 7), rng))
    assert (found["classes"].n_reference, found["classes"].n_current) == (60, 30)
    assert ClassBalanceDetector().measure(base, rows([None] * 40), rng) == []
    assert ClassBalanceDetector().measure(known([None] * 60), rows(["x"] * 40), rng) == []


def test_true_labels_are_compared_where_the_window_has_them():
    rng = np.random.default_rng(0)
    base = reference(
        rows(["x"] * 100 + ["y"] * 100, "t", labels=["x"] * 100 + ["y"] * 100),
        rows(["x"] * 50 + ["y"] * 50, "p", labels=["x"] * 50 + ["y"] * 50),
    )
    # The classifier says x to everything, half of which is y, as ever.
    window = rows(["x"] * 200, labels=["x"] * 40 + ["y"] * 40 + [None] * 120)
    found = by_subject(ClassBalanceDetector().measure(base, window, rng))
    assert found["classes"].p_value < 0.001
    true = found["true classes"]
    assert (true.n_current, true.n_reference) == (80, 300)
    assert true.p_value > 0.5
    few = rows(["x"] * 200, labels=["x"] * 10 + [None] * 190)
    assert "true classes" not in by_subject(ClassBalanceDetector().measure(base, few, rng))


def test_few_sessions_leave_the_effect_without_a_p_value():
    def of(column, data):
        at = data.records.schema.get_field_index("block")
        return replace(data, records=data.records.set_column(at, data.records.schema.field("block"), pa.array(column)))

    window = of([f"s{i // 10}" for i in range(150)], rows(["x"] * 100 + ["y"] * 50))
    found = by_subject(
        ClassBalanceDetector().measure(known(["x"] * 200 + ["y"] * 100), window, np.random.default_rng(0))
    )
    assert found["classes"].p_value is None
    assert found["classes"].detail == {"new": 0, "vanished": 0, "blocks_reference": 300, "blocks_current": 15}
    assert "p_adjusted" not in found["class:x"].detail
    assert found["class:x"].high - found["class:x"].low > 0.3  # 15 sessions of one class each say little


def test_one_class_is_no_difference():
    found = by_subject(ClassBalanceDetector().measure(known(["x"] * 60), rows(["x"] * 30), np.random.default_rng(0)))
    assert (found["classes"].effect, found["classes"].low, found["classes"].p_value) == (0.0, 0.0, 1.0)
    assert found["class:x"].effect == 0.0


def test_segments_have_their_own_tables_and_name_five_classes():
    rng = np.random.default_rng(0)
    shares = [0.125] * 8
    countries = ["DE"] * 100 + ["FR"] * 100
    base = reference(
        rows(drawn(rng, shares, 200), "t", segments={"country": countries}),
        rows(drawn(rng, shares, 200), "p", segments={"country": countries}),
    )
    window = rows(["c00"] * 50 + drawn(rng, shares, 150), segments={"country": countries})
    found = ClassBalanceDetector().measure(base, window, rng)
    german, french = by_subject(found, "country=DE"), by_subject(found, "country=FR")
    assert list(german)[:2] == ["classes", "class:c00"]
    assert len(german) == len(french) == 6
    assert german["classes"].p_value < 0.001
    assert french["classes"].p_value > 0.01


def test_row_order_and_weights():
    rng = np.random.default_rng(4)
    window = rows(drawn(rng, [0.6, 0.3, 0.1], 60), "c")
    base = known(drawn(rng, [0.3, 0.3, 0.4], 100))
    first = ClassBalanceDetector().measure(base, window, np.random.default_rng(1))
    assert ClassBalanceDetector().measure(base, window.take(rng.permutation(60)), np.random.default_rng(1)) == first
    # The stratified draw holds ten times too many of the rare class: its weights say so.
    weights = np.array([10.0] * 100 + [1.0] * 100)
    stratified = rows(["big"] * 100 + ["rare"] * 100, weights=weights)
    found = by_subject(ClassBalanceDetector().measure(known(["big"] * 1_000 + ["rare"] * 100), stratified, rng))
    assert found["classes"].p_value > 0.01
    assert found["classes"].n_current == pytest.approx(110, abs=12)


def test_refusals():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="4 current rows are too few to compare; at least 20 are needed"):
        ClassBalanceDetector().measure(known(["x"] * 50), rows(["x"] * 4), rng)
    with pytest.raises(ValueError, match="classes is 0; it must be at least 1"):
        ClassBalanceDetector(classes=0)
    assert ClassBalanceDetector().fit(rows(["x"])) == {}
