"""Ranking strategies against the plain loops of their formulas."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from pools import CENTRES, KNOWN, NOBODY, a_pool, a_reference, calm, labelled, mixed, of_intents, rng, with_column
from worlds import START, dataset, unit

from monitor.selection import Answers, NotApplicable, ranking
from monitor.selection.disagreement import EnsembleStrategy, SecondModelStrategy, vote_entropy
from monitor.selection.helper_model import HelperModelStrategy, chance_of_case
from monitor.selection.nearest import KnnScoreStrategy, SimilarStrategy, likeness
from monitor.selection.ranking import best_first, cosines_to, named, nearest
from monitor.selection.sequence import Around, SequenceStrategy, in_blocks, in_time, inconsistency
from monitor.selection.stratified import StratifiedStrategy, in_shares
from monitor.selection.uncertainty import EntropyStrategy, MarginStrategy, entropy, least_confidence, margin


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(ranking, "_PAIRS", 100)


def objects(values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def test_uncertainties_are_the_plain_formulas():
    chances = rng().dirichlet(np.full(4, 0.3), 30)
    chances[0], chances[1] = [0, 1, 0, 0], [0.25] * 4
    for i, row in enumerate(chances):
        ranked = sorted(row, reverse=True)
        assert margin(chances)[i] == pytest.approx(1 - (ranked[0] - ranked[1]))
        assert least_confidence(chances)[i] == pytest.approx(1 - ranked[0])
        plain = -sum(p * math.log(p) for p in row if p > 0) / math.log(4)
        assert entropy(chances)[i] == pytest.approx(plain, abs=1e-12)
    assert entropy(chances)[1] == pytest.approx(1)
    for score in (margin, least_confidence, entropy):
        assert score(np.ones((3, 1))).tolist() == [0, 0, 0]
        assert score(np.ones((3, 0))).tolist() == [0, 0, 0]


def test_uncertainty_goes_by_the_records_own_chances():
    chances = [{"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.5, "b": 0.45, "c": 0.05}, {"a": 0.9, "b": 0.1, "c": 0.0}]
    window = with_column(dataset(CENTRES[:3]), "probabilities", [list(one.items()) for one in chances])
    pool = a_pool(window)
    assert MarginStrategy().pick(pool, 3, NOBODY, rng()) == [1, 0, 2]
    assert EntropyStrategy().pick(pool, 3, NOBODY, rng()) == [0, 1, 2]


def test_ties_go_to_the_lower_position():
    assert best_first(np.array([1.0, 2, 1, 2, 0]), np.array([0, 1, 2, 3]), 3) == [1, 3, 0]
    assert best_first(np.ones(3), np.arange(3), -1) == []


@pytest.mark.parametrize("anchors", [0, 1, 5, 40])
def test_cosines_are_those_of_the_plain_loop(anchors):
    rows, others = calm(30, 4).vectors, calm(anchors, 5).vectors
    found, cosine = nearest(rows, others)
    for i, row in enumerate(rows.astype(float)):
        ranked = sorted(((float(row @ other), -j) for j, other in enumerate(others)), reverse=True)
        assert cosine[i] == pytest.approx(ranked[0][0] if ranked else -1, abs=1e-6)
        assert found[i] == (-ranked[0][1] if ranked else -1)
        third = ranked[min(3, len(ranked)) - 1][0] if ranked else -1
        assert cosines_to(rows, others, 3)[i] == pytest.approx(third, abs=1e-6)


def test_the_distance_score_ranks_by_the_kth_training_record():
    pool = a_pool(mixed())
    picks = KnnScoreStrategy(neighbours=4).pick(pool, 9, NOBODY, rng())
    fourth = [sorted(1 - pool.train.vectors.astype(float) @ v)[3] for v in pool.vectors]
    assert picks == sorted(pool.rows.tolist(), key=lambda row: -fourth[row])[:9]


def test_likeness_is_the_plain_highest_and_mean():
    rows, examples = calm(20, 4).vectors, calm(7, 5).vectors
    for i, row in enumerate(rows.astype(float)):
        cosines = [float(row @ example) for example in examples]
        assert likeness(rows, examples)[i] == pytest.approx(max(cosines), abs=1e-6)
        assert likeness(rows, examples, "mean")[i] == pytest.approx(sum(cosines) / 7, abs=1e-6)


def test_examples_are_found_wherever_they_are():
    answers = Answers(of_intents([8] * 3, 31, "a"))
    pool = a_pool(mixed(), a_reference(), answers)
    vectors, here = named(pool, ["t00002", "p00001", "n00004", "a00000", "nowhere"])
    assert len(vectors) == 4
    assert [pool.window.ids[row] for row in here] == ["n00004"]
    by_id = dict(zip(pool.train.ids, pool.train.vectors, strict=True))
    assert any((by_id["t00002"] == vector).all() for vector in vectors)


@pytest.mark.parametrize("by", ["highest", "mean"])
def test_more_like_these_are_like_these(by):
    pool = a_pool(mixed())
    picks = SimilarStrategy(["n00000", "n00001"], by).pick(pool, 10, NOBODY, rng())
    ids = [pool.window.ids[row] for row in picks]
    assert all(record.startswith("n") for record in ids)
    assert not {"n00000", "n00001"} & set(ids)
    with pytest.raises(NotApplicable, match="none of the 1 examples is a record"):
        SimilarStrategy(["nowhere"]).pick(pool, 10, NOBODY, rng())


def test_shares_are_kept_from_the_first_draw_on():
    strata = np.array([0] * 60 + [1] * 30 + [2] * 4)
    drawn = strata[in_shares(strata, np.array([4.0, 2, 1]), 35, rng())]
    for count in (7, 14, 21, 28):
        assert np.abs(np.bincount(drawn[:count], minlength=3) - np.array([4, 2, 1]) * count / 7).max() <= 1
    assert np.bincount(strata[in_shares(strata, np.ones(3), 60, rng())]).tolist() == [28, 28, 4]
    everyone = in_shares(strata, np.ones(3), 500, rng())
    assert sorted(everyone) == list(range(94))
    assert in_shares(strata[:0], np.ones(0), 5, rng()) == []


def test_every_record_of_a_stratum_has_its_turn():
    random, strata = rng(), np.array([0] * 5 + [1] * 5)
    counts = np.bincount([row for _ in range(400) for row in in_shares(strata, np.ones(2), 3, random)], minlength=10)
    assert ((counts > 75) & (counts < 165)).all()  # 120 expected, standard deviation 9.2


def test_strata_are_classes_segments_or_nearest_labels():
    country = ["DE"] * 90 + ["FR"] * 6 + [None] * 14
    window = mixed()
    window = dataset(window.vectors, list(window.column("predicted")), ids=window.ids, segments={"country": country})
    pool = a_pool(window)

    def drawn(values, **options):
        rows = StratifiedStrategy(**options).pick(pool, 12, NOBODY, rng())
        return [values[row] for row in rows]

    values = list(pool.window.column("segment.country"))
    equal, proportional = drawn(values, by="country"), drawn(values, by="segment.country", shares="proportional")
    assert [equal.count(name) for name in ("DE", "FR", None)] == [4, 4, 4]
    assert proportional.count("DE") >= 9
    predicted = drawn(list(pool.window.column("predicted")), by="predicted")
    assert {predicted.count(f"intent {i}") for i in range(KNOWN)} == {2}
    truth = pool.vectors @ pool.train.vectors.T
    labels = pool.train.column("label")[truth.argmax(axis=1)]
    by_label = drawn(list(labels), by="nearest_label")
    assert {by_label.count(label) for label in set(labels)} == {2}
    with pytest.raises(NotApplicable, match="no segment team; they have country"):
        StratifiedStrategy("team").pick(pool, 5, NOBODY, rng())


def with_teachers(**columns):
    window = calm(len(next(iter(columns.values()))), 6)
    return a_pool(dataset(window.vectors, ["a"] * len(window), segments=columns))


def test_a_second_model_that_differs_is_ranked_by_need():
    pool = with_teachers(teacher=["a", "b", None, "c", "b", "a"])
    picks = SecondModelStrategy("teacher").pick(pool, 9, NOBODY, rng())
    assert picks == sorted([1, 3, 4], key=lambda row: (-pool.need[row], row))
    with pytest.raises(NotApplicable, match="no segment other with another model's label; they have teacher"):
        SecondModelStrategy("other").pick(pool, 9, NOBODY, rng())
    with pytest.raises(NotApplicable, match="no record of this window has a label in segment teacher"):
        SecondModelStrategy("teacher").pick(with_teachers(teacher=[None, None]), 9, NOBODY, rng())
    with pytest.raises(NotApplicable, match="no record of this window has a predicted class"):
        SecondModelStrategy("m").pick(a_pool(dataset(CENTRES[:2], segments={"m": ["a", "b"]})), 9, NOBODY, rng())


def test_vote_entropy_is_the_plain_formula():
    votes = [objects(list("aaaab")), objects(["a", "b", "b", None, None]), objects(["a", "a", "c", None, "c"])]
    third = math.log(3)
    plain = [
        0,
        -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / third,
        1,
        0,
        math.log(2) / third,
    ]
    np.testing.assert_allclose(vote_entropy(votes), plain, atol=1e-12)
    assert len(vote_entropy([])) == 0


def test_an_ensemble_is_asked_where_it_is_most_divided():
    pool = with_teachers(one=["a", "b", "b", None], two=["a", "a", "c", "a"])
    assert EnsembleStrategy(["one", "two"]).pick(pool, 9, NOBODY, rng()) == [2, 1]


def naive_inconsistency(labels, around):
    n = len(labels)
    flips, score = [0] * n, [0.0] * n
    for i in range(n):
        before, after = around.before[i], around.after[i]
        if before >= 0 and after >= 0 and labels[before] == labels[after] != labels[i]:
            for row in (before, i, after):
                flips[row] += 1
    for i in range(n):
        others = [b if a == i else a for a, b in around.pairs if i in (a, b)]
        if flips[i]:
            score[i] = flips[i] + sum(labels[j] != labels[i] for j in others) / len(others)
    return score


@pytest.mark.parametrize("seed", range(4))
def test_inconsistency_is_the_plain_loop(seed):
    random = rng(100 + seed)
    labels = objects([str(i) for i in random.integers(0, 3, 40)])
    blocks = [None if i == 3 else f"b{i}" for i in random.integers(0, 5, 40)]
    order = random.permutation(40)[:35]
    for around in (in_blocks(blocks, order, 3), in_time(calm(40, seed).vectors, order, 10, 0.5)):
        found = inconsistency(labels, around)
        assert found.tolist() == pytest.approx(naive_inconsistency(labels, around))
        assert (found > 0).any()


def test_neighbours_are_those_of_the_plain_loop():
    vectors, order = calm(30, 8).vectors, rng(2).permutation(30)[:25]
    blocks = [f"b{i % 4}" if i % 7 else None for i in range(30)]
    close = vectors.astype(float) @ vectors.T > 0.5
    cases = [
        (in_blocks(blocks, order, 2), lambda i, j: blocks[i] is not None and blocks[i] == blocks[j], 2, True),
        (in_time(vectors, order, 6, 0.5), lambda i, j: close[i, j], 6, False),
    ]
    for found, near, reach, within in cases:
        pairs, before, after = set(), [-1] * 30, [-1] * 30
        for a, i in enumerate(order):
            later = (
                [j for j in order[a + 1 :] if near(i, j)][:reach]
                if within
                else [j for j in order[a + 1 : a + 1 + reach] if near(i, j)]
            )
            pairs |= {(int(i), int(j)) for j in later}
            if later:
                after[i] = later[0]
            earlier = order[:a][::-1] if within else order[max(0, a - reach) : a][::-1]
            before[i] = next((int(j) for j in earlier if near(i, j)), -1)
        assert {(int(a), int(b)) for a, b in found.pairs} == pairs
        assert len(found.pairs) == len(pairs) > 0
        assert found.before.tolist() == before
        assert found.after.tolist() == after


def test_one_flip_in_a_session_comes_first():
    predicted = list("aabaa") + list("aabbb") + list("ccc")
    window = dataset(unit(rng().normal(size=(13, 32))), predicted)
    window = with_column(window, "block", ["x"] * 5 + ["y"] * 5 + [None] * 3)
    picks = SequenceStrategy().pick(a_pool(window), 9, NOBODY, rng())
    assert picks[0] == 2
    assert set(picks) == {1, 2, 3}


def test_without_sessions_like_records_near_in_time_should_agree():
    vectors = unit(CENTRES[[0, 0, 1, 0, 0]] + rng().normal(scale=0.09, size=(5, 32)))
    window = dataset(vectors, ["a", "a", "z", "b", "a"])
    times = [START + timedelta(minutes=i) for i in (3, 2, 4, 1, 0)]  # in time: a, b, a, a, and the stranger z last
    pool = a_pool(with_column(window, "observed_at", times))
    picks = SequenceStrategy(similar=0.5).pick(pool, 9, NOBODY, rng())
    assert picks[0] == 3
    assert set(picks) == {1, 3, 4}
    undated = a_pool(with_column(window, "observed_at", [None] * 5))
    with pytest.raises(NotApplicable, match="both a predicted class and a time"):
        SequenceStrategy().pick(undated, 9, NOBODY, rng())


def test_nobody_near_is_consistent():
    alone = np.full(3, -1)
    assert inconsistency(objects(list("abc")), Around(alone, alone, np.zeros((0, 2), dtype=int))).tolist() == [0, 0, 0]


def test_a_helper_model_finds_more_of_the_case():
    case, rest = of_intents([8] * 5, 41).vectors, calm(60, 42).vectors
    found = chance_of_case(np.concatenate([of_intents([8] * 20, 43).vectors, calm(20, 44).vectors]), case, rest)
    assert found[:20].min() > found[20:].max()
    assert ((found >= 0) & (found <= 1)).all()
    assert found[:20].mean() > 0.5 > found[20:].mean()


def test_a_helper_model_hunts_a_class_or_examples():
    answers = Answers(labelled(of_intents([8] * 4, 31, "a")))
    pool = a_pool(mixed(), a_reference(), answers)
    for options in ({"label": "intent 8"}, {"examples": ["n00000", "a00001", "n00007"]}):
        picks = HelperModelStrategy(**options).pick(pool, 12, NOBODY, rng())
        ids = [pool.window.ids[row] for row in picks]
        assert all(record.startswith("n") for record in ids)
        assert not set(options.get("examples", ())) & set(ids)
    with pytest.raises(NotApplicable, match="0 examples of the case and 244 of the rest"):
        HelperModelStrategy(label="intent 99").pick(pool, 5, NOBODY, rng())


@pytest.mark.parametrize(
    ("strategy", "options", "said"),
    [
        (KnnScoreStrategy, {"neighbours": 0}, "neighbours is 0; give a whole number above 0"),
        (SimilarStrategy, {"examples": []}, "examples is empty; give the id"),
        (SimilarStrategy, {"examples": ["a"], "by": "x"}, "by is 'x'; give highest or mean"),
        (StratifiedStrategy, {"shares": "x"}, "shares is 'x'; give equal or proportional"),
        (EnsembleStrategy, {"columns": []}, "columns is empty; name the segments"),
        (SequenceStrategy, {"reach": 0}, "reach is 0; give a whole number above 0"),
        (SequenceStrategy, {"similar": 2.0}, "similar is 2.0; give a cosine"),
        (HelperModelStrategy, {}, "give either label or examples"),
        (HelperModelStrategy, {"label": "a", "examples": ["b"]}, "give either label or examples"),
    ],
)
def test_wrong_options_are_refused(strategy, options, said):
    with pytest.raises(ValueError, match=said):
        strategy(**options)
