"""What a quiet window says it would have caught, is caught."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from worlds import around, dataset, intents, reference, unit

from monitor.detectors.kernels import gaussian_kernel
from monitor.detectors.kinds import kinds_of
from monitor.detectors.mmd import MmdDetector, mmd2_unbiased
from monitor.detectors.power import Alternatives, _foreign, alternatives, detectable
from monitor.detectors.ruler import make_ruler
from monitor.sketches import block_sums, change, make_plan
from monitor.sketches.power import detectable_share, kinds

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
    flat = np.zeros((4, 3))
    lifts, shift = flat.copy(), np.array([4.0, 0.0, 0.0, 0.0])
    lifts[1] = 100.0
    # One component is lifted, and the other three are right by chance as often as they may be.
    missed = 0.2 / stats.norm.cdf(critical) ** 3
    share, length = detectable(drawn, Alternatives(lifts, flat, flat, shift), (1_000, 500))
    assert share == pytest.approx(np.sqrt((critical - stats.norm.ppf(missed)) / 100), rel=0.06)
    assert length == pytest.approx(np.sqrt((critical + 1.75 * 0.84) / 4), rel=0.03)
    novel = flat.copy()
    novel[3] = 10.0
    share, _ = detectable(drawn, Alternatives(novel, flat, flat, shift), (1_000, 500))
    assert share == pytest.approx((critical - stats.norm.ppf(missed)) / 10, rel=0.06)


def test_kinds_that_are_hard_to_see_and_noise_of_what_came_make_the_share_larger():
    drawn = np.random.default_rng(0).normal(size=(2, 999))
    flat, shift = np.zeros((2, 4)), np.zeros(2)
    easy = np.full((2, 4), 100.0)
    hard = easy * [1.0, 1.0, 0.25, 0.25]
    shares = [
        detectable(drawn, Alternatives(lifts, flat, noise, shift), (1_000, 500))[0]
        for lifts, noise in ((easy, flat), (hard, flat), (easy, flat + 400.0))
    ]
    assert shares[0] < shares[2]
    assert 1.5 * shares[0] < shares[1] < 2 * shares[0]
    assert detectable(drawn, Alternatives(flat, flat, flat, shift), (1_000, 500)) == (1.0, np.inf)
    unseen = detectable(drawn, Alternatives(flat[:, :0], flat[:, :0], flat[:, :0], shift), (1_000, 500))
    assert unseen == (1.0, np.inf)


def test_classes_are_the_kinds_where_there_are_some():
    rng = np.random.default_rng(3)
    which = rng.integers(40, size=1_200)
    x = around(WORLD, which, rng, 0.5)
    classes = np.array([f"intent {i}" for i in which], dtype=object)
    kinds = kinds_of(x, classes)
    assert len(kinds) == 40
    assert all(len({classes[row] for row in kind}) == 1 for kind in kinds)
    assert len(kinds_of(x, np.where(which < 3, classes, None))) == 40  # three classes are no sample of kinds
    ruler = make_ruler(x[:300])
    found = alternatives(x[:300], ruler, 0.8, x[300:], classes)
    assert found.lifts.shape == (4, 40)
    new = around(WORLD, np.full(300, 45), rng, 0.5)
    whitened = ruler.whitened(new).astype(float)
    real = np.square(whitened.mean(axis=0)).sum()
    assert 0.6 * real < np.median(found.lifts[2]) < 1.6 * real


def test_a_kind_taken_out_of_the_ruler_is_as_if_it_had_never_been_there():
    rng = np.random.default_rng(4)
    which = rng.integers(12, size=900)
    x = around(WORLD, which, rng, 0.5)
    order = np.argsort(which == 5, kind="stable")  # the kind in question last
    x, which = x[order], which[order]
    held = x[which == 5]
    centred = x.astype(float) - x.mean(axis=0)
    whole, without = centred.T @ centred / len(x), centred[which != 5].T @ centred[which != 5] / (which != 5).sum()
    ruler = make_ruler(x)
    ridge = 1 / np.square(np.linalg.eigvalsh(ruler.whitening).max()) - np.linalg.eigvalsh(whole).min()
    new = around(WORLD, np.full(30, 5), rng, 0.5).astype(float) - x.mean(axis=0)
    less = len(x) / (which != 5).sum() * ridge
    products = new @ np.linalg.solve(without + less * np.eye(24), new.T)
    expected = (products.sum() - np.trace(products)) / (30 * 29)
    got = _foreign(ruler, ruler.whitened(x[:50]).astype(float), new.astype(np.float32) + x.mean(axis=0), held)
    assert got[0] == pytest.approx(expected, rel=0.01)


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


def test_a_look_on_block_sums_states_what_it_would_have_found():
    rng = np.random.default_rng(5)
    plan = make_plan(reference(dataset(traffic(1_200, rng), prefix="t"), dataset(traffic(300, rng), prefix="p")))

    def summed(vectors, name):
        return block_sums(plan, dataset(vectors, prefix=name), 8)[""]

    past = [summed(traffic(200, rng), f"{i}-") for i in range(12)]
    repetitions, found, shares = 40, 0, []
    for repetition in range(repetitions):
        window = traffic(200, rng)
        shares.append(change(past, summed(window, "w-"), plan, rng, 299, 299)[0].detail["detectable_share"])
        count = int(shares[-1] * 200 + rng.random())
        window[:count] = around(WORLD, np.full(count, 40 + repetition % 20), rng, 0.5)
        found += change(past, summed(window[rng.permutation(200)], "w-"), plan, rng, 299, 299)[0].p_value <= 0.05
    assert 0.01 < np.median(shares) < 0.3
    assert 0.6 * repetitions <= found
    assert kinds(plan) is kinds(plan)


def test_a_smaller_window_of_block_sums_would_have_found_less():
    rng = np.random.default_rng(6)
    plan = make_plan(reference(dataset(traffic(800, rng), prefix="t"), dataset(traffic(200, rng), prefix="p")))
    null = rng.normal(size=(999, 4))
    small, large = (detectable_share(plan, null, np.full(4, s), (5_000, n)) for s, n in ((0.02, 50), (0.002, 500)))
    assert 0 < large < small <= 1
    assert detectable_share(plan, null, np.full(4, 1e9), (5_000, 50)) == 1.0
    assert detectable_share(plan, np.zeros((99, 4)), np.zeros(4), (10, 10)) > 0
