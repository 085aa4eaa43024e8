"""Exports on a schedule: each slot once, each run in it once, whoever asks and whatever fails."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_examples import LEASE, SECOND, START, candidate, export, failed, finished, source, week
from shop import DAY, FIRST, TOPICS, desk, open_shop, raw_settings, window
from test_exporter_files import read

from monitor.config import parse
from monitor.errors import ConfigError
from monitor.export_plan import ExportPlan
from monitor.pipeline import publish_pending, run_window
from monitor.settings import ExportTerms
from monitor.store import DeliveryStatus, Store
from monitor.wiring import plan_of

ENDED = START + timedelta(seconds=90, microseconds=5)
SLOT = datetime(2026, 2, 2, tzinfo=UTC)


def saved(store, number=0, **changes):
    """A run of that week with two candidates of its own."""
    claim = store.claim("support", week(number), "a", START, LEASE)
    mine = tuple(candidate(k, record_id=f"w{number}-{k}") for k in (1, 2))
    run = finished(claim, **{"candidates": mine, **changes})
    store.save(claim, run)
    return run


def asked(store, slot=SLOT, **more):
    return store.ask_export("support", "label", slot, slot, **more)


def written(store, at=SLOT):
    """What waits, marked as written."""
    found = store.due_exports(at)
    for due in found:
        store.sent(due, "somewhere", at)
    return [due.wish for due in found]


def test_a_slot_holds_what_no_earlier_one_had(store):
    old, new = saved(store, 0), saved(store, 1)
    assert asked(store) == 2
    (wish,) = written(store)
    assert (wish.key, wish.slot) == ("support|schedule|2026-02-02T00:00:00+00:00", SLOT)
    assert wish.candidates == (*new.candidates, *old.candidates), "newest window first"
    assert wish.runs == (source(new), source(old))
    assert (wish.run_id, wish.window) == (new.id, new.window)
    next_slot = SLOT + timedelta(days=7)
    assert asked(store, next_slot) == 0, "nothing new, nothing to write"
    late = saved(store, 2)
    assert asked(store, next_slot) == 1
    assert [one.candidates for one in written(store, next_slot)] == [late.candidates]


def test_a_slot_is_asked_for_once(store):
    saved(store)
    assert asked(store) == 1
    saved(store, 1)
    assert asked(store) == 0, "this slot is made; the run goes into the next"
    assert asked(store, everything=True) == 0
    assert not store.to_export("support", "label", SLOT, everything=True)
    assert len(store.exports()) == 1
    assert asked(store, SLOT + SECOND) == 1


def test_everything_is_everything_each_time(store):
    saved(store, 0)
    assert asked(store, everything=True) == 1
    saved(store, 1)
    assert asked(store, SLOT + SECOND, everything=True) == 2
    assert [len(one.candidates) for one in written(store, SLOT + SECOND)] == [2, 4]


def test_what_ended_after_the_slot_waits_for_the_next(store):
    saved(store)
    assert asked(store, ENDED - SECOND) == 0
    assert not store.to_export("support", "label", ENDED - SECOND)
    assert len(store.to_export("support", "label", ENDED)) == 1
    assert asked(store, ENDED) == 1


def test_runs_without_candidates_and_failed_ones_are_in_no_slot(store):
    saved(store, 0, candidates=())
    claim = store.claim("support", week(1), "a", START, LEASE)
    store.save(claim, failed(claim))
    claim = store.claim("other", week(1), "a", START, LEASE)
    store.save(claim, finished(claim))
    assert asked(store, everything=True) == 0


def test_each_destination_has_its_own_slots(store):
    saved(store)
    assert asked(store) == 1
    assert store.ask_export("support", "archive", SLOT, SLOT) == 1
    assert sorted(one.destination for one in store.exports()) == ["archive", "label"]


def test_a_record_of_two_runs_is_in_it_once_as_the_newest_has_it(store):
    saved(store, 0, candidates=(candidate(1), candidate(2)))
    new = saved(store, 1, candidates=(candidate(1, record_id="r2", reason="newer"),))
    asked(store)
    (wish,) = written(store)
    assert [one.record_id for one in wish.candidates] == ["r2", "r1"]
    assert wish.candidates[0].reason == "newer"
    assert [sorted(one.records) for one in wish.runs] == [["r2"], ["r1"]]
    assert wish.runs[0].run_id == new.id


def test_an_export_of_one_run_is_as_it_was(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    store.save(claim, run, exports={"label": export(run)})
    assert written(store, ENDED) == [export(run)]
    assert asked(store) == 1, "what went out with a ticket is in the schedule's exports as well"


def test_of_four_replicas_one_has_its_wish(store, database_url):
    saved(store)
    saved(store, 1)
    barrier = threading.Barrier(4)

    def ask(_):
        with Store.open(database_url) as replica:
            replica.check()
            barrier.wait(30)
            return asked(replica)

    with ThreadPoolExecutor(4) as replicas:
        assert sorted(replicas.map(ask, range(4))) == [0, 0, 0, 2]
    (wish,) = written(store)
    assert len(wish.candidates) == 4


def test_slots_are_whole_weeks_after_the_delay():
    plan = plan_of(ExportTerms(when="schedule", every="1w", delay="2h"))
    monday = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert plan.slot(monday) == monday
    assert plan.slot(monday - SECOND) == monday - timedelta(days=7)
    assert plan.slot(monday + timedelta(days=6, hours=23)) == monday
    assert plan_of(ExportTerms(when="both", every="1mo")).slot(monday) == datetime(2026, 3, 1, tzinfo=UTC)
    assert plan_of(ExportTerms()).slot(monday) is None
    assert plan_of(None) == ExportPlan()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"when": "schedule"}, "when: schedule needs every, for example every: 1w"),
        ({"every": "1w"}, "every, delay and what are for exports on a schedule; add when: schedule or when: both"),
        ({"what": "all"}, "every, delay and what are for exports on a schedule"),
        ({"when": "both", "every": "1d", "delay": "1d"}, "delay: 1 day, 0:00:00 is no shorter than a slot of 1d"),
        ({"when": "sometimes"}, "when: "),
        ({"when": "both", "every": "weekly"}, "every: wanted a number above 0"),
        ({"wen": "both"}, "wen: unknown key; files knows folder"),
    ],
)
def test_terms_that_do_not_fit_are_refused(tmp_path, terms, said):
    with pytest.raises(ConfigError) as caught:
        parse(raw_settings(tmp_path, exports=[{"kind": "files", **terms}]))
    assert said in str(caught.value)
    assert "monitors[0].exports[0]" in str(caught.value)


def test_two_destinations_in_one_folder_are_refused(tmp_path):
    twice = [{"kind": "files", "folder": "x", "name": name} for name in "ab"]
    with pytest.raises(ConfigError, match="exports: two go to one folder"):
        parse(raw_settings(tmp_path, exports=twice))


def test_terms_change_the_fingerprint_of_the_settings(tmp_path):
    found = [
        parse(raw_settings(tmp_path, exports=[{"kind": "files", **terms}])).monitors[0].fingerprint()
        for terms in ({}, {"note": "Ours."}, {"when": "both", "every": "1w"})
    ]
    assert len(set(found)) == 3


@pytest.fixture
def weekly(tmp_path):
    """A shop with two drifted days, whose candidates go out with tickets to one folder and weekly to another."""
    terms = {"when": "schedule", "every": "1w", "note": "Ours."}
    exports = [
        {"kind": "files", "folder": f"{tmp_path}/now", "formats": ["csv"]},
        {"kind": "files", "name": "label", "folder": f"{tmp_path}/weekly", "formats": ["label_studio"], **terms},
    ]
    _, store, monitor = open_shop(tmp_path, days=(0, 40, 40), exports=exports)
    with store:
        yield tmp_path, store, monitor


def run_days(store, monitor, *days):
    return [run_window(monitor, window(day), desk(store, at=window(day).end)) for day in days]


def test_the_service_exports_once_a_week_and_with_tickets(weekly):
    folder, store, monitor = weekly
    first, second = run_days(store, monitor, 1, 2)
    publish_pending({"shop": monitor}, desk(store, at=window(2).end))
    assert len(list((folder / "now").rglob("candidates.csv"))) == 2
    assert not (folder / "weekly").exists(), "no Monday has come"
    monday = FIRST + 7 * DAY
    for worker in ("a", "b"):
        publish_pending({"shop": monitor}, desk(store, at=monday + timedelta(hours=5), worker=worker))
    latest = json.loads((folder / "weekly" / "shop" / "schedule" / "latest.json").read_text())
    assert latest["export"] == "20260309T000000Z"
    manifest, inside = read(folder / "weekly" / "shop" / "schedule" / latest["export"])
    tasks = json.loads((inside / "label-studio" / "tasks.json").read_text())
    ids = [one.record_id for one in (*second.candidates, *first.candidates)]
    assert [task["data"]["record_id"] for task in tasks] == manifest["record_ids"] == ids
    assert (manifest["kind"], manifest["note"], manifest["rows"]) == ("schedule", "Ours.", len(ids))
    assert manifest["classes"] == [*sorted(TOPICS), "junk"]
    assert [(run["run_id"], run["rows"]) for run in manifest["runs"]] == [
        (second.id, len(second.candidates)),
        (first.id, len(first.candidates)),
    ]
    assert all(run["reference_fingerprint"] and run["embedder"] and run["settings"] for run in manifest["runs"])
    by_run = {task["data"]["export"] for task in tasks}
    assert by_run == {"shop|schedule|2026-03-09T00:00:00+00:00"}
    assert publish_pending({"shop": monitor}, desk(store, at=monday + 8 * DAY)) == 0, "nothing new, and latest stays"
    assert json.loads((folder / "weekly" / "shop" / "schedule" / "latest.json").read_text()) == latest


def test_a_slot_that_cannot_be_written_is_tried_again_and_loses_nothing(weekly):
    folder, store, monitor = weekly
    (run,) = run_days(store, monitor, 1)
    (folder / "weekly").write_text("in the way")
    monday = FIRST + 7 * DAY
    publish_pending({"shop": monitor}, desk(store, at=monday))
    (one,) = (export for export in store.exports() if export.destination == "label")
    assert one.status is DeliveryStatus.PARKED
    assert "Not a directory; make room, or correct the folder" in one.error
    (folder / "weekly").unlink()
    store.unpark()
    publish_pending({"shop": monitor}, desk(store, at=monday + DAY))
    manifest, _ = read(folder / "weekly" / "shop" / "schedule" / "20260309T000000Z")
    assert manifest["rows"] == len(run.candidates)


def test_a_process_killed_between_writing_and_marking_writes_the_same_again(weekly):
    folder, store, monitor = weekly
    run_days(store, monitor, 1)
    monday = FIRST + 7 * DAY

    marks = iter(["the export to now", "the one to weekly"])

    def killed(step):
        if step == "mark" and next(marks) == "the one to weekly":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_pending({"shop": replace(monitor, tickets={})}, desk(store, at=monday, step=killed))
    before = {path: path.read_bytes() for path in Path(folder, "weekly").rglob("*") if path.is_file()}
    assert len(before) == 4, "two files, a manifest and latest.json"
    publish_pending({"shop": monitor}, desk(store, at=monday + DAY))
    assert {path: path.read_bytes() for path in Path(folder, "weekly").rglob("*") if path.is_file()} == before
    assert {one.status for one in store.exports()} == {DeliveryStatus.SENT}
