"""Every known way in which drift statistics go wrong, one short test or the name of the test it rests on."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from sessions import blocked
from worlds import World, allowed_rejections, dataset, names, reference, unit

from monitor.detectors.blocks import FEWEST, Blocks, blocks_of, few_blocks
from monitor.detectors.kernels import gaussian_kernel, median_squared_distance
from monitor.detectors.mmd import MmdDetector, mmd2_unbiased
from monitor.detectors.pair_sums import PairSums
from monitor.detectors.permutation import permutation_test
from monitor.detectors.prepared import prepare
from monitor.detectors.ruler import make_ruler
from monitor.detectors.tiles import permuted_forms
from monitor.errors import ComparisonError
from monitor.plugins import BUILT_IN, build
from monitor.sketches import block_sums, change, make_plan

WORLD = World(4, 12)
DETECTORS = sorted(BUILT_IN["detectors"])
RULES = {"permutations": 99, "refined": 99, "max_rows": 400}

ELSEWHERE = {
    "sessions raise no false alarms": "test_detector_ks:test_sessions_raise_no_false_alarms",
    "sessions, class balance": "test_detector_class_balance:test_sessions_raise_no_false_alarms",
    "sessions, change": "test_change:test_level_of_sessions_on_one_topic",
    "dead dimensions in directions": "test_detector_ks:test_directions_are_the_ones_of_largest_variance_and_dead_ones_are_dropped",
    "dead dimensions in the ruler": "test_ruler:test_dead_dimensions_are_dropped",
    "dead dimensions in sketches": "test_sketches:test_dead_dimensions_change_nothing_but_their_own_sums",
    "level with templated texts": "test_detector_mmd:test_ties_of_templated_texts_keep_the_level",
    "many tests, few permutations": "test_min_p:test_over_all_orders_every_p_value_comes_as_often_as_it_should",
    "row order": "test_detector_mmd:test_row_order_changes_nothing_and_inputs_stay_as_they_were",
    "two successive windows share the reference": "test_change:test_p_values_of_calm_traffic_are_uniform_and_independent",
}


def detector(name):
    """A detector with few permutations."""
    module, _, attribute = BUILT_IN["detectors"][name].partition(":")
    known = inspect.signature(getattr(import_module(module), attribute)).parameters
    return build("detectors", name, {key: value for key, value in RULES.items() if key in known})


def records(vectors, prefix, predicted=None):
    n = len(vectors)
    predicted = predicted or names(np.arange(n) % 4)
    return dataset(vectors, predicted, predicted, prefix=prefix, confidence=np.linspace(0.3, 0.9, n).tolist())


def traffic(rows, rng, prefix):
    which = rng.integers(4, size=rows)
    return records(WORLD.data(which, rng, prefix).vectors, prefix, names(which))


def measured(name, known, window, seed=1):
    return list(detector(name).measure(known, window, np.random.default_rng(seed)))


@cache
def calm():
    rng = np.random.default_rng(1)
    return reference(traffic(200, rng, "t"), traffic(120, rng, "p"))


def whole(found):
    """Every number is one; no p-value is 0 or from fewer permutations than can be."""
    for m in found:
        assert np.isfinite([m.effect, m.low, m.high]).all(), m
        assert m.low <= m.effect <= m.high
        assert all(np.isfinite(value) for value in m.detail.values()), m
        assert m.p_value is None or 0 < m.p_value <= 1


@pytest.mark.parametrize("where", ELSEWHERE.values(), ids=ELSEWHERE)
def test_pitfalls_tested_elsewhere(where):
    module, _, name = where.partition(":")
    assert callable(getattr(import_module(module), name))


# Degenerate inputs


def _one_class(rows, prefix, rng):
    return records(WORLD.mixed(rows, rng, prefix).vectors, prefix, ["only"] * rows)


def _constant(rows, prefix, rng):
    return records(np.tile(unit(np.ones((1, 12))), (rows, 1)), prefix)


def _bare(rows, prefix, rng):
    return dataset(WORLD.mixed(rows, rng, prefix).vectors, prefix=prefix)


def _templated(rows, prefix, rng):
    return records(unit(np.eye(12)[rng.integers(3, size=rows)]), prefix)


KINDS = {
    "one class": _one_class,
    "constant rows": _constant,
    "neither class nor confidence": _bare,
    "templates": _templated,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DETECTORS)
def test_degenerate_data_are_measured_or_refused_in_words(name, kind):
    rng = np.random.default_rng(2)
    made = KINDS[kind]
    known = reference(made(120, "t", rng), made(60, "p", rng))
    for window in (made(50, "w", rng), traffic(50, rng, "w")):
        try:
            whole(measured(name, known, window))
        except ComparisonError as error:
            assert len(str(error)) > 20  # noqa: PT017


@pytest.mark.parametrize("name", DETECTORS)
def test_two_rows_and_fewer_than_twenty_are_too_few(name):
    rng = np.random.default_rng(3)
    for rows in (2, 19):
        with pytest.raises(ComparisonError, match=rf"{rows}.*too few|{rows}.*need"):
            measured(name, calm(), traffic(rows, rng, "w"))
    with pytest.raises(ComparisonError, match=r"\d"):
        measured(name, reference(traffic(2, rng, "t"), traffic(2, rng, "p")), traffic(50, rng, "w"))


@pytest.mark.parametrize("name", DETECTORS)
def test_nan_is_refused_with_its_count(name):
    window = traffic(40, np.random.default_rng(4), "w")
    window.vectors[3, 2] = np.nan
    try:
        found = measured(name, calm(), window)
    except ComparisonError as error:
        assert "1 of 40" in str(error)  # noqa: PT017
    else:  # what looks at no vector may go on
        whole(found)
        assert name in {"class_balance", "confidence", "accuracy", "label_shift"}


def test_the_change_test_with_degenerate_windows():
    rng = np.random.default_rng(5)
    plan = make_plan(calm())
    past = [block_sums(plan, traffic(40, rng, f"{i}-"), 8)[""] for i in range(4)]
    for made in KINDS.values():
        whole(change(past, block_sums(plan, made(40, "w", rng), 8)[""], plan, rng, 99, 99))
    same = block_sums(plan, _constant(40, "w", rng), 8)[""]
    found = change([same] * 4, same, plan, rng, 99, 99)
    whole(found)
    two = block_sums(plan, traffic(2, rng, "w"), 8)[""]
    whole(change(past, two, plan, rng, 99, 99))
    assert change(past[:1], past[1], plan, rng, 99, 99)[0].p_value is None  # 16 blocks
    flat = make_plan(reference(_constant(120, "t", rng), _constant(60, "p", rng)))
    dull = [block_sums(flat, _constant(40, f"{i}-", rng), 8)[""] for i in range(4)]
    whole(change(dull[:3], dull[3], flat, rng, 99, 99))
    with pytest.raises(ComparisonError, match=r"\d"):
        make_plan(reference(traffic(2, rng, "t"), traffic(2, rng, "p")))


# Blocks


@pytest.mark.parametrize("name", [d for d in DETECTORS if d not in {"accuracy", "label_shift"}])
def test_nineteen_sessions_have_an_effect_and_no_p_value(name):
    rng = np.random.default_rng(6)
    window = traffic(95, rng, "w")
    found = measured(name, calm(), blocked(window, [f"s{i % 19}" for i in range(95)]))
    whole(found)
    assert all(m.p_value is None for m in found)
    found = measured(name, calm(), blocked(window, [f"s{i % 20}" for i in range(95)]))
    assert any(m.p_value is not None for m in found)


def test_the_refusal_says_how_to_get_more():
    many, few = (Blocks(np.arange(n), n, "field") for n in (FEWEST, FEWEST - 1))
    assert few_blocks(many, many) is None
    assert "longer windows, a larger sample, or a finer fields.block" in (few_blocks(many, few) or "")


# Ties and duplicates, and p-values of zero


@pytest.mark.parametrize("name", DETECTORS)
def test_templated_texts_keep_the_level(name):
    """Three texts over and over: nearly all statistics tie, and ties count."""
    rng = np.random.default_rng(7)
    known = reference(_templated(100, "t", rng), _templated(60, "p", rng))
    part = detector(name)
    repetitions, rejected = 25, {}
    for _ in range(repetitions):
        for m in part.measure(known, _templated(60, "w", rng), rng):
            if m.p_value is not None:
                assert m.p_value > 0
                rejected[m.subject] = rejected.get(m.subject, 0) + (m.p_value <= 0.05)
    assert all(count <= allowed_rejections(repetitions)[1] for count in rejected.values())


def test_p_is_never_zero_and_ties_count():
    assert permutation_test(1.0, np.zeros, 99) == pytest.approx(1 / 100)
    assert permutation_test(1.0, np.ones, 99) == 1.0


@pytest.mark.parametrize("name", DETECTORS)
def test_the_plainest_drift_has_no_p_value_of_zero(name):
    found = measured(name, calm(), records(np.tile(-calm().train.vectors[:1], (60, 1)), "w", ["new"] * 60))
    whole(found)
    if name not in {"ks", "c2st"}:  # these two are exact or asymptotic where no sessions are known
        assert all(m.p_value is None or m.p_value >= 1 / 10_000 for m in found)


# Dead dimensions


@pytest.mark.parametrize("name", ["mmd", "ks", "energy", "knn", "c2st"])
def test_noise_in_dead_dimensions_is_no_drift(name):
    rng = np.random.default_rng(9)

    def dead(data, at):
        noise = at + rng.normal(scale=1e-9, size=(len(data), 3))
        return replace(data, vectors=np.concatenate([data.vectors, noise], axis=1, dtype=np.float32))

    known = reference(dead(traffic(200, rng, "t"), 1e-9), dead(traffic(100, rng, "p"), 1e-9))
    found = measured(name, known, dead(traffic(100, rng, "w"), 3e-8))
    whole(found)
    assert all(m.p_value is None or m.p_value > 0.01 for m in found)


# Rounding


def test_float32_sums_against_double_ones():
    rng = np.random.default_rng(10)
    x = unit(5.0 + rng.normal(size=(300, 12)))  # all close together: the kernel is nearly constant
    kernel = np.exp(-0.5 * np.square(x[:, None].astype(float) - x[None]).sum(axis=2))
    np.fill_diagonal(kernel, 0.0)
    naive = kernel[:200, :200].sum() / (200 * 199) + kernel[200:, 200:].sum() / 9_900 - 2 * kernel[:200, 200:].mean()
    centred = (kernel - kernel.sum() / (300 * 299)).astype(np.float32)
    np.fill_diagonal(centred, 0.0)
    labels = (np.arange(300) >= 200).astype(np.float32)[:, None]
    assert PairSums(centred, np.ones(300), np.ones(300)).mmd2(labels)[0] == pytest.approx(naive, abs=1e-8)
    assert mmd2_unbiased(x[:200], x[200:], 0.5) == pytest.approx(naive, abs=1e-6)


def test_identical_rows_have_no_negative_distance():
    x = np.tile(unit(np.random.default_rng(11).normal(size=(1, 384))), (40, 1))
    kernel = gaussian_kernel(x, x, 1e6)
    assert np.isfinite(kernel).all()
    assert kernel.max() <= 1.0
    assert median_squared_distance(x) > 0
    assert np.isfinite(make_ruler(x).novelty(x)).all()


# Leakage and order


def test_the_ruler_knows_nothing_of_production():
    rng = np.random.default_rng(12)
    part = MmdDetector(99, 99)
    fitted = part.fit(calm().everything)
    before = prepare(calm().everything, fitted, 400)
    for share in (0.0, 0.5):
        window = traffic(60, rng, "w")
        window.vectors[: int(60 * share)] *= -1
        part.measure(calm(), window, rng)
    after = prepare(calm().everything, part.fit(calm().everything), 400)
    assert part.fit(calm().everything) == fitted
    assert after.gamma == before.gamma
    assert after.constants == before.constants
    assert np.array_equal(after.ruler.whitening, before.ruler.whitening)
    assert len(after.test.data) + len(after.ruler.rows) == len(calm().everything)


@pytest.mark.parametrize("name", DETECTORS)
def test_row_order_changes_nothing(name):
    rng = np.random.default_rng(13)
    window = traffic(60, rng, "w")
    first = measured(name, calm(), window)
    assert measured(name, calm(), window.take(rng.permutation(60))) == first


def test_whole_number_products_are_the_same_on_one_thread_and_on_two():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    x = unit(rng.normal(size=(700, 32)))
    labels = (rng.random((700, 64)) < 0.4).astype(np.int8)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(permuted_forms(x, labels, 0.5, (0, 2), (0.4, 0.05), int8=True))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].within, found[1].within)
    assert np.array_equal(found[0].touching, found[1].touching)


def test_a_burst_stays_in_few_blocks():
    """Rows in the order of time are not shuffled into blocks: neighbours stay together."""
    rng = np.random.default_rng(15)
    data = WORLD.data(np.repeat(rng.integers(4, size=30), 10), rng, "w")
    blocks = blocks_of(data)
    assert blocks.rule == "time"
    assert (np.diff(blocks.codes) >= 0).all()


# A fixed reference for ever


def test_successive_looks_share_no_sampling_error():
    """Against all that was accepted before, p-values of successive looks are uncorrelated; against a fixed few they are not."""
    rng = np.random.default_rng(16)
    plan = make_plan(calm())
    moving, fixed = [], []
    for _ in range(25):
        stream = [block_sums(plan, traffic(40, rng, f"{i}-"), 4)[""] for i in range(13)]
        for collected, pasts in ((moving, range(5, 13)), (fixed, [5] * 8)):
            looks = zip(range(5, 13), pasts, strict=True)
            collected.append([change(stream[:k], stream[i], plan, rng, 99, 99)[0].p_value for i, k in looks])

    def correlation(rows):
        return np.corrcoef([pair for row in rows for pair in pairwise(row)], rowvar=False)[0, 1]

    assert abs(correlation(moving)) < 0.22  # three standard errors of 175 pairs
    assert correlation(fixed) > correlation(moving)
