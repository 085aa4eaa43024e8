"""What moved against the reference: two keys, correction, accepted gaps, causes, and every sentence word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decide import Policy, corrected_p_values, decide, key_of
from monitor.values import Baseline, Counts, Measurement, State

AT = datetime(2026, 3, 9, tzinfo=UTC)
ENOUGH = Counts(population=5_000, sampled=1_240)


def mmd(effect=0.0, p=0.5, subject="embeddings", segment="", spread=0.002):
    return Measurement("mmd", subject, effect, effect - spread, effect + spread, p, 1_000, 120, segment)


def within(effect=0.0, p=0.5, segment=""):
    return mmd(effect, p, "embeddings within classes", segment)


def ks(effect=0.05, p=0.5, subject="novelty", segment="", low=None):
    low = max(0.0, effect - 0.15) if low is None else low
    return Measurement("ks", subject, effect, low, effect + 0.15, p, 300, 120, segment)


def classes(effect=0.01, p=0.5, segment=""):
    return Measurement(
        "class_balance", "classes", effect, max(0.0, effect - 0.05), effect + 0.1, p, 1_000, 120, segment
    )


def share(name, before, now, sure=True, segment=""):
    low, high = (now - before - 0.01, now - before + 0.01) if sure else (-0.5, 0.5)
    detail = {"share_reference": before, "share_current": now}
    return Measurement("class_balance", f"class:{name}", now - before, low, high, None, 1_000, 120, segment, detail)


CHANGED = Measurement("change", "embeddings", 0.08, 0.05, 0.12, 1e-6, 5_000, 1_240)
ALIKE = replace(CHANGED, effect=0.0, low=0.0, high=0.01, p_value=0.5)


def verdict(*measurements, baselines=(), changed=True):
    """The verdict when an alarm is raised, or none: the detectors only tell what moved."""
    return decide(Policy(), ENOUGH, (*measurements, CHANGED if changed else ALIKE), baselines, at=AT)


def told(*measurements, **more):
    """What is said besides the alarm itself."""
    return verdict(*measurements, **more).reasons[1:]


def accepted(effects, until=None):
    return Baseline("desk", AT - timedelta(days=7), "Ann", "wanted", AT - timedelta(days=1), until, effects)


def test_content():
    moved = [mmd(0.0123, 0.0001), within(0.02, 0.0004), ks(0.31, 0.00001), ks(0.1, 0.2, "direction 1"), classes()]
    got = verdict(*moved)
    assert got.state is State.DRIFTED
    assert got.causes == ("content",)
    assert got.subjects == ("change embeddings", "mmd embeddings", "mmd embeddings within classes", "ks novelty")
    assert got.reasons[1:] == (
        (
            "Content has moved: ks novelty shows a difference of 0.31 from the reference (95 % interval 0.16 to 0.46, "
            "corrected p < 0.0001, 120 records against 300); also moved: mmd embeddings and mmd embeddings within classes."
        ),
    )
    assert got.evidence["corrected_p mmd"] == pytest.approx(0.0002)
    assert got.evidence["corrected_p ks"] == got.evidence["corrected_p"] == pytest.approx(0.00003)
    assert told(mmd(0.0123, 0.0004)) == (
        (
            "Content has moved: mmd embeddings shows a difference of 0.0123 from the reference "
            "(95 % interval 0.0103 to 0.0143, corrected p = 0.0004, 120 records against 1,000)."
        ),
    )


def test_a_class_swing_is_not_called_content():
    # Embeddings and directions move with the classes; within classes nothing does.
    got = verdict(
        mmd(0.012, 0.0002),
        within(0.001, 0.43),
        ks(0.3, 0.00001, "direction 1"),
        ks(0.06, 0.9),
        ks(0.02, 0.6, "novelty within classes"),
        classes(0.31, 0.0001),
        share("refund", 0.08, 0.25),
        share("order_status", 0.305, 0.121),
        share("login", 0.2, 0.18, sure=False),
    )
    assert got.causes == ("class balance",)
    assert got.subjects == ("change embeddings", "mmd embeddings", "ks direction 1", "class_balance classes")
    assert got.reasons[1:] == (
        (
            "Class balance has moved: 31 % of traffic changed class (corrected p = 0.0002); order_status fell from 30 % to "
            "12 % of traffic; refund rose from 8.0 % to 25 % of traffic."
        ),
        "The embeddings moved no further than the class mix explains (within classes p = 0.43).",
    )


def test_a_swing_that_moved_nothing_else_says_nothing_else():
    assert told(mmd(), within(), classes(0.1, 0.0001), share("new one", 0.0, 0.034), share("old", 0.05, 0.0)) == (
        (
            "Class balance has moved: 10 % of traffic changed class (corrected p = 0.0002); old vanished from 5.0 % of "
            "traffic; new one is new with 3.4 % of traffic."
        ),
    )


def test_a_new_topic_moves_both():
    got = verdict(mmd(0.012, 0.0002), within(0.02, 0.0004), classes(0.2, 0.0001), share("refund", 0.08, 0.3))
    assert got.causes == ("content", "class balance")
    assert [reason.partition(":")[0] for reason in got.reasons[1:]] == ["Content has moved", "Class balance has moved"]


def test_telling_causes_apart_asks_less_than_naming_what_moved():
    swing = [mmd(0.012, 0.0002), classes(0.2, 0.0001)]
    assert verdict(*swing, within(0.02, 0.015)).causes == ("content", "class balance")
    assert verdict(*swing, within(0.02, 0.03)).causes == ("class balance",)
    assert verdict(*swing, within(0.0005, 0.015)).causes == ("class balance",)  # below the floor
    novel = ks(0.3, 0.015, "novelty within classes", low=0.1)
    assert verdict(*swing, within(), novel).causes == ("content", "class balance")


def test_without_a_comparison_within_classes_nobody_can_say():
    got = verdict(mmd(0.012, 0.0002), classes(0.2, 0.0001))
    assert got.causes == ("class balance",)
    assert got.reasons[2:] == (
        "Embeddings moved too; without a comparison within classes nobody can say whether the mix explains it.",
    )


def test_where_the_reference_tells_nothing_the_alarm_names_what_changed():
    got = verdict(mmd(), classes())
    assert (got.causes, got.subjects, len(got.reasons)) == (("content",), ("change embeddings",), 1)
    balance = replace(CHANGED, subject="classes over 4 windows")
    got = decide(Policy(), ENOUGH, [balance, mmd()], at=AT)
    assert (got.causes, got.subjects) == (("class balance",), ("change classes over 4 windows",))


def test_a_gap_to_the_reference_alone_is_reported_and_no_alarm():
    got = verdict(mmd(0.0123, 0.0001), ks(0.3, 0.004), changed=False)
    assert got.state is State.STABLE
    assert (got.subjects, got.causes) == ((), ())
    assert got.reasons == (
        "No drift: 1,240 records are like the 5,000 accepted before.",
        (
            "A gap to the training reference stands: mmd embeddings and ks novelty (0.0123, 95 % interval 0.0103 to 0.0143, "
            "corrected p = 0.0002)."
        ),
    )
    assert got.evidence["corrected_p"] == pytest.approx(0.0002)


@pytest.mark.parametrize(
    ("one", "stands"),
    [
        (mmd(0.0009, 0.0001), False),  # certain, but below the floor
        (mmd(0.001, 0.0001), True),
        (mmd(0.02, 0.011), False),  # large, but not certain
        (mmd(0.02, 0.01), True),
        (Measurement("somebody's", "tone", 0.0, 0.0, 0.15, 0.0001, 99, 99), True),  # has no floor
    ],
)
def test_a_gap_takes_both_keys(one, stands):
    assert bool(told(one, changed=False)) == stands
    assert bool(told(one)) == stands


def test_the_comparison_with_the_past_does_not_weigh_on_that_with_the_reference():
    many = [replace(ALIKE, subject=f"thing {i}", p_value=0.02) for i in range(9)]
    got = decide(Policy(), ENOUGH, [mmd(0.02, 0.004), *many], at=AT)
    assert got.evidence["corrected_p"] == 0.004
    assert "corrected_p change" not in got.evidence


def test_correction_over_detectors_by_hand():
    # Three detectors: the smallest of each counts once, whatever it tested.
    got = corrected_p_values(
        [mmd(p=0.004), within(p=0.5), ks(p=0.003), ks(p=0.9, subject="direction 1"), classes(p=0.2)]
    )
    assert got == pytest.approx(
        {
            "ks|novelty|": 0.009,
            "ks|direction 1|": 1.0,
            "mmd|embeddings|": 0.009,  # 2 x 0.004 = 0.008, but not below the one before
            "mmd|embeddings within classes|": 1.0,
            "class_balance|classes|": 0.2,
        }
    )


def test_segments_and_all_traffic_share_the_error_half_and_half():
    tested = [mmd(p=0.002), mmd(p=0.001, segment="country=DE"), classes(p=0.5, segment="country=DE")]
    got = corrected_p_values([*tested, mmd(p=0.04, segment="country=FR")])
    assert got == pytest.approx(
        {
            "mmd|embeddings|": 0.004,
            "mmd|embeddings|country=DE": 0.006,
            "mmd|embeddings|country=FR": 0.16,
            "class_balance|classes|country=DE": 1.0,
        }
    )
    assert corrected_p_values([mmd(p=0.04, segment="country=FR")]) == {"mmd|embeddings|country=FR": 0.04}


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_correction_never_makes_a_p_value_smaller_and_keeps_their_order(values):
    tested = [Measurement(f"d{i}", "x", 0, 0, 0, p, 9, 9) for i, p in enumerate(values)]
    corrected = [corrected_p_values(tested)[key_of(m)] for m in tested]
    assert all(p <= c <= 1 for p, c in zip(values, corrected, strict=True))
    in_order = [c for _, c in sorted(zip(values, corrected, strict=True))]
    assert in_order == sorted(in_order)
    assert min(corrected) == pytest.approx(min(1.0, len(values) * min(values)))


def test_segments_are_told_after_all_traffic_and_the_rest_is_named():
    tested = [mmd(0.01, 1e-6, segment=f"country={c}") for c in ("DE", "FR", "IT", "SE", "US")]
    got = verdict(mmd(), classes(), *tested)
    assert got.subjects[:2] == ("change embeddings", "mmd embeddings (country=DE)")
    assert got.reasons[1] == (
        "In country=DE: Content has moved: mmd embeddings shows a difference of 0.01 from the reference "
        "(95 % interval 0.008 to 0.012, corrected p < 0.0001, 120 records against 1,000)."
    )
    assert [reason.partition(":")[0] for reason in got.reasons[2:]] == ["In country=FR", "In country=IT", "Also moved"]
    assert got.reasons[-1] == "Also moved: country=SE and country=US."
    swing = verdict(
        mmd(), within(), classes(), classes(0.3, 1e-6, "country=DE"), share("refund", 0.1, 0.4, segment="country=DE")
    )
    assert swing.causes == ("class balance",)
    assert swing.reasons[1:] == (
        (
            "In country=DE: Class balance has moved: 30 % of traffic changed class (corrected p < 0.0001); refund rose from "
            "10 % to 40 % of traffic."
        ),
    )


def test_an_accepted_gap_stands_only_when_it_is_certainly_exceeded():
    gap = {key_of(mmd()): 0.015}
    moved = mmd(0.0123, 0.0001)
    within_it = ("Within the accepted baseline: mmd embeddings.",)

    def said(*measurements, also=()):
        return told(*measurements, baselines=[accepted(gap), *also], changed=False)

    assert said(moved, classes()) == within_it
    assert said(mmd(0.016, 0.0001)) == within_it  # its interval reaches back
    assert said(mmd(0.018, 0.0001))[0].startswith("A gap to the training reference stands: mmd embeddings (0.018, ")
    assert said(moved, also=[accepted({key_of(mmd()): 0.001})]) == within_it
    other = said(moved, ks(0.4, 0.0001))
    assert other[0] == within_it[0]
    assert other[1].startswith("A gap to the training reference stands: ks novelty (0.4, ")
    assert said(mmd(0.0004, 0.0001)) == ()


def test_a_baseline_ends():
    gap, moved = {key_of(mmd()): 0.015}, mmd(0.0123, 0.0001)
    assert told(moved, baselines=[accepted(gap, until=AT)], changed=False) == (
        "Within the accepted baseline: mmd embeddings.",
    )
    ended = told(moved, baselines=[accepted(gap, until=AT - timedelta(seconds=1))], changed=False)
    assert ended[0].startswith("A gap to the training reference stands")


def test_an_accepted_swing_still_explains_but_is_no_cause():
    swing = {key_of(classes()): 0.35, key_of(mmd()): 0.002}
    got = verdict(mmd(0.012, 0.0001), within(0.02, 0.0001), classes(0.3, 0.0001), baselines=[accepted(swing)])
    assert got.causes == ("content",)
    assert len(got.reasons) == 2
    beyond = verdict(mmd(0.012, 0.0001), within(), classes(0.3, 0.0001), baselines=[accepted(swing)])
    assert beyond.causes == ("content",)


def test_keys_name_the_same_thing_in_every_window():
    assert key_of(mmd(0.1, 0.2, segment="country=DE")) == "mmd|embeddings|country=DE"
