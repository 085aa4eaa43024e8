"""Sums over tiles against the kernel matrix they never store."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import unit

from monitor.detectors import tiles
from monitor.detectors.mmd import mmd2_unbiased
from monitor.detectors.permutation import labellings
from monitor.detectors.tiles import exponents, permuted_forms, quadratic_forms, tile_powers, unbiased_mmd2


def rows(n, d=6, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


def plain_kernel(x, gamma):
    exact = x.astype(np.float64)
    norms = np.square(exact).sum(axis=1)
    return np.exp(-gamma * (norms[:, None] + norms[None] - 2 * exact @ exact.T))


def plain_forms(kernel, labels):
    kernel = kernel.copy()
    np.fill_diagonal(kernel, 0.0)
    s = labels.astype(np.float64)
    return np.array([c @ kernel @ c for c in s.T]), np.array([c @ kernel.sum(axis=1) for c in s.T]), kernel.sum()


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 40), d=st.integers(1, 5), gamma=st.floats(0.1, 4), seed=st.integers(0, 2**32 - 1))
def test_forms_are_those_of_the_whole_matrix_across_strips_and_panels(n, d, gamma, seed):
    rng = np.random.default_rng(seed)
    x = unit(rng.normal(size=(n, d + 1)))
    labels = (rng.random((n, 7)) < 0.5).astype(np.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_STRIP", 4)
        patch.setattr(tiles, "_WIDTH", 8)
        got = permuted_forms(x, labels, gamma, (0, 2), (0.3, 0.1))
    for k, (power, constant) in enumerate([(1, 0.3), (4, 0.1)]):
        within, touching, total = plain_forms(plain_kernel(x, gamma) ** power - constant, labels)
        np.testing.assert_allclose(got.within[k], within, atol=1e-3)
        np.testing.assert_allclose(got.touching[k], touching, atol=1e-3)
        assert got.total[k] == pytest.approx(total, abs=2e-3)


def test_permuted_statistics_keep_their_digits():
    x = rows(2_300, 32)
    labels = labellings(300, 2_300, 40, np.random.default_rng(0)).astype(np.int8)
    gamma, constant = 0.5, 0.37
    got = permuted_forms(x, labels, gamma, constants=(constant,))
    value = unbiased_mmd2(got.within[0], got.touching[0], float(got.total[0]), 2_300, 300.0)
    assert value[0] == pytest.approx(mmd2_unbiased(x[labels[:, 0] == 1], x[labels[:, 0] == 0], gamma), abs=1e-6)
    within, touching, total = plain_forms(plain_kernel(x, gamma), labels)
    exact = unbiased_mmd2(within, touching, total, 2_300, 300.0)
    assert np.abs(value - exact).max() < 1e-3 * exact.std()


def test_whole_number_sums_do_not_depend_on_threads_or_on_the_shape_of_tiles(monkeypatch):
    import torch  # noqa: PLC0415

    x = rows(1_300, 16)
    labels = labellings(600, 1_300, 30, np.random.default_rng(0)).astype(np.int8)

    def sums():
        found = permuted_forms(x, labels, 0.5, (0, 2), (0.4, 0.05), int8=True)
        unit_of = np.array([0.6, 0.95])[:, None] / 127.0
        return np.rint(found.within / unit_of), np.rint(found.touching / unit_of)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sums()
        torch.set_num_threads(4)
        four = sums()
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(one, four)
    floats = permuted_forms(x, labels, 0.5, (0, 2), (0.4, 0.05))
    for k in range(2):
        a, b = (
            unbiased_mmd2(f.within[k], f.touching[k], float(f.total[k]), 1_300, 600.0)
            for f in (floats, permuted_forms(x, labels, 0.5, (0, 2), (0.4, 0.05), int8=True))
        )
        assert np.corrcoef(a, b)[0, 1] > 0.98


def test_whole_number_statistics_belong_to_the_labelling_and_not_to_the_order_of_rows():
    # This is all that exactness asks of a kernel: a labelling and its rows have one value wherever they stand.
    x = rows(8, 3)
    every = np.array([[i >> b & 1 for i in range(256) if i.bit_count() == 4] for b in range(8)], dtype=np.int8)
    f = permuted_forms(x, every, 1.0, constants=(0.4,), int8=True)
    value = unbiased_mmd2(f.within[0], f.touching[0], float(f.total[0]), 8, 4.0)
    mirrored = permuted_forms(x, 1 - every, 1.0, constants=(0.4,), int8=True)
    other = unbiased_mmd2(mirrored.within[0], mirrored.touching[0], float(mirrored.total[0]), 8, 4.0)
    np.testing.assert_allclose(value, other, atol=1e-12)
    shuffled = np.random.default_rng(0).permutation(8)
    moved = permuted_forms(x[shuffled], every[shuffled], 1.0, constants=(0.4,), int8=True)
    np.testing.assert_allclose(
        unbiased_mmd2(moved.within[0], moved.touching[0], float(moved.total[0]), 8, 4.0), value, atol=1e-2
    )


def test_powers_by_squaring():
    x = rows(9, 4)
    left, right = exponents(x, 0.7)
    one, two, eight = tile_powers(left, right, (0, 1, 3), (0.0, 0.2, 0.1))
    kernel = plain_kernel(x, 0.7)
    np.testing.assert_allclose(one, kernel, atol=1e-6)
    np.testing.assert_allclose(two, kernel**2 - 0.2, atol=1e-6)
    np.testing.assert_allclose(eight, kernel**8 - 0.1, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_quadratic_forms_use_the_upper_half(n, seed):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n, n))
    matrix = (half + half.T).astype(np.float32)
    labels = (rng.random((n, 5)) < 0.4).astype(np.float32)
    want = np.einsum("ij,ik,jk->k", matrix.astype(np.float64), labels, labels)
    np.testing.assert_allclose(quadratic_forms(matrix, labels), want, atol=1e-2, rtol=1e-4)


def test_equal_rows_give_no_difference():
    x = np.tile(rows(1, 5), (50, 1))
    labels = labellings(20, 50, 9, np.random.default_rng(0)).astype(np.int8)
    for int8 in (False, True):
        f = permuted_forms(x, labels, 1.0, constants=(1.0,), int8=int8)
        np.testing.assert_allclose(
            unbiased_mmd2(f.within[0], f.touching[0], float(f.total[0]), 50, 20.0), 0.0, atol=1e-6
        )
