"""The demo's sixteen weeks, told to a live Prometheus with the rules and an Alertmanager with the example's routes."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from conftest import tool
from live_alertmanager import alertmanager, mailbox, wait_for, watching
from live_prometheus import exposed, now_is

from monitor.metrics import Exposition, StoreCollector
from monitor.store import Store
from monitor.values import MonitorTerms, State

MONITOR, WEEK = "support-desk", timedelta(weeks=1)
ERA = dict.fromkeys(("lag", "drift", "insufficient", "reference_age", "ticket_wait"), timedelta(days=10_000))
"""The story plays in the past: nothing of it is to look late."""
PAGES = "https://drift.example.org"
DRIFTS = {"content": "DriftMonitorSemanticDrift", "class balance": "DriftMonitorClassBalanceDrift"}


class Told:
    """What the webhook of the example's route was told, alert by alert."""

    def __init__(self, got):
        self._got = got

    def alerts(self):
        return [alert for path, _, body in list(self._got) if path == "/hook" for alert in body["alerts"]]

    def firing(self):
        """Alerts whose last word was that they fire."""
        last = {alert["labels"]["alertname"]: alert["status"] for alert in self.alerts()}
        return {name for name, status in last.items() if status == "firing"}


@pytest.mark.model
def test_people_are_told_in_the_weeks_of_drift_and_left_alone_in_calm_ones(performance, tmp_path):
    with Store.open(f"sqlite:///{performance / 'drift-monitor.db'}") as played:
        runs = sorted(played.runs(MONITOR, limit=100), key=lambda run: run.window.start)
    clock, news = [runs[0].window.end], []
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(f"sqlite:///{tmp_path / 'replay.db'}"))
        store.upgrade()
        store.register_monitor(MONITOR, settings="s", period=WEEK, now=clock[0])
        terms = {MONITOR: MonitorTerms("support team", 1.0, 50, ERA, PAGES)}
        exposition = Exposition(StoreCollector(store, terms=terms, clock=lambda: clock[0]))
        page = stack.enter_context(exposed(lambda: exposition.answer("")[0]))
        box, got = stack.enter_context(mailbox())
        told = Told(got)
        managed = stack.enter_context(alertmanager(tool("prometheus-alertmanager"), tmp_path / "alertmanager", box))
        program = tool("prometheus")
        url = stack.enter_context(watching(program, tmp_path / "prometheus", page, manager=managed, keep=False))
        for run in runs:
            before = len(told.alerts())
            play(store, run)
            clock[0] = run.window.end + timedelta(hours=1)
            settle(url, run.window.end.timestamp())
            wanted = {DRIFTS[cause] for cause in run.decision.causes} if run.decision.state is State.DRIFTED else set()
            wait_for(lambda wanted=wanted: told.firing() & set(DRIFTS.values()) == wanted, (run.window, wanted, got))
            fired = [alert for alert in told.alerts()[before:] if alert["status"] == "firing"]
            news.append((run.decision.state, {alert["labels"]["alertname"] for alert in fired}))
    assert {State.STABLE, State.DRIFTED} <= {state for state, _ in news}
    assert not [names for state, names in news if state is State.STABLE and names], news
    (first, *_) = (one for one in told.alerts() if one["labels"]["alertname"] == DRIFTS["content"])
    labels = {"alertname": DRIFTS["content"], "monitor": MONITOR, "owner": "support team", "severity": "warning"}
    assert first["labels"] == labels | {"pages": PAGES}
    assert first["annotations"]["summary"] == f"{MONITOR}: traffic holds content the model was not trained on"
    asking = next(run for run in runs if run.decision.state is State.DRIFTED and "content" in run.decision.causes)
    assert f"Records proposed for labelling: {len(asking.candidates)}." in first["annotations"]["description"]
    assert "<no value>" not in first["annotations"]["description"]
    for alert in told.alerts():
        texts, name = alert["annotations"], alert["labels"]["alertname"]
        assert texts["report_url"] == f"{PAGES}/monitors/{MONITOR}/newest"
        assert texts["runbook_url"] == f"{PAGES}/runbooks#{name.lower()}"


def play(store, run):
    """This run once more, under a reference of the same version."""
    version = run.reference_version
    if store.active_reference(MONITOR) != version:
        store.register_reference(MONITOR, version, run.reference_fingerprint, "file:///reference", run.window.start)
        store.use_reference(MONITOR, version)
    claim = store.claim(MONITOR, run.window, "story", run.window.end, WEEK)
    store.save(claim, replace(run, id=claim.run_id, attempt=claim.attempt, claimed_by="story"))


def settle(url, window_end):
    """Until Prometheus has this window and has judged its rules twice since."""
    query = f'drift_monitor_window_end_timestamp_seconds{{monitor="{MONITOR}"}}'
    wait_for(lambda: [value for _, value in now_is(url, query)] == [window_end], "not scraped")
    began = time.time()

    def judged():
        with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        # Whole seconds, for datetime knows no nanoseconds.
        stamps = [re.sub(r"\.\d+", "", group["lastEvaluation"]) for group in groups]
        return min(datetime.fromisoformat(stamp).timestamp() for stamp in stamps) > began + 1

    wait_for(judged, "not judged")
