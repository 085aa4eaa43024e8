"""Every advice's words, and when the writing rather than the topics has changed."""

import math
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
from worlds import around, dataset, intents, names

from monitor.selection.advice import Findings, advise
from monitor.selection.flips import predicted_rate, rate_interval
from monitor.selection.gain_curve import GainCurve
from monitor.selection.garbling import Garbling, foreign_share, garbling, remaining_drift, topical, words
from monitor.selection.verdict import Verdict
from monitor.values import Estimate

CALM = Garbling(more=0.0, sure=0.1, clean=1.0, left=0.3)
NOISE = Garbling(more=0.17, sure=20.0, clean=0.5, left=0.4)
CURVE = GainCurve(80, (0, 16, 32, 64), (0, 0.1, 0.15, 0.2), Estimate(0.2, 0.12, 0.28), Estimate(0.03, 0.01, 0.06), 50)
FLAT = replace(CURVE, so_far=Estimate(0.004, -0.02, 0.03))
WORSE = replace(CURVE, so_far=Estimate(-0.02, -0.05, 0.004))


def verdict(right, flips):
    return Verdict(
        right + 50,
        right,
        flips,
        3,
        rate_interval(flips, right),
        predicted_rate(flips, right, right),
        right,
        1.0,
        (),
        {},
        {},
    )


START = Findings(budget=0.01, right=800, new=0.31, garbling=CALM)
AFTER = replace(START, curve=CURVE, plain=verdict(800, 9), guarded=verdict(800, 2), bonus=0.5)


def said(findings):
    return [(advice.name, advice.sentence) for advice in advise(findings)]


def test_before_labels_new_traffic_is_worth_them():
    assert said(START) == [
        (
            "refresh",
            (
                "Label these records and refresh: 31 % of the window's records lie where traffic is new; with 30 useful labels its gain "
                "can be foretold."
            ),
        )
    ]
    assert said(replace(START, garbling=None)) == said(START)


def test_after_labels_gain_and_flips_are_said():
    refresh, more = said(AFTER)
    assert refresh == (
        "refresh",
        (
            "Refresh with an incumbent bonus of 0.5: accuracy on the new traffic changes by +20.0 points (+12.0 to +28.0), and 0.25 % of "
            "what the model has right would turn wrong, between 0 % and 1 % on 800 other records."
        ),
    )
    assert more == (
        "more_labels",
        (
            "The next 50 labels would add about +3.0 points (+1.0 to +6.0) of accuracy on the new traffic, by the course of the 80 in "
            "hand."
        ),
    )
    assert said(replace(AFTER, curve=None)) == [
        ("refresh", "Label these records and refresh: 31 % of the window's records lie where traffic is new.")
    ]
    assert "bonus" not in said(replace(AFTER, guarded=None, plain=verdict(800, 0)))[0][1]


def test_noise_is_not_to_be_labelled():
    ((name, sentence),) = said(replace(START, garbling=NOISE))
    assert name == "fix_the_input"
    assert sentence == (
        "Do not refresh; fix the input. Words that the reference does not know make up 17 percentage points more of each text, they "
        "name no topic, and texts without such words look as they always did. Look for typing errors, broken encoding or another "
        "language upstream: labels do not help against these."
    )
    taught = said(replace(AFTER, garbling=NOISE))
    assert taught[0][1].endswith(
        "upstream: labels teach the model to live with them, +20.0 points (+12.0 to +28.0) on such traffic, and have to be unlearnt when "
        "the input is mended."
    )
    assert said(replace(AFTER, garbling=NOISE, curve=FLAT))[0][1] == sentence
    assert said(replace(AFTER, garbling=NOISE, unseen=0.19))[0] == taught[0]
    assert said(replace(AFTER, garbling=NOISE, unseen=0.2)) == said(AFTER)
    assert said(replace(AFTER, garbling=NOISE, unseen=0.2, curve=FLAT))[0][0] == "fix_the_input"
    everywhere = said(replace(START, garbling=replace(NOISE, clean=0.1, left=math.nan)))[0][1]
    assert "almost every text is affected, so nothing else can be seen before that is mended" in everywhere


@pytest.mark.parametrize(
    ("writing", "explains"),
    [
        (NOISE, True),
        (CALM, False),
        (replace(NOISE, left=5.0), False),
        (replace(NOISE, left=4.9), True),  # less than a quarter of what the foreign words are
        (replace(NOISE, left=3.0, sure=8.0), False),
        (replace(NOISE, left=2.9, sure=8.0), True),
        (replace(NOISE, left=9.9, clean=0.2), True),
        (replace(NOISE, left=10.0, clean=0.2), False),  # few are clean, and yet half as sure
        (replace(NOISE, left=math.nan), True),
        (replace(NOISE, sure=3.9), False),
        (replace(NOISE, more=0.02), False),
    ],
)
def test_noise_explains_a_drift_only_when_clean_texts_have_none(writing, explains):
    assert writing.explains is explains
    assert (said(replace(START, garbling=writing))[0][0] == "fix_the_input") is explains


def test_calm_traffic_has_nothing_to_label():
    assert said(replace(START, new=0.05)) == [
        (
            "nothing_to_label",
            (
                "There is nothing to label: 5 % of the records lie where traffic is new, and calm traffic has 5 % by luck. The traffic has "
                "moved as a whole or moved back; if it is as it should be, make this window the new reference baseline."
            ),
        )
    ]


def test_traffic_that_differs_in_little_is_not_calm():
    assert said(replace(START, new=0.05, garbling=replace(CALM, left=3.5)))[0][0] == "refresh"
    assert said(replace(START, new=0.07))[0][0] == "refresh"
    assert said(replace(START, new=0.0, garbling=None))[0][0] == "nothing_to_label"


def test_labels_that_gain_less_than_they_break_do_not_pay():
    found = said(replace(AFTER, curve=WORSE, guarded=None))
    assert found[0] == (
        "does_not_pay",
        (
            "Do not refresh with these labels: learning from them changes accuracy on the new traffic by -2.0 points (-5.0 to +0.4), less "
            "than the 1.1 % of protected records that would turn wrong. The input or the embedding is the problem rather than the "
            "training set."
        ),
    )
    assert [name for name, _ in found] == ["does_not_pay", "over_budget", "more_labels"]


def test_what_the_gate_lets_through_is_what_labels_cost():
    assert said(replace(AFTER, curve=WORSE))[0][0] == "refresh"
    assert said(replace(AFTER, curve=WORSE, guarded=verdict(800, 4)))[0][0] == "does_not_pay"


def test_a_gain_that_may_yet_come_is_not_refused_but_said_to_be_unseen():
    name, sentence = said(replace(AFTER, curve=FLAT, guarded=verdict(800, 3)))[0]
    assert name == "refresh"
    assert sentence.endswith("on 800 other records; the labels in hand do not show yet that it gains.")
    assert "do not show yet" not in said(AFTER)[0][1]


def test_a_refresh_over_the_budget_is_not_served():
    over = replace(AFTER, guarded=verdict(800, 12))
    assert said(over)[0] == (
        "over_budget",
        (
            "Do not serve this refresh with an incumbent bonus of 0.5: 12 of 800 protected records that the model has right would turn "
            "wrong, up to 2.3 % with 95 % certainty, over the budget of 1 %. Have the riskiest labels checked by another person, or allow "
            "more."
        ),
    )
    assert "even with the largest incumbent bonus" in said(replace(over, bonus=None))[0][1]
    assert "without the incumbent bonus: 9 of 800" in said(replace(AFTER, guarded=None))[0][1]


def test_nothing_is_promised_from_too_few_protected_records():
    few = replace(AFTER, right=150, plain=verdict(150, 1), guarded=verdict(150, 1))
    found = said(few)
    assert [name for name, _ in found] == ["refresh", "too_few_protected", "more_labels"]
    assert found[1][1] == (
        "There are too few protected samples to promise a budget of 1 % negative flips: it takes 499 kept for the verdict that the "
        "model has right, and there are 150. Add labelled records to the protected set; half of them go to the verdict."
    )
    assert said(replace(START, right=0))[1][0] == "too_few_protected"


CENTRES = intents(8, 24, 5)
COMMON = ["how", "do", "i", "get", "my", "own", "please", "can", "you", "tell", "me", "what", "is", "the"]


def written(which, seed, prefix, spoil=lambda word, rng: word):
    """Texts of common words and two of the topic's own, near the topic's direction."""
    rng = np.random.default_rng(seed)
    texts = []
    for topic in which:
        chosen = [*rng.choice(COMMON, 7), *rng.choice([f"topic{'abcdefgh'[topic]}{c}" for c in "vwxyz"], 2)]
        texts.append(" ".join(spoil(word, rng) for word in rng.permutation(chosen)))
    data = dataset(around(CENTRES, which, rng, 0.8), labels=names(which), prefix=prefix)
    where = data.records.schema.get_field_index("text")
    return replace(data, records=data.records.set_column(where, "text", pa.array(texts, pa.string())))


def typo(word, rng):
    return "".join(rng.permutation([*word, *rng.choice([*"qkzj"], 2)])) if rng.random() < 0.06 else word


TRAIN, PROTECTED = written([i % 5 for i in range(300)], 1, "t"), written([i % 5 for i in range(200)], 2, "p")
OLD_TOPICS, NEW_TOPICS = [i % 5 for i in range(250)], [i % 8 for i in range(250)]


@pytest.mark.parametrize(
    ("window", "explains", "grown"),
    [
        (written(OLD_TOPICS, 3, "w"), False, False),
        (written(NEW_TOPICS, 3, "w"), False, False),
        (written(OLD_TOPICS, 3, "w", typo), True, True),
        (written(NEW_TOPICS, 3, "w", typo), False, True),
        (written(OLD_TOPICS, 3, "w", lambda word, rng: f"{word}ung"), True, True),
        (written(OLD_TOPICS, 3, "w", lambda word, rng: "\ufffd".join(word)), True, True),
    ],
    ids=["calm", "new topics", "typos", "typos and new topics", "another language", "broken signs"],
)
def test_typos_are_told_from_new_topics(window, explains, grown):
    found = garbling((TRAIN, PROTECTED), window, np.random.default_rng(0))
    assert found.explains is explains
    assert (found.more > 0.05) is grown
    order = np.random.default_rng(1).permutation(len(window))
    first = garbling((TRAIN.take(np.sort(order[:200])), PROTECTED), window, np.random.default_rng(0))
    again = garbling((TRAIN.take(order[:200]), PROTECTED), window.take(order), np.random.default_rng(0))
    np.testing.assert_equal(asdict(again), asdict(first))


def test_too_few_texts_tell_nothing():
    rng = np.random.default_rng(0)
    assert garbling((TRAIN, PROTECTED), written(OLD_TOPICS[:49], 3, "w"), rng) is None
    assert garbling((TRAIN.take([]), PROTECTED.take([])), written(OLD_TOPICS, 3, "w"), rng) is None
    window = written(OLD_TOPICS, 3, "w")
    where = window.records.schema.get_field_index("text")
    silent = replace(window, records=window.records.set_column(where, "text", pa.nulls(250, pa.string())))
    assert garbling((TRAIN, PROTECTED), silent, rng) is None
    unlabelled = [
        replace(part, records=part.records.set_column(6, "label", pa.nulls(len(part), pa.string())))
        for part in (TRAIN, PROTECTED)
    ]
    assert not garbling(unlabelled, written(NEW_TOPICS, 3, "w"), rng).explains


def test_words_are_what_stands_between_spaces():
    assert words(["Where's my CARD, no. 4711?", "  ", "«A&nbsp;B»"]) == [
        ["where's", "my", "card", "no", "0"],
        [],
        ["«a&nbsp;b»"],
    ]


def test_a_topic_is_named_by_words_whose_texts_are_alike():
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2, 3]]
    holding, known = {"loan": [0, 1, 2], "lol": [0, 3, 4], "twice": [0, 1]}, np.zeros(6)
    assert topical(holding, known, vectors, 1.0) == {"loan"}
    assert topical(holding, known + 0.5, vectors, 1.0) == set()


def test_foreign_words_are_counted_by_text():
    texts, vectors = [["a", "b", "zz", "yy"], ["a"], [], ["a", "b"]], np.eye(4, dtype=np.float32)
    known = Counter({"a": 3, "b": 1})
    assert foreign_share(texts, vectors, known, 1.0).tolist() == [0.5, 0.0, 1.0, 0.0]
    assert foreign_share(texts, vectors, known, 1.0, own=1).tolist() == [0.75, 0.0, 1.0, 0.5]


def test_what_is_left_of_the_drift_is_near_standard_normal_when_nothing_is():
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        reference, window = (around(CENTRES, rng.integers(0, 5, n), rng, 0.8) for n in (300, 150))
        found.append(remaining_drift(reference, rng.integers(3, 18, 300), window, rng.integers(3, 18, 150), rng))
    assert abs(np.mean(found)) < 0.6
    assert 0.5 < np.std(found) < 1.5
    shifted = around(CENTRES, np.random.default_rng(0).integers(3, 8, 150), np.random.default_rng(1), 0.8)
    assert remaining_drift(reference, np.full(300, 5), shifted, np.full(150, 5), np.random.default_rng(0)) > 5
    assert remaining_drift(reference, np.full(300, 5), shifted, np.full(150, 50), np.random.default_rng(0)) > 5
