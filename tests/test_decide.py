"""Verdicts: two keys, correction, baselines, causes, and every sentence word for word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decide import FLOORS, Policy, corrected_p_values, decide, key_of
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


def verdict(*measurements, counts=ENOUGH, policy=None, baselines=()):
    return decide(policy or Policy(), counts, measurements, baselines, at=AT)


def accepted(effects, until=None):
    return Baseline("desk", AT - timedelta(days=7), "Ann", "wanted", AT - timedelta(days=1), until, effects)


def test_a_calm_window():
    got = verdict(mmd(), within(), ks(), classes(), share("refund", 0.08, 0.09))
    assert got.state is State.STABLE
    assert got.reasons == ("No drift: 1,240 records look like the reference (smallest corrected p = 1).",)
    assert (got.subjects, got.causes) == ((), ())
    assert got.evidence == {
        "sampled": 1_240.0,
        "alpha": 0.01,
        "tests": 4.0,
        "corrected_p": 1.0,
        "corrected_p mmd": 1.0,
        "corrected_p ks": 1.0,
        "corrected_p class_balance": 1.0,
    }


@pytest.mark.parametrize(
    ("sampled", "said"),
    [
        (31, "No verdict: 31 usable records were sampled and 50 are needed; "),
        (1, "No verdict: 1 usable record was sampled and 50 are needed; "),
        (0, "No verdict: 0 usable records were sampled and 50 are needed; "),
    ],
)
def test_too_few_records(sampled, said):
    got = verdict(mmd(0.5, 0.0001), counts=Counts(sampled=sampled))
    assert got.state is State.INSUFFICIENT
    assert got.reasons == (said + "use longer windows or lower policy.minimum_sample.",)
    assert got.evidence == {"sampled": float(sampled)}


def test_no_detector_could_measure():
    for measurements in ([], [share("refund", 0.1, 0.9)]):
        got = verdict(*measurements)
        assert got.state is State.INSUFFICIENT
        assert got.reasons == (
            "No verdict: no detector had enough comparable records on both sides; use longer windows.",
        )


def test_content():
    got = verdict(mmd(0.0123, 0.0001), within(0.02, 0.0004), ks(0.31, 0.00001), ks(0.1, 0.2, "direction 1"), classes())
    assert got.state is State.DRIFTED
    assert got.causes == ("content",)
    assert got.subjects == ("mmd embeddings", "mmd embeddings within classes", "ks novelty")
    assert got.reasons == (
        (
            "Content has moved: ks novelty shows a difference of 0.31 from the reference (95 % interval 0.16 to 0.46, "
            "corrected p < 0.0001, 120 records against 300); also moved: mmd embeddings and mmd embeddings within classes."
        ),
    )
    assert got.evidence["corrected_p mmd"] == pytest.approx(0.0002)
    alone = verdict(mmd(0.0123, 0.0004))
    assert alone.reasons == (
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
    assert got.state is State.DRIFTED
    assert got.causes == ("class balance",)
    assert got.subjects == ("mmd embeddings", "ks direction 1", "class_balance classes")
    assert got.reasons == (
        (
            "Class balance has moved: 31 % of traffic changed class (corrected p = 0.0002); order_status fell from 30 % to "
            "12 % of traffic; refund rose from 8.0 % to 25 % of traffic."
        ),
        "The embeddings moved no further than the class mix explains (within classes p = 0.43).",
    )


def test_a_swing_that_moved_nothing_else_says_nothing_else():
    got = verdict(mmd(), within(), classes(0.1, 0.0001), share("new one", 0.0, 0.034), share("old", 0.05, 0.0))
    assert got.reasons == (
        (
            "Class balance has moved: 10 % of traffic changed class (corrected p = 0.0002); old vanished from 5.0 % of "
            "traffic; new one is new with 3.4 % of traffic."
        ),
    )


def test_a_new_topic_moves_both():
    got = verdict(mmd(0.012, 0.0002), within(0.02, 0.0004), classes(0.2, 0.0001), share("refund", 0.08, 0.3))
    assert got.causes == ("content", "class balance")
    assert [reason.partition(":")[0] for reason in got.reasons] == ["Content has moved", "Class balance has moved"]


def test_telling_causes_apart_asks_less_than_raising_the_alarm():
    swing = [mmd(0.012, 0.0002), classes(0.2, 0.0001)]
    assert verdict(*swing, within(0.02, 0.015)).causes == ("content", "class balance")
    assert verdict(*swing, within(0.02, 0.03)).causes == ("class balance",)
    assert verdict(*swing, within(0.0005, 0.015)).causes == ("class balance",)  # below the floor
    novel = ks(0.3, 0.015, "novelty within classes", low=0.1)
    assert verdict(*swing, within(), novel).causes == ("content", "class balance")


def test_without_a_comparison_within_classes_nobody_can_say():
    got = verdict(mmd(0.012, 0.0002), classes(0.2, 0.0001))
    assert got.causes == ("class balance",)
    assert got.reasons[1:] == (
        "Embeddings moved too; without a comparison within classes nobody can say whether the mix explains it.",
    )


def test_both_keys_are_needed():
    small = verdict(mmd(0.0004, 0.0001, spread=0.0001), classes())
    assert small.state is State.WATCH
    assert small.reasons == (
        (
            "Worth watching: mmd embeddings differs (corrected p = 0.0002), but by less than its floor of 0.001 "
            "(effect 0.0004, 95 % interval 0.0003 to 0.0005)."
        ),
    )
    unsure = verdict(mmd(0.02, 0.04), classes())
    assert unsure.state is State.WATCH
    assert unsure.reasons == (
        (
            "Worth watching: mmd embeddings looks large (effect 0.02, 95 % interval 0.018 to 0.022), but is not certain "
            "(corrected p = 0.08, wanted at most 0.01)."
        ),
    )
    assert verdict(mmd(0.002, 0.04)).state is State.STABLE  # its interval reaches below the floor
    assert unsure.subjects == unsure.causes == ()


def test_floors_can_be_set_by_detector():
    finding = mmd(0.0015, 0.0001, spread=0.0001)
    assert verdict(finding).state is State.DRIFTED
    strict = Policy(floors={"mmd": 0.002})
    assert verdict(finding, policy=strict).state is State.WATCH
    assert strict.floor_of("ks") == FLOORS["ks"]
    assert strict.floor_of("somebody's") == 0.0
    foreign = Measurement("somebody's", "tone", 0.1, 0.05, 0.15, 0.0001, 99, 99)
    assert verdict(foreign).causes == ("content",)


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
    assert got.state is State.DRIFTED
    assert got.subjects[0] == "mmd embeddings (country=DE)"
    assert got.reasons[0] == (
        "In country=DE: Content has moved: mmd embeddings shows a difference of 0.01 from the reference "
        "(95 % interval 0.008 to 0.012, corrected p < 0.0001, 120 records against 1,000)."
    )
    assert [reason.partition(":")[0] for reason in got.reasons[1:]] == ["In country=FR", "In country=IT", "Also moved"]
    assert got.reasons[-1] == "Also moved: country=SE and country=US."
    swing = verdict(
        mmd(), within(), classes(), classes(0.3, 1e-6, "country=DE"), share("refund", 0.1, 0.4, segment="country=DE")
    )
    assert swing.causes == ("class balance",)
    assert swing.reasons == (
        (
            "In country=DE: Class balance has moved: 30 % of traffic changed class (corrected p < 0.0001); refund rose from "
            "10 % to 40 % of traffic."
        ),
    )


def test_an_accepted_gap_alarms_only_when_it_is_certainly_exceeded():
    gap = {key_of(mmd()): 0.015}
    moved = mmd(0.0123, 0.0001)
    got = verdict(moved, classes(), baselines=[accepted(gap)])
    assert got.state is State.STABLE
    assert got.reasons == ("Within the accepted baseline: mmd embeddings.",)
    assert verdict(mmd(0.016, 0.0001), baselines=[accepted(gap)]).state is State.STABLE  # its interval reaches back
    assert verdict(mmd(0.018, 0.0001), baselines=[accepted(gap)]).state is State.DRIFTED
    assert verdict(moved, baselines=[accepted(gap), accepted({key_of(mmd()): 0.001})]).state is State.STABLE
    other = verdict(moved, ks(0.4, 0.0001), baselines=[accepted(gap)])
    assert other.causes == ("content",)
    assert other.reasons[-1] == "Within the accepted baseline: mmd embeddings."
    small = verdict(mmd(0.0004, 0.0001), baselines=[accepted(gap)])
    assert small.state is State.WATCH


def test_a_baseline_ends():
    gap, moved = {key_of(mmd()): 0.015}, mmd(0.0123, 0.0001)
    assert verdict(moved, baselines=[accepted(gap, until=AT)]).state is State.STABLE
    assert verdict(moved, baselines=[accepted(gap, until=AT - timedelta(seconds=1))]).state is State.DRIFTED


def test_an_accepted_swing_still_explains_but_is_no_cause():
    swing = {key_of(classes()): 0.35, key_of(mmd()): 0.002}
    got = verdict(mmd(0.012, 0.0001), within(0.02, 0.0001), classes(0.3, 0.0001), baselines=[accepted(swing)])
    assert got.causes == ("content",)
    assert got.reasons[-1] == "Within the accepted baseline: class_balance classes."
    beyond = verdict(mmd(0.012, 0.0001), within(), classes(0.3, 0.0001), baselines=[accepted(swing)])
    assert beyond.causes == ("content",)


def test_keys_name_the_same_thing_in_every_window():
    assert key_of(mmd(0.1, 0.2, segment="country=DE")) == "mmd|embeddings|country=DE"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": 0.0}, "alpha is 0.0; it must lie between 0 and 1"),
        ({"alpha": 1.0}, "alpha is 1.0; it must lie between 0 and 1"),
        ({"minimum_sample": 0}, "minimum_sample is 0; it must be at least 1"),
        ({"floors": {"mmd": -1.0}}, "the floor of mmd is -1.0; it must be 0 or more"),
        ({"floors": {"mmd": float("nan")}}, "the floor of mmd is nan; it must be 0 or more"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Policy(**settings)


def test_earlier_verdicts_are_taken_and_not_read():
    before = verdict(mmd(0.5, 0.0001))
    assert decide(Policy(), ENOUGH, [mmd()], (), [before], at=AT) == verdict(mmd())
