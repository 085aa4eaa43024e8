"""A verified refresh and its outcome in words: sentences, tables, Markdown, the report's section, the pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pictured import a_source
from run_examples import LEASE, START, calm, comparison, deployment, finished, verification, week
from starlette.testclient import TestClient
from test_report_html import EMOJI, NASTY, RTL, page_of

from monitor.documents.markdown import markdown
from monitor.report.verified import (
    GROUPED,
    flip_rows,
    group_rows,
    outcome_sentences,
    set_table,
    verification_document,
    verification_sentences,
)
from monitor.reporting import report_of
from monitor.serve import application
from monitor.values import Estimate, Flip, MonitorTerms, Outcome, State, Verdict, VerifiedSet

DAY = timedelta(days=1)
FAILED = (
    "Failed: of 80 protected records that the old model has right the new one gets 2 wrong (2.50 %; 95 %: 0.00 % to 6.25 %). "
    "The budget is 1 %."
)
LEARNT = (
    "Nobody said what the new model learnt from: if these candidates are among it, they prove nothing. "
    "Name its training file with --trained-on."
)
GAINED = (
    "On the labelled candidates of the drift, which were chosen as hard and new, the new model has 86 % right and the old one "
    "80 %: +6 % (95 %: 0 % to +12 %, 100 records), not surely better or worse."
)


def test_the_sentences_of_a_verification():
    assert verification_sentences(verification()) == [
        FAILED,
        GAINED,
        LEARNT,
        "Left out of the protected records: 2 without a new prediction.",
        "Left out of the labelled candidates: 1 junk.",
        "Predictions not used or not understood: new: 7 of other records.",
    ]


def test_held_out_candidates_need_no_warning():
    assert not any("learnt" in said for said in verification_sentences(verification(held_out=True)))


def first(verdict, **changes):
    held = VerifiedSet("protected", overall=comparison(**changes))
    return verification_sentences(verification(verdict=verdict, sets=(held,), ignored={}))[0]


def test_the_first_sentence_is_the_verdict_and_what_it_means():
    assert first(Verdict.PASSED).endswith("The budget is 1 %, and it is shown to be kept.")
    assert first(Verdict.NOT_SHOWN).startswith("Not shown: of 80 protected records")
    few = "These are too few to tell whether the budget of 1 % is kept; some 500 would do."
    assert first(Verdict.NOT_SHOWN).endswith(few)
    assert first(Verdict.NOT_SHOWN, old_right=5_000).endswith("That is too near the budget of 1 % to tell.")
    nothing = verification(verdict=Verdict.NOT_SHOWN, sets=(VerifiedSet("protected"),), ignored={}, budget=0.005)
    assert verification_sentences(nothing) == [
        "Not shown: no protected record could be compared, so nothing is known of the budget of 0.5 %."
    ]


def test_an_old_model_that_may_know_the_protected_records_by_heart_is_doubted():
    """Live models are often trained on all of the file that the protected records are split off from."""

    def doubts(verdict, low):
        held = VerifiedSet(
            "protected", overall=comparison(records=300, old_right=299, old=Estimate(299 / 300, low, 1.0))
        )
        return verification_sentences(verification(verdict=verdict, sets=(held,), ignored={}))[1:]

    (doubt,) = doubts(Verdict.FAILED, 0.98)
    assert doubt.startswith(
        "The old model has 299 of 300 protected records right, which is rare unless it learnt from them."
    )
    assert doubt.endswith("records that neither model learnt from (reference.protected).")
    assert doubts(Verdict.NOT_SHOWN, 0.98) == [doubt]
    assert doubts(Verdict.FAILED, 0.96) == [], "a good model, or few records"
    assert doubts(Verdict.PASSED, 0.98) == [], "it was kept against odds"


def test_a_class_that_surely_lost_is_named_and_one_that_may_have_is_not():
    def group(name, broken):
        return replace(
            comparison(name),
            negative=broken,
            positive=0,
            gain=Estimate(-broken / 100, -0.2, 0.0),
            p_value=0.5 ** (broken - 1),
        )

    held = VerifiedSet("protected", overall=comparison(), classes=(group("class refund", 12), group("class lamp", 5)))
    said = verification_sentences(verification(sets=(held,), ignored={}))
    assert said[1:] == ["class refund lost: 12 of 80 turned wrong, 0 mended."]


def outcome(**changes):
    made = Outcome(
        deployment=deployment(),
        alarm_since=START,
        recovered_at=START + 9 * DAY,
        windows=4,
        state=State.STABLE,
        labels=60,
        before=Estimate(0.7, 0.6, 0.8),
        since=Estimate(0.9, 0.85, 0.95),
        checked_before=50,
        checked_since=1,
        verification=verification(),
    )
    return replace(made, **changes)


def test_the_sentences_of_an_outcome():
    """Labels used, accuracy before and after, flips, days from alarm to recovery."""
    assert outcome_sentences(outcome()) == [
        "Model support-v2 is live since 2026-01-06 UTC, as declared by ana.",
        "The alarm went on at 2026-01-05 UTC and the drift was over by 2026-01-14 UTC, 9 days later.",
        "Labels used: 60.",
        "Accuracy on traffic before: 70 % (95 %: 60 % to 80 %, by 50 records drawn at random).",
        "Accuracy on traffic since: 90 % (95 %: 85 % to 95 %, by 1 record drawn at random).",
        FAILED,
        GAINED,
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recovered_at": START + DAY}, "over by 2026-01-06 UTC, 1 day later."),
        ({"recovered_at": START + 1.5 * DAY}, "over by 2026-01-06 12:00 UTC, 1.5 days later."),
        ({"recovered_at": None, "state": State.DRIFTED}, "and is not over: the newest of 4 windows since is drifted."),
        ({"recovered_at": None, "windows": 1, "state": State.WATCH}, "the newest of 1 window since is watch."),
        ({"recovered_at": None, "windows": 0, "state": None}, "no window has been judged since the model went live."),
        ({"recovered_at": None, "alarm_since": None}, "No alarm had been on before it."),
    ],
)
def test_the_sentence_on_recovery(changes, said):
    assert outcome_sentences(outcome(verification=None, before=None, **changes))[1].endswith(said)


def test_the_table_has_a_column_for_each_set_and_a_row_for_each_measure():
    heads, rows = set_table(verification())
    assert heads == ("", ">protected records", ">labelled candidates")
    assert rows == [
        (name, said, said)
        for name, said in (
            ("records", "100"),
            ("old model right", "80 % (75 % to 88 %)"),
            ("new model right", "86 % (81 % to 94 %)"),
            ("gain", "+6 % (0 % to +12 %)"),
            ("turned wrong, of those right", "2 (2.5 %; 0 % to 6.2 %)"),
            ("mended, of those wrong", "8 (40 %; 25 % to 50 %)"),
            ("still right, of those right (trust)", "97.50 %"),
            ("wrong before too, of those wrong now", "86 %"),
            ("McNemar's p", "0.11"),
        )
    ]
    nearly = comparison(old=Estimate(221 / 222, 0.979, 1.0))
    _, rows = set_table(verification(sets=(VerifiedSet("protected", overall=nearly),)))
    assert rows[1][1] == "99.5 % (97.9 % to 100 %)", "not perfect"
    unknown = comparison(negative_rate=None, positive_rate=None, trust=None, error=None)
    _, rows = set_table(verification(sets=(VerifiedSet("protected", overall=unknown),)))
    assert [row[1] for row in rows[4:8]] == ["-"] * 4


def test_groups_that_did_not_move_are_left_out():
    groups = [comparison("class refund"), comparison("class calm", negative=0, positive=0)]
    (row,) = group_rows(groups)
    assert len(row) == len(GROUPED)
    assert row[:5] == ("refund", "100", "80 %", "86 %", "+6 % (0 % to +12 %)")


def test_flipped_texts_are_shown_redacted_and_cut():
    flips = [Flip("r1", "boat", "lamp", "boat", negative=False), Flip("r2", "boat", "lamp", "boat", negative=False)]
    rows = flip_rows(flips, {"r1": "Call +49 170 1234567 or mail me at ann@example.org " + "x " * 300})
    assert rows[0][:4] == ("r1", "boat", "lamp", "boat")
    assert rows[0][4].startswith("Call [phone] or mail me at [email] x x")
    assert rows[0][4].endswith(" …")
    assert rows[1][4] == "-"


@pytest.mark.parametrize("words", [NASTY, "a|b`c`_d_ @everyone [x](y)"])
def test_markdown_holds_no_markup_of_the_records(words):
    flips = (Flip(words, words, words, "lamp", negative=True),)
    held = VerifiedSet("protected", overall=comparison(), classes=(comparison(f"class {words}"),), flips=flips)
    text = markdown(verification_document(verification(sets=(held,), old=words), {words: words}))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {3, len(GROUPED) + 1, 6}
    assert "<script" not in text.replace("\\<", "")
    assert "@everyone" not in text


def test_the_report_of_a_run_has_the_refresh_that_learnt_from_it():
    page = page_of(replace(a_source(), verification=verification(), model=deployment()))
    assert "refresh" in page.attributes("id")
    assert "#refresh" in page.attributes("href")
    for sentence in verification_sentences(verification()):
        assert sentence in page.text
    for words in (
        "held against the one before it on 2026-01-05 00:00: old against candidate.parquet",
        "still right, of those right (trust) 97.50 % 97.50 %",
        "refund 100 80 % 86 % +6 % (0 % to +12 %) 2 (2.5 %; 0 % to 6.2 %)",
        "Protected: classes that moved",
        "Protected: segments that moved",
        "p1 refund refund lamp -",
        "Model in production support-v2, live since 2026-01-06 UTC",
    ):
        assert words in page.text, words
    without = page_of(a_source())
    assert "refresh" not in without.attributes("id")
    assert "Model in production" not in without.text


@pytest.mark.parametrize("words", [NASTY, RTL, EMOJI, "a\u2028b\x00c\ud800"])
def test_nothing_in_a_verification_can_act_in_the_report(words):
    flips = (Flip(words, words, words, words, negative=True),)
    groups = (comparison(f"class {words}"),)
    held = VerifiedSet("protected", {words: 1}, comparison(), groups, groups, flips)
    found = verification(sets=(held,), old=words, new=words, ignored={words: 1})
    page = page_of(replace(a_source(), verification=found, model=deployment(words)))
    assert {tag for tag, _ in page.tags} == {
        tag for tag, _ in page_of(replace(a_source(), verification=verification())).tags
    }
    assert len(page.inside["script"]) == 2


def test_the_store_knows_which_runs_a_refresh_learnt_from(store):
    for number in range(3):
        claim = store.claim("support", week(number), "a", START, LEASE)
        store.save(claim, calm(claim) if number == 2 else finished(claim))
    store.save_verification(verification(made_at=START, old="the first"))
    store.save_verification(verification(id="b", made_at=START + DAY, old="the second"))
    store.declare_live(deployment("m1", live_at=week(1).start))
    store.declare_live(deployment("m2", live_at=week(2).start))
    reports = [report_of(store, store.run("support", week(number).start)) for number in range(3)]
    assert ["the second" in one for one in reports] == [True, True, False]
    assert not any("the first" in one for one in reports)
    assert ["m1, live since" in one for one in reports] == [False, True, False]
    assert ["m2, live since" in one for one in reports] == [False, False, True]


def test_pages_name_the_model(tmp_path, store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, calm(claim))
    store.declare_live(deployment("desk <b>2</b>"))
    terms = {"support": MonitorTerms("nobody", 1.0, 50)}
    client = TestClient(application(store, terms), raise_server_exceptions=False)
    assert "desk &lt;b&gt;2&lt;/b&gt;" in client.get("/").text
    page = client.get("/monitors/support").text
    assert "desk &lt;b&gt;2&lt;/b&gt;" in page
    assert "live since 2026-01-06" in page
