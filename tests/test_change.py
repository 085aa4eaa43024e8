"""The change test: exactness by enumeration and in made-up worlds, effects against naive sums, and its refusals."""

from __future__ import annotations

import tracemalloc
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats
from worlds import World, allowed_rejections, dataset, unit

from monitor.sketches import block_sums, change, change_over, changes, compare, make_plan
from monitor.sketches.effects import block_mmd2, class_effect, class_moves, confidence_effect, novel_effect
from monitor.sketches.exchange import Component, Family, choices, combined, randomised_p, staged
from monitor.sketches.features import row_features
from monitor.sketches.plan import FOURIER_UNIT, FOURIER_WIDTH
from monitor.values import BlockSums

WORLD = World(6, 16)
CALM = [1 / 6] * 6


@cache
def plan():
    return make_plan(WORLD.reference(400, 150, np.random.default_rng(1)))


def windows(count, rows=60, shares=CALM, seed=0, blocks=8):
    rng = np.random.default_rng(seed)
    return [block_sums(plan(), WORLD.mixed(rows, rng, f"{seed}-{i}-", shares), blocks)[""] for i in range(count)]


def of(found, subject="embeddings"):
    return next(m for m in found if m.subject == subject)


def small_components(seed=0, blocks=9):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, blocks).astype(float)
    sums = rng.normal(size=(blocks, 5)) * counts[:, None]
    return sums, counts


def naive(sums, counts, chosen):
    """MMD² times n m / (n + m)."""
    inside = np.isin(np.arange(len(sums)), chosen)
    n, m = counts[inside].sum(), counts[~inside].sum()
    gap = sums[inside].sum(axis=0) / n - sums[~inside].sum(axis=0) / m
    return gap @ gap * n * m / (n + m)


@pytest.mark.parametrize(("blocks", "size"), [(9, 2), (9, 3), (9, 6), (25, 2)])
def test_statistics_of_choices_are_those_of_the_definition(blocks, size):
    sums, counts = small_components(blocks=blocks)
    every = np.array(list(combinations(range(blocks), size)))
    components = [Component.quadratic(sums, counts), Component.linear(sums[:, 0], counts, sided=False)]
    found = Family.of([*components, Component.quadratic(2 * sums, counts)], size).statistics(every)
    want = np.array([naive(sums, counts, c) for c in every])
    for column, tolerance in ((0, 2e-3), (2, 2e-3)):
        scaled = found[:, column] * (want.sum() / found[:, column].sum())
        assert scaled == pytest.approx(want, rel=tolerance, abs=1e-4 * want.max())
    one = np.array([naive(sums[:, :1], counts, c) for c in every])
    assert found[:, 1] ** 2 * (one.sum() / (found[:, 1] ** 2).sum()) == pytest.approx(one, rel=1e-6, abs=1e-9)


def test_p_agrees_with_enumeration_of_all_choices():
    sums, counts = small_components(3)
    family = Family.of([Component.quadratic(sums, counts)], 3)
    every = np.array(list(combinations(range(9), 3)))
    values = family.statistics(every)[:, 0]
    observed = family.statistics(np.array([[6, 7, 8]]))[0]
    exact = np.mean(values >= observed[0])
    rng = np.random.default_rng(0)
    p = staged(observed, lambda out: family.draw(out, rng), (19_999,), 1.0)
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_choices_are_uniform():
    rng = np.random.default_rng(0)
    for count, total in ((2, 7), (5, 7), (2, 40)):
        found = choices(count, total, 20_000, rng)
        assert (np.diff(found, axis=1) > 0).all()
        _, seen = np.unique(found, axis=0, return_counts=True)
        seen = np.r_[seen, np.zeros(comb(total, count) - len(seen))]
        assert stats.chisquare(seen).pvalue > 1e-3


@pytest.mark.parametrize("size", [4, 12])
def test_choices_of_equal_blocks_tie_to_the_bit(size):
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 12))
    kind = rng.permutation(np.repeat([0, 1, 2], 20))
    family = Family.of(
        [Component.quadratic(kinds[kind], np.ones(60)), Component.linear(kinds[kind, 0], np.ones(60), sided=True)], size
    )
    chosen = choices(size, 60, 400, rng)
    found = family.statistics(chosen)
    mix = np.sort(kind[chosen], axis=1)
    for one in np.unique(mix, axis=0):
        same = (mix == one).all(axis=1)
        assert len(np.unique(found[same], axis=0)) == 1


def test_ranks_are_hand_checked():
    values = np.array([[5.0, 0.0], [4.0, 9.0], [3.0, 1.0], [2.0, 2.0]])
    # Both of the first two are the largest in one component: the one further out in units of spread wins.
    assert combined(values).argsort().tolist() == [1, 0, 3, 2]
    assert randomised_p(np.array([1.0, 1.0, 0.5, 2.0]), 1.0) == 0.75
    assert randomised_p(np.array([1.0, 1.0, 0.5, 2.0]), 0.5) == 0.5


def test_the_count_goes_on_only_when_p_is_small():
    asked = []

    def draw(out):
        asked.append(len(out))
        out[:, 0] = np.linspace(0, 1, len(out))

    assert staged(np.array([0.5]), draw, (99, 999), 1.0) == pytest.approx(0.5, abs=0.02)
    assert asked == [99]
    assert staged(np.array([2.0]), draw, (99, 999), 1.0) == 1 / 1_000
    assert asked == [99, 99, 900]


def test_many_draws_take_memory_for_their_values_and_not_for_many_copies():
    rng = np.random.default_rng(0)
    tracemalloc.start()
    try:
        staged(np.full(4, 99.0), lambda out: rng.standard_normal(out=out), (999, 99_999), 1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 100_000 * 4 * 8


def test_staged_p_values_keep_their_level():
    rng = np.random.default_rng(0)
    p = np.array(
        [staged(rng.random(1), lambda out: rng.random(out=out), (49, 499), 1.0 - rng.random()) for _ in range(4_000)]
    )
    for level in (0.02, 0.05, 0.2, 0.5):
        assert np.sum(p <= level) <= stats.binom.ppf(0.999, 4_000, level)


def test_p_values_of_calm_traffic_are_uniform_and_independent():
    rng = np.random.default_rng(5)
    pool = windows(40, rows=24, seed=9, blocks=4)
    rows = np.concatenate([w.rows for w in pool])
    sums = np.concatenate([w.sums for w in pool])
    p, past = [], []
    for _ in range(300):
        take = rng.integers(len(rows), size=4)
        current = BlockSums(plan().fingerprint, "", rows[take], sums[take])
        if len(past) >= 5:
            p.append(of(change(past, current, plan(), rng, 99, 99, most_past=60)).p_value)
        past.append(current)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(p[:-1], p[1:])[0, 1]) < 3.5 / np.sqrt(len(p))


def test_level_of_sessions_on_one_topic():
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(80):
        blocks = []
        for _ in range(30):
            topic = rng.integers(6)
            data = WORLD.data([topic] * 8, rng, "s")
            blocks.append(block_sums(plan(), data, 1)[""])
        rows, sums = (np.concatenate([getattr(b, name) for b in blocks]) for name in ("rows", "sums"))
        past = BlockSums(plan().fingerprint, "", rows[:20], sums[:20])
        current = BlockSums(plan().fingerprint, "", rows[20:], sums[20:])
        rejected += of(change([past], current, plan(), rng, 199, 199)).p_value <= 0.05
    assert rejected <= allowed_rejections(80)[1]


def test_volume_alone_is_no_change():
    rng = np.random.default_rng(4)
    past = windows(20, rows=240, seed=20)
    p = [of(change(past, small, plan(), rng, 199, 199)).p_value for small in windows(60, rows=24, seed=21)]
    assert sum(value <= 0.05 for value in p) <= allowed_rejections(60)[1]


def test_a_new_topic_is_found_and_its_share_told():
    rng = np.random.default_rng(6)
    past = windows(20, rows=200, seed=30)
    (current,) = windows(1, rows=200, seed=31, shares=[*[0.8 / 6] * 6, 0.2])
    found = change(past, current, plan(), rng)
    embeddings = of(found)
    assert embeddings.p_value < 1e-3
    assert 0.0 < embeddings.low < 0.2 < embeddings.high + 0.1
    assert embeddings.effect == pytest.approx(0.2, abs=0.1)
    assert embeddings.detail["z_novelty"] > 3
    assert 0.02 < embeddings.detail["detectable_share"] < 0.2
    assert (embeddings.detail["blocks_past"], embeddings.detail["blocks_current"]) == (160, 8)


def test_a_class_mix_is_found_in_the_classes():
    rng = np.random.default_rng(7)
    past = windows(20, rows=200, seed=40)
    (current,) = windows(1, rows=200, seed=41, shares=[0.5, *[0.1] * 5])
    classes = of(change(past, current, plan(), rng), "classes")
    assert classes.p_value < 1e-3
    assert classes.low < classes.effect < classes.high
    # One third moved; a classifier that errs blurs it.
    assert classes.effect == pytest.approx(1 / 3, abs=0.1)


def test_confidence_is_measured_where_it_is_known():
    rng = np.random.default_rng(8)

    def window(name, low):
        x = WORLD.data(rng.integers(6, size=80), rng, name)
        data = dataset(x.vectors, prefix=name, confidence=list(rng.uniform(low, 1, 80)))
        return block_sums(plan(), data, 8)[""]

    past = [window(f"c{i}-", 0.6) for i in range(10)]
    found = change(past, window("now", 0.2), plan(), rng)
    assert [m.subject for m in found] == ["embeddings", "confidence"]
    confidence = of(found, "confidence")
    assert confidence.p_value < 1e-3
    assert confidence.low < -0.2 < confidence.high < 0
    assert of(change(past, window("calm", 0.6), plan(), rng), "confidence").p_value > 1e-3


def test_mmd2_and_its_error_are_those_of_naive_sums():
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 5, 14).astype(float)
    sums = rng.normal(size=(14, 6)) * rows[:, None]

    def naive_mmd2(blocks):
        x, y = [b for b in blocks if b < 9], [b for b in blocks if b >= 9]
        centred = sums - rows[:, None] * (sums.sum(axis=0) / rows.sum())

        def mean(a, b):
            pairs = [(i, j) for i in a for j in b if i != j]
            return sum(centred[i] @ centred[j] for i, j in pairs) / sum(rows[i] * rows[j] for i, j in pairs)

        return mean(x, x) + mean(y, y) - 2 * mean(x, y)

    mmd2, error = block_mmd2(sums, rows, 5)
    assert mmd2 == pytest.approx(naive_mmd2(range(14)))
    variance = 0.0
    for side in (range(9), range(9, 14)):
        without = [naive_mmd2([b for b in range(14) if b != left]) for left in side]
        variance += (len(without) - 1) * np.var(without)
    assert error == pytest.approx(np.sqrt(variance))


def test_the_sketched_effect_is_that_of_the_rows():
    data = WORLD.data(np.random.default_rng(0).integers(6, size=40), np.random.default_rng(0), "x")
    z = row_features(plan(), data.vectors)[:, plan().columns["rbf4"]] / (FOURIER_UNIT * np.sqrt(FOURIER_WIDTH))
    mmd2, _ = block_mmd2(z.astype(float), np.ones(40), 15)
    gram = z @ z.T
    xx, yy, xy = gram[:25, :25], gram[25:, 25:], gram[:25, 25:]
    want = (xx.sum() - np.trace(xx)) / 600 + (yy.sum() - np.trace(yy)) / 210 - 2 * xy.mean()
    assert mmd2 == pytest.approx(want, abs=1e-5)


def test_small_effects_are_hand_checked():
    counts = np.array([[5.0, 5.0], [5.0, 5.0], [9.0, 1.0], [9.0, 1.0]])
    effect, low, high, detail = class_effect(counts, 2)
    assert detail["total_variation"] == pytest.approx(0.4)
    assert (effect, low, high) == pytest.approx((0.4, 0.4, 0.4))
    effect, low, high, _ = confidence_effect(np.array([1.0, 1.0, 2.0, 2.0]) * 2**16, np.full(4, 4.0), 2)
    assert (effect, low, high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_least_novel_share_is_hand_checked():
    rows = np.full(6, 10.0)
    assert novel_effect(np.array([0, 0, 0, 3, 3, 3.0]), rows, 3) == pytest.approx((0.3, 0.3, 0.3))
    assert novel_effect(np.array([2, 2, 2, 2, 2, 2.0]), rows, 3) == pytest.approx((0.0, 0.0, 0.0))
    effect, low, high = novel_effect(np.array([2, 2, 2, 2, 6, 10.0]), rows, 3)
    # Shares .2 and .6 of what was not novel before; the jackknife of three blocks .2, .6, 1 has a standard error of .4 / sqrt 3.
    assert effect == pytest.approx(0.5)
    assert (low, high) == pytest.approx((0.0, 1.0))


def test_scattered_new_content_has_an_effect():
    rng = np.random.default_rng(9)
    past = windows(20, rows=200, seed=120)
    near = WORLD.data(rng.integers(6, size=160), rng, "near-").vectors
    far = unit(rng.normal(size=(40, 16)))
    now = block_sums(plan(), dataset(np.concatenate([near, far])), 8)[""]
    found = of(change(past, now, plan(), rng))
    assert found.low > 0.05
    assert found.detail["novel_share"] == pytest.approx(0.2, abs=0.08)
    assert found.detail["novel_share"] > found.detail["topic_share"]


def test_too_few_blocks_have_an_effect_and_no_p_value():
    rng = np.random.default_rng(0)
    past = windows(2, seed=50)
    (current,) = windows(1, seed=51, blocks=3)
    found = of(change(past, current, plan(), rng))
    assert found.p_value is None
    assert found.detail["blocks_past"] == 16
    (single,) = windows(1, seed=52, blocks=1)
    assert of(change(windows(5, seed=53), single, plan(), rng)).p_value is None
    assert change([], current, plan(), rng) == []


def test_equal_blocks_tie_and_p_is_uniform_all_the_same():
    one = windows(1, rows=8, seed=60, blocks=1)[0]
    flat = BlockSums(one.plan, "", np.repeat(one.rows, 8), np.repeat(one.sums, 8, axis=0))
    rng = np.random.default_rng(0)
    p = [of(change([flat] * 4, flat, plan(), rng, 19, 19)).p_value for _ in range(200)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    both = of(compare([flat] * 4, [flat], plan(), rng))
    assert both.p_value == 1.0
    assert both.effect == 0.0


def test_the_same_generator_gives_the_same_answer_and_input_stays():
    past, (current,) = windows(6, seed=70), windows(1, seed=71)
    before = current.sums.copy()
    first = change(past, current, plan(), np.random.default_rng(2), most_past=30)
    assert first == change(past, current, plan(), np.random.default_rng(2), most_past=30)
    assert np.array_equal(before, current.sums)


def test_sums_of_another_plan_or_segment_are_refused():
    past, (current,) = windows(6, seed=72), windows(1, seed=73)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="another plan"):
        change([BlockSums("other", "", w.rows, w.sums) for w in past], current, plan(), rng)
    with pytest.raises(ValueError, match="country=DE"):
        change(past, BlockSums(current.plan, "country=DE", current.rows, current.sums), plan(), rng)


def test_scales_are_due_at_their_multiples():
    past = windows(30, rows=24, seed=80)
    rng = np.random.default_rng(0)

    def due(position, before=past):
        found = changes(before[:-10], before[-10:], before[-1], plan(), position, rng, permutations=19, refined=19)
        return [m.subject for m in found if m.subject.startswith("embeddings")]

    assert due(1) == ["embeddings"]
    assert due(4) == ["embeddings", "embeddings over 4 windows"]
    assert due(16) == ["embeddings", "embeddings over 4 windows", "embeddings over 16 windows"]
    assert due(64) == due(16)
    assert due(4, past[:3]) == ["embeddings"]


def test_a_slow_change_shows_over_more_windows():
    rng = np.random.default_rng(1)
    shares = [*[0.94 / 6] * 6, 0.06]
    past, late = windows(40, seed=90), windows(16, seed=91, shares=shares)
    found = changes(past, late[:-1], late[-1], plan(), 16, rng)
    p = {m.subject: m.p_value for m in found if m.subject.startswith("embeddings")}
    assert p["embeddings over 16 windows"] < 1e-3
    assert p["embeddings over 16 windows"] < p["embeddings"]


def test_comparing_periods_counts_ties_and_thins_long_ones():
    rng = np.random.default_rng(0)
    a, b = windows(12, seed=100), windows(12, seed=101)
    found = of(compare(a, b, plan(), rng, most=40))
    assert found.detector == "compare"
    assert (found.detail["blocks_past"], found.detail["blocks_current"]) == (36, 36)
    assert (found.p_value * 1_000) % 1 == pytest.approx(0, abs=1e-6) or found.p_value < 0.011
    moved = windows(12, seed=102, shares=[*[0.8 / 6] * 6, 0.2])
    assert of(compare(a, moved, plan(), rng)).p_value == 1 / 10_000
    assert compare([], b, plan(), rng) == []


def test_sizes_alone_are_those_of_the_test_and_cost_no_draw():
    a, b = windows(12, seed=103), windows(12, seed=104, shares=[*[0.8 / 6] * 6, 0.2])
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    sizes = compare(a, b, plan(), rng, permutations=0)
    assert rng.bit_generator.state == before
    tested = compare(a, b, plan(), rng)
    assert [one.subject for one in sizes] == [one.subject for one in tested]
    for one, other in zip(sizes, tested, strict=True):
        assert one.p_value is None
        assert not any(name.startswith("z_") for name in one.detail)
        assert (one.effect, one.low, one.high) == (other.effect, other.low, other.high)
        assert one.detail.items() <= other.detail.items()


def test_p_values_of_compared_calm_periods_keep_their_level():
    rng = np.random.default_rng(0)
    p = [
        of(compare(windows(3, 24, seed=200 + i), windows(3, 24, seed=400 + i), plan(), rng, 99, 99)).p_value
        for i in range(100)
    ]
    assert sum(value <= 0.05 for value in p) <= allowed_rejections(100)[1]


def test_windows_of_one_season_are_compared_with_their_like():
    rng = np.random.default_rng(2)
    day, night = [0.5, *[0.1] * 5], [*[0.1] * 5, 0.5]
    past = [
        w
        for pair in zip(windows(15, seed=110, shares=day), windows(15, seed=111, shares=night), strict=True)
        for w in pair
    ]
    now = windows(2, seed=112, shares=night)
    assert of(change_over(past, now[1:], plan(), rng)).p_value < 0.01
    season = of(change_over(past[1::2], now, plan(), rng), "embeddings over 2 windows")
    assert season.p_value > 0.01
    assert season.detail["blocks_current"] == 8
    assert change_over([], now, plan(), rng) == change_over(past, [], plan(), rng) == []


def test_classes_that_surely_moved_are_told_with_their_shares():
    shares = [0.3, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6 - (0.3 - 1 / 6)]
    past, (now,) = windows(20), windows(1, 400, shares, seed=1)
    found = {
        m.subject: m for m in change(past, now, plan(), np.random.default_rng(0)) if m.subject.startswith("class:")
    }
    assert set(found) <= {"class:intent 0", "class:intent 5"}
    first = found["class:intent 0"]
    assert first.p_value is None
    assert 0 < first.low < first.effect < first.high
    assert first.detail["share_current"] - first.detail["share_reference"] == pytest.approx(first.effect)
    assert first.detail["share_current"] == pytest.approx(0.3, abs=0.07)
    calm = change(past, windows(1, 400, seed=2)[0], plan(), np.random.default_rng(0))
    assert not [m for m in calm if m.subject.startswith("class:")]


def test_class_moves_against_a_plain_count():
    counts = np.array([[4.0, 0, 6], [6, 0, 4], [5, 0, 5], [2, 6, 2], [2, 4, 4]])
    before, after, error = class_moves(counts, 2)
    assert before.tolist() == [0.5, 0.0, 0.5]
    assert after.tolist() == [0.2, 0.5, 0.3]
    naive = [
        sum((c[k] - c.sum() * part[:, k].sum() / part.sum()) ** 2 for c in part) / part.sum() ** 2
        for k in range(3)
        for part in (counts[:3], counts[3:])
    ]
    assert error == pytest.approx(np.sqrt([max(naive[2 * k] + naive[2 * k + 1], 1 / 900 + 1 / 400) for k in range(3)]))
