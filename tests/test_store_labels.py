"""Labels, references and accepted gaps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from run_examples import LEASE, START, WEEK, candidate, export, finished, week

from monitor.errors import StoreError
from monitor.store import LabelImport, ReferenceVersion
from monitor.values import Baseline

LATER = START + WEEK


def proposed(store, number, *candidates, monitor="support"):
    claim = store.claim(monitor, week(number), "a", START, LEASE)
    run = finished(claim, candidates=candidates)
    store.save(claim, run, exports={"files": export(run)})
    return run


def test_labels_are_counted_and_kept_with_their_candidates(store):
    proposed(store, 0, candidate(1), candidate(2), candidate(3))
    first = store.import_labels("support", {"r1": "refund", "r2": "parcel", "x9": "spam"}, by="ana", now=LATER)
    assert first == LabelImport(new=2, changed=0, unchanged=0, unknown=1, unknown_ids=("x9",))
    again = store.import_labels("support", {"r1": "refund", "r2": "delivery", "r3": "refund"}, by="ben", now=LATER)
    assert again == LabelImport(new=1, changed=1, unchanged=1, unknown=0, unknown_ids=())
    assert [c.label for c in store.run("support", START).candidates] == ["refund", "delivery", "refund"]
    assert store.import_labels("support", {}, by="ben", now=LATER) == LabelImport(0, 0, 0, 0, ())


def test_labelled_candidates_are_those_with_a_label_each_record_once(store):
    proposed(store, 0, candidate(1, record_id="b"), candidate(2, record_id="a"), candidate(3, record_id="c"))
    proposed(store, 1, candidate(1, record_id="b", text="the same record, found again"))
    proposed(store, 0, candidate(1, record_id="a"), monitor="other")
    assert store.labelled_candidates("support") == []
    done = store.import_labels("support", {"a": "refund", "b": "parcel"}, by="ana", now=LATER)
    assert (done.new, done.unknown) == (2, 0)
    assert [(c.record_id, c.label) for c in store.labelled_candidates("support")] == [("a", "refund"), ("b", "parcel")]
    assert store.labelled_candidates("other") == []
    assert [c.label for c in store.run("support", LATER).candidates] == ["parcel"]


def test_only_labels_newer_than_a_reference_are_asked_for(store):
    proposed(store, 0, candidate(1), candidate(2))
    store.import_labels("support", {"r1": "refund"}, by="ana", now=LATER)
    store.import_labels("support", {"r1": "refund", "r2": "parcel"}, by="ana", now=LATER + WEEK)
    assert [c.record_id for c in store.labelled_candidates("support", since=LATER)] == ["r2"]
    assert len(store.labelled_candidates("support", since=LATER - WEEK)) == 2


def test_an_export_that_waits_takes_the_labels_along(store):
    proposed(store, 0, candidate(1), candidate(2))
    store.import_labels("support", {"r1": "refund"}, by="ana", now=LATER)
    (due,) = store.due_exports(LATER)
    assert [c.label for c in due.wish.candidates] == ["refund", None]


def test_ids_and_labels_a_database_cannot_hold_still_meet(store):
    proposed(store, 0, candidate(1, record_id="a\0b"), candidate(2, record_id="💶"))
    done = store.import_labels("support", {"a\0b": "x\0y", "💶": "zwölf"}, by="ana", now=LATER)
    assert (done.new, done.unknown) == (2, 0)
    assert {c.label for c in store.labelled_candidates("support")} == {"x\ufffdy", "zwölf"}


def test_more_labels_than_one_statement_takes(store):
    proposed(store, 0, *(candidate(n) for n in range(1, 1_202)))
    labels = {f"r{n}": "refund" for n in range(1, 1_302)}
    done = store.import_labels("support", labels, by="ana", now=LATER)
    assert (done.new, done.unknown) == (1_201, 100)
    assert store.import_labels("support", labels, by="ana", now=LATER).unchanged == 1_201


def entry(version, *, monitor="support", active=False):
    return ReferenceVersion(
        monitor, version, f"print-{version}", f"file:///ref/{version}", START + version * WEEK, active
    )


def register(store, one):
    store.register_reference(one.monitor, one.version, one.fingerprint, one.uri, one.created_at)


def test_one_version_is_in_use_per_monitor(store):
    for one in (entry(2), entry(1), entry(1, monitor="sales")):
        register(store, one)
    assert store.references("support") == [entry(1), entry(2)]
    assert store.active_reference("support") is None
    store.use_reference("support", 1)
    store.use_reference("sales", 1)
    store.use_reference("support", 2)
    assert store.references("support") == [entry(1), entry(2, active=True)]
    assert (store.active_reference("support"), store.active_reference("sales")) == (2, 1)
    assert store.active_reference("nobody") is None


def test_registering_again_changes_nothing_and_other_content_is_refused(store):
    register(store, entry(1))
    store.use_reference("support", 1)
    register(store, entry(1))
    assert store.references("support") == [entry(1, active=True)]
    with pytest.raises(StoreError) as caught:
        register(store, replace(entry(1), fingerprint="print-x"))
    assert str(caught.value) == (
        "reference version 1 of support has the fingerprint print-1, not print-x; build a new version instead"
    )


def test_an_unknown_version_is_refused_and_the_old_one_stays(store):
    with pytest.raises(
        StoreError, match=r"^support has no reference version 1; it has none: drift-monitor reference build"
    ):
        store.use_reference("support", 1)
    register(store, entry(1))
    store.use_reference("support", 1)
    with pytest.raises(StoreError, match=r"^support has no reference version 2; it has 1: "):
        store.use_reference("support", 2)
    assert store.active_reference("support") == 1


def gap(number=0, until=None, **changes):
    made = Baseline("support", week(number).start, "ana", "new product «X»", LATER, until, {"mmd embeddings ": 0.125})
    return replace(made, **changes)


def test_accepted_gaps_hold_from_their_window_until_they_run_out(store):
    forever, short = gap(0), gap(1, until=START + 3 * WEEK, accepted_at=LATER + WEEK)
    for one in (forever, short, gap(monitor="other")):
        store.accept_baseline(one)
    assert store.baselines("support", at=START) == []
    assert store.baselines("support", at=START + WEEK) == [forever]
    assert store.baselines("support", at=START + 2 * WEEK) == [forever, short]
    assert store.baselines("support", at=START + 3 * WEEK) == [forever]


def test_a_gap_without_a_time_zone_is_refused(store):
    with pytest.raises(ValueError, match="has no time zone"):
        store.accept_baseline(gap(until=datetime(2026, 1, 5)))  # noqa: DTZ001 - the point of this test
    assert store.baselines("support", at=datetime(2100, 1, 1, tzinfo=UTC)) == []


def test_the_overview_tells_all_about_every_monitor(store):
    assert store.overview() == []
    store.register_monitor("waiting", settings="s0", period=timedelta(hours=1), now=START)
    run = proposed(store, 0, candidate(1), candidate(2))
    store.claim("support", week(1), "a", START, LEASE)
    store.claim("support", week(1), "b", START + LEASE, LEASE)
    store.import_labels("support", {"r1": "refund"}, by="ana", now=LATER)
    register(store, entry(3))
    store.use_reference("support", 3)
    (due,) = store.due_exports(LATER)
    store.not_sent(due, "disk full", LATER)
    support, waiting = store.overview()
    assert (waiting.monitor, waiting.settings, waiting.period) == ("waiting", "s0", timedelta(hours=1))
    assert (waiting.latest, waiting.watermark, waiting.runs, waiting.reference) == (None, None, {}, None)
    assert support.latest == replace(run, candidates=(), measurements=())
    assert store.measured([run.id]) == {run.id: list(run.measurements)}
    assert support.verdict == run.decision
    assert support.last_success == run.finished_at
    assert support.same_since == run.window.end
    assert support.waiting == {("export", "files"): run.finished_at}
    assert (support.failing_since, support.open_tickets) == (None, {})
    assert (support.settings, support.period, support.first_seen) == (run.settings, WEEK, START)
    assert (support.watermark, support.running) == (LATER, 1)
    assert support.runs == {"done": 1, "failed": 0, "abandoned": 1}
    assert (support.candidates, support.labelled) == (2, 1)
    assert (support.tickets, support.exports) == ({}, {("files", "pending"): 1})
    assert support.failures == {("export", "files"): 1}
    assert support.reference == entry(3, active=True)
