"""Random records of calm windows: a sample of production whose labels tell how the model does when nothing drifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pools import calm
from shop import FIRST, desk, open_shop, window
from test_refresh_verify import LEAN, truth_of

from monitor.outcomes import production_accuracy
from monitor.pipeline import run_window
from monitor.reporting import report_of
from monitor.selection.audit import audited
from monitor.selection.mixture import RANDOM
from monitor.values import State


def test_calm_windows_give_labels_without_tickets(tmp_path):
    """Drift or not, each window has its random records: the estimate is over all of them, and unbiased by what the ticket chose."""
    selection = {**LEAN["selection"], "audit": 12}
    _, store, monitor = open_shop(
        tmp_path, days=(0, 60, 0), **{**LEAN, "selection": selection, "exports": [], "tickets": []}
    )
    with store:
        runs = [run_window(monitor, window(n), desk(store)) for n in (0, 1)]
        assert [run.decision.state for run in runs] == [State.STABLE, State.DRIFTED]
        quiet, drifted = runs
        assert [one.strategy for one in quiet.candidates] == [RANDOM] * 12
        assert quiet.refresh is None
        assert len({one.record_id for one in quiet.candidates}) == 12
        assert all(one.text and one.predicted and one.observed_at for one in quiet.candidates)
        assert store.run("shop", window(0).start).candidates == quiet.candidates
        assert "Drawn at random, to know how well the model does" in report_of(store, quiet)
        store.import_labels(
            "shop", {one.record_id: truth_of(one) for run in runs for one in run.candidates}, by="ana", now=FIRST
        )
        told = store.checked("shop")
        random = [one for one in drifted.candidates if one.strategy == RANDOM]
        assert [one.window for one in told] == [window(0)] * 12 + [window(1)] * len(random)
        accuracy, number = production_accuracy(store, "shop")
        assert number == 12 + len(random)
        right = sum(truth_of(one) == one.predicted for one in random) / len(random)
        assert accuracy.value == pytest.approx((120 * 1.0 + 180 * right) / 300)


def test_without_the_setting_calm_windows_propose_nothing(tmp_path):
    _, store, monitor = open_shop(tmp_path, days=(0,), **LEAN)
    with store:
        assert run_window(monitor, window(0), desk(store)).candidates == ()


def test_records_are_drawn_by_the_traffic_they_stand_for():
    heavy = replace(calm(6, 1), weights=np.array([1.0, 1.0, 2.0, 4.0, 8.0, 4.0]))
    counts = np.zeros(len(heavy))
    places = {record: row for row, record in enumerate(heavy.ids)}
    for seed in range(2_000):
        (one,) = audited(heavy, 1, np.random.default_rng(seed))
        counts[places[one.record_id]] += 1
    expected = 2_000 * heavy.weights / heavy.weights.sum()
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
    assert len(audited(heavy, 99, np.random.default_rng(0))) == len(heavy)
    assert [one.rank for one in audited(heavy, 3, np.random.default_rng(0))] == [1, 2, 3]
