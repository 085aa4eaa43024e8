"""What causes rest on: intervals over blocks, neighbour shares, words, counts."""

from __future__ import annotations

import numpy as np
import pytest
import worlds
from scipy import stats

from monitor.causes.counted import counted_faults
from monitor.causes.faults import main_script
from monitor.causes.neighbours import production_shares
from monitor.causes.phrases import percent
from monitor.causes.shares import auc_change, design_effect, mean_change, share_change
from monitor.causes.sides import words_of
from monitor.causes.terms import distinguishing_terms
from monitor.causes.writing import Vocabulary
from monitor.detectors.proportions import newcombe
from monitor.values import Counts


def test_shares_of_single_rows_have_newcombes_interval():
    x, y = np.arange(100) < 10, np.arange(50) < 12
    change = share_change(x, np.arange(100), y, np.arange(50))
    low, high = newcombe(10, 100, 12, 50, (100 / 99, 50 / 49))
    assert (change.low, change.high) == pytest.approx((low, high), abs=1e-9)
    assert change.difference == pytest.approx(0.14)


def test_rows_that_come_tenfold_count_once():
    hits = np.random.default_rng(1).random(60) < 0.3
    codes = np.arange(60)
    alone = share_change(hits[:30], codes[:30], hits[30:], codes[30:])
    tenfold = share_change(hits[:30].repeat(10), codes[:30].repeat(10), hits[30:].repeat(10), codes[30:].repeat(10))
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high), abs=1e-3)
    assert design_effect(np.zeros(20, dtype=bool), np.arange(20).repeat(1)) == 1
    assert design_effect(np.zeros(20, dtype=bool), np.arange(4).repeat(5)) == 5


def test_the_auc_is_mann_whitneys_and_its_interval_covers():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        # Sessions of four share a shift: rows are not independent.
        x = rng.normal(size=100).repeat(4) + rng.normal(size=400)
        y = rng.normal(size=60).repeat(4) + rng.normal(size=240) + 0.5
        change = auc_change(x, np.arange(100).repeat(4), y, np.arange(60).repeat(4))
        covered += change.low <= stats.norm.cdf(0.25**0.5 / 2) - 0.5 <= change.high
    assert change.current == pytest.approx(stats.mannwhitneyu(y, x).statistic / (400 * 240))
    low, _ = stats.binom.interval(0.999, 200, 0.95)
    assert covered >= low


def test_constant_values_have_no_difference():
    same, codes = np.ones(30), np.arange(30)
    assert mean_change(same, codes, same, codes).z == 0
    assert auc_change(same, codes, same, codes).z == 0
    assert auc_change(same, codes, same + 1, codes).z > 100


def test_the_production_share_is_one_half_without_drift_whatever_the_sizes():
    rng = np.random.default_rng(3)
    for n, m in ((1_000, 200), (300, 300), (200, 600)):
        shares = production_shares(worlds.unit(rng.normal(size=(n, 8))), worlds.unit(rng.normal(size=(m, 8))))
        assert shares.mean() == pytest.approx(0.5, abs=0.05)


def test_the_production_share_by_hand_and_at_the_edges():
    reference = worlds.unit([[1, 0], [1, 0.1], [1, -0.1]])
    current = worlds.unit([[0, 1], [0.1, 1], [1, 0.02]])
    # Of the one nearest: the two new rows see each other, the third sees the reference.
    assert production_shares(reference, current, nearest=1).tolist() == [1, 1, 0]
    assert production_shares(reference, current[:1]).tolist() == [0]
    assert production_shares(reference, current, nearest=99) == pytest.approx([0.5] * 3)


def test_a_new_row_ranks_above_the_known_ones():
    rng = np.random.default_rng(4)
    world = worlds.World(10, 16, spread=0.6, seed=4)
    current = world.data([*[10] * 20, *rng.integers(0, 10, 380)], rng, "c")
    reference = world.mixed(1_000, rng, "t")
    shares = production_shares(reference.vectors, current.vectors)
    assert (np.argsort(-shares)[:20] < 20).sum() >= 19


def test_words_leave_out_what_could_name_a_person():
    text = "Mail anna.lee@example.org or see https://example.org/x9, www.example.org; order A12-77 of 2024 isn't here"
    assert words_of(text) == ("mail", "or", "see", "order", "of", "isn't", "here")
    assert words_of("") == ()


def test_terms_are_held_by_three_and_rarer_outside():
    inside = [("passport", "the", "secret"), ("passport", "the"), ("passport", "the"), ("visa", "the")]
    outside = [("the", "order"), ("the", "visa")] * 20
    assert distinguishing_terms(inside, "abcd", outside) == ("passport",)
    assert distinguishing_terms(inside, "aaab", outside) == (), "one person's three records are one holder"
    assert distinguishing_terms([], [], outside) == ()
    assert distinguishing_terms([()] * 4, "abcd", []) == ()


def test_scripts_without_spaces_give_pairs_of_letters():
    inside = [words_of(t) for t in ("我的护照丢了", "护照在哪里办", "需要新的护照")]
    outside = [words_of(t) for t in ("我的订单在哪里", "需要退款", "订单没有到")]
    assert distinguishing_terms(inside, "abc", outside)[0] == "护照"


def test_one_slip_is_told_from_a_new_word():
    vocabulary = Vocabulary([("order", "where", "cat")])
    assert all(map(vocabulary.slip, ("ordr", "orrder", "ordee", "odrer", "wherre")))
    assert not any(map(vocabulary.slip, ("order", "passport", "redor", "cut", "")))


def test_the_main_script_of_a_text():
    assert [main_script(t) for t in ("Hello там", "привет hi", "123", "こんにちは", "")] == [
        "LATIN",
        "CYRILLIC",
        "",
        "KANA",
        "",
    ]


def test_volume_is_judged_against_earlier_windows():
    past = [Counts(population=n) for n in (900, 1_000, 1_100, 950, 1_050, 980, 1_020, 1_000)]
    for now, told in ((3_000, "3.0 times"), (200, "only 20 %")):
        (cause,) = counted_faults(Counts(population=now), past)
        assert cause.name == "pipeline"
        assert told in cause.sentence
    assert counted_faults(Counts(population=1_800), past) == []
    assert counted_faults(Counts(population=9_000), past[:7]) == [], "too few windows to know what is usual"
    weekly = [Counts(population=n) for n in (100, 2_000, 1_900, 2_100, 90, 1_950, 2_050, 110)]
    assert counted_faults(Counts(population=95), weekly) == [], "as low as it was before"
    assert "only 0 %" in counted_faults(Counts(), past)[0].sentence


def test_unusable_records_are_judged_by_their_usual_share():
    past = [Counts(population=980, sampled=500, empty=20, repeats=2, outside=5, rejected={"no id": 4})] * 5
    assert counted_faults(past[0], past) == []
    found = counted_faults(Counts(population=700, sampled=500, empty=300, repeats=90, rejected={"no id": 200}), past)
    assert {key for cause in found for key in cause.evidence if key.endswith("_current")} == {
        "empty_current",
        "repeats_current",
        "rejected_current",
    }
    assert all(cause.evidence["low"] > 0 for cause in found)


def test_without_earlier_windows_only_plain_faults_are_told():
    assert counted_faults(Counts(), ()) == []
    assert counted_faults(Counts(population=990, sampled=500, empty=10), ()) == []
    (cause,) = counted_faults(Counts(population=900, sampled=500, empty=100), ())
    assert "10 % of the records" in cause.sentence


def test_percentages_read_well():
    assert [percent(x) for x in (0.05, 0.048, 0.004, 0.123, 0.0, 1.0)] == [
        "5 %",
        "4.8 %",
        "0.4 %",
        "12 %",
        "0 %",
        "100 %",
    ]


def test_words_of_unspaced_scripts_lose_only_the_private_part():
    assert words_of("订单A12-77在哪里 müller1987 ok") == ("订单", "在哪里", "ok")


def test_a_long_run_without_spaces_costs_no_more_than_its_length():
    assert words_of("a" * 1_000_000) == ("a" * 1_000,)
