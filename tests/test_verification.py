"""A refresh held against the model it replaces: textbook values, coverage, and the rule that passes or fails it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from monitor.selection.flips import needed
from monitor.values import Checked, Decision, Deployment, Estimate, State, Verdict, Window
from monitor.verification import compare, judge, outcome, running_accuracy, verified_set
from monitor.verification.paired import difference, effective, mcnemar, share

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)


def objects(*values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def pairs(both, broken, mended, neither):
    """Whether the old and the new model have each record right."""
    old = np.repeat([True, True, False, False], [both, broken, mended, neither])
    return old, np.repeat([True, False, True, False], [both, broken, mended, neither])


# --- textbook values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("better", "worse", "n", "low", "high"),
    [
        # Bentur et al. (2009), as worked in Fagerland, Lydersen & Laake (2014), table of intervals: Tango's.
        (1, 7, 21, -0.517, -0.026),
        # Approval of a prime minister: Agresti, "Categorical Data Analysis".
        (86, 150, 1600, -0.059, -0.021),
    ],
)
def test_the_interval_of_a_paired_difference_is_that_of_the_books(better, worse, n, low, high):
    found = difference(better, worse, n)
    assert found.value == pytest.approx((better - worse) / n)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)
    turned = difference(worse, better, n)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_edges_of_the_paired_interval():
    """Without a discordant pair the interval is that of z^2 / (n + z^2); all of one kind reach the end of the scale."""
    z2 = stats.norm.ppf(0.975) ** 2
    none = difference(0, 0, 50)
    assert (none.low, none.high) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)), abs=1e-9)
    assert difference(5, 0, 5).high == 1.0
    assert 0 < difference(5, 0, 5).low < 1
    assert difference(0, 5, 5).low == -1.0
    for wrong in ((-1, 0, 5), (3, 3, 5), (0, 0, 0)):
        with pytest.raises(ValueError, match="discordant pairs are among the pairs"):
            difference(*wrong)


def test_the_exact_test_of_mcnemar():
    # Bentur et al. in Fagerland, Lydersen & Laake, "The McNemar test for binary matched-pairs data", 2013: 0.070.
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 3) == 1.0


def test_compatibility_as_bansal_defines_it():
    """Of 10 that the old model has right the new keeps 8; of 6 that the new has wrong the old had 4 wrong."""
    found = compare(*pairs(8, 2, 3, 4))
    assert (found.records, found.old_right, found.new_right, found.negative, found.positive) == (17, 10, 11, 2, 3)
    assert (found.trust, found.error) == (pytest.approx(0.8), pytest.approx(4 / 6))
    assert found.negative_rate.value == pytest.approx(0.2)
    assert found.positive_rate.value == pytest.approx(3 / 7)
    assert found.gain.value == pytest.approx(1 / 17)
    assert (found.old.value, found.new.value) == (pytest.approx(10 / 17), pytest.approx(11 / 17))


def test_rates_of_nothing_are_not_known():
    perfect = compare(*pairs(5, 0, 0, 0))
    assert (perfect.positive_rate, perfect.error, perfect.trust) == (None, None, 1.0)
    hopeless = compare(*pairs(0, 0, 0, 5))
    assert (hopeless.negative_rate, hopeless.trust, hopeless.error) == (None, None, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        compare(*pairs(0, 0, 0, 0))


def test_weights_count_as_traffic_and_cost_certainty():
    old, new = pairs(6, 2, 4, 8)
    even = compare(old, new, np.full(20, 7.0))
    assert even == compare(old, new)
    twice = compare(np.tile(old, 2), np.tile(new, 2), np.repeat([1.0, 3.0], 20))
    assert twice.gain.value == pytest.approx(0.1)
    narrow, wide = compare(np.tile(old, 2), np.tile(new, 2)).gain, twice.gain
    assert narrow.high - narrow.low < wide.high - wide.low < even.gain.high - even.gain.low
    assert effective(np.repeat([1.0, 3.0], 20)) == pytest.approx(32)
    uneven = compare(np.array([True, False]), np.array([True, True]), np.array([3.0, 1.0]))
    assert uneven.old.value == pytest.approx(0.75)
    assert share(np.zeros(0, dtype=bool), np.zeros(0)) is None


# --- coverage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "worse"), [(0.0, 0.0), (0.02, 0.01), (0.15, 0.02), (0.3, 0.3)])
@pytest.mark.parametrize("n", [20, 150])
def test_paired_intervals_cover_what_they_say(better, worse, n):
    """Over every outcome that 4,000 draws show; each interval is computed once."""
    rng = np.random.default_rng([n, int(1000 * better)])
    drawn = rng.multinomial(n, [better, worse, 1 - better - worse], size=4_000)
    outcomes, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    covered = 0
    for (b, c), count in zip(outcomes.tolist(), counts.tolist(), strict=True):
        found = difference(b, c, n)
        covered += count * (found.low <= better - worse <= found.high)
    assert covered / 4_000 >= 0.93


def test_running_accuracy_is_unbiased_and_covers():
    """Busy windows are harder, so that the plain mean of the labels is wrong: 12 labels from each, whatever its size."""
    sizes, chances = [1_000, 9_000, 3_000, 500], [0.9, 0.5, 0.8, 0.95]
    truth = float(np.average(chances, weights=sizes))
    rng = np.random.default_rng(5)
    found, plain = [], []
    for _ in range(400):
        checked = []
        for day, (size, chance) in enumerate(zip(sizes, chances, strict=True)):
            window = Window(START + day * DAY, START + (day + 1) * DAY)
            checked += [
                Checked(window, size, f"{day}-{n}", "a", "a" if rng.random() < chance else "b") for n in range(12)
            ]
        estimate, told = running_accuracy(checked)
        assert told == 48
        found.append(estimate)
        plain.append(np.mean([one.label == "a" for one in checked]))
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.015)
    assert abs(np.mean(plain) - truth) > 0.1
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


def test_junk_says_nothing_of_accuracy_but_keeps_its_share_of_the_window():
    window, other = Window(START, START + DAY), Window(START + DAY, START + 2 * DAY)
    checked = [
        Checked(window, 100, "1", "a", "a"),
        Checked(window, 100, "2", "a", "junk"),
        Checked(other, 100, "3", "a", "b"),
    ]
    estimate, told = running_accuracy(checked, {"junk"})
    assert told == 2
    # Half of the first window is junk: 50 of it against 100 of the other.
    assert estimate.value == pytest.approx(1 / 3)
    assert running_accuracy([], {"junk"}) == (None, 0)
    assert running_accuracy(checked[1:2], {"junk"}) == (None, 0)


# --- the rule -----------------------------------------------------------------------------------------------------------


def verdict(flips, right, budget=0.01, missing=0):
    return judge(compare(*pairs(right - flips, flips, 0, 10)), budget, missing)


def test_pass_fail_and_not_shown():
    assert verdict(0, 1_000) is Verdict.PASSED
    assert verdict(11, 1_000) is Verdict.FAILED
    assert verdict(10, 1_000) is Verdict.NOT_SHOWN, "on the budget, but who knows"
    assert verdict(0, 50) is Verdict.NOT_SHOWN, "too few records to show anything"
    assert verdict(1, 50) is Verdict.NOT_SHOWN, "one flip of 50 is no evidence for more than 1 %"
    assert verdict(5, 50) is Verdict.FAILED, "so many are, however few the records"
    assert judge(None, 0.01) is Verdict.NOT_SHOWN
    assert judge(compare(*pairs(0, 0, 5, 5)), 0.01) is Verdict.NOT_SHOWN


def test_predictions_that_are_missing_may_all_be_flips():
    assert verdict(0, 1_000, missing=5) is Verdict.PASSED
    assert verdict(0, 1_000, missing=20) is Verdict.NOT_SHOWN


@pytest.mark.parametrize("budget", [0.005, 0.01, 0.05])
def test_the_rule_tells_harmless_from_harmful(budget):
    """With just enough records, exactly: a third of the budget hardly ever fails, twice the budget mostly does."""
    right = needed(budget)
    counts = np.arange(right + 1)
    failing = np.array([verdict(int(k), right, budget) is Verdict.FAILED for k in counts[: right // 4]])
    chance = {rate: stats.binom.pmf(counts[: right // 4], right, rate) @ failing for rate in (budget / 3, 2 * budget)}
    assert chance[budget / 3] < 0.03
    assert chance[2 * budget] > 0.9


def test_the_table_for_owners_says_how_often_a_refresh_fails():
    """docs/refresh.md, held against the rule itself."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "refresh.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d.]+) % \| ([\d,]+) \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \|$", page, re.MULTILINE
    )
    assert len(rows) == 3
    for budget, records, *failing in rows:
        rate, right = float(budget) / 100, needed(float(budget) / 100)
        assert int(records.replace(",", "")) == right
        for said, times in zip(failing, (1 / 3, 1, 2, 3), strict=True):
            digits = len(said.partition(".")[2])
            chance = stats.binom.sf(np.floor(right * rate), right, times * rate)
            assert round(100 * chance, digits) == float(said), (budget, times)


# --- sets ---------------------------------------------------------------------------------------------------------------


def test_a_set_by_class_and_segment_with_the_flipped_records():
    truth = objects("a", "a", "a", "b", "b", "c")
    old = objects("a", "a", "b", "b", "a", "c")
    new = objects("b", "a", "a", "b", "b", "c")
    country = objects("DE", "DE", None, "FR", "FR", None)
    found = verified_set("protected", list("uvwxyz"), (truth, old, new), {"country": country}, left_out={"no label": 3})
    assert (found.overall.negative, found.overall.positive) == (1, 2)
    assert [(one.group, one.records, one.negative, one.positive) for one in found.classes] == [
        ("class a", 3, 1, 1),
        ("class c", 1, 0, 0),
        ("class b", 2, 0, 1),
    ]
    assert [(one.group, one.negative) for one in found.segments] == [("country=DE", 1), ("country=FR", 0)]
    assert [(one.record_id, one.label, one.old, one.new, one.negative) for one in found.flips] == [
        ("u", "a", "a", "b", True),
        ("w", "a", "b", "a", False),
        ("y", "b", "a", "b", False),
    ]
    assert sum(one.negative for one in found.classes) == found.overall.negative
    empty = verified_set("drifted", [], (objects(), objects(), objects()), {}, left_out={"junk": 1})
    assert (empty.overall, empty.left_out) == (None, {"junk": 1})


# --- outcome ------------------------------------------------------------------------------------------------------------


def day(number):
    return Window(START + number * DAY, START + (number + 1) * DAY)


def history(states, since=None):
    evidence = {} if since is None else {"alarm_since": since.timestamp()}
    return [(day(n), Decision(state, evidence=evidence if state is State.DRIFTED else {})) for n, state in states]


S, D, R, N = State.STABLE, State.DRIFTED, State.RECOVERING, State.INSUFFICIENT


def live(at, model="new", **more):
    return Deployment("shop", model, at, "ann", at, **more)


def test_a_drift_that_cleared_after_the_model_went_live():
    told = history(enumerate([S, D, D, R, D, D, R, N, S, D]), since=day(1).end)
    checked = [
        Checked(day(n), 100, f"{n}-{k}", "a", "a" if k < good else "b")
        for n, good in ((2, 2), (6, 4))
        for k in range(5)
    ]
    one = live(day(4).end, verification="v1")
    found = outcome(one, [one], told, checked, 60)
    assert (found.alarm_since, found.recovered_at, found.over) == (day(1).end, day(8).end, True)
    assert found.seconds_to_recovery == 7 * 86_400
    assert (found.windows, found.state, found.labels) == (5, D, 60)
    assert (found.before.value, found.since.value) == (pytest.approx(0.4), pytest.approx(0.8))
    assert (found.checked_before, found.checked_since) == (5, 5)


def test_the_beginning_of_an_alarm_is_found_without_its_evidence():
    told = history(enumerate([S, D, R, D, S]))
    one = live(day(3).end)
    assert outcome(one, [one], told, [], 0).alarm_since == day(1).end


def test_a_drift_that_goes_on_and_a_model_without_any():
    one = live(day(2).end)
    found = outcome(one, [one], history(enumerate([S, D, D, D, R])), [], 0)
    assert (found.recovered_at, found.over, found.seconds_to_recovery, found.state) == (None, False, None, R)
    assert (found.before, found.since) == (None, None)
    calm = outcome(one, [one], history(enumerate([S, S, S, S])), [], 0)
    assert (calm.alarm_since, calm.recovered_at, calm.windows) == (None, None, 1)


def test_each_model_has_its_own_time():
    first, second = live(day(2).end, "m2"), live(day(5).end, "m3")
    told = history(enumerate([S, D, S, S, D, D, S, S]))
    checked = [Checked(day(n), 10, str(n), "a", "a" if n < 4 else "b", day(n).start) for n in range(8)]
    old = outcome(first, [first, second], told, checked, 1)
    assert (old.alarm_since, old.recovered_at, old.windows, old.state) == (day(1).end, day(2).end, 3, D)
    assert (old.checked_before, old.checked_since, old.since.value) == (3, 3, pytest.approx(1 / 3))
    new = outcome(second, [second, first], told, checked, 2)
    assert (new.alarm_since, new.recovered_at, new.windows) == (day(4).end, day(6).end, 2)
    assert new.before == Estimate(old.since.value, old.since.low, old.since.high)
