"""Labellings kept as the units they choose: uniform, and the same sums as with matrices of labels."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.detectors import choices as module
from monitor.detectors.choices import Choices, choices, pair_forms
from monitor.detectors.pair_sums import PairSums
from monitor.detectors.permutation import labellings


def symmetric(k, n, rng):
    halves = rng.normal(size=(k, n, n))
    return list((halves + halves.transpose(0, 2, 1)).astype(np.float32))


@pytest.mark.parametrize(("n", "total"), [(1, 5), (2, 5), (3, 5), (3, 6), (5, 6)])
def test_every_choice_is_as_likely_as_any_other(n, total):
    drawn = choices(n, total, 20_000, np.random.default_rng(n))
    assert (np.diff(drawn, axis=0) > 0).all()
    assert drawn.min() == 0
    assert drawn.max() == total - 1
    _, counts = np.unique(drawn, axis=1, return_counts=True)
    assert len(counts) == comb(total, n)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_all_or_none_can_be_chosen():
    assert choices(4, 4, 3, np.random.default_rng(0)).tolist() == [[i] * 3 for i in range(4)]
    assert choices(0, 4, 3, np.random.default_rng(0)).shape == (0, 3)


@settings(max_examples=40, deadline=None)
@given(
    k=st.integers(1, 5),
    total=st.integers(2, 90),
    share=st.floats(0.0, 1.0),
    few=st.sampled_from([1e-9, 128, 1e9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pairs_read_one_by_one_and_matrix_products_give_the_plain_sums(k, total, share, few, seed):
    rng = np.random.default_rng(seed)
    matrices = symmetric(k, total, rng)
    labels = Choices(choices(int(share * total), total, 7, rng), total)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        found = pair_forms(matrices)(labels)
    for matrix, forms in zip(matrices, found, strict=True):
        want = [matrix[np.ix_(mine, mine)].sum(dtype=np.float64) for mine in labels.chosen.T]
        np.testing.assert_allclose(forms, want, atol=1e-2, rtol=1e-4)
    values = rng.normal(size=(2, total))
    np.testing.assert_allclose(labels.sums(values), values @ labels.dense(), atol=1e-4)


def test_a_matrix_of_labels_and_its_choices_are_one_another():
    for n, total in ((3, 10), (7, 10), (5, 10)):
        labels = labellings(n, total, 20, np.random.default_rng(0))
        kept = Choices.of(labels)
        assert len(kept.chosen) == min(n, total - n)
        np.testing.assert_array_equal(kept.dense(), labels)
        assert Choices.of(kept) is kept
    with pytest.raises(ValueError, match="1 to 2 units current"):
        Choices.of(np.array([[1, 1], [0, 1], [0, 0]], np.float32))


def test_either_side_may_be_the_chosen_one():
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 4, 12).astype(float)
    pairs = PairSums(symmetric(1, 12, rng)[0], rows, rows)
    mine = choices(5, 12, 9, rng)
    others = Choices(np.array([np.setdiff1d(np.arange(12), column) for column in mine.T]).T, 12, current=False)
    np.testing.assert_array_equal(others.dense(), Choices(mine, 12).dense())
    np.testing.assert_allclose(pairs.mmd2(others), pairs.mmd2(Choices(mine, 12)), atol=1e-5)


def test_equal_labellings_are_ties_to_the_last_bit():
    rng = np.random.default_rng(0)
    forms = pair_forms(symmetric(3, 400, rng))
    drawn = choices(20, 400, 50, rng)
    one, two = forms(Choices(drawn, 400)), forms(Choices(drawn[:, ::-1], 400))
    np.testing.assert_array_equal(one, two[:, ::-1])
