"""Verifications, models and random records with labels, as the store gives them back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from run_examples import LEASE, SECOND, START, WEEK, calm, candidate, deployment, finished, verification, week

from monitor.errors import StoreError
from monitor.metrics import StoreCollector
from monitor.outcomes import outcome_of, production_accuracy
from monitor.store import Store
from monitor.values import Checked, MonitorTerms, State

DAY = timedelta(days=1)


def test_a_verification_comes_back_as_it_was(store):
    first, second = verification(), verification(id="b", made_at=START + WEEK, dataset_version=2, windows=())
    for one in (first, second, first):
        store.save_verification(one)
    assert store.verification(first.id) == first
    assert list(store.verifications("support")) == [second, first]
    assert list(store.verifications("support", limit=1)) == [second]
    (bare,) = store.verifications("support", limit=1, with_flips=False)
    assert bare == replace(second, sets=tuple(replace(one, flips=()) for one in second.sets))
    assert (store.verification("none"), list(store.verifications("sales"))) == (None, [])
    store.register_monitor("support", settings="s", period=WEEK, now=START)
    (seen,) = store.overview()
    assert seen.verification == replace(second, sets=tuple(replace(one, flips=()) for one in second.sets))


def test_one_person_can_be_taken_out_of_the_flips(store):
    """Each flip is a row of its own with the record's id, so that a purge finds it."""
    store.save_verification(verification())
    with store._database.write() as connection:
        connection.execute(sa.text("DELETE FROM flips WHERE monitor = 'support' AND record_id = 'p1'"))
    kept = store.verification("support-1")
    assert [flip.record_id for one in kept.sets for flip in one.flips] == ["p2", "r1"]
    assert kept.of("protected").overall.negative == 2


def test_models_stand_in_the_order_they_went_live(store):
    old, new = deployment("v1"), deployment("v2", live_at=START + WEEK, verification=None)
    store.declare_live(new)
    store.declare_live(old)
    assert list(store.deployments("support")) == [new, old]
    again = replace(old, declared_by="bob")
    store.declare_live(again)
    assert list(store.deployments("support")) == [new, again]
    with pytest.raises(StoreError, match=r"v1 went live at 2026-01-06T00:00:00\+00:00 already"):
        store.declare_live(deployment("v3"))
    assert list(store.deployments("sales")) == []
    store.register_monitor("support", settings="s", period=WEEK, now=START)
    (seen,) = store.overview()
    assert (seen.deployment, seen.deployments) == (new, 2)


def played(store):
    """A drifted week with three candidates, two of them drawn at random, and a calm one after the model went live."""
    claim = store.claim("support", week(0), "a", START, LEASE)
    some = tuple(
        candidate(n, strategy=strategy, predicted=said)
        for n, strategy, said in (
            (1, "random", "refund"),
            (2, "random", "refund"),
            (3, "herding", "refund"),
            (4, "random", None),
        )
    )
    store.save(claim, finished(claim, candidates=some))
    claim = store.claim("support", week(1), "a", START + WEEK, LEASE)
    store.save(claim, calm(claim))


def test_records_drawn_at_random_that_have_a_label(store):
    played(store)
    assert list(store.checked("support")) == []
    store.import_labels("support", {"r1": "refund", "r3": "refund", "r4": "refund"}, by="ana", now=START + WEEK)
    (one,) = store.checked("support")
    assert one == Checked(week(0), 10_000_000_000, "r1", "refund", "refund", candidate(1).observed_at)
    assert list(store.checked("support", since=week(1).start)) == []
    store.import_labels("support", {"r2": "lamp"}, by="ana", now=START + WEEK + DAY)
    assert [store.labels_given("support", *span) for span in (
        (None, START), (None, START + WEEK), (START + WEEK, START + 2 * WEEK), (None, START + 2 * WEEK),
    )] == [0, 3, 1, 4]  # fmt: skip
    accuracy, number = production_accuracy(store, "support")
    assert (accuracy.value, number) == (0.5, 2)
    assert production_accuracy(store, "support", {"lamp"})[0].value == 1.0


def test_states_of_a_stretch_of_windows(store):
    played(store)
    assert list(store.states("support", START, START + 2 * WEEK)) == [
        (week(0), State.DRIFTED),
        (week(1), State.STABLE),
    ]
    assert list(store.states("support", START + SECOND, START + 2 * WEEK)) == [(week(1), State.STABLE)]
    assert list(store.states("support", START, week(1).start)) == [(week(0), State.DRIFTED)]


def test_an_outcome_out_of_the_store(store):
    played(store)
    store.save_verification(verification())
    store.import_labels("support", {"r1": "refund", "r2": "lamp"}, by="ana", now=START + 2 * DAY)
    store.declare_live(deployment("v1", live_at=START + 3 * DAY))
    found = outcome_of(store, store.deployments("support")[0])
    assert (found.alarm_since, found.recovered_at) == (week(0).end, week(1).end)
    assert (found.windows, found.state, found.labels) == (1, State.STABLE, 2)
    assert (found.before.value, found.since, found.checked_before) == (0.5, None, 2)
    assert found.verification == verification()


def test_metrics_follow_every_label_and_every_model(store, database_url):
    """A collector that remembers shows what a new one does."""
    played(store)
    old = StoreCollector(
        store, terms={"support": MonitorTerms("nobody", 1.0, 50, junk=frozenset({"spam"}))}, clock=lambda: START
    )

    def shown(collector):
        wanted = ("production", "refresh_", "model_")
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in collector.collect()
            for sample in family.samples
            if sample.name.removeprefix("drift_monitor_").startswith(wanted)
        }

    assert shown(old) == {}
    steps = [
        lambda: store.import_labels("support", {"r1": "refund", "r2": "refund"}, by="ana", now=START + DAY),
        lambda: store.import_labels("support", {"r2": "lamp"}, by="ana", now=START + DAY + SECOND),
        lambda: store.import_labels("support", {"r2": "spam"}, by="ana", now=START + DAY + 2 * SECOND),
        lambda: store.declare_live(deployment("v2", live_at=START + 4 * DAY)),
        lambda: store.declare_live(deployment("v1", live_at=START + 2 * DAY)),
        lambda: store.declare_live(deployment("v3", live_at=START + 5 * DAY)),
    ]
    seen = []
    for step in steps:
        step()
        seen.append(shown(old))
        with Store.open(database_url) as other:
            assert seen[-1] == shown(StoreCollector(other, terms=old._terms, clock=lambda: START))
    value = ("drift_monitor_production_accuracy_ratio", "support", "value")
    assert [one.get(value) for one in seen] == [1.0, 0.5, 1.0, None, None, None]
    labels = ("drift_monitor_refresh_labels", "support")
    assert [one.get(labels) for one in seen] == [None, None, None, 2, 0, 0]
    assert ("drift_monitor_model_info", "support", "v3") in seen[-1]
    assert seen[3]["drift_monitor_refresh_recovery_seconds", "support"] == WEEK.total_seconds()
