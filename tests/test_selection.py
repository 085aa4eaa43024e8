from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import around, dataset, intents, reference, unit

from monitor.plugins import build
from monitor.selection import drift_mass as dm
from monitor.selection.batch import propose
from monitor.selection.herding import HerdingStrategy, herd, target_weights
from monitor.selection.mixture import Mixture, Share
from monitor.selection.near_duplicates import representatives
from monitor.selection.pool import pool_of
from monitor.selection.proposals import suggested_label
from monitor.selection.random_share import RandomStrategy
from monitor.values import Neighbour


class Batches:
    """A strategy as a whole batch: what a ticket would list."""

    def __init__(self, name, strategy, **options):
        self.mixture = Mixture([Share(name, strategy)], [Share(name, strategy)], **options)

    def select(self, reference, current, budget, rng):
        return list(propose(self.mixture, self.mixture.pool(reference, current, rng), budget, 0.01, rng)[0])


def herding(**options):
    return Batches("herding", HerdingStrategy(), **options)


def at_random():
    return Batches("random", RandomStrategy(), random_share=0.0)


BOTH = [herding(), at_random()]
DIMENSIONS = 64
CENTRES = intents(10, DIMENSIONS, seed=1)


def objects(*values):
    return np.array(values, dtype=object)


def rng(seed=0):
    return np.random.default_rng(seed)


def calm(rows, seed):
    random = rng(seed)
    return around(CENTRES, random.integers(0, 8, rows), random, spread=0.8)


def scattered(rows, seed=9):
    return unit(rng(seed).normal(size=(rows, DIMENSIONS)))


def new_topic(rows, seed=5):
    return around(CENTRES, [9] * rows, rng(seed), spread=0.8)


def a_reference(train=500, protected=100):
    labels = [f"intent {(CENTRES @ v).argmax()}" for v in calm(train, 1)]
    return reference(
        dataset(calm(train, 1), labels=labels, prefix="t"),
        dataset(calm(protected, 2), labels=["x"] * protected, prefix="p"),
    )


REFERENCE = a_reference()


def mixed_window(seed=3):
    """130 calm rows, 50 of a new topic (25 %) and 20 scattered ones (10 %); ids tell which is which, in no order."""
    ids = [
        f"{n:04d} {kind}"
        for n, kind in zip(rng(seed).permutation(200), ["calm"] * 130 + ["new"] * 50 + ["junk"] * 20, strict=True)
    ]
    return dataset(np.concatenate([calm(130, seed), new_topic(50), scattered(20)]), ids=ids)


def shuffled(data, seed):
    return data.take(rng(seed).permutation(len(data)))


def herded(candidates):
    return [c for c in candidates if c.strategy == "herding"]


def naive_mean(rows, anchors, h, weights, leave_out):
    means = []
    for i, x in enumerate(rows.astype(float)):
        pairs = [
            (w, np.exp((min(float(x @ z), 1.0) - 1) / h))
            for j, (z, w) in enumerate(zip(anchors.astype(float), weights, strict=True))
            if not (leave_out and i == j)
        ]
        total = sum(w for w, _ in pairs)
        means.append(sum(w * k for w, k in pairs) / total if total else 0.0)
    return np.array(means)


@pytest.mark.parametrize("leave_out", [False, True])
def test_kernel_mean_is_the_plain_loop_across_blocks(monkeypatch, leave_out):
    monkeypatch.setattr(dm, "BLOCK", 7)
    rows, weights = calm(30, 4), rng(4).uniform(0, 3, 30)
    found = dm.kernel_mean(rows, rows, 0.3, weights, leave_one_out=leave_out)
    np.testing.assert_allclose(found, naive_mean(rows, rows, 0.3, weights, leave_out), rtol=1e-4)


def test_need_is_the_plain_formula():
    window, ref, h = calm(20, 6), np.concatenate([calm(25, 7), new_topic(5)]), 0.3
    doubt = np.array([0.75, np.nan] * 10)
    mass = dm.drift_mass(window, np.ones(20), ref, np.ones(30), h)
    rho_p, rho_r = naive_mean(window, window, h, np.ones(20), True), naive_mean(window, ref, h, np.ones(30), False)
    e0 = float(np.median(naive_mean(ref, ref, h, np.ones(30), True)))
    for i in range(20):
        excess = min(max(1 - (rho_r[i] + 0.3 * e0) / (rho_p[i] + 0.3 * e0), 0.0), 1.0)
        among = sorted(float(window[i] @ z) for z in ref)[-10]
        usual = [sorted(float(ref[a] @ ref[b]) for b in range(30) if b != a)[-10] for a in range(30)]
        far = np.mean([cosine > among for cosine in usual])
        unlike = excess * min(max((far - 0.8) / 0.2, 0.0), 1.0)
        assert mass.far[i] == pytest.approx(far, abs=1e-9)
        unsure = max(0.75 if i % 2 == 0 else 1.0, unlike)
        assert dm.label_need(mass.excess, doubt, mass.unlike)[i] == pytest.approx(
            excess * (0.7 + 0.3 * unsure), abs=1e-4
        )
        assert mass.shrink[i] == pytest.approx(rho_p[i] / (rho_p[i] + 0.5 * e0), rel=1e-4)
        assert mass.ratio[i] == pytest.approx((rho_p[i] + 0.3 * e0) / (rho_r[i] + 0.3 * e0), rel=1e-4)


@pytest.mark.parametrize(("columns", "k"), [(1, 1), (50, 10), (500, 10), (501, 3), (2_049, 10), (1_200, 1_200)])
def test_the_kth_largest_is_that_of_the_sorted_row(columns, k):
    values = np.round(rng().standard_normal((40, columns)), 2).astype(np.float32)
    values[:, ::7] = -np.inf
    np.testing.assert_array_equal(dm.kth_largest(values, k), np.sort(values, axis=1)[:, -k])


def test_a_row_left_out_counts_for_nothing_and_its_twin_counts_whole():
    alone = dm.kernel_mean(CENTRES[:1], CENTRES[:1], 0.1, leave_one_out=True)
    twins = dm.kernel_mean(CENTRES[[0, 0]], CENTRES[[0, 0]], 0.1, leave_one_out=True)
    assert alone.tolist() == [0.0]
    np.testing.assert_allclose(twins, [1.0, 1.0], atol=1e-5)


def test_kernel_mean_refuses_other_dimensions_and_counts():
    with pytest.raises(ValueError, match="rows have 3 dimensions and anchors 2"):
        dm.kernel_mean(np.eye(3, dtype=np.float32), np.eye(2, dtype=np.float32), 0.1)
    with pytest.raises(ValueError, match="2 rows cannot be left out of 3 anchors"):
        dm.kernel_mean(np.eye(3, dtype=np.float32)[:2], np.eye(3, dtype=np.float32), 0.1, leave_one_out=True)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.floats(1e-6, 1),
)
def test_excess_and_shrink_keep_their_ranges(pairs, typical):
    in_reference, in_window = np.array(pairs).T
    excess, shrink = dm.excess_mass(in_reference, in_window, typical), dm.density_shrink(in_window, typical)
    assert ((excess >= 0) & (excess <= 1)).all()
    assert ((shrink >= 0) & (shrink < 1)).all()
    assert (excess[in_window <= in_reference] == 0).all()


def test_luck_is_small_in_large_windows_and_nothing_without_a_reference():
    ref, ones = calm(600, 1), np.ones(600)
    typical = dm.drift_mass(ref, ones, ref, ones, 0.1).typical
    small, large = (dm.luck(ref, ones, n, typical, 0.1, rng(), 0.9) for n in (20, 300))
    assert 0 < large < small < 1
    assert dm.luck(ref[:3], ones[:3], 50, typical, 0.1, rng(), 0.9) == 0.0


@pytest.mark.parametrize("rows", [0, 1, 40, 1_300])
def test_leaders_are_no_near_duplicates_and_everyone_is_near_its_leader(rows):
    vectors = around(CENTRES, rng(2).integers(0, 3, rows), rng(3), spread=0.3) if rows else CENTRES[:0]
    leader = representatives(vectors, 0.93)
    leaders = np.unique(leader)
    assert (leader[leaders] == leaders).all()
    assert (leader <= np.arange(rows)).all()
    among = vectors[leaders] @ vectors[leaders].T
    assert (among[~np.eye(len(leaders), dtype=bool)] < 0.93).all()
    assert (np.einsum("ij,ij->i", vectors, vectors[leader]) >= 0.93 - 1e-5).all()
    assert rows < 40 or 3 <= len(leaders) < rows


def test_equal_rows_are_near_duplicates_even_at_one():
    assert representatives(scattered(600)[[*range(600), *range(600)]], 1.0).tolist() == [*range(600), *range(600)]
    with pytest.raises(ValueError, match=r"near_duplicate is 0; give a cosine"):
        representatives(CENTRES, 0)


def test_target_weights_mix_traffic_and_need():
    np.testing.assert_allclose(target_weights(np.array([0.0, 0.5]), np.array([1.0, 3.0])), [0.1, 0.9])
    np.testing.assert_allclose(target_weights(np.zeros(2), np.array([1.0, 3.0])), [0.25, 0.75])


def test_herding_goes_where_it_has_not_been():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    picks = herd(vectors, np.array([1.0, 0.9, 0.8]), np.ones(3), np.arange(3), 5, 0.1)
    assert picks == [0, 2, 1]


def test_a_new_topic_is_herded_and_junk_is_not():
    for seed in (3, 4, 5):
        chosen = herding().select(REFERENCE, mixed_window(seed), 40, rng(seed))
        kinds = [c.record_id.split()[1] for c in herded(chosen)]
        assert len(kinds) >= 25
        assert kinds.count("new") >= 0.8 * len(kinds)
        assert kinds.count("junk") <= 0.1 * len(kinds)
        assert all(c.need > 0 and c.gain > 0 for c in herded(chosen))


@pytest.mark.parametrize(("window", "most"), [(scattered(60), 3), (calm(150, 11), 30)], ids=["junk", "calm"])
def test_without_drift_mass_little_is_herded(window, most):
    chosen = herding().select(REFERENCE, dataset(window), 40, rng())
    assert len(herded(chosen)) <= most
    assert 1 <= len(chosen) - len(herded(chosen)) <= 4


@pytest.mark.parametrize("strategy", BOTH)
def test_the_batch_is_the_same_in_any_row_order(strategy):
    window = mixed_window()
    first = strategy.select(REFERENCE, window, 30, rng(7))
    other = replace(REFERENCE, train=shuffled(REFERENCE.train, 1), protected=shuffled(REFERENCE.protected, 2))
    assert strategy.select(other, shuffled(window, 3), 30, rng(7)) == first


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize("budget", [0, 1, 7, 500])
def test_no_record_and_no_near_duplicate_twice(strategy, budget):
    window = mixed_window()
    window = window.append(dataset(window.vectors[:90], ids=[f"copy {i}" for i in window.ids[:90]]))
    chosen = strategy.select(REFERENCE, window, budget, rng())
    assert len(chosen) <= budget
    assert [c.rank for c in chosen] == list(range(1, len(chosen) + 1))
    originals = [c.record_id.removeprefix("copy ") for c in chosen]
    assert len(set(originals)) == len(originals)
    in_window = dict.fromkeys(window.ids, 0) | dict.fromkeys(window.ids[:90], 1) | dict.fromkeys(window.ids[200:], 1)
    assert all(c.duplicates == in_window[c.record_id] for c in chosen)
    assert budget != 1 or len(chosen) == 1


@pytest.mark.parametrize("strategy", BOTH)
def test_an_empty_window_has_nothing_and_one_row_is_itself(strategy):
    assert not strategy.select(REFERENCE, mixed_window().take([]), 10, rng())
    assert not strategy.select(REFERENCE, dataset(np.zeros((0, 0))), 10, rng())
    one = strategy.select(REFERENCE, dataset(new_topic(1)), 10, rng())
    assert [(c.record_id, c.strategy, c.need) for c in one] == [("r00000", "random", 0.0)]


def test_copies_of_one_message_are_one_candidate():
    (only,) = herding(random_share=0.0).select(REFERENCE, dataset(new_topic(1)[[0] * 30]), 10, rng())
    assert (only.record_id, only.strategy, only.duplicates) == ("r00000", "herding", 29)


def test_ids_that_differ_in_a_trailing_null_are_two():
    window = dataset(scattered(2), ids=["a", "a\0"])
    assert {c.record_id for c in at_random().select(REFERENCE, window, 5, rng())} == {"a", "a\0"}


def test_an_id_that_comes_twice_is_one_record():
    window = dataset(new_topic(20), ids=[f"r{i // 2}" for i in range(20)])
    assert len({c.record_id for c in at_random().select(REFERENCE, window, 50, rng())}) == 10


def test_the_random_share_is_of_what_is_chosen_and_comes_last():
    chosen = herding(random_share=0.25).select(REFERENCE, mixed_window(), 20, rng())
    assert [c.strategy for c in chosen] == ["herding"] * 15 + ["random"] * 5
    spent = herding(random_share=0.25).select(REFERENCE, mixed_window(), 180, rng())
    count = len(herded(spent))
    assert count < 80
    assert abs((len(spent) - count) - count / 3) < 3  # some that would have been herded were drawn
    assert len(herded(herding(random_share=0.0).select(REFERENCE, mixed_window(), 20, rng()))) == 20
    assert not herded(herding(random_share=1.0).select(REFERENCE, mixed_window(), 20, rng()))


def test_the_random_share_is_a_sample_of_the_whole_window_whatever_is_chosen_beside_it():
    window = mixed_window()
    beside = herding(random_share=0.25).select(REFERENCE, window, 40, rng(4))
    alone = herding(random_share=1.0).select(REFERENCE, window, 10, rng(4))
    assert [c.record_id for c in beside if c.strategy == "random"] == [c.record_id for c in alone]


def test_a_record_is_drawn_as_often_as_what_it_stands_for():
    copies = dataset(np.concatenate([scattered(9), np.repeat(scattered(10)[9:], 9, axis=0)]))
    weighted = replace(dataset(scattered(10)), weights=np.append(np.ones(9), 9.0))
    for window in (copies, weighted):
        pool, random = pool_of(REFERENCE, window, 0.97, 0.1), rng()
        drawn = [RandomStrategy().pick(pool, 1, np.zeros(0, np.int64), random)[0] for _ in range(400)]
        assert 0.42 < np.mean([row == 9 for row in drawn]) < 0.58  # nine of eighteen; standard deviation 0.025


def test_random_choice_gives_every_record_its_turn():
    pool, random = pool_of(REFERENCE, mixed_window().take(np.arange(20)), 1.0, 0.1), rng()
    drawn = [row for _ in range(300) for row in RandomStrategy().pick(pool, 5, np.zeros(0, np.int64), random)]
    counts = np.bincount(drawn, minlength=20)
    assert counts.sum() == 1_500
    assert ((counts > 45) & (counts < 105)).all()  # 75 expected, standard deviation 7.5


def test_a_candidate_carries_its_record_and_what_helps_to_label_it():
    eye = np.eye(8, dtype=np.float32)
    ref = reference(
        dataset(eye[[0, 0, 1]], labels=["a", "b", None], prefix="t"), dataset(eye[[1, 2]], labels=["a", "b"])
    )
    window = dataset(
        unit(eye[[5] * 4] + eye[[0, 1, 2, 3]]),
        ["b"] * 4,
        confidence=[0.5] * 4,
        segments={"country": ["DE", None, "FR", "FR"]},
    )
    by_id = {c.record_id: c for c in at_random().select(ref, window, 10, rng())}
    first, second = by_id["r00000"], by_id["r00001"]
    similarity = pytest.approx(2**-0.5, abs=1e-6)
    assert first.neighbours == (
        Neighbour("t00000", "a", similarity),
        Neighbour("t00001", "b", similarity),
        Neighbour("t00002", None, 0.0),
    )
    assert (first.suggested_label, first.risk, first.label, first.duplicates) == ("a", None, None, 0)
    assert (first.text, first.predicted, first.confidence, first.segments) == ("text r0", "b", 0.5, {"country": "DE"})
    assert first.observed_at == window.column("observed_at")[0]
    assert (second.suggested_label, second.segments) == (None, {})


def test_reasons_are_sentences():
    chosen = herding().select(REFERENCE, mixed_window(), 20, rng())
    assert chosen[0].reason == "Its neighbourhood holds 13.2 times the traffic that the training data explain."
    assert (
        chosen[-1].reason
        == "Drawn at random, so that labels also tell how well the model does on the rest of the traffic."
    )


def test_the_suggestion_is_a_vote_of_the_near_and_labelled():
    similarity = np.array([0.9, 0.6, 0.55, 0.49, 0.95])
    assert suggested_label(similarity, objects("a", "b", "b", "a", None)) == "b"
    assert suggested_label(similarity[:1], objects("a")) == "a"
    assert suggested_label(np.full(2, 0.7), objects("z", "b")) == "b"
    assert suggested_label(np.array([0.49]), objects("a")) is None
    assert suggested_label(np.array([0.9]), objects(None)) is None


def test_bare_records_are_enough():
    window = mixed_window()
    assert window.records.column("predicted").null_count == len(window)
    ref = replace(REFERENCE, train=dataset(REFERENCE.train.vectors, prefix="t"))
    chosen = herding().select(ref, window, 20, rng())
    assert len(chosen) == 20
    assert {(c.predicted, c.confidence, c.suggested_label) for c in chosen} == {(None, None, None)}
    assert all(n.label is None for c in chosen for n in c.neighbours)


def test_a_reference_of_no_rows_explains_nothing():
    ref = reference(REFERENCE.train.take([]), REFERENCE.protected.take([]))
    chosen = herding().select(ref, dataset(new_topic(20)), 10, rng())
    assert len(herded(chosen)) == 9
    assert chosen[0].neighbours == ()
    assert chosen[0].reason == "Its neighbourhood holds over 100 times the traffic that the training data explain."


@pytest.mark.parametrize("strategy", BOTH)
def test_what_cannot_be_compared_is_refused(strategy):
    with pytest.raises(ValueError, match=r"window vectors of made-up \(3 dimensions\) cannot be compared .*use one"):
        strategy.select(REFERENCE, dataset(np.eye(3)), 5, rng())
    with pytest.raises(ValueError, match=r"window vectors of other \(64 dimensions\)"):
        strategy.select(REFERENCE, replace(mixed_window(), embedder="other"), 5, rng())
    broken = mixed_window()
    broken.vectors[3, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 200 window vectors hold NaN or infinity"):
        strategy.select(REFERENCE, broken, 5, rng())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"random_share": 1.5}, "random_share is 1.5; give a share from 0 to 1"),
        ({"near_duplicate": 0.0}, "near_duplicate is 0.0; give a cosine"),
        ({"bandwidth": 0.0}, "bandwidth is 0.0; give a cosine difference above 0"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        herding(**options)


def test_wrong_shares_are_refused():
    with pytest.raises(ValueError, match="the share of x is 0; give a number above 0"):
        Share("x", RandomStrategy(), 0)
    with pytest.raises(ValueError, match="drift is 2; give a share from 0 to 1"):
        HerdingStrategy(drift=2)


def test_both_strategies_are_built_by_name():
    assert isinstance(build("selection", "herding", {"drift": 0.5}), HerdingStrategy)
    assert isinstance(build("selection", "random", {}), RandomStrategy)


def test_records_without_text_are_chosen_like_any_other():
    window = mixed_window()
    where = window.records.schema.get_field_index("text")
    bare = replace(window, records=window.records.set_column(where, "text", pa.nulls(len(window), pa.string())))
    assert {c.text for c in herding().select(REFERENCE, bare, 5, rng())} == {None}
