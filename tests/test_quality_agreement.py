"""Agreement has its textbook values; conflicts go by who is usually right; what is not clear goes back."""

from __future__ import annotations

import pytest

from monitor.quality import agreement, annotators, settled
from monitor.values import Vote

# Krippendorff, "Computing Krippendorff's alpha-reliability", 2011: sections A, B and C.
BINARY = ("0100000010", "1110010000")
NOMINAL = ("aabbdcccedda", "babbbccceddd")
MISSING = ("123321412***", "1233224125*3", "*3332342251*", "12332441251*")


def votes_of(rows):
    return [
        Vote(f"r{i:02d}", f"coder {j}", label)
        for j, row in enumerate(rows)
        for i, label in enumerate(row)
        if label != "*"
    ]


@pytest.mark.parametrize(("rows", "alpha"), [(BINARY, 0.095), (NOMINAL, 0.692), (MISSING, 0.743)])
def test_alpha_is_what_krippendorff_computes(rows, alpha):
    assert agreement(votes_of(rows)).alpha == pytest.approx(alpha, abs=0.0006)


def test_records_of_one_annotator_say_nothing_of_agreement():
    found = agreement(votes_of(("abc",)))
    assert (found.alpha, found.records) == (None, 0)
    found = agreement(votes_of(MISSING))
    assert (found.records, found.agreed) == (11, 8)
    assert agreement(votes_of(("aaa", "aaa"))).alpha == 1.0


def test_gold_questions_measure_each_annotator():
    votes = votes_of(("aaaaaaaaaa", "aaaaabbbbb"))
    good, bad = annotators(votes, {f"r{i:02d}": "a" for i in range(10)})
    assert (good.right.value, bad.right.value, good.gold) == (1.0, 0.5, 10)
    assert good.right.high == 1.0
    assert 0.7 < good.right.low < 0.85
    assert bad.right.low < 0.25
    assert bad.right.high > 0.75
    assert good.peers == bad.peers == 0.5
    assert good.weight > 3 * bad.weight
    unknown = annotators(votes_of(("ab",)), {})[0]
    assert (unknown.right, unknown.peers) == (None, None)


def test_two_equal_annotators_tie_and_gold_breaks_the_tie():
    votes = votes_of(("aaaaaaaaaa", "aaaaabbbbb"))
    labels, ties = settled(votes, annotators(votes, {}))
    assert ties == tuple(f"r{i:02d}" for i in range(5, 10))
    assert set(labels.values()) == {"a"}
    labels, ties = settled(votes, annotators(votes, {f"r{i:02d}": "a" for i in range(10)}))
    assert ties == ()
    assert labels["r09"] == "a"


def test_the_majority_of_equals_wins():
    votes = votes_of(("aaab", "aaaa", "aaaa"))
    assert settled(votes, annotators(votes, {})) == ({f"r{i:02d}": "a" for i in range(4)}, ())


def test_who_contradicts_themself_said_nothing():
    votes = [
        Vote("r1", "x", "a"),
        Vote("r1", "x", "b"),
        Vote("r2", "x", "a"),
        Vote("r2", "x", "b"),
        Vote("r2", "y", "b"),
    ]
    labels, ties = settled(votes, annotators(votes, {}))
    assert labels == {"r2": "b"}
    assert ties == ("r1",)
    repeated = [Vote("r1", "x", "a"), Vote("r1", "x", "a")]
    assert settled(repeated, annotators(repeated, {})) == ({"r1": "a"}, ())
