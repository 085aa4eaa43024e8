"""The head on embeddings, what records say of their own chances, and the pool beyond what is compared exactly."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pools import a_pool, a_reference, calm, labelled, mixed, of_intents, rng, with_column
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from worlds import around, dataset, intents

from monitor.selection import Answers, pool_of
from monitor.selection import drift_mass as dm
from monitor.selection import pool as pools_room
from monitor.selection.heads import fit_head, temperature
from monitor.selection.pool import given_chances

CENTRES = intents(5, 16, seed=2)


def some(rows, classes, seed=0, spread=1.2):
    which = rng(seed).integers(0, classes, rows)
    return around(CENTRES, which, rng(seed + 1), spread), np.array([f"c{i}" for i in which], dtype=object)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_is_logistic_regression(classes):
    vectors, labels = some(200, classes)
    weights = rng(3).uniform(0.5, 2, 200)
    head = fit_head(vectors, labels, weights)
    model = LogisticRegression(C=10.0, max_iter=2_000, tol=1e-8).fit(vectors, labels.astype(str), sample_weight=weights)
    chances = np.exp(head.log_chances(vectors))
    np.testing.assert_allclose(chances, model.predict_proba(vectors), atol=2e-2)
    assert (head.predict(vectors) == model.predict(vectors)).mean() > 0.99
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)


def test_an_earlier_head_only_saves_time():
    vectors, labels = some(300, 5)
    old = labels != "c4"
    start = fit_head(vectors[old], labels[old])
    warm, cold = fit_head(vectors, labels, start=start), fit_head(vectors, labels)
    assert warm.classes == cold.classes
    np.testing.assert_allclose(np.exp(warm.log_chances(vectors)), np.exp(cold.log_chances(vectors)), atol=2e-2)


@pytest.mark.parametrize("labels", [[], ["a", "a"]])
def test_fewer_than_two_classes_are_refused(labels):
    with pytest.raises(
        ValueError, match=f"a classifier needs labels of two classes; there are .* among {len(labels)} rows"
    ):
        fit_head(np.zeros((len(labels), 3), np.float32), np.array(labels, dtype=object))


def test_the_temperature_is_the_best_of_a_fine_grid():
    vectors, labels = some(400, 4)
    head = fit_head(vectors[:60], labels[:60])
    held, truth = vectors[60:], labels[60:]
    places = np.array([head.classes.index(label) for label in truth])

    def loss(value):
        return -log_softmax(head.logits(held) / value, axis=1)[np.arange(len(truth)), places].mean()

    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 800))
    assert temperature(head, held, truth) == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.02)
    assert temperature(head, held[:5], np.array(["unseen"] * 5, dtype=object)) == 1.0


def with_chances(data, maps):
    kind = pa.map_(pa.string(), pa.float64())
    assert data.records.schema.field("probabilities").type == kind
    return with_column(data, "probabilities", maps)


def test_given_chances_are_scaled_and_wanted_of_every_record():
    two = dataset(np.eye(2))
    given = with_chances(two, [[("b", 3.0), ("a", 1.0)], [("a", 0.5)]])
    np.testing.assert_allclose(given_chances(given), [[0.25, 0.75], [1.0, 0.0]])
    assert given_chances(two) is None
    assert given_chances(with_chances(two, [[("a", 1.0)], None])) is None
    assert given_chances(with_chances(two, [[("a", 1.0)], [("a", 0.0)]])) is None
    assert given_chances(with_chances(two, [[("a", 1.0)], [("a", float("nan"))]])) is None
    assert given_chances(two.take([])) is None


def test_doubt_is_the_models_own_until_labels_come_in():
    window = calm(30, 4)
    sure = with_chances(window, [[("intent 0", 0.9), ("intent 1", 0.1)]] * 30)
    np.testing.assert_allclose(a_pool(sure, a_reference()).doubt, 0.1)
    told = Answers(labelled(of_intents([8] * 10, 5, "a")))
    later = a_pool(sure, a_reference(), told)
    assert later.head.classes[-1] == "intent 8"
    assert not np.allclose(later.doubt, 0.1)
    bare = a_pool(with_column(window, "confidence", [0.25, None] * 15), a_reference(calm(40, 1, "t")))
    np.testing.assert_array_equal(bare.doubt, [0.75, np.nan] * 15)


def test_anchors_stand_for_many_rows(monkeypatch):
    window, ref = of_intents([0, 1, 2, 8] * 300, 3).vectors, calm(900, 1, "t").vectors
    exact = dm.drift_mass(window, np.ones(1_200), ref, np.ones(900), 0.1)
    monkeypatch.setattr(dm, "EXACT", 500)
    monkeypatch.setattr(dm, "ANCHORS", 450)
    near = dm.drift_mass(window, np.ones(1_200), ref, np.ones(900), 0.1, rng(1))
    assert np.corrcoef(exact.excess, near.excess)[0, 1] > 0.97
    assert near.typical == pytest.approx(exact.typical, rel=0.15)
    assert np.abs(near.far - exact.far).mean() < 0.1


def test_of_a_very_large_window_the_needed_stay_and_some_of_the_rest(monkeypatch):
    monkeypatch.setattr(dm, "EXACT", 100)
    monkeypatch.setattr(dm, "ANCHORS", 80)
    monkeypatch.setattr(pools_room, "EXACT", 60)
    monkeypatch.setattr(pools_room, "_SHORTLIST", 40)
    window = mixed()
    pool = pool_of(a_reference(), window, 0.97, 0.1)
    assert len(pool.window) == 60
    assert pool.window.weights.sum() == pytest.approx(len(window))
    assert pool.window.ids == sorted(pool.window.ids)
    new = [record for record in pool.window.ids if record.startswith("n")]
    assert len(new) >= 28, "30 records of the new topic are needed most"
