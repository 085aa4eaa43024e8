"""Influence of one record on protected margins, and what to hand over to a single model."""

import numpy as np
import pytest
from worlds import around, intents, names

from monitor.selection.distillation import added_weights, imitation_targets
from monitor.selection.heads import fit_head
from monitor.selection.risk import expected_risk, influence_on, label_risk

CENTRES = intents(5, 10, 1)


def rows(which, seed, spread=1.2):
    return around(CENTRES, which, np.random.default_rng(seed), spread)


WHICH = [i % 4 for i in range(80)]
TRAIN, LABELS = rows(WHICH, 0), np.array(names(WHICH), dtype=object)
HEAD = fit_head(TRAIN, LABELS)
PROTECTED, TRUTH = rows([0, 1, 2, 3] * 6, 1), np.array(names([0, 1, 2, 3] * 6), dtype=object)
INFLUENCE = influence_on(HEAD, TRAIN, PROTECTED, TRUTH)


def softmax(values):
    values = np.exp(values - values.max())
    return values / values.sum()


def sigma(value):
    return 1 / (1 + np.exp(-value))


def naive(x, y, protected=PROTECTED, truth=TRUTH):
    """The formula, word for word."""
    phi = lambda v: np.append(v.astype(float), 1.0)  # noqa: E731
    s = lambda v: (1 - (softmax(HEAD.weights @ v + HEAD.bias) ** 2).sum()) / 2  # noqa: E731
    loss = 0.1 * np.eye(11)
    for t in TRAIN.astype(float):
        loss += s(t) * np.outer(phi(t), phi(t))
    inverse = np.linalg.inv(loss)
    p = dict(zip(HEAD.classes, softmax(HEAD.weights @ x + HEAD.bias), strict=True))
    total = 0.0
    for v, c in zip(protected.astype(float), truth, strict=True):
        if c == y:
            continue
        logits = dict(zip(HEAD.classes, HEAD.weights @ v + HEAD.bias, strict=True))
        m = logits[c] - logits.get(y, np.mean(list(logits.values())))
        a = phi(v) @ inverse @ phi(x) / (1 + max(s(x), 0.05) * (phi(x) @ inverse @ phi(x)))
        d = a * (1 - p.get(y, 0.0) + p[c])
        total += max(0.0, sigma((d - m) / 0.6) - sigma(-m / 0.6))
    return total / len(protected)


CANDIDATES = rows([0, 1, 2, 3, 4, 4], 2)
GIVEN = ["intent 0", "intent 3", "intent 2", "intent 1", "new", "another"]


def test_risk_is_the_formula():
    expected = [naive(x, y) for x, y in zip(CANDIDATES.astype(float), GIVEN, strict=True)]
    np.testing.assert_allclose(label_risk(INFLUENCE, CANDIDATES, GIVEN), expected, rtol=1e-3, atol=1e-7)
    assert max(expected) > 1e-3


def test_risk_before_labels_is_the_expectation_over_what_the_label_may_be():
    unlike = np.array([0.0, 0.2, 0.5, 0.9, 1.0, 0.3])
    for x, u, found in zip(CANDIDATES.astype(float), unlike, expected_risk(INFLUENCE, CANDIDATES, unlike), strict=True):
        p = softmax(HEAD.weights @ x + HEAD.bias)
        first, second = np.argsort(-p)[:2]
        q = p[[first, second]] / p[[first, second]].sum()
        known = q[0] * naive(x, HEAD.classes[first]) + q[1] * naive(x, HEAD.classes[second])
        assert found == pytest.approx(u * naive(x, "new") + (1 - u) * known, rel=1e-3, abs=1e-7)


def test_a_wrong_label_is_riskier_than_the_right_one_and_blocks_change_nothing():
    many = rows(WHICH * 8, 5, 0.6)
    right = label_risk(INFLUENCE, many, np.array(names(WHICH * 8), dtype=object))
    wrong = label_risk(INFLUENCE, many, np.array(names([(i + 1) % 4 for i in WHICH * 8]), dtype=object))
    assert np.median(wrong) > 2 * np.median(right)
    assert ((right >= 0) & (right <= 1)).all()
    np.testing.assert_allclose(
        label_risk(INFLUENCE, many[300:310], names(WHICH * 8)[300:310]), right[300:310], rtol=1e-5
    )
    order = np.random.default_rng(0).permutation(len(PROTECTED))
    other = influence_on(HEAD, TRAIN, PROTECTED[order], TRUTH[order])
    np.testing.assert_allclose(
        label_risk(other, CANDIDATES, GIVEN), label_risk(INFLUENCE, CANDIDATES, GIVEN), rtol=1e-4
    )


def test_records_of_unknown_class_or_without_label_are_left_out():
    mixed = influence_on(
        HEAD, TRAIN, np.concatenate([PROTECTED, PROTECTED[:2]]), np.append(TRUTH, np.array(["who", None], dtype=object))
    )
    np.testing.assert_allclose(
        label_risk(mixed, CANDIDATES, GIVEN), label_risk(INFLUENCE, CANDIDATES, GIVEN), rtol=1e-5
    )
    nobody = influence_on(HEAD, TRAIN, PROTECTED[:1], [None])
    assert label_risk(nobody, CANDIDATES, GIVEN).tolist() == [0.0] * 6
    assert label_risk(INFLUENCE, CANDIDATES[:0], []).shape == (0,)
    assert expected_risk(INFLUENCE, CANDIDATES[:0], np.zeros(0)).shape == (0,)


def test_broken_vectors_are_refused():
    broken = CANDIDATES.copy()
    broken[1, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 6 candidate vectors hold NaN or infinity; embed these records again"):
        label_risk(INFLUENCE, broken, GIVEN)
    with pytest.raises(ValueError, match="1 of 6 protected vectors"):
        influence_on(HEAD, TRAIN, broken, GIVEN)


def test_the_riskiest_tenth_is_marked():
    risk = np.array([0.0, 0.3, 0.1, 0.3, *[0.0] * 16])
    added = added_weights([f"r{i}" for i in range(20)], risk)
    assert np.flatnonzero(added.second_look).tolist() == [1, 3]
    assert set(added.weights) == {0.5}
    assert not added_weights(["a"] * 20, np.zeros(20)).second_look.any()
    assert added_weights([], np.zeros(0)).ids == ()
    with pytest.raises(ValueError, match="1 of 2 risks are NaN"):
        added_weights(["a", "b"], np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="2 risks do not belong to 1 records"):
        added_weights(["a"], np.zeros(2))


def test_the_old_model_is_imitated_where_traffic_is_as_it_was():
    chances = np.array([[1.0, 1.0], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.0, 0.0]])
    found = imitation_targets(list("abcde"), ["x", "y"], chances, np.array([0.0, 0.9, 0.1, 0.1, 0.0]), [3])
    assert found.ids == ("a", "c")
    np.testing.assert_allclose(found.chances, [[0.5, 0.5], [0.2, 0.8]])
    assert found.weights.tolist() == [0.3, 0.3]
    assert imitation_targets([], ["x"], np.zeros((0, 1)), np.zeros(0), []).ids == ()
    with pytest.raises(ValueError, match="1 of 2 rows of chances hold NaN"):
        imitation_targets(["a", "b"], ["x"], np.array([[1.0], [np.nan]]), np.zeros(2), [])
    with pytest.raises(ValueError, match=r"chances of shape \(1, 1\) and 2 excesses do not belong to 2 records"):
        imitation_targets(["a", "b"], ["x"], np.ones((1, 1)), np.zeros(2), [])
