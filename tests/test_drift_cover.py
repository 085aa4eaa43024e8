"""Drift cover: the greedy formula against plain loops, what it is worth before and after labels, where it stops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import NOBODY, a_pool, a_reference, calm, junk, labelled, mixed, of_intents, rng
from worlds import dataset

from monitor.selection import Answers
from monitor.selection.badge import junk_veto
from monitor.selection.drift_cover import DriftCoverStrategy, cover_again, cover_weights


def naive(near, weights, count, again):
    """The objective written out for every candidate, at every step."""
    picks = []
    while len(picks) < count:
        times = near[:, picks].sum(axis=1)

        def worth(column, times=times):
            return sum(w * again**t for w, t, z in zip(weights, times, near[:, column], strict=True) if z)

        gains = [-1.0 if column in picks else worth(column) for column in range(near.shape[1])]
        best = int(np.argmax(np.round(gains, 9)))
        if gains[best] <= 1e-12:
            break
        picks.append(best)
    return picks


@pytest.mark.parametrize("again", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_picks_are_those_of_the_plain_loop(again, seed):
    random = rng(seed)
    near, weights = random.random((30, 12)) < 0.3, random.integers(1, 50, 30).astype(float)
    assert cover_again(near, weights, 12, again) == naive(near, weights, 12, again)


@given(st.integers(0, 2**20), st.floats(0, 0.9))
def test_each_pick_adds_no_more_than_the_one_before(seed, again):
    random = rng(seed)
    near, weights = random.random((20, 8)) < 0.4, random.random(20)
    picks = cover_again(near, weights, 8, again)
    assert len(set(picks)) == len(picks)
    times, added = np.zeros(20), []
    for column in picks:
        added.append(float((weights * again**times * near[:, column]).sum()) if again or not picks.index(column) else
                     float((weights * (times == 0) * near[:, column]).sum()))  # fmt: skip
        times += near[:, column]
    assert all(a >= b - 1e-9 for a, b in pairwise(added))


def test_picks_end_when_little_is_left():
    near = np.eye(3, dtype=bool)
    assert cover_again(near, np.array([100.0, 3.0, 1.0]), 3, enough=2.0) == [0, 1]
    assert cover_again(near, np.zeros(3), 3) == []
    assert cover_again(near[:, :0], np.ones(3), 3) == []


def test_a_large_topic_gets_several_before_a_stray_one():
    near = np.zeros((12, 3), dtype=bool)
    near[:10, :2] = True
    near[10:11, 2] = True
    assert cover_again(near, np.ones(12), 3, again=0.2) == [0, 1, 2]
    assert cover_again(near, np.ones(12), 3, again=0.0) == [0, 2]


def test_before_labels_it_goes_where_need_is_and_company():
    pool = a_pool(mixed(), a_reference())
    picks = DriftCoverStrategy().pick(pool, 12, NOBODY, rng())
    kinds = [pool.window.ids[row][0] for row in picks]
    assert kinds.count("n") >= 0.8 * len(kinds)
    assert "j" not in kinds[:6]
    np.testing.assert_allclose(cover_weights(pool), pool.window.weights * pool.need * pool.mass.shrink)


def test_after_labels_doubt_and_the_veto_count():
    spoiled = dataset(junk(8, 9).vectors, ["intent 0"] * 8, ["junk"] * 8, prefix="a")
    pool = a_pool(mixed(), a_reference(), Answers(spoiled, frozenset({"junk"})))
    expected = pool.window.weights * pool.mass.shrink**1.5 * (0.05 + pool.mass.excess) * pool.doubt * junk_veto(pool)
    np.testing.assert_allclose(cover_weights(pool), expected)
    assert junk_veto(pool).min() < 0.05
    assert junk_veto(pool).max() > 0.9


def test_what_is_answered_or_taken_is_covered():
    reference, window = a_reference(), calm(40, 3).append(of_intents([8] * 30 + [9] * 30, 3, "n"))
    pool = a_pool(window, reference)
    first = DriftCoverStrategy(radius=0.6).pick(pool, 1, NOBODY, rng())[0]
    new = pool.vectors @ pool.vectors[first]
    second = DriftCoverStrategy(radius=0.6).pick(pool, 1, np.array([first]), rng())[0]
    assert new[second] < 0.4, "the other topic comes next"
    told = Answers(labelled(of_intents([8] * 20, 5, "a")), frozenset())
    later = a_pool(window, reference, told)
    chosen = DriftCoverStrategy(radius=0.6).pick(later, 5, NOBODY, rng())
    assert sum((later.vectors[row] @ told.data.vectors.T).max() > 0.6 for row in chosen) <= 2


@pytest.mark.parametrize(
    ("options", "said"), [({"radius": 0}, "radius is 0; give"), ({"again": 1.0}, "again is 1.0; give")]
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        DriftCoverStrategy(**options)
