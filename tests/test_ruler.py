"""The ruler: set aside for ever, and measuring in coordinates that few rows can carry."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import around, dataset, intents, unit

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.ruler import in_ruler, make_ruler

TOPICS = intents(12, 20)


def traffic(rows, rng):
    return around(TOPICS, rng.integers(0, 12, rows), rng, 0.6)


def test_a_quarter_is_set_aside_in_whole_blocks_whatever_the_order():
    rng = np.random.default_rng(0)
    data = dataset(traffic(2_000, rng))
    alone = in_ruler(data, blocks_of(data))
    assert alone.mean() == pytest.approx(0.25, abs=0.04)
    sessions = Blocks(np.arange(2_000) // 5, 400, "field")
    chosen = in_ruler(data, sessions)
    assert chosen.mean() == pytest.approx(0.25, abs=0.08)
    assert set(chosen.reshape(400, 5).sum(axis=1).tolist()) == {0, 5}
    order = rng.permutation(2_000)
    _, renumbered = np.unique(sessions.codes[order][::-1], return_inverse=True)
    assert (in_ruler(data.take(order), Blocks(renumbered[::-1], 400, "field")) == chosen[order]).all()
    half = in_ruler(data, blocks_of(data), share=0.5)
    assert half[alone].all()  # a larger ruler holds the smaller one


def test_whitened_traffic_has_about_unit_covariance():
    rng = np.random.default_rng(1)
    ruler = make_ruler(traffic(2_000, rng))
    fresh = ruler.whitened(traffic(4_000, rng))
    variances = np.linalg.eigvalsh(np.cov(fresh.T))
    assert variances.min() > 0.7
    assert variances.max() < 1.3
    assert np.abs(fresh.mean(axis=0)).max() < 0.15


@pytest.mark.parametrize("rows", [2, 15, 20, 21, 40])
def test_few_rows_keep_the_whitening_tame(rows):
    rng = np.random.default_rng(rows)
    ruler = make_ruler(traffic(rows, rng))
    fresh = ruler.whitened(traffic(2_000, rng))
    assert np.isfinite(fresh).all()
    assert np.linalg.eigvalsh(np.cov(fresh.T)).max() < 60


def test_dead_dimensions_are_dropped():
    rng = np.random.default_rng(2)
    rows = traffic(300, rng)
    rows[:, 3] = 0.1
    rows[:, 7] = 0.2 + rng.normal(scale=1e-9, size=300)
    ruler = make_ruler(rows)
    assert np.flatnonzero(~ruler.live).tolist() == [3, 7]
    assert ruler.whitened(rows).shape == (300, 18)
    moved = rows.copy()
    moved[:, 7] += 1e-4
    np.testing.assert_array_equal(ruler.whitened(moved), ruler.whitened(rows))


def test_duplicates_and_constant_rows():
    rng = np.random.default_rng(3)
    repeated = np.repeat(traffic(10, rng), 30, axis=0)
    assert np.isfinite(make_ruler(repeated).whitened(traffic(50, rng))).all()
    same = np.tile(unit(np.ones((1, 6))), (40, 1))
    ruler = make_ruler(same)
    assert ruler.live.all()
    assert np.isfinite(ruler.whitened(same)).all()
    assert ruler.novelty(same) == pytest.approx(np.full(40, -1.0), abs=1e-5)


def test_novelty_is_the_distance_to_the_five_nearest():
    rng = np.random.default_rng(4)
    rows = traffic(60, rng)
    ruler, fresh = make_ruler(rows), traffic(7, rng)
    want = [-np.sort(rows @ f)[-5:].mean() for f in fresh]
    assert ruler.novelty(fresh) == pytest.approx(want, abs=1e-5)
    strange = unit(rng.normal(size=(200, 20)))
    assert ruler.novelty(strange).mean() > ruler.novelty(fresh).mean()
    assert make_ruler(rows[:3]).novelty(fresh) == pytest.approx([-(rows[:3] @ f).mean() for f in fresh], abs=1e-5)
