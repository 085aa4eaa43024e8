"""The demo's sixteen weeks, told to a live Prometheus with our rules and an Alertmanager: who is told what, and when it is over."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from live_prometheus import exposed, now_is
from story_server import alerting, mailbox, until

from monitor.metrics import StoreCollector
from monitor.metrics.exposition import Exposition
from monitor.store import Store
from monitor.values import MonitorTerms, State

MONITOR = "support-desk"
ERA = timedelta(days=10_000)
"""The story plays in the past: nothing of it is to look late."""
TERMS = {
    MONITOR: MonitorTerms(
        "support team", 1.0, 50, dict.fromkeys(("lag", "drift", "insufficient", "reference_age", "ticket_wait"), ERA)
    )
}
WEEK = timedelta(weeks=1)
DRIFTS = {"DriftMonitorSemanticDrift", "DriftMonitorClassBalanceDrift"}


@pytest.mark.model
def test_people_are_told_in_the_weeks_of_drift_and_left_alone_in_calm_ones(performance, tmp_path):
    with Store.open(f"sqlite:///{performance / 'drift-monitor.db'}") as played:
        runs = sorted(played.runs(MONITOR, limit=100), key=lambda run: run.window.start)
        references = {run.reference_version: run.reference_fingerprint for run in runs}
    told: dict[int, set[str]] = {}
    clock = [runs[0].window.end]
    with Store.open(f"sqlite:///{tmp_path / 'replay.db'}") as store, mailbox() as (door, box):
        store.upgrade()
        store.register_monitor(MONITOR, settings="s", period=WEEK, now=clock[0])
        exposition = Exposition(StoreCollector(store, terms=TERMS, clock=lambda: clock[0]))
        with exposed(lambda: exposition.answer("")[0]) as target, alerting(tmp_path / "servers", target, door) as url:
            for number, run in enumerate(runs):
                if run.reference_version not in {r.reference_version for r in runs[:number]}:
                    version = run.reference_version
                    store.register_reference(MONITOR, version, references[version], "file:///r", run.window.start)
                    store.use_reference(MONITOR, version)
                claim = store.claim(MONITOR, run.window, "story", run.window.end, WEEK)
                store.save(claim, replace(run, id=claim.run_id, attempt=claim.attempt, claimed_by="story"))
                clock[0] = run.window.end + timedelta(hours=1)
                before = len(box.alerts)
                settle(url, run.window.end.timestamp())
                told[number] = {a["labels"]["alertname"] for a in box.alerts[before:] if a["status"] == "firing"}
                firing = {f"DriftMonitor{name}" for name in expected(run)}
                until(lambda firing=firing: firing <= set(box.firing()), f"week {number}: {firing} of {box.firing()}")
                until(
                    lambda f=firing: DRIFTS & set(box.firing()) == f,
                    f"week {number}: {set(box.firing())} is not {firing}",
                )
    states = [run.decision.state for run in runs]
    assert {State.STABLE, State.DRIFTED} <= set(states)
    assert not {n: names for n, names in told.items() if names and states[n] is State.STABLE}, (told, states)
    (first, *_) = [alert for alert in box.alerts if alert["labels"]["alertname"] == "DriftMonitorSemanticDrift"]
    assert first["labels"] == {
        "alertname": "DriftMonitorSemanticDrift",
        "monitor": MONITOR,
        "owner": "support team",
        "severity": "warning",
    }
    assert first["annotations"]["summary"] == f"{MONITOR}: traffic holds content the model was not trained on"
    week = next(run for run in runs if run.decision.state is State.DRIFTED and "content" in run.decision.causes)
    assert f"Records proposed for labelling: {len(week.candidates)}." in first["annotations"]["description"]
    assert "<no value>" not in first["annotations"]["description"]
    assert first["annotations"]["runbook_url"].endswith("/docs/runbooks.md#driftmonitorsemanticdrift")
    over = [
        a for a in box.alerts if a["labels"]["alertname"] == "DriftMonitorSemanticDrift" and a["status"] == "resolved"
    ]
    assert over


def expected(run):
    """Alerts of drift that a verdict asks for."""
    named = {"content": "SemanticDrift", "class balance": "ClassBalanceDrift"}
    return {named[cause] for cause in run.decision.causes} if run.decision.state is State.DRIFTED else set()


def settle(url, window_end):
    """Until Prometheus has this window and has evaluated its rules twice since."""
    query = f'drift_monitor_window_end_timestamp_seconds{{monitor="{MONITOR}"}}'
    until(lambda: [value for _, value in now_is(url, query)] == [window_end], "not scraped")
    began = time.time()

    def evaluated():
        with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        return all(seconds(group["lastEvaluation"]) > began + 1.1 for group in groups)

    until(evaluated, "not evaluated")


def seconds(stamp):
    """Of RFC 3339 with nanoseconds."""
    return datetime.fromisoformat(stamp[:19] + "+00:00").timestamp() + float("0" + stamp[19 : stamp.index("Z")])
