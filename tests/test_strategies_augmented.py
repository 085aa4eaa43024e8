"""Edits that change no meaning, and records whose class they change."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import NOBODY, a_pool, calm, rng, with_column

from monitor.selection import NotApplicable
from monitor.selection.augment import EDITS, abbreviate, augmented, change_case, punctuate, respace, typo
from monitor.selection.augmented import AugmentedStrategy, instability, predictions

TEXT = "Could you please tell me what is on my account today?"


def made(edit, text=TEXT, times=400):
    random = rng()
    return {edit(text, random) for _ in range(times)}


def test_a_typo_is_one_slip_in_one_word():
    found = made(typo, "card")
    assert {"acrd", "crd", "ccard", "car", "cad"} - found <= {"car"}  # the last letter is never the one hit
    assert {"xard", "vard", "cqrd", "casrd"} & found >= {"cqrd"}
    assert all(3 <= len(text) <= 5 for text in found)
    assert made(typo, "is 42 a?") == {"is 42 a?"}
    assert all(text.startswith("42 + ") for text in made(typo, "42 + card"))


def test_case_is_small_large_or_the_first_letter():
    assert made(change_case, "Where is it") == {"where is it", "WHERE IS IT"} | {"where is it"}
    assert made(change_case, "where Is it") == {"where is it", "WHERE IS IT", "Where Is it"}


def test_punctuation_is_dropped_or_added_at_the_end():
    assert made(punctuate, "Don't, stop.") == {
        "Don't, stop",
        "Dont stop.",
        *("Don't, stop" + end for end in ("!", "...", "??", ".", "!!")),
    }
    assert "..." in made(punctuate, "...")


def test_spacing_keeps_every_letter():
    found = made(respace, "a b c")
    assert found == {"a  b c", "a b  c", "ab c", "a bc", " a b c", "a b c "}
    assert made(respace, "word") == {" word", "word "}


def test_abbreviations_are_whole_words_in_any_case():
    assert made(abbreviate) == {
        TEXT.replace("please", "pls"),
        TEXT.replace("you", "u"),
        TEXT.replace("what is", "what's"),
        TEXT.replace("account", "acct"),
        TEXT.replace("today", "2day"),
    }
    assert made(abbreviate, "PLEASE") == {"pls"}
    assert made(abbreviate, "stop youth") == {"stop youth"}


@given(st.lists(st.text(max_size=40), max_size=4), st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_any_text_can_be_edited_and_the_same_seed_edits_the_same(texts, seed, edits):
    found = augmented(texts, rng(seed), edits)
    assert found == augmented(texts, rng(seed), edits)
    assert len(found) == len(texts)
    assert edits or found == texts


def test_edits_are_small_and_of_the_kinds_asked_for():
    for copy in augmented([TEXT] * 200, rng(), 1, ["spacing"]):
        assert re.sub(" ", "", copy) == re.sub(" ", "", TEXT)
    copies = augmented([TEXT] * 200, rng(), 2)
    assert len(set(copies)) > 100
    assert sum(copy == TEXT for copy in copies) < 20
    with pytest.raises(ValueError, match="edits of kind paraphrase; give some of typo, case"):
        augmented([TEXT], rng(), 1, ["paraphrase"])
    with pytest.raises(ValueError, match="edits of kind none; give some of"):
        augmented([TEXT], rng(), 1, [])
    assert set(EDITS) == {"typo", "case", "punctuation", "spacing", "abbreviation"}


def shouting(texts):
    return ["loud" if text.isupper() else "calm" for text in texts]


def test_instability_is_the_plain_share_of_changed_copies():
    texts = ["tell me", "HELP ME NOW", "what is this", "12"]
    found = instability(texts, shouting(texts), shouting, rng(3), copies=6, edits=1)
    random = rng(3)
    changed = [0] * 4
    for _ in range(6):
        copies = augmented(texts, random, 1)
        changed = [c + (a != b) for c, a, b in zip(changed, shouting(copies), shouting(texts), strict=True)]
    np.testing.assert_allclose(found.score, np.array(changed) / 6)
    assert (found.failed, found.asked) == (0, 24)
    assert 0 < found.score.max() <= 1


def test_the_model_is_asked_for_classes_it_has_not_told():
    asked = []

    def predict(texts):
        asked.extend(texts)
        return shouting(texts)

    found = instability(["one more", "TWO MORE"], [None, "loud"], predict, rng(), copies=2)
    assert asked[0] == "one more"
    assert "TWO MORE" not in asked[:1]
    assert found.asked == len(asked) == 5


def test_a_text_that_breaks_the_model_is_counted_and_the_others_go_on():
    def brittle(texts):
        if any("9" in text for text in texts):
            raise RuntimeError("private " + texts[0])
        return shouting(texts)

    texts = [f"message {i}" for i in range(300)]
    found = predictions(texts, brittle)
    assert [name is None for name in found] == ["9" in text for text in texts]
    result = instability(texts[:20], [None] * 20, brittle, rng(), copies=1, kinds=["case"])
    assert result.failed == 4  # 9 and 19, themselves and their copies
    assert result.score[[9, 19]].tolist() == [0, 0]


def test_chances_are_taken_for_their_likeliest_class_and_nonsense_for_failure():
    answers = [{"b": 0.4, "a": 0.4, "c": 0.2}, {}, None, "x"]
    assert predictions(["1", "2", "3", "4"], lambda texts: [answers[int(t) - 1] for t in texts]).tolist() == [
        "a",
        None,
        None,
        "x",
    ]
    assert predictions(["1", "2"], lambda texts: ["too", "many", "classes"]).tolist() == [None, None]
    assert predictions(["1"], lambda texts: None).tolist() == [None]


def a_window():
    window = calm(12, 6)
    texts = [None, *[f"message number {i}" for i in range(5)], *["12345 67"] * 6]
    return with_column(with_column(window, "text", texts), "predicted", ["calm"] * 12)


def test_unstable_records_are_picked_and_the_model_never_sees_more_than_most():
    pool = a_pool(a_window())
    assert set(AugmentedStrategy(shouting, copies=60).pick(pool, 9, NOBODY, rng())) == {1, 2, 3, 4, 5}
    seen = []

    def predict(texts):
        seen.extend(texts)
        return shouting(texts)

    AugmentedStrategy(predict, copies=3, most=2).pick(pool, 9, NOBODY, rng())
    assert len(seen) == 6


def test_a_model_that_always_fails_and_records_without_text_are_said():
    def never(texts):
        raise KeyError(texts[0])

    pool = a_pool(a_window())
    with pytest.raises(NotApplicable, match="predict gave no class for any of 44 texts") as caught:
        AugmentedStrategy(never).pick(pool, 9, NOBODY, rng())
    assert "message" not in str(caught.value)
    assert caught.value.__cause__ is None
    bare = a_pool(with_column(calm(4, 6), "text", [None] * 4))
    with pytest.raises(NotApplicable, match="no record left in this window has a text to edit"):
        AugmentedStrategy(shouting).pick(bare, 9, NOBODY, rng())


@pytest.mark.parametrize("option", ["copies", "edits", "most"])
def test_wrong_numbers_are_refused(option):
    with pytest.raises(ValueError, match=f"{option} is 0; give a whole number above 0"):
        AugmentedStrategy(shouting, **{option: 0})
    with pytest.raises(ValueError, match="edits of kind x"):
        AugmentedStrategy(shouting, kinds=["x"])
