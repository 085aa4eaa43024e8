"""The alarm: two keys in, several calm looks out, and a sentence for each state that a person paged at night can use."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decide import LATELY, Policy, bet_on, decide
from monitor.values import Counts, Decision, Measurement, State

AT = datetime(2026, 3, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENOUGH = Counts(population=5_000, sampled=1_240)
POLICY = Policy(run_length=365.0, tolerance=0.02, minimum_sample=50, calm=3)
SURE = 1e-6
"""A p-value that makes an alarm by itself."""


def seen(p=0.5, effect=0.08, low=0.05, high=0.12, subject="embeddings", segment="", **detail):
    return Measurement("change", subject, effect, low, high, p, 5_000, 1_240, segment, detail)


def calm(p=0.5, **more):
    return seen(p, 0.004, 0.0, 0.015, **more)


class Story:
    """Verdicts one after another, each going on from the last."""

    def __init__(self, policy=POLICY):
        self.policy, self.history, self.at = policy, [], AT

    def look(self, *measurements, counts=ENOUGH):
        got = decide(self.policy, counts, measurements, (), tuple(self.history), at=self.at)
        self.history.insert(0, Decision(got.state, evidence=json.loads(json.dumps(got.evidence, allow_nan=False))))
        self.at += HOUR
        return got

    def states(self, *looks):
        return [self.look(look).state.value for look in looks]


def test_calm_windows_are_stable():
    story = Story()
    assert story.states(*[calm()] * 5) == ["stable"] * 5
    got = story.look(calm(detectable_share=0.082))
    assert got.reasons == (
        "No drift: 1,240 records are like the 5,000 accepted before.",
        "A new kind of input at 8.2 % of traffic would show in one look (p < 0.05) four times in five.",
    )
    assert (got.subjects, got.causes) == ((), ())
    e = bet_on(0.5)
    assert got.evidence["evidence"] == pytest.approx(0.45 * sum(e**k for k in range(1, 7)))
    assert got.evidence["looks"] == got.evidence["stretch"] == 6
    assert got.evidence["p"] == 0.5
    assert (got.evidence["alarm_since"], got.evidence["alarms"], got.evidence["calm"]) == (0, 0, 0)
    assert (got.evidence["effect"], got.evidence["effect_low"]) == (0.004, 0.0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_power_is_told_only_where_there_is_some_to_tell(share):
    assert len(Story().look(calm(detectable_share=share)).reasons) == 1
    assert len(Story().look(calm(detectable_share=0.1, segment="a=b")).reasons) == 1


def test_both_keys_make_an_alarm():
    got = Story().look(seen(SURE))
    assert got.state is State.DRIFTED
    assert got.reasons == (
        (
            "Drift in embeddings: evidence 2,952, which chance alone brings to 365 about once in as many looks; as if 8.0 % "
            "of traffic were a new kind of input (95 % interval 5.0 % to 12 %)."
        ),
    )
    assert got.subjects == ("change embeddings",)
    assert got.causes == ("content",)
    assert got.evidence["alarm_since"] == AT.timestamp()
    assert got.evidence["alarms"] == 1
    assert got.evidence["effect_low"] == 0.05


def test_evidence_without_size_is_watched():
    got = Story().look(seen(SURE, 0.015, 0.01, 0.02))
    assert got.state is State.WATCH
    assert got.reasons == (
        (
            "Worth watching: embeddings changed (evidence 2,952, limit 365), but perhaps by no more than the tolerated "
            "2.0 %; as if 1.5 % of traffic were a new kind of input (95 % interval 1.0 % to 2.0 %)."
        ),
    )
    assert (got.subjects, got.causes, got.evidence["alarms"], got.evidence["alarm_since"]) == ((), (), 0, 0)
    assert Story().look(seen(SURE, 0.1, 0.02, 0.2)).state is State.WATCH  # the lower end must exceed it
    assert Story().look(seen(SURE, 0.1, 0.0201, 0.2)).state is State.DRIFTED


def test_size_without_evidence_is_no_alarm():
    story = Story()
    assert story.look(seen(0.2, 0.5, 0.4, 0.6)).state is State.STABLE
    got = story.look(seen(1e-4, 0.5, 0.4, 0.6))
    assert got.state is State.WATCH
    assert got.reasons == (
        (
            "Worth watching: the evidence for a change is 159; from 365 on it raises an alarm; as if 50 % of traffic were a "
            "new kind of input (95 % interval 40 % to 60 %)."
        ),
    )


def test_watching_begins_at_a_tenth_of_the_limit():
    policy = Policy(run_length=bet_on(0.001) * 0.45 * 10 * (1 - 1e-12))  # against rounding
    assert Story(policy).look(calm(0.001)).state is State.WATCH
    assert Story(policy).look(calm(0.00101)).state is State.STABLE


def test_small_differences_add_up():
    story = Story()
    states = story.states(*[seen(0.02)] * 5)
    assert states == ["stable", "stable", "watch", "watch", "drifted"]
    assert story.history[0].evidence["alarms"] == 1


def test_an_alarm_ends_after_calm_looks_in_a_row():
    story = Story()
    assert story.states(seen(SURE), seen(1e-3), calm(), calm(0.9), calm(0.8), calm(0.9)) == [
        "drifted",
        "drifted",
        "recovering",
        "recovering",
        "recovering",
        "stable",
    ]
    end = story.history[0].evidence
    assert (end["alarm_since"], end["alarms"], end["evidence"], end["stretch"], end["looks"]) == (0, 1, 0, 0, 6)
    assert end["martingale"] == 1.0
    got = story.look(calm())
    assert got.state is State.STABLE
    assert got.reasons == ("No drift: 1,240 records are like the 5,000 accepted before.",)
    assert got.evidence["evidence"] == pytest.approx(0.45 * bet_on(0.5))


def test_what_is_said_while_an_alarm_ends():
    story = Story()
    story.look(seen(SURE))
    assert story.look(calm()).reasons == (
        "Recovering: no difference in 1 look; the alarm of 2026-03-09 00:00 UTC ends after 3 or a few more.",
    )
    assert story.look(calm()).reasons == (
        "Recovering: no difference in 2 looks in a row; the alarm of 2026-03-09 00:00 UTC ends after 3 or a few more.",
    )
    for looks in ("3", "4", "5"):  # more than 3 as these are not as calm as can be
        assert story.look(calm()).reasons == (
            (
                f"Recovering: no difference in {looks} looks in a row; the alarm of 2026-03-09 00:00 UTC ends once together "
                "they show none either."
            ),
        )
    assert story.look(calm()).reasons == (
        "The alarm is over: no difference in 6 looks in a row.",
        "No drift: 1,240 records are like the 5,000 accepted before.",
    )


def test_one_calm_look_can_be_enough_once_the_alarm_has_faded():
    story = Story(Policy(calm=1))
    story.look(seen(SURE))
    story.history[0].evidence["hold"] = 0.06  # one more look and it is below 1/30
    assert story.look(calm()).reasons[0] == "The alarm is over: no difference in 1 look."


def test_a_difference_while_recovering_is_the_same_alarm():
    story = Story()
    states = story.states(seen(SURE), calm(), calm(), seen(0.005), *[calm(1.0)] * 4)
    assert states == ["drifted", "recovering", "recovering", "drifted", *["recovering"] * 3, "stable"]
    assert {one.evidence["alarms"] for one in story.history} == {1}
    since = [one.evidence["alarm_since"] for one in reversed(story.history)]
    assert since == [AT.timestamp()] * 7 + [0]


def test_an_alarm_stays_on_when_the_evidence_falls():
    story = Story()
    story.look(seen(1e-5))
    for _ in range(8):  # calm, but never three in a row
        story.look(calm(1.0))
        story.look(calm(1.0))
        got = story.look(seen(0.009))
    assert got.state is State.DRIFTED
    assert got.evidence["evidence"] < 365
    assert got.reasons == (
        (
            "Drift goes on in embeddings: the alarm of 2026-03-09 00:00 UTC is still on; as if 8.0 % of traffic were a new "
            "kind of input (95 % interval 5.0 % to 12 %)."
        ),
    )
    assert got.subjects == ("change embeddings",)
    assert got.causes == ("content",)


def test_while_an_alarm_is_on_what_differs_now_is_named():
    story = Story()
    story.look(seen(SURE))
    got = story.look(calm(), seen(1e-5, 0.3, 0.2, 0.4, subject="classes"))
    assert got.state is State.DRIFTED
    assert got.subjects == ("change classes",)
    assert got.reasons[0] == (
        "Drift goes on in classes: the alarm of 2026-03-09 00:00 UTC is still on; 30 % of traffic changed class (95 % interval "
        "20 % to 40 %)."
    )
    assert got.causes == ("class balance",)


def test_a_second_alarm_is_counted_and_begins_later():
    story = Story(Policy(calm=1))
    assert story.states(seen(SURE), *[calm(1.0)] * 4, seen(SURE)) == [
        "drifted",
        *["recovering"] * 3,
        "stable",
        "drifted",
    ]
    assert story.history[0].evidence["alarms"] == 2
    assert story.history[0].evidence["alarm_since"] == (AT + 5 * HOUR).timestamp()


def test_while_an_alarm_is_on_small_p_values_are_corrected_for_their_number():
    story = Story()
    story.look(seen(SURE))
    one = [calm(0.004), calm(0.5, segment="country=DE"), calm(0.5, segment="country=FR")]
    got = story.look(*one)
    assert got.state is State.RECOVERING
    assert got.evidence["p"] == pytest.approx(0.012)
    assert story.look(calm(0.003), *one[1:]).state is State.DRIFTED


def test_windows_with_too_few_records_carry_the_alarm_along():
    story = Story()
    story.states(seen(SURE, detectable_share=0.1), calm())
    before = story.history[0].evidence
    got = story.look(seen(0.5), counts=Counts(sampled=31))
    assert got.state is State.INSUFFICIENT
    assert got.reasons == (
        (
            "No verdict: 31 usable records were sampled and 50 are needed; use longer windows or lower "
            "policy.minimum_sample."
        ),
    )
    for name in ("alarm_since", "calm", "hold", "alarms", "evidence", "martingale", "sr change|embeddings|"):
        assert got.evidence[name] == before[name], name
    assert "p" not in got.evidence  # of another window, not of this one
    assert "effect" not in got.evidence
    assert story.states(calm(1.0), calm(1.0), calm(1.0)) == ["recovering", "recovering", "stable"]


def test_too_few_records_can_be_looked_at_together_with_those_before():
    story = Story()
    several = seen(SURE, subject="embeddings over 4 windows")
    got = story.look(seen(SURE), several, counts=Counts(sampled=31))
    assert got.state is State.DRIFTED
    assert "sr change|embeddings|" not in got.evidence
    assert got.evidence["sr change|embeddings over 4 windows|"] == pytest.approx(4 * bet_on(SURE))
    assert got.reasons[0].endswith(
        "; as if 8.0 % of traffic were a new kind of input over the last 4 windows (95 % interval 5.0 % to 12 %)."
    )


@pytest.mark.parametrize(("sampled", "was"), [(1, "1 usable record was"), (0, "0 usable records were")])
def test_how_many_were_too_few(sampled, was):
    got = Story().look(counts=Counts(sampled=sampled))
    assert got.state is State.INSUFFICIENT
    assert got.reasons[0].startswith(f"No verdict: {was} sampled and 50 are needed; ")


def test_a_window_without_records_is_no_look():
    story = Story()
    story.look(calm())
    got = story.look(counts=Counts())
    assert (got.evidence["looks"], got.evidence["stretch"]) == (1, 1)
    few = story.look(counts=Counts(sampled=3))
    assert (few.evidence["looks"], few.evidence["stretch"]) == (2, 2)


def test_without_anything_accepted_nobody_can_tell():
    got = Story().look()
    assert got.state is State.INSUFFICIENT
    assert got.reasons == (
        (
            "No verdict: nothing has been accepted yet that this window could be compared with; later windows will be "
            "compared with it."
        ),
    )


@pytest.mark.parametrize(("now", "said"), [(1.0, "1 independent block now"), (4.0, "4 independent blocks now")])
def test_too_few_blocks(now, said):
    got = Story().look(calm(None, blocks_current=now, blocks_past=12.0))
    assert got.state is State.INSUFFICIENT
    assert got.reasons == (
        (
            f"No verdict: {said} and 12 accepted before are too few to exchange, which takes 2 on each side and 20 in all; "
            "use longer windows, a larger sample, or a finer fields.block."
        ),
    )


def test_the_budget_spent_is_reported():
    story = Story(Policy(run_length=10.0))
    spent = [story.look(calm(1.0)).evidence["budget_spent"] for _ in range(4)]
    assert spent == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_what_it_was_judged_against_is_kept():
    got = decide(POLICY, ENOUGH, [calm()], at=AT, stamp={"reference": 3.0, "baseline": 7.0})
    assert {name: got.evidence[name] for name in ("reference", "baseline", "run_length", "tolerance", "sampled")} == {
        "reference": 3.0,
        "baseline": 7.0,
        "run_length": 365.0,
        "tolerance": 0.02,
        "sampled": 1_240.0,
    }
    few = decide(POLICY, Counts(), [], at=AT, stamp={"reference": 3.0})
    assert few.evidence["reference"] == 3.0


def test_segments_are_named():
    got = Story().look(
        calm(), calm(segment="country=FR"), seen(SURE, subject="classes", segment="country=DE", effect=0.3, high=0.4)
    )
    assert got.state is State.DRIFTED
    assert got.subjects == ("change classes (country=DE)",)
    assert got.causes == ("class balance",)
    assert got.reasons == (
        (
            "Drift in classes (country=DE): evidence 738, which chance alone brings to 365 about once in as many looks; "
            "30 % of traffic changed class (95 % interval 5.0 % to 40 %)."
        ),
    )
    both = Story().look(seen(SURE), calm(segment="country=FR"), seen(SURE, segment="country=DE"))
    assert both.subjects == ("change embeddings", "change embeddings (country=DE)")
    assert both.reasons[0].startswith("Drift in embeddings and embeddings (country=DE): ")


def test_the_size_of_another_stream_does_not_count():
    # Sure and small here, large and unsure there: not an alarm.
    got = Story().look(seen(SURE, 0.01, 0.005, 0.015), seen(0.6, 0.5, 0.4, 0.6, segment="country=DE"))
    assert got.state is State.WATCH


def test_what_happened_lately_tells_the_size_and_is_no_evidence():
    lately = Measurement("change", "embeddings" + LATELY, 0.06, 0.04, 0.08, None, 5_000, 9_000)
    unsure = seen(SURE, 0.05, 0.0, 0.1)
    assert Story().look(unsure).state is State.WATCH
    got = Story().look(unsure, lately)
    assert got.state is State.DRIFTED
    assert got.reasons[0].endswith(
        "; as if 6.0 % of traffic were a new kind of input since the evidence began to rise (95 % interval 4.0 % to 8.0 %)."
    )
    assert not any(LATELY in name for name in got.evidence)
    assert Story().look(lately).state is State.INSUFFICIENT
    assert Story().look(calm(), lately).state is State.STABLE


@pytest.mark.parametrize(
    ("effect", "low", "high", "said"),
    [
        (-0.1, -0.14, -0.06, "mean confidence fell by 0.1 (95 % interval 0.06 to 0.14)"),
        (0.1, 0.06, 0.14, "mean confidence rose by 0.1 (95 % interval 0.06 to 0.14)"),
    ],
)
def test_confidence_may_move_either_way(effect, low, high, said):
    got = Story().look(calm(), seen(SURE, effect, low, high, "confidence"))
    assert got.state is State.DRIFTED
    assert got.reasons[0].endswith(f"; {said}.")
    assert got.evidence["effect_low"] == 0.06
    assert Story().look(calm(), seen(SURE, effect, -0.14, 0.14, "confidence")).state is State.WATCH


def test_very_much_evidence_is_not_spelled_out():
    got = Story().look(seen(1e-10))
    assert got.reasons[0].startswith("Drift in embeddings: evidence over 1,000,000, which chance")


def test_no_sentence_holds_a_number_nobody_can_read():
    story = Story()
    looks = [calm(), seen(1e-3), seen(SURE), calm(), seen(SURE), calm(), calm(), calm()]
    for sentence in (said for look in looks for said in story.look(look).reasons):
        assert sentence.endswith(".")
        assert not re.search(r"\d\.\d{4,}|nan|inf\b|e[+-]\d", sentence), sentence


def test_an_alarm_takes_four_looks_to_fade_however_calm():
    story = Story()
    assert story.states(seen(SURE), *[calm(1.0)] * 4) == ["drifted", *["recovering"] * 3, "stable"]
    held = [one.evidence["hold"] for one in reversed(story.history)]
    assert held == pytest.approx([1.0, 0.35, 0.35**2, 0.35**3, 0.0])


def test_an_alarm_that_has_faded_still_takes_all_its_calm_looks():
    story = Story(Policy(calm=6))
    assert story.states(seen(SURE), *[calm(1.0)] * 5) == ["drifted", *["recovering"] * 5]
    # A look that differs counts them anew, and gives back a part of what has faded only.
    assert story.look(seen(0.01)).evidence["hold"] == pytest.approx(0.35**5 * bet_on(0.01))
    assert story.states(*[calm(1.0)] * 6) == [*["recovering"] * 5, "stable"]


def test_calm_looks_that_differ_a_little_do_not_end_an_alarm():
    story = Story()
    assert story.states(seen(SURE), *[calm(0.1)] * 30) == ["drifted", *["recovering"] * 30]
    assert story.history[0].evidence["hold"] == 1.0  # bets won make no stock to live on
    assert story.states(*[calm(1.0)] * 4) == [*["recovering"] * 3, "stable"]


def test_the_bet_is_on_the_corrected_p_value():
    story = Story()
    story.look(seen(SURE))
    got = story.look(calm(0.1), calm(0.9, segment="country=DE"), calm(0.8, segment="country=FR"))
    assert got.evidence["hold"] == pytest.approx(bet_on(0.3))
    got = story.look(calm(0.6), calm(0.9, segment="country=DE"), calm(0.8, segment="country=FR"))
    assert got.evidence["hold"] == pytest.approx(bet_on(0.3) * bet_on(1.0))


def test_what_was_there_before_the_alarm_does_not_fade_it():
    story = Story()
    story.states(*[calm(1.0)] * 20)
    assert story.history[0].evidence["hold"] == 0.0  # nothing to hold
    assert story.look(seen(1e-12)).evidence["hold"] == 1.0


@pytest.mark.parametrize(
    ("looked", "sampled"),
    [([seen(1.0)], 31), ([], 31), ([], 0), ([calm(None, blocks_current=4.0, blocks_past=12.0)], 1_240)],
)
def test_a_window_without_a_look_leaves_what_is_left_of_an_alarm(looked, sampled):
    story = Story()
    story.states(seen(SURE), calm(0.7), calm(0.7))
    for _ in range(9):
        got = story.look(*looked, counts=Counts(sampled=sampled))
        assert got.state is State.INSUFFICIENT
        assert got.evidence["hold"] == pytest.approx(bet_on(0.7) ** 2)
    assert story.look(calm(1.0)).evidence["hold"] == pytest.approx(bet_on(0.7) ** 2 * 0.35)


def test_an_alarm_that_carries_nothing_of_this_begins_whole():
    story = Story()
    story.look(seen(SURE))
    del story.history[0].evidence["hold"]
    assert story.look(calm(1.0)).evidence["hold"] == pytest.approx(0.35)


def alarms_of_a_weak_drift_that_stays(seed):
    rng, story = np.random.default_rng(seed), Story(Policy(run_length=1_000.0))
    for p in rng.beta(0.3, 1.0, 400):
        story.look(seen(float(p)))
    return story.history[0].evidence["alarms"]


def test_a_weak_drift_that_stays_is_few_alarms(monkeypatch):
    few = [alarms_of_a_weak_drift_that_stays(seed) for seed in range(6)]
    monkeypatch.setattr("monitor.decide.alarm._FADED", 1.0)  # as if calm looks in a row were all it took
    many = [alarms_of_a_weak_drift_that_stays(seed) for seed in range(6)]
    assert min(few) >= 1
    assert max(few) <= 8
    assert min(many) >= 20
    assert 5 * sum(few) <= sum(many)


@pytest.mark.parametrize("streams", [1, 4])
def test_calm_traffic_ends_an_alarm_soon(streams):
    rng, took = np.random.default_rng(5), []
    for _ in range(60):
        story = Story()
        story.look(seen(SURE))
        while story.history[0].state is not State.STABLE:
            looks = rng.uniform(size=streams)
            story.look(*(calm(float(p), segment=f"country={n}" if n else "") for n, p in enumerate(looks)))
        took.append(len(story.history) - 1)
    assert min(took) >= 4
    assert 4 <= np.median(took) <= 8
    assert np.mean(np.array(took) <= 8) >= 0.6
    assert max(took) <= 30


p_values = st.lists(st.floats(0.0005, 1), min_size=1, max_size=30)


@given(p_values)
def test_a_history_never_alarms_before_the_evidence_reaches_the_limit(values):
    story = Story(Policy(run_length=40.0))
    for p in values:
        got = story.look(seen(p))
        assert (got.state is State.DRIFTED) == (got.evidence["evidence"] >= 40.0)
        if got.state is State.DRIFTED:
            return
        assert got.evidence["alarms"] == 0


@given(p_values)
def test_the_same_history_gives_the_same_verdict(values):
    looks = [(seen(p), calm(p, segment="country=DE")) for p in values]
    one, two = Story(), Story()
    assert [one.look(*look) for look in looks] == [two.look(*look) for look in looks]


@given(p_values, st.integers(1, 20))
def test_the_order_of_measurements_does_not_matter(values, turn):
    looked = [seen(p, segment=f"country={i}" if i else "") for i, p in enumerate(values)]
    turned = looked[turn % len(looked) :] + looked[: turn % len(looked)]
    one, two = Story().look(*looked), Story().look(*turned)
    assert (one.state, one.subjects, one.evidence["p"]) == (two.state, two.subjects, two.evidence["p"])
    assert one.evidence == pytest.approx(two.evidence)


@given(st.lists(st.sampled_from([calm(1.0), calm(0.3), seen(0.004), seen(SURE)]), max_size=25))
def test_states_follow_each_other_as_promised(looks):
    following = {
        "stable": {"stable", "watch", "drifted"},
        "watch": {"stable", "watch", "drifted"},
        "drifted": {"drifted", "recovering"},
        "recovering": {"drifted", "recovering", "stable"},
    }
    story, state, alarms = Story(), "stable", 0
    for look in looks:
        got = story.look(look)
        assert got.state.value in following[state]
        assert (got.evidence["alarm_since"] > 0) == (got.state in (State.DRIFTED, State.RECOVERING))
        raised = state in ("stable", "watch") and got.state is State.DRIFTED
        alarms += raised
        assert got.evidence["alarms"] == alarms
        assert 0 <= got.evidence["hold"] <= 1
        assert (got.evidence["hold"] > 0) == (got.evidence["alarm_since"] > 0)
        state = got.state.value


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"run_length": 1.9}, "a false alarm every 1.9 looks leaves no calm ones; allow fewer false alarms"),
        ({"run_length": float("nan")}, "a false alarm every nan looks"),
        ({"tolerance": 1.0}, "tolerance is 1.0; it is a share of traffic, from 0 to below 1"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
        ({"minimum_sample": 0}, "minimum_sample is 0; it must be at least 1"),
        ({"calm": 0}, "calm is 0; it must be at least 1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Policy(**settings)


def moved(name, before, now, subject="", segment=""):
    detail = {"share_reference": before, "share_current": now}
    gap = now - before
    return Measurement(
        "change", f"class:{name}{subject}", gap, gap - 0.01, gap + 0.01, None, 5_000, 1_240, segment, detail
    )


def test_classes_that_moved_against_the_accepted_past_are_named():
    swing = seen(SURE, 0.1, 0.05, 0.15, subject="classes")
    got = Story().look(
        calm(), swing, moved("cs.SY", 0.071, 0.0), moved("cs.RO", 0.11, 0.2), moved("x", 0, 0.1, "", "a=b")
    )
    assert got.causes == ("class balance",)
    assert got.reasons[1:] == (
        "Against the accepted past: cs.SY vanished from 7.1 % of traffic and cs.RO rose from 11 % to 20 % of traffic.",
    )
    longer = seen(SURE, 0.1, 0.05, 0.15, subject="classes over 4 windows")
    got = Story().look(calm(), longer, moved("cs.SY", 0.2, 0.1), moved("cs.SI", 0, 0.02, " over 4 windows"))
    assert got.reasons[1:] == ("Against the accepted past over 4 windows: cs.SI is new with 2.0 % of traffic.",)
    assert Story().look(seen(SURE), moved("cs.SY", 0.2, 0.1)).reasons[1:] == ()


def test_what_is_surest_names_the_cause():
    swing = seen(1e-6, 0.1, 0.05, 0.15, subject="classes")
    assert Story().look(seen(1e-5), swing).causes == ("class balance",)
    assert Story().look(seen(1e-7), swing).causes == ("content", "class balance")
    assert Story().look(seen(1e-6)).causes == ("content",)


def test_a_small_budget_does_not_watch_for_ever():
    # A tenth of 12 looks would be an evidence of 1.2, which calm traffic shows every other day.
    story = Story(Policy(run_length=12))
    assert story.look(calm(0.02)).state is State.STABLE
    assert 1.2 < story.history[0].evidence["evidence"] < 3
    assert story.look(calm(0.02)).state is State.WATCH


def test_every_segment_has_a_state_of_its_own():
    story = Story()
    german, french = {"segment": "country=DE"}, {"segment": "country=FR"}
    got = story.look(calm(), calm(**german), calm(**french))
    assert got.segments == {"country=DE": State.STABLE, "country=FR": State.STABLE}
    story.history[0] = replace(story.history[0], segments=got.segments)

    got = story.look(calm(), seen(1e-8, **german), calm(**french))
    assert got.state is State.DRIFTED
    assert got.segments == {"country=DE": State.DRIFTED, "country=FR": State.STABLE}
    story.history[0] = replace(story.history[0], segments=got.segments)

    got = story.look(calm(), calm(**german))
    assert got.state is State.RECOVERING
    assert got.segments == {"country=DE": State.RECOVERING, "country=FR": State.INSUFFICIENT}
    assert story.look(counts=Counts(sampled=3)).segments.keys() <= {"country=DE", "country=FR"}


def test_a_segment_alone_can_be_worth_watching():
    got = Story().look(calm(), calm(5e-4, segment="country=DE"), calm(segment="country=FR"))
    assert got.segments == {"country=DE": State.WATCH, "country=FR": State.STABLE}


def test_what_moved_since_a_baseline_is_told_beside_the_gap_to_the_reference():
    swing = seen(SURE, 0.1, 0.05, 0.15, subject="classes")
    gap = Measurement("class_balance", "classes", 0.3, 0.2, 0.4, 1e-5, 1_000, 120)
    grew = Measurement(
        "class_balance", "class:a", 0.3, 0.2, 0.4, None, 1_000, 120, "", {"share_reference": 0.1, "share_current": 0.4}
    )
    looked = (calm(), swing, moved("b", 0.07, 0.0), gap, grew)
    told = decide(POLICY, ENOUGH, looked, at=AT, stamp={"reference": 1.0, "baseline": 1.7e9}).reasons
    assert told[1] == "Against the accepted past: b vanished from 7.0 % of traffic."
    assert told[2] == (
        "Class balance has moved: 30 % of traffic changed class (corrected p < 0.0001); a rose from 10 % to 40 % of traffic."
    )
    told = decide(POLICY, ENOUGH, looked, at=AT, stamp={"reference": 1.0, "baseline": 0.0}).reasons
    assert len(told) == 2, "the reference is the accepted past, so it is said once"
