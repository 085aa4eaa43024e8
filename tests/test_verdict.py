"""Flips counted, their intervals, and what may be promised."""

import math

import numpy as np
import pytest
from scipy import stats
from worlds import World, around, dataset, intents, names

from monitor.selection.flips import compatibility, needed, parts, predicted_rate, rate_interval, upper_bound
from monitor.selection.gate import IncumbentGate
from monitor.selection.heads import fit_head
from monitor.selection.verdict import Flip, Slice, count_flips, judge_heads, promise


def rng(seed=0):
    return np.random.default_rng(seed)


def text(*labels):
    return np.array(labels, dtype=object)


def test_the_parts_are_halves_that_stay():
    data = World().mixed(400, rng(), "p")
    first, second = parts(data)
    assert (first ^ second).all()
    assert 160 < first.sum() < 240
    order = rng(1).permutation(400)
    assert (parts(data.take(order))[0] == first[order]).all()
    assert (parts(data.append(World().mixed(50, rng(2), "q")))[0][:400] == first).all()
    assert parts(data.take([]))[0].shape == (0,)


def test_one_session_is_never_in_both_parts():
    data = World().mixed(200, rng(), "p")
    where = data.records.schema.get_field_index("block")
    blocks = [f"session {i // 5}" for i in range(200)]
    grouped = type(data)(
        data.records.set_column(where, data.records.schema.field(where), [blocks]),
        data.vectors,
        data.weights,
        data.embedder,
    )
    first, _ = parts(grouped)
    assert (first.reshape(40, 5) == first.reshape(40, 5)[:, :1]).all()
    assert 0 < first.sum() < 200


def test_flips_are_counted_by_class_and_segment():
    truth, before, after = (
        text("a", "a", "b", "b", "c", None),
        text("a", "a", "b", "a", "a", "a"),
        text("a", "b", "b", "b", "b", "b"),
    )
    data = dataset(np.eye(6), labels=truth, segments={"country": ["DE", "DE", None, "FR", "FR", "FR"]})
    found = count_flips(data, before, after, future=10)
    assert (found.records, found.right, found.flips, found.mended) == (5, 3, 1, 1)
    assert found.broken == (Flip("r00001", "a", "b"),)
    assert found.classes == {"a": Slice(2, 1, 0), "b": Slice(1, 0, 1), "c": Slice(0, 0, 0)}
    assert found.segments == {"country": {"DE": Slice(2, 1, 0), "FR": Slice(0, 0, 1)}}
    assert found.rate == rate_interval(1, 3)
    assert found.predicted == predicted_rate(1, 3, 10)
    assert found.compatibility == pytest.approx(2 / 3)
    assert found.change == 0.0
    order = rng().permutation(6)
    assert count_flips(data.take(order), before[order], after[order], future=10) == found


def test_intervals_are_quantiles_of_beta_and_beta_binomial():
    low, high = stats.beta.ppf([0.025, 0.975], 3.5, 447.5)
    found = rate_interval(3, 450)
    assert (found.value, found.low, found.high) == (3 / 450, pytest.approx(low), pytest.approx(high))
    assert rate_interval(0, 450).low == 0
    assert rate_interval(4, 4).high == 1
    draws = rng().binomial(900, rng(1).beta(3.5, 447.5, 400_000)) / 900
    ahead = predicted_rate(3, 450, 900)
    assert (ahead.low, ahead.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1.2 / 900)
    assert ahead.high - ahead.low > found.high - found.low
    assert (predicted_rate(0, 0, 5).low, predicted_rate(0, 0, 5).high) == (0, 1)
    for call in (lambda: rate_interval(5, 4), lambda: predicted_rate(-1, 4, 4)):
        with pytest.raises(ValueError, match="count flips among those only"):
            call()
    with pytest.raises(ValueError, match="future is 0; say on how many records"):
        predicted_rate(0, 5, 0)


@pytest.mark.parametrize("rate", [0.001, 0.004, 0.01, 0.03])
@pytest.mark.parametrize(("counted", "future"), [(450, 1_800), (450, 450), (1_000, 300)])
def test_the_predicted_interval_covers_what_is_realised(rate, counted, future):
    seen, realised = rng(1).binomial(counted, rate, 600), rng(2).binomial(future, rate, 600) / future
    found = {f: predicted_rate(f, counted, future) for f in set(seen.tolist())}
    inside = np.mean([found[f].low <= r <= found[f].high for f, r in zip(seen.tolist(), realised, strict=True)])
    assert inside >= 0.92


def test_the_needed_number_is_the_first_that_resolves_the_budget():
    for budget, about in [(0.002, 2_500), (0.005, 1_000), (0.01, 500), (0.05, 100)]:
        n = needed(budget)
        assert n == pytest.approx(about, rel=0.05)
        assert upper_bound(n * budget / 3, n, 0.95) <= budget < upper_bound((n - 1) * budget / 3, n - 1, 0.95)
    for wrong in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="negative flips says nothing"):
            needed(wrong)


def verdict_of(right, flips):
    before, after = text(*["a"] * right), text(*["b"] * flips, *["a"] * (right - flips))
    return count_flips(dataset(np.ones((right, 2)), labels=before), before, after)


def test_promises_are_made_from_enough_records_only():
    assert promise(verdict_of(600, 1), 0.01) == (
        "1 of 600 protected records that the model has right would turn wrong: at most 0.649 % with 95 % certainty, within "
        "the budget of 1 %."
    )
    assert promise(verdict_of(600, 9), 0.01) == (
        "9 of 600 protected records that the model has right would turn wrong: up to 2.5 % with 95 % certainty, over the budget of 1 %."
    )
    assert promise(verdict_of(120, 1), 0.01) == (
        "Nothing can be promised: a budget of 1 % negative flips takes 499 protected records that the model has right, and there "
        "are 120; add labelled records to the protected set, or allow 4.1 %."
    )
    assert "takes 499 protected records" in promise(verdict_of(0, 0), 0.01)


def test_nothing_labelled_and_nothing_right():
    empty = count_flips(dataset(np.ones((3, 2))), text("a", "a", "a"), text("b", "b", "b"))
    assert (empty.records, empty.right, empty.flips, empty.change) == (0, 0, 0, 0.0)
    assert math.isnan(empty.compatibility)
    assert not empty.keeps(0.5)
    wrong = count_flips(dataset(np.ones((3, 2)), labels=["c"] * 3), text("a", "a", "a"), text("c", "b", "b"))
    assert (wrong.right, wrong.mended, wrong.change) == (0, 1, pytest.approx(1 / 3))
    assert math.isnan(compatibility(text("c"), text("a"), text("c")))
    with pytest.raises(ValueError, match="2 and 3 predictions do not belong to 3 protected records"):
        count_flips(dataset(np.ones((3, 2))), text("a", "a"), text("b", "b", "b"))


def test_heads_are_judged_as_they_are_served():
    centres = intents(4, 10, 2)
    train = around(centres, [0, 1, 2] * 30, rng(1), 1.0)
    labels = text(*names([0, 1, 2] * 30))
    added = around(centres, [3] * 20, rng(2), 1.0)
    old = fit_head(train, labels)
    new = fit_head(np.concatenate([train, added]), np.append(labels, text(*names([0, 1] * 10))))
    protected = dataset(around(centres, [0, 1, 2] * 100, rng(3), 1.6), labels=names([0, 1, 2] * 100))
    gate = IncumbentGate(bonus=3.0).fit(train, np.concatenate([train, added]))
    plain, guarded = judge_heads(old, new, protected), judge_heads(old, new, protected, gate, future=1_000)
    assert plain.right == guarded.right == (old.predict(protected.vectors) == protected.column("label")).sum()
    assert plain.flips > guarded.flips
    assert set(guarded.broken) <= set(plain.broken)
    assert (plain.future, guarded.future) == (plain.right, 1_000)
