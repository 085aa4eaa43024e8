"""Redaction: every kind is masked and counted, ordinary words are not, and what was masked before still is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_examples import candidate

from monitor.redaction import KINDS, Redactor, redacted, texts_as
from monitor.settings.privacy import PrivacySettings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from redaction_texts import NEGATIVES, labelled

BEFORE = (
    re.compile(r"(?i)\b(?:https?://|www\.)\S+"),
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    re.compile(r"(?<!\w)\+?\d[\d ()/.-]{6,}\d"),
    re.compile(r"(?<![\w-])(?=[\w-]*\d{3})[\w-]+"),
)
TEXTS = [one for one in labelled() if one[1]]


@pytest.mark.parametrize(("text", "kind", "value"), TEXTS, ids=[f"{kind} {n}" for n, (_, kind, _) in enumerate(TEXTS)])
def test_nothing_of_a_value_is_left_and_it_is_counted_under_its_kind(text, kind, value):
    shown, counts = Redactor().redact(text)
    assert f"[{kind}]" in shown
    assert counts[kind] >= 1
    for piece in re.findall(r"\w{3,}", value):
        around = text.replace(value, " ")
        assert piece in around or piece not in shown.replace(f"[{kind}]", " ")


@pytest.mark.parametrize("text", NEGATIVES)
def test_ordinary_sentences_lose_no_more_than_numbers(text):
    _, counts = Redactor().redact(text)
    assert set(counts) <= {"number"}
    assert Redactor(tuple(kind for kind in KINDS if kind != "number")).redact(text) == (text, {})


@pytest.mark.parametrize("number", ["4111 1111 1111 1112", "1234567890123456"])
def test_a_number_without_right_check_digits_is_no_card_but_masked_all_the_same(number):
    assert Redactor().redact(f"pay {number} now") == ("pay [number] now", {"number": 1})
    assert Redactor(("card",)).redact(f"pay {number} now") == (f"pay {number} now", {})


def test_an_iban_with_a_wrong_digit_is_none():
    assert Redactor(("iban",)).redact("DE89 3704 0044 0532 0130 01")[1] == {}
    assert Redactor(("iban",)).redact("DE89 3704 0044 0532 0130 00")[1] == {"iban": 1}


def test_what_is_no_address_is_none():
    assert Redactor(("ip",)).redact("at 12:30:45, build 999.1.1.1, ratio 1:2:3, a::b::c")[1] == {}


def test_a_key_that_is_cut_off_is_masked_to_the_end():
    assert redacted("key:\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nabc") == "key: [key]"


@given(st.text(st.characters(codec="utf-8"), max_size=200) | st.from_regex(r"(\w|[-@.+:/ ()\d]){0,80}"))
@settings(max_examples=400, deadline=None)
def test_whatever_was_masked_before_is_masked_still(text):
    shown, _ = Redactor().redact(text)
    for mask in KINDS:
        shown = shown.replace(f"[{mask}]", "\x01")
    assert not [one[0] for pattern in BEFORE for one in pattern.finditer(shown)]


def test_an_excerpt_ends_before_a_word_that_is_cut_in_two():
    # The address would be cut at character 640 and its first half shown.
    text = "https://example.org/" + "x" * 610 + " kim.lee.the.third@example.org and more"
    assert redacted(text) == "[link]"


def test_masks_of_an_excerpt_are_counted_where_they_are_shown():
    text = "a@example.org " + "word " * 60 + "b@example.org"
    shown, counts = Redactor().excerpt(text)
    assert shown.startswith("[email] word")
    assert shown.endswith(" …")
    assert counts == {"email": 1}


def test_patterns_of_the_user_go_first_under_their_own_name():
    mine = Redactor(patterns={"order": r"\bR-[0-9]{6}\b", "plate": r"(?i)\b[a-z]{2}-[a-z]{2}-\d+"})
    assert mine.redact("R-118842 of HH-AB-77, R-1") == ("[order] of [plate], R-1", {"order": 1, "plate": 1})


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ({"x": "(a"}, r"privacy.patterns|missing \)"),
        ({"x": "(?<=a)b"}, "knows no look-around"),
        ({"x": r"(a)\1"}, "knows no look-around and no back-references"),
        ({"x": "a*"}, "matches the empty text"),
        ({"Order 1": "a"}, "cannot name a mask"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused_with_the_settings(patterns, said):
    with pytest.raises(ValueError, match=said):
        PrivacySettings(patterns=patterns)


def test_no_pattern_takes_for_ever():
    # Backtracking would go on for ever; the time limit is far beyond what it takes.
    code = "from monitor.redaction import Redactor; print(Redactor((), patterns={'x': '(a+)+b|(.*a){25}c'}).redact('a' * 50_000)[1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "Counter()"


def test_no_text_takes_for_ever():
    # Each of these took from 2 to 25 s with patterns that try every beginning to the end.
    code = """
from monitor.redaction import Redactor
for piece in ("a@", "a.", "1 ", "1", ":", "ab:", "-----BEGIN PRIVATE KEY-----", "DE89", "A1a/", "-1", "(", "eyJ", "+1", "x@y.", "password is "):
    text = piece * (40_000 // len(piece)) + "@"
    Redactor().redact(text)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "done\n"


def test_candidates_go_whole_masked_or_without_texts():
    one = candidate(1, text="write to a@example.org, order 4711", cluster="order, 4711", vector=b"1234")
    none = candidate(2, text=None, cluster=None, vector=None)
    assert texts_as([one, none], "whole") == ((one, none), {})
    (masked, same), counts = texts_as([one, none], "redacted")
    assert (masked.text, masked.cluster, masked.vector) == ("write to [email], order [number]", "order, [number]", None)
    assert same == none
    assert counts == {"email": 1, "number": 1}
    (bare, same), counts = texts_as([one, none], "ids")
    assert (bare.record_id, bare.text, bare.cluster, bare.vector) == (one.record_id, None, None, None)
    assert counts == {"withheld": 1}
