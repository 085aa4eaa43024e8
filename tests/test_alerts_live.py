"""What is really exported sets off the alerts it should: a real store, two replicas, a real Prometheus with the rules as they are."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from conftest import tool
from live_alertmanager import oldest, watching
from live_prometheus import exposed
from run_examples import LEASE, START, WEEK, candidate, export, failed, finished, open_ticket, tickets, week

from monitor.metrics import render
from monitor.settings.limits import LimitSettings
from monitor.store import Store
from monitor.values import Cause, Counts, Decision, Measurement, MonitorTerms, State

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "alerts" / "drift-monitor.rules.yml"
ALL = {one["alert"]: one for group in yaml.safe_load(RULES.read_text())["groups"] for one in group["rules"]}

IMPATIENT = dict.fromkeys(LimitSettings.model_fields, timedelta(seconds=1))
PATIENT = dict.fromkeys(LimitSettings.model_fields, timedelta(days=365_000))
TERMS = {
    "support": MonitorTerms("search", 1.0, 50, IMPATIENT),
    "sales": MonitorTerms("desk", 1.0, 50, IMPATIENT),
    "returns": MonitorTerms("nobody", 1.0, 5_000, IMPATIENT),
    "calm": MonitorTerms("nobody", 1.0, 50, PATIENT),
}
SERVICE = {"DriftMonitorStoreDown", "DriftMonitorExporterDown"}


def shares(name, before, now):
    detail = {"share_reference": before, "share_current": now}
    return Measurement("class_balance", f"class:{name}", now - before, -1.0, 1.0, None, 900, 800, detail=detail)


def everything_at_once(claim):
    """A drifted run that has every reason to alarm."""
    evidence = {"evidence": 512.0, "run_length": 52.0, "tolerance": 0.02, "alarm_since": claim.window.end.timestamp()}
    return finished(
        claim,
        measurements=(
            Measurement("change", "embeddings", 0.25, 0.125, 0.375, 0.001, 900, 800),
            shares("refund", 0.5, 0.25),
            shares("invoice", 0.375, 0.375),
            shares("recall", 0.0, 0.375),
            shares("gift", 0.125, 0.0),
        ),
        decision=Decision(
            State.DRIFTED,
            causes=("content", "class balance"),
            evidence=evidence,
            findings=(Cause("pipeline", "Texts are cut."), Cause("embedder", "Other vectors.")),
        ),
        counts=Counts(1_000, 800, 7, 300, 3, 1, {"wrong type": 200}),
        candidates=(candidate(1), candidate(2)),
    )


def play(store):
    for name in TERMS:
        store.register_monitor(name, settings="s", period=WEEK, now=START)
    store.register_reference("support", 3, "0123456789abcdef", "file:///ref/3", START - WEEK)
    store.use_reference("support", 3)
    claim = store.claim("support", week(0), "a", START, LEASE)
    run = everything_at_once(claim)
    store.save(claim, run, tickets=tickets(run, destinations=["github"]), exports={"files": export(run)})
    (ticket,) = store.due_tickets(START + WEEK)
    open_ticket(store, ticket, "https://example.org/1", START + WEEK)
    claim = store.claim("sales", week(0), "a", START, LEASE)
    store.save(claim, failed(claim))
    claim = store.claim("returns", week(0), "a", START, LEASE)
    store.save(claim, finished(claim, measurements=(), candidates=(), decision=Decision(State.INSUFFICIENT)))
    claim = store.claim("calm", week(0), "a", START, LEASE)
    calm = Decision(State.STABLE, evidence={"evidence": 0.5, "run_length": 52.0, "tolerance": 0.02})
    few = Counts(1_000, 800, 0, 4, 0, 0, {"wrong type": 5})
    store.save(
        claim, finished(claim, measurements=(shares("refund", 0.5, 0.5),), decision=calm, counts=few, candidates=())
    )


def read(url, what):
    with urllib.request.urlopen(f"{url}/api/v1/{what}", timeout=30) as answer:
        return json.load(answer)["data"]


def firing(url):
    return [one for one in read(url, "alerts")["alerts"] if one["state"] == "firing"]


@pytest.fixture(scope="module", params=[tool, oldest], ids=["newest", "oldest"])
def alerts(request, tmp_path_factory):
    """All alerts that fire once the rules have been judged twice with everything in place."""
    folder = tmp_path_factory.mktemp("alerts")
    program = request.param("prometheus")
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(f"sqlite:///{folder / 'monitor.db'}"))
        store.upgrade()
        play(store)
        targets = [stack.enter_context(exposed(lambda: render(store, terms=TERMS))) for _ in range(2)]
        url = stack.enter_context(watching(program, folder / "prometheus", *targets))
        wanted, deadline = len(expected()), time.monotonic() + 60
        while len(firing(url)) < wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        # Time for one too many.
        time.sleep(2)
        found = firing(url)
        health = {rule["name"]: rule["health"] for group in read(url, "rules")["groups"] for rule in group["rules"]}
    assert health == dict.fromkeys(ALL, "ok")
    return found


def expected():
    stale = {("DriftMonitorStale", name) for name in ("support", "sales", "returns")}
    of_support = ALL.keys() - SERVICE - {"DriftMonitorFailing", "DriftMonitorSampleTooSmall"}
    others = {("DriftMonitorFailing", "sales"), ("DriftMonitorSampleTooSmall", "returns")}
    return {(name, "support") for name in of_support} | stale | others


def test_each_alert_comes_once_from_two_replicas_and_none_for_the_calm_monitor(alerts):
    assert sorted((one["labels"]["alertname"], one["labels"]["monitor"]) for one in alerts) == sorted(expected())
    for one in alerts:
        assert one["labels"]["owner"] == TERMS[one["labels"]["monitor"]].owner


def as_pattern(template, labels):
    """What a text of the rules may become: each label its value, each number some number or a name."""
    number = r"(-?[0-9.]+[kMGT%]?|([0-9]+d )?([0-9]+h )?([0-9]+m )?[0-9]+s|[a-z]+)"
    named = re.sub(r"\{\{ \.Labels\.(\w+) \}\}", lambda label: labels[label[1]], template)
    return re.escape(re.sub(r"\{\{ with .*?\{\{ end \}\}|\{\{ \.Value.*?\}\}", "\0", named)).replace("\0", number)


def test_every_text_is_whole(alerts):
    for one in alerts:
        for name, template in ALL[one["labels"]["alertname"]]["annotations"].items():
            text = one["annotations"][name]
            assert re.fullmatch(as_pattern(template, one["labels"]), text), text
            assert "NaN" not in text


def test_the_numbers_are_those_of_the_run(alerts):
    texts = {
        one["labels"]["alertname"]: one["annotations"]["description"]
        for one in alerts
        if one["labels"]["monitor"] == "support"
    }
    assert texts["DriftMonitorSemanticDrift"] == (
        "The newest window of support speaks of something else than the accepted past. Evidence: 512, an alarm takes 52. "
        "Share of the traffic that changed, by 95 % interval at least: 12.5%; tolerated: 2%. Records proposed for labelling: 2."
    )
    assert "Farthest from the reference: recall, by 37.5% of the traffic" in texts["DriftMonitorClassBalanceDrift"]
    assert texts["DriftMonitorNewClass"].startswith(
        "Classes in the newest window of support that the reference does not have: 1."
    )
    assert "holds none: 1." in texts["DriftMonitorVanishedClass"]
    assert "surely more than 30.35% of the records" in texts["DriftMonitorDataQuality"]
    assert "Usable: 1k, empty: 300, unreadable: 200;" in texts["DriftMonitorDataQuality"]
