"""The ledger: what every stream adds up to, by hand, and how it travels from verdict to verdict."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decide import bet_on, opened, rising_for, stretch_of
from monitor.decide.ledger import Ledger, scale_of, weights, what_of
from monitor.values import Decision, Measurement, State


def seen(p=0.5, subject="embeddings", segment="", detector="change"):
    return Measurement(detector, subject, 0.1, 0.05, 0.2, p, 500, 120, segment)


def told(ledger, **more):
    return Decision(State.STABLE, evidence=ledger.as_evidence() | more)


ALL = "change|embeddings|"
FOUR = "change|embeddings over 4 windows|"


def test_scales_and_subjects_of_keys():
    assert [scale_of(s) for s in ("embeddings", "embeddings over 4 windows", "classes over 64 windows")] == [1, 4, 64]
    assert what_of("change|embeddings over 16 windows|city=a|b over 4 windows") == (
        "city=a|b over 4 windows",
        "embeddings",
    )


def test_several_looks_by_hand():
    a, b, c, d = (bet_on(p) for p in (0.2, 0.01, 0.6, 0.003))
    ledger = (
        Ledger().after([seen(0.2)]).after([seen(0.01)]).after([seen(0.6), seen(0.003, "embeddings over 4 windows")])
    )
    assert (ledger.looks, ledger.stretch) == (3, 3)
    assert ledger.sums == pytest.approx({ALL: ((a + 1) * b + 1) * c, FOUR: 4 * d})
    assert ledger.products == pytest.approx({ALL: a * b * c, FOUR: d})
    # A single window counts 45 %, four windows a quarter; the 30 % that nobody bets stay in the purse.
    assert ledger.evidence == pytest.approx(0.45 * ((a + 1) * b + 1) * c + 4 * d / 4)
    assert ledger.martingale == pytest.approx(0.45 * a * b * c + d / 4 + 0.3)
    assert ledger.shares(100.0) == pytest.approx({ALL: 0.0045 * ((a + 1) * b + 1) * c, FOUR: d / 100})
    again = ledger.after([seen(0.003, "embeddings over 4 windows")])
    assert again.sums[FOUR] == pytest.approx((4 * d + 4) * d)  # four more windows at which the change may have come
    assert again.sums[ALL] == ledger.sums[ALL]  # not looked at: as it was
    assert again.looks == 4


def test_only_what_was_tested_against_the_accepted_past_counts():
    others = [seen(1e-5, detector="mmd"), replace(seen(), p_value=None), seen(1e-5, detector="compare")]
    assert Ledger().after(others) == Ledger(1, 1)


keys = st.builds(
    "change|{}{}|{}".format,
    st.sampled_from(["embeddings", "classes", "confidence"]),
    st.sampled_from(["", " over 4 windows", " over 16 windows", " over 64 windows"]),
    st.sampled_from(["", "country=DE", "country=FR", "model=a|b"]),
)


@given(st.sets(keys, min_size=1))
def test_weights_sum_to_at_most_one(names):
    found = weights(names)
    assert set(found) == names
    assert all(w > 0 for w in found.values())
    assert sum(found.values()) <= 1 + 1e-12


@given(st.sets(keys, min_size=1), keys)
def test_a_new_stream_never_makes_another_count_more(names, new):
    before, after = weights(names), weights(names | {new})
    assert all(after[name] <= before[name] + 1e-12 for name in names)


def test_weights_by_hand():
    complete = [f"change|{what}{scale}|{where}" for what in ("embeddings", "classes") for where in ("", "a=1", "a=2")
                for scale in ("", " over 4 windows", " over 16 windows", " over 64 windows")]  # fmt: skip
    found = weights(complete)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found[ALL] == pytest.approx(1 / 2 * 1 / 2 * 0.45)
    assert found[FOUR] == pytest.approx(1 / 2 * 1 / 2 * 0.25)
    assert found["change|embeddings over 16 windows|a=1"] == pytest.approx(1 / 4 * 1 / 2 * 0.2)
    assert found["change|classes over 64 windows|a=2"] == pytest.approx(1 / 4 * 1 / 2 * 0.1)
    assert weights([ALL]) == {ALL: 0.45}
    assert weights([]) == {}


@given(st.lists(st.lists(st.tuples(keys, st.floats(1e-9, 1)), max_size=4), max_size=4))
def test_a_ledger_travels_in_a_verdict(history):
    ledger = Ledger()
    for looks in history:
        parts = [key.split("|", 2) for key, _ in looks]
        looked = [seen(p, s, w) for (_, s, w), (_, p) in zip(parts, looks, strict=True)]
        ledger = ledger.after(looked)
    stored = json.loads(json.dumps(ledger.as_evidence(), allow_nan=False))
    assert Ledger.of(Decision(State.WATCH, evidence=stored)) == ledger
    assert stored["evidence"] == ledger.evidence
    assert all(math.isfinite(value) for value in stored.values())


def test_before_the_first_verdict_there_is_nothing():
    assert Ledger.of(None) == Ledger.of(Decision(State.FAILED)) == Ledger()
    assert (Ledger().evidence, Ledger().martingale) == (0.0, 1.0)


def test_evidence_without_end_stays_a_number():
    ledger = Ledger()
    for _ in range(200):
        ledger = Ledger.of(told(ledger.after([seen(1e-6), seen(1e-12, "classes over 64 windows")])))
    assert max(*ledger.sums.values(), *ledger.products.values()) == 1e12
    json.dumps(ledger.as_evidence(), allow_nan=False)
    after = ledger
    for _ in range(200):
        after = after.after([seen(1.0), seen(1.0, "classes over 64 windows")])
    assert 0 <= after.evidence < 100  # and finds its way back


def test_forgetting_keeps_streams_and_looks():
    ledger = Ledger().after([seen(0.001), seen(0.2, segment="country=DE")]).forgotten()
    assert (ledger.looks, ledger.stretch) == (1, 0)
    assert set(ledger.sums.values()) == {0.0}
    assert set(ledger.products.values()) == {1.0}
    assert (ledger.evidence, ledger.martingale) == (0.0, 1.0)
    assert ledger.after([seen(0.3)]).stretch == 1


@given(st.lists(st.floats(0.001, 1), max_size=20), st.integers(1, 30))
def test_a_look_that_shows_nothing_adds_at_most_one_look(values, calm):
    ledger = Ledger()
    for p in values:
        ledger = ledger.after([seen(p)])
    for _ in range(calm):
        following = ledger.after([seen(1.0)])
        assert following.evidence <= ledger.evidence + 1
        assert following.martingale <= ledger.martingale + 1e-12
        ledger = following


def test_how_long_it_has_been_rising():
    def one(evidence, since=0.0):
        return Decision(State.WATCH, evidence={"evidence": evidence, "alarm_since": since})

    assert rising_for([]) == 0
    assert rising_for([one(1.0), one(9.0)]) == 0
    assert rising_for([one(5.0), one(1.1), one(1.0), one(9.0)]) == 2
    assert rising_for([one(0.2, since=7.0), one(9.0), one(0.9)]) == 2  # while an alarm is on it counts as rising
    assert rising_for([Decision(State.STABLE)]) == 0


def test_where_the_stretch_stands():
    ledger = Ledger().after([seen()]).after([seen()])
    assert stretch_of([told(ledger), told(Ledger())]) == 2
    assert stretch_of([]) == 0
    assert stretch_of([told(ledger.forgotten())]) == 0


def test_an_alarm_is_on_while_it_has_a_beginning():
    assert not opened(None)
    assert not opened(Decision(State.DRIFTED))
    assert not opened(Decision(State.STABLE, evidence={"alarm_since": 0.0}))
    assert opened(Decision(State.INSUFFICIENT, evidence={"alarm_since": 1.0}))
