"""True shares from predicted ones: the algebra, coverage with sessions, refusal of a blind classifier."""

from __future__ import annotations

import numpy as np
import pytest
from sessions import blocked
from worlds import dataset, reference, unit

from monitor.detectors.label_shift import Confusion, LabelShiftDetector, on_simplex, true_shares
from monitor.testing import check_detector

SHARP = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.1], [0.1, 0.2, 0.8]])
BLIND = np.full((3, 3), 1 / 3)


def rows(truth, matrix, rng, prefix, labelled=True, size=1, **more):
    """Records of these true classes, predicted through the matrix, in sessions of ``size``."""
    predicted = [rng.choice(3, p=matrix[:, t]) for t in truth]
    labels = [f"c{t}" for t in truth] if labelled else None
    data = dataset(unit(np.ones((len(truth), 3))), [f"c{p}" for p in predicted], labels, prefix=prefix, **more)
    return blocked(data, [f"{prefix}{i // size}" for i in range(len(truth))])


def drawn(rng, shares, n, size=1):
    """True classes in sessions of which each has a topic."""
    topics = np.repeat(rng.choice(3, -(-n // size), p=shares), size)[:n]
    return np.where(rng.random(n) < 0.5, topics, rng.choice(3, n, p=shares)) if size > 1 else topics


def known(rng, n=400, matrix=SHARP, size=1):
    train = rows(drawn(rng, [1 / 3] * 3, 40), matrix, rng, "t")
    return reference(train, rows(drawn(rng, [1 / 3] * 3, n, size), matrix, rng, "p", size=size))


def test_the_nearest_shares():
    np.testing.assert_allclose(on_simplex(np.array([0.2, 0.3, 0.5])), [0.2, 0.3, 0.5])
    np.testing.assert_allclose(on_simplex(np.array([-0.1, 0.4, 0.7])), [0.0, 0.35, 0.65])
    found = on_simplex(np.random.default_rng(0).normal(size=(50, 6)))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_shares_come_back_through_the_matrix():
    truth, before = np.array([0.6, 0.1, 0.3]), np.full(3, 1 / 3)
    exact = Confusion(SHARP, 0.0)
    np.testing.assert_allclose(true_shares(SHARP, SHARP @ truth, before, 0.0), truth, atol=1e-9)
    assert (exact.seen, exact.ridge) == (1.0, 0.0)
    assert exact.condition == pytest.approx(np.linalg.cond(SHARP))
    blind = Confusion(BLIND, 0.05)
    assert blind.seen == pytest.approx(1 / 3)
    np.testing.assert_allclose(true_shares(BLIND, BLIND @ truth, before, blind.ridge), before, atol=1e-6)


@pytest.mark.parametrize("size", [1, 5])
def test_intervals_cover_the_true_change(size):
    rng, shares = np.random.default_rng(1), [0.55, 0.25, 0.2]
    detector, covered, naive = LabelShiftDetector(), np.zeros(3), np.zeros(3)
    for _ in range(40):
        window = rows(drawn(rng, shares, 300, size), SHARP, rng, "c", labelled=False, size=size)
        found = {m.subject: m for m in detector.measure(known(rng, 400, size=size), window, rng)}
        assert next(iter(found)) == "true shares"
        for i in range(3):
            one, want = found[f"true share:c{i}"], shares[i] - 1 / 3
            covered[i] += one.low <= want <= one.high
            raw = one.detail["share_predicted"] - one.detail["share_reference"]
            naive[i] += abs(raw - want) < 1.96 * np.sqrt(0.25 / 300)
    assert covered.min() >= 33
    assert covered.sum() >= 106
    assert covered.sum() > naive.sum()


def test_a_blind_classifier_is_refused_and_a_poor_one_held_towards_the_reference():
    rng = np.random.default_rng(2)
    window = rows(drawn(rng, [0.8, 0.1, 0.1], 300), BLIND, rng, "c")
    (only,) = LabelShiftDetector().measure(known(rng, 300, BLIND), window, rng)
    assert only.detail["refused"] == 1.0
    assert (only.effect, only.low, only.high, only.p_value) == (0.0, 0.0, 1.0, None)
    # Two classes are told from the third, but not from each other.
    poor = np.array([[0.45, 0.45, 0.1], [0.45, 0.45, 0.1], [0.1, 0.1, 0.8]])
    found = LabelShiftDetector().measure(
        known(rng, 300, poor), rows(drawn(rng, [0.2, 0.2, 0.6], 400), poor, rng, "c"), rng
    )
    assert found[0].detail["regularised"] == 1.0
    shares = {m.subject: m.detail["share_current"] for m in found[1:]}
    assert shares["true share:c2"] == pytest.approx(0.6, abs=0.1)
    assert shares["true share:c0"] == pytest.approx(shares["true share:c1"], abs=0.15)


def test_what_cannot_be_measured_and_what_lies_outside():
    rng = np.random.default_rng(3)
    base = known(rng)
    bare = dataset(unit(np.ones((50, 3))), prefix="c")
    assert LabelShiftDetector().measure(base, bare, rng) == []
    assert LabelShiftDetector().measure(reference(bare, bare), base.protected, rng) == []
    one_class = rows([0] * 60, np.eye(3), rng, "p")
    assert LabelShiftDetector().measure(reference(one_class, one_class), base.protected, rng) == []
    unseen = dataset(unit(np.ones((100, 3))), ["c0"] * 40 + ["c1"] * 40 + ["other"] * 15 + [None] * 5, prefix="c")
    assert LabelShiftDetector().measure(base, unseen, rng)[0].detail["outside"] == pytest.approx(15 / 95)
    with pytest.raises(ValueError, match="per_class is 1; it must be at least 2"):
        LabelShiftDetector(1)


def test_conformance_and_segments():
    rng = np.random.default_rng(4)
    country = {"country": ["DE"] * 60 + ["FR"] * 60}
    base = reference(*(rows(drawn(rng, [1 / 3] * 3, 120), SHARP, rng, p, segments=country) for p in "tp"))
    window = rows(drawn(rng, [0.6, 0.2, 0.2], 120), SHARP, rng, "c", segments=country)
    check_detector(LabelShiftDetector(), base, window)
    found = LabelShiftDetector().measure(base, window, rng)
    assert {m.segment for m in found} == {"", "country=DE", "country=FR"}
    assert {m.p_value for m in found} == {None}
