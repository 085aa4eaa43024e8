"""Plans and block sums: features against the definitions, merging laws, bytes and degenerate input."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, dataset, reference, unit

from monitor.detectors.blocks import blocks_of
from monitor.detectors.kernels import gaussian_kernel
from monitor.errors import ComparisonError
from monitor.sketches import Accumulator, block_sums, coarsened, dealt, from_bytes, make_plan, reference_sums, to_bytes
from monitor.sketches.features import row_features
from monitor.sketches.plan import COORDINATE_UNIT, FOURIER_UNIT, FOURIER_WIDTH, in_plan, orthogonal_frequencies
from monitor.values import BlockSums

WORLD = World(6, 20)


@cache
def plan_and_reference():
    made = WORLD.reference(500, 150, np.random.default_rng(1))
    return make_plan(made), made


def window(rows, seed, **more):
    rng = np.random.default_rng(seed)
    return WORLD.data(rng.integers(6, size=rows), rng, f"w{seed}-", **more)


def same(a: BlockSums, b: BlockSums) -> bool:
    return (
        a.plan == b.plan
        and a.segment == b.segment
        and np.array_equal(a.rows, b.rows)
        and np.array_equal(a.sums, b.sums)
    )


def test_the_plan_does_not_depend_on_row_order():
    plan, made = plan_and_reference()
    shuffled = replace(made, train=made.train.take(np.random.default_rng(0).permutation(len(made.train))))
    again = make_plan(shuffled)
    assert again.fingerprint == plan.fingerprint
    assert np.array_equal(again.directions, plan.directions)
    assert np.array_equal(again.knots, plan.knots)
    assert again.share_scale == plan.share_scale


def test_another_reference_gives_another_fingerprint():
    plan, made = plan_and_reference()
    assert make_plan(replace(made, fingerprint="e" * 64)).fingerprint != plan.fingerprint


def test_fourier_features_approximate_the_kernels():
    plan, _ = plan_and_reference()
    x = window(200, 3).vectors
    features = row_features(plan, x)
    for name, gamma in (("rbf1", 1.0), ("rbf4", 4.0)):
        z = features[:, plan.columns[name]] / (FOURIER_UNIT * np.sqrt(FOURIER_WIDTH))
        error = z @ z.T - gaussian_kernel(x, x, gamma / plan.ruler.median)
        assert np.sqrt(np.mean(error**2)) < 0.06
        assert np.allclose((z**2).sum(axis=1), 1.0, atol=0.01)


def test_frequencies_have_the_length_of_the_kernel():
    frequencies = orthogonal_frequencies(30, 90, 0.5)
    assert frequencies.shape == (30, 90)
    # exp(-|x - y|^2 / median) has frequencies of variance 2 / median.
    assert np.mean(frequencies.astype(float) ** 2) == pytest.approx(4.0, rel=0.1)
    gram = frequencies[:, :30].T @ frequencies[:, :30]
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-3 * np.diag(gram).min()


def test_sums_are_the_sums_of_their_rows():
    plan, _ = plan_and_reference()
    data = window(300, 4, confidence=list(np.linspace(0, 1, 300)))
    made = block_sums(plan, data)[""]
    assert made.rows.sum() == 300
    assert made.rows.max() - made.rows.min() <= 1
    assert len(made.rows) == 16
    places, whole = plan.columns, made.sums.sum(axis=0)
    coordinates = np.rint(data.vectors.astype(np.float32) * np.float32(COORDINATE_UNIT)).sum(axis=0)
    assert np.array_equal(whole[places["coordinates"]], coordinates.astype(int))
    classes = dict(zip([*plan.classes, None], whole[places["classes"]], strict=True))
    values = data.classes
    assert all(classes[name] == (values == name).sum() for name in plan.classes)
    assert whole[places["unclassified"]] == 0
    assert whole[places["confident"]] == 300
    assert whole[places["confidence"]] / 2**16 == pytest.approx(150, abs=0.01)


def test_unknown_classes_and_missing_values_have_their_own_columns():
    plan, _ = plan_and_reference()
    x = WORLD.data([0] * 30, np.random.default_rng(0), "x").vectors
    data = dataset(
        x, [*["never seen"] * 10, *[None] * 5, *["intent 0"] * 15], confidence=[0.5] * 10 + [float("nan")] * 20
    )
    whole, places = block_sums(plan, data)[""].sums.sum(axis=0), plan.columns
    assert whole[places["classes"]][-1] == 10
    assert whole[places["unclassified"]] == 5
    assert whole[places["classes"]][plan.classes.index("intent 0")] == 15
    assert whole[places["confident"]] == 10


def test_row_order_and_chunks_do_not_matter():
    plan, _ = plan_and_reference()
    data = window(700, 5)
    order = np.random.default_rng(0).permutation(700)
    assert same(block_sums(plan, data)[""], block_sums(plan, data.take(order))[""])


def test_novel_rows_score_high():
    plan, _ = plan_and_reference()
    rng = np.random.default_rng(0)
    far = unit(rng.normal(size=(200, 20)))
    place = plan.columns["novelty"].start
    known, new = row_features(plan, window(200, 6).vectors)[:, place], row_features(plan, far)[:, place]
    assert new.mean() > 5 * known.mean()
    assert row_features(plan, far).max() < 2**14


def test_dead_dimensions_change_nothing_but_their_own_sums():
    _, made = plan_and_reference()

    def widened(data):
        return replace(data, vectors=np.pad(data.vectors, ((0, 0), (0, 1))))

    wide = make_plan(replace(made, train=widened(made.train), protected=widened(made.protected)))
    sums = block_sums(wide, widened(window(100, 7)))[""].sums
    assert (sums[:, wide.columns["coordinates"].stop - 1] == 0).all()
    assert wide.ruler.live.sum() == 20


def test_blocks_stay_whole():
    plan, _ = plan_and_reference()
    data = window(200, 8)
    names = [f"s{i // 20}" for i in range(200)]
    records = data.records.set_column(data.records.schema.get_field_index("block"), "block", [names])
    made = block_sums(plan, replace(data, records=records))[""]
    assert made.rows.tolist() == [20] * 10


def test_segments_are_parts_of_all_traffic():
    plan, _ = plan_and_reference()
    data = dataset(window(200, 9).vectors, segments={"country": ["DE"] * 120 + ["FR"] * 60 + ["IT"] * 15 + [None] * 5})
    found = block_sums(plan, data)
    assert list(found) == ["", "country=DE", "country=FR"]
    assert found["country=FR"].rows.sum() == 60
    assert list(block_sums(plan, data, segments=1)) == ["", "country=DE"]
    alone = block_sums(plan, dataset(data.vectors[:120], ids=data.ids[:120]), most_blocks=1)[""]
    assert np.array_equal(found["country=DE"].sums.sum(axis=0), alone.sums.sum(axis=0))


def test_unequal_weights_thin_the_rows():
    plan, _ = plan_and_reference()
    weights = np.r_[np.ones(1_000), np.full(1_000, 0.25)]
    data = replace(window(2_000, 10), weights=weights)
    assert 1_180 <= block_sums(plan, data)[""].rows.sum() <= 1_320


def test_a_window_without_rows_has_no_sums():
    plan, _ = plan_and_reference()
    assert block_sums(plan, window(10, 11).take(np.zeros(10, dtype=bool))) == {}


def test_what_does_not_fit_is_refused():
    plan, _ = plan_and_reference()
    data = window(50, 12)
    with pytest.raises(ComparisonError, match="one embedder"):
        block_sums(plan, replace(data, embedder="other"))
    broken = data.vectors.copy()
    broken[3, 3] = np.nan
    with pytest.raises(ComparisonError, match="1 of 50 vectors"):
        block_sums(plan, replace(data, vectors=broken))
    with pytest.raises(ComparisonError, match="need 20"):
        make_plan(reference(window(25, 13), window(5, 14)))


def test_one_point_for_all_rows_is_no_error():
    same_point = np.tile(unit(np.ones((1, 8))), (200, 1))
    plan = make_plan(reference(dataset(same_point), dataset(same_point, prefix="p")))
    assert np.isfinite(plan.share_scale)
    assert plan.share_scale > 0
    assert block_sums(plan, dataset(same_point))[""].rows.sum() == 200


def test_reference_sums_hold_the_rows_the_plan_was_not_made_from():
    plan, made = plan_and_reference()
    everything = made.everything
    rest = int((~in_plan(everything, blocks_of(everything))).sum())
    sums = reference_sums(plan, made)[""]
    assert sums.rows.sum() == rest
    assert 100 < rest < 240
    assert len(sums.rows) <= 512


def test_a_reference_is_dealt_into_windows_with_blocks_of_their_size():
    plan, made = plan_and_reference()
    whole = reference_sums(plan, made)[""]
    like = block_sums(plan, window(60, 15), most_blocks=16)[""]
    windows = dealt(whole, like)
    assert {len(one.rows) for one in windows[:-1]} == {16}
    assert sum(int(one.rows.sum()) for one in windows) == whole.rows.sum()
    assert (sum(one.sums.sum(axis=0) for one in windows) == whole.sums.sum(axis=0)).all()
    ratio = np.concatenate([one.rows for one in windows]).mean() / like.rows.mean()
    assert 0.8 < ratio < 1.25


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=60, max_size=60), st.permutations(range(3)), st.integers(1, 59))
def test_parts_merge_in_any_order_to_the_same_bits(worker, order, cut):
    plan, _ = plan_and_reference()
    data = window(60, 15)
    whole = Accumulator.empty(plan, 8)
    whole.add(data.take(np.arange(cut)))
    whole.add(data.take(np.arange(cut, 60)))
    parts = []
    for one in range(3):
        parts.append(Accumulator.empty(plan, 8))
        parts[-1].add(data.take(np.array(worker) == one))
    total = Accumulator.empty(plan, 8)
    for one in order:
        total.merge(parts[one])
    assert same(total.finished(), whole.finished())


def test_accumulators_of_different_shape_do_not_merge():
    plan, _ = plan_and_reference()
    with pytest.raises(ValueError, match="cannot be merged"):
        Accumulator.empty(plan, 8).merge(Accumulator.empty(plan, 9))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50))
def test_coarsening_keeps_every_sum(blocks, most):
    rng = np.random.default_rng(blocks)
    fine = BlockSums("p", "", rng.integers(1, 9, blocks), rng.integers(-9, 9, (blocks, 3)))
    coarse = coarsened(fine, most)
    assert len(coarse.rows) == min(blocks, most)
    assert np.array_equal(coarse.sums.sum(axis=0), fine.sums.sum(axis=0))
    assert coarse.rows.sum() == fine.rows.sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 20))
def test_coarse_blocks_are_neighbours_added_up(blocks, most):
    fine = BlockSums("p", "", np.arange(1, blocks + 1), np.arange(2 * blocks).reshape(blocks, 2))
    coarse = coarsened(fine, most)
    group = np.arange(blocks) * min(most, blocks) // blocks
    want = [(int(fine.rows[group == one].sum()), fine.sums[group == one].sum(axis=0)) for one in np.unique(group)]
    assert coarse.rows.tolist() == [rows for rows, _ in want]
    np.testing.assert_array_equal(coarse.sums, np.array([sums for _, sums in want]))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5), st.integers(0, 5), st.sampled_from([10, 2**14, 2**15, 2**30, 2**31, 2**61]), st.integers(0, 9)
)
def test_bytes_read_back_to_the_same_bits(blocks, width, largest, seed):
    rng = np.random.default_rng(seed)
    sums = rng.integers(-largest, largest, (blocks, width), endpoint=True)
    made = BlockSums("plan", "country=DE", rng.integers(1, 2**40, blocks), sums)
    assert same(from_bytes(to_bytes(made)), made)


def test_bytes_are_compact():
    plan, _ = plan_and_reference()
    made = block_sums(plan, window(200, 16))[""]
    assert len(to_bytes(made)) < 1.7 * made.sums.size


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(1, 255))
def test_damaged_bytes_are_refused_or_harmless(where, flip):
    made = BlockSums("plan", "", np.ones(4, dtype=np.int64), np.arange(20).reshape(4, 5))
    content = bytearray(to_bytes(made))
    content[where % len(content)] ^= flip
    with pytest.raises(ValueError, match="block sums"):
        from_bytes(bytes(content))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}\n",
        b'{"plan": "p", "segment": "", "shape": [-1, 5], "kind": "<i2"}\n',
        b"[]\n",
        b"\xff\n",
        b'{"shape": 3}\n',
    ],
)
def test_bytes_of_something_else_are_refused(body):
    for content in (body, b"sums1" + body, b"sums1" + zlib.compress(body)):
        with pytest.raises(ValueError, match="block sums"):
            from_bytes(content)
