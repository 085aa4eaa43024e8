"""The gated incumbent bonus: formula, monotonicity, choice of the bonus, saving."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from worlds import around, intents

from monitor.errors import ArtifactError
from monitor.selection.flips import negative_flips
from monitor.selection.gate import BONUSES, Calibration, IncumbentGate, choose_bonus, with_bonus

OLD, NEW = ("a", "b", "c"), ("a", "b", "c", "fresh")
CENTRES = intents(5, 12, 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def sample(which, seed):
    return around(CENTRES, which, rng(seed), 0.5)


REFERENCE = sample([0, 1, 2] * 40, 1)
PRODUCTION = sample([0, 1, 2, 3] * 30, 2)


def log_chances(rows, classes, seed, sharp=1.0):
    logits = rng(seed).normal(size=(rows, len(classes))) * sharp
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def calibration(rows=200, seed=5):
    vectors = sample([i % 3 for i in range(rows)], seed)
    old, new = log_chances(rows, OLD, seed), log_chances(rows, NEW, seed + 1, 0.5)
    return Calibration(vectors, np.array(OLD, dtype=object)[old.argmax(axis=1)], old, new, OLD, NEW)


def naive(old, new, old_classes, new_classes, excess, bonus):
    found = []
    for i in range(len(excess)):
        best = int(np.argmax(old[i]))
        incumbent, sure = old_classes[best], np.exp(old[i, best])
        scores = []
        for k, name in enumerate(new_classes):
            against = 1.0 if name in old_classes else 0.5
            held_back = bonus * against * (1 - excess[i]) ** 4 * sure**0.5 * (name != incumbent)
            scores.append(max(new[i, k], np.log(1e-12)) - (held_back if incumbent in new_classes else 0.0))
        found.append(new_classes[int(np.argmax(scores))])
    return found


@pytest.mark.parametrize("bonus", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("new_classes", [NEW, ("a", "c", "z"), ("only",)])
def test_the_bonus_is_the_formula(bonus, new_classes):
    old, new, excess = log_chances(60, OLD, 1), log_chances(60, new_classes, 2), rng(3).random(60)
    found = with_bonus(old, new, OLD, new_classes, excess, bonus)
    assert found.tolist() == naive(old, new, OLD, new_classes, excess, bonus)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 4), st.floats(0, 4), st.sampled_from([NEW, ("b", "c", "x", "a")]))
def test_flips_never_become_more_with_the_bonus(seed, one, other, new_classes):
    low, high = sorted((one, other))
    random = rng(seed)
    old, new = log_chances(80, OLD, seed), log_chances(80, new_classes, seed + 1)
    truth = random.choice(np.array([*OLD, "fresh"], dtype=object), 80)
    excess = np.clip(random.normal(0.3, 0.4, 80), 0, 1)
    before = np.array(OLD, dtype=object)[old.argmax(axis=1)]
    answers = [with_bonus(old, new, OLD, new_classes, excess, bonus) for bonus in (0.0, low, high, 1e7)]
    for fewer, more in zip(answers[1:], answers, strict=False):
        assert not (negative_flips(truth, before, fewer) & ~negative_flips(truth, before, more)).any()
        assert not ((fewer != before) & (more == before)).any()
    assert answers[0].tolist() == np.array(new_classes, dtype=object)[new.argmax(axis=1)].tolist()
    assert not negative_flips(truth, before, answers[3])[excess < 0.9].any()


def test_a_gate_of_one_leaves_the_new_model_alone():
    old, new = log_chances(50, OLD, 1), log_chances(50, NEW, 2)
    plain = np.array(NEW, dtype=object)[new.argmax(axis=1)]
    assert (with_bonus(old, new, OLD, NEW, np.ones(50), 1e6) == plain).all()


def test_the_smallest_bonus_whose_bound_is_within_the_budget_is_chosen():
    flips = [9, 5, 4, 2, 1, 1, 0, 0]
    right = 450
    bound = [stats.beta.ppf(0.9, f + 0.5, right - f + 0.5) for f in flips]
    assert choose_bonus(flips, right, 0.01) == BONUSES[next(i for i, b in enumerate(bound) if b <= 0.01)] == 2.0
    assert choose_bonus(flips, right, 0.05) == 0.4
    assert choose_bonus(flips, right, 1e-4) is None
    assert choose_bonus([0] * len(BONUSES), 0, 0.5) is None


def test_excess_is_mass_that_the_reference_does_not_explain():
    gate = IncumbentGate(bonus=0.5).fit(REFERENCE, PRODUCTION)
    assert gate.excess(sample([3] * 20, 9)).min() > 0.4
    assert gate.excess(sample([0, 1, 2] * 7, 9)).max() < 0.3
    kernel = lambda x, z: np.exp((x.astype(float) @ z.T.astype(float) - 1) / 0.1)  # noqa: E731
    query = sample([0, 3, 4], 8)
    among = kernel(REFERENCE, REFERENCE)
    np.fill_diagonal(among, 0)
    floor = 0.3 * np.median(among.sum(axis=1) / (len(REFERENCE) - 1))
    expected = 1 - (kernel(query, REFERENCE).mean(axis=1) + floor) / (kernel(query, PRODUCTION).mean(axis=1) + floor)
    np.testing.assert_allclose(gate.excess(query), np.clip(expected, 0, 1), rtol=1e-4, atol=1e-6)


def test_fitting_chooses_the_bonus_on_part_a():
    part = calibration()
    gate = IncumbentGate(budget=0.05).fit(REFERENCE, PRODUCTION, part)
    excess = gate.excess(part.vectors)
    for bonus, count in zip(BONUSES, gate.flips_, strict=True):
        answers = with_bonus(part.old_chances, part.new_chances, OLD, NEW, excess, bonus)
        assert count == (answers != part.labels).sum()
    assert gate.right_ == 200
    assert (gate.kept_, gate.bonus_) == (True, choose_bonus(gate.flips_, 200, 0.05))
    assert gate.bonus_ > 0
    never = IncumbentGate(budget=1e-6).fit(REFERENCE, PRODUCTION, part)
    assert (never.kept_, never.bonus_) == (False, 6.0)
    given_bonus = IncumbentGate(bonus=0.1).fit(REFERENCE, PRODUCTION, part)
    assert (given_bonus.kept_, given_bonus.bonus_, given_bonus.flips_) == (None, 0.1, gate.flips_)


def test_it_is_an_estimator():
    gate = IncumbentGate(bonus=0.2, stored=50)
    assert clone(gate).get_params() == gate.get_params()
    assert gate.set_params(bonus=0.7).bonus == 0.7
    with pytest.raises(NotFittedError):
        gate.excess(REFERENCE)
    with pytest.raises(NotFittedError):
        gate.save(io.BytesIO())
    assert gate.fit(REFERENCE, PRODUCTION) is gate
    assert len(gate.reference_) + len(gate.production_) == 50


def test_what_one_side_leaves_of_the_store_goes_to_the_other():
    few = IncumbentGate(bonus=0, stored=100).fit(REFERENCE[:10], PRODUCTION)
    assert (len(few.reference_), len(few.production_)) == (10, 90)
    again = IncumbentGate(bonus=0, stored=100).fit(REFERENCE[:10], PRODUCTION)
    assert (few.production_ == again.production_).all()


def test_what_is_saved_is_read_back_without_pickle():
    part = calibration()
    gate = IncumbentGate(budget=0.05, stored=150).fit(REFERENCE, PRODUCTION, part)
    file = io.BytesIO()
    gate.save(file)
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        assert {found[name].dtype.kind for name in found.files} == {"u", "f"}
        assert json.loads(found["header"].tobytes())["format"] == 1
    file.seek(0)
    other = IncumbentGate.load(file)
    assert other.get_params() == gate.get_params()
    assert (other.bonus_, other.kept_, other.flips_, other.right_) == (
        gate.bonus_,
        gate.kept_,
        gate.flips_,
        gate.right_,
    )
    chances = part.old_chances, part.new_chances, OLD, NEW
    assert (other.predict(part.vectors, *chances) == gate.predict(part.vectors, *chances)).all()


def test_other_files_are_refused():
    pickled = io.BytesIO()
    np.savez(pickled, header=np.array([object()]))
    later = io.BytesIO()
    np.savez(later, header=np.frombuffer(b'{"format": 2}', dtype=np.uint8))
    half = io.BytesIO()
    np.savez(half, header=np.frombuffer(b'{"format": 1, "params": {}}', dtype=np.uint8))
    for file, said in [
        (io.BytesIO(b"not a gate"), "does not hold a gate"),
        (io.BytesIO(), "does not hold a gate"),
        (pickled, "does not hold a gate"),
        (half, "does not hold a gate"),
        (later, "a gate of format 2 cannot be read; this version reads 1"),
    ]:
        file.seek(0)
        with pytest.raises(ArtifactError, match=said):
            IncumbentGate.load(file)


def test_degenerate_sides():
    empty = REFERENCE[:0]
    assert IncumbentGate(bonus=1).fit(empty, PRODUCTION).excess(PRODUCTION).min() > 0.99
    assert IncumbentGate(bonus=1).fit(REFERENCE, empty).excess(PRODUCTION).max() == 0
    gate = IncumbentGate(bonus=1).fit(REFERENCE, PRODUCTION)
    assert gate.predict(empty, np.zeros((0, 3)), np.zeros((0, 4)), OLD, NEW).shape == (0,)
    nobody = Calibration(empty, np.zeros(0, object), np.zeros((0, 3)), np.zeros((0, 4)), OLD, NEW)
    nothing = IncumbentGate().fit(REFERENCE, PRODUCTION, nobody)
    assert (nothing.kept_, nothing.right_) == (False, 0)


def test_what_does_not_fit_is_refused():
    gate = IncumbentGate(bonus=1).fit(REFERENCE, PRODUCTION)
    broken = PRODUCTION.copy()
    broken[0, 0] = np.nan
    good, nan = np.zeros((1, 3)), np.full((1, 4), np.nan)
    for call, said in [
        (lambda: gate.excess(broken), "1 of 120 vectors hold NaN or infinity"),
        (lambda: gate.excess(PRODUCTION[:, :5]), r"shape \(120, 5\), not \(n, 12\); use one embedder"),
        (
            lambda: gate.predict(PRODUCTION[:1], good, nan, OLD, NEW),
            "1 of 1 rows of the new model's log-prob.* hold NaN",
        ),
        (lambda: gate.predict(PRODUCTION[:1], good, good, OLD, NEW), r"new model have shape \(1, 3\), not \(1, 4\)"),
        (lambda: with_bonus(np.zeros((1, 0)), good, (), OLD, np.ones(1), 0), "the old model has no classes"),
        (
            lambda: IncumbentGate(bonus=-1).fit(REFERENCE, PRODUCTION),
            "bonus is -1; give a log-probability of 0 or more",
        ),
        (lambda: IncumbentGate().fit(REFERENCE, PRODUCTION), "without calibration records no bonus can be chosen"),
        (lambda: IncumbentGate(bonus=1, stored=1).fit(REFERENCE, PRODUCTION), "stored is 1; give the number"),
        (lambda: IncumbentGate(bonus=1, bandwidth=0).fit(REFERENCE, PRODUCTION), "bandwidth is 0; give a cosine diff"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
