"""What Prometheus is told: exactly, in bounded numbers, also when the store is dead."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import free_port
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from run_examples import (
    LEASE,
    START,
    WEEK,
    calm,
    deployment,
    export,
    failed,
    finished,
    open_ticket,
    tickets,
    verification,
    week,
    wish,
)
from scipy import stats

from monitor import __version__
from monitor.errors import PublishError
from monitor.metrics import METRICS, Exposition, StoreCollector, render, write_textfile
from monitor.metrics.measured import interval
from monitor.store import Store
from monitor.values import Calibration, Decision, Estimate, Level, Measurement, MonitorTerms, Refresh, Silence, State

LAG = timedelta(hours=2)
LAGS = re.compile(rb".*watermark_lag.*")
"""Lines that the clock changes."""
PAGES = "https://drift.example.org"
TERMS = {
    "sales": MonitorTerms("nobody", 1.0, 50),
    "support": MonitorTerms("Team Support", 2.0, 40, {"lag": timedelta(days=14), "failing": timedelta(hours=1)}, PAGES),
}


def play(store):
    """Two monitors: one drifted with a ticket that failed, one that has only been claimed and abandoned."""
    store.register_reference("support", 3, "0123456789abcdef", "file:///ref/3", START - WEEK)
    store.use_reference("support", 3)
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, failed(claim))
    claim = store.claim("support", week(0), "a", START, LEASE, retry_failed=True)
    run = finished(claim)
    share = {"share_reference": 0.125, "share_current": 0.25}
    evidence = {
        "evidence": 512.0,
        "run_length": 365.25,
        "tolerance": 0.02,
        "martingale": 31.5,
        "budget_spent": 0.25,
        "alarms": 1.0,
        "alarm_since": 1.768176e9,
        "sr change|embeddings|": 512.0,
    }
    first, second, third = run.measurements
    run = replace(
        run,
        refresh=Refresh(
            1,
            50,
            0,
            0.5,
            0.01,
            gain=Estimate(0.25, 0.125, 0.5),
            flips=Estimate(0.5, 0.25, 1.0),
            guarded=Estimate(0.0, 0.0, 0.125),
        ),
        measurements=(replace(first, detail={"detectable_share": 0.0625}), second, replace(third, detail=share)),
        decision=replace(run.decision, evidence=evidence),
        candidates=(replace(run.candidates[0], strategy="random"), run.candidates[1]),
    )
    store.save_verification(verification())
    store.declare_live(deployment())
    store.keep_calibration(Calibration("support", START, 3, Level(200, 0.05, 0.025, 0.125), None, 0.03125))
    store.save(claim, run, tickets=tickets(run, destinations=["file"]), exports={"files": export(run)})
    store.import_labels("support", {"r1": "refund"}, by="ana", now=START + WEEK)
    store.claim("sales", week(0), "a", START, LEASE)
    store.claim("sales", week(0), "b", START + LEASE, LEASE)
    (due,) = store.due_tickets(START + WEEK)
    store.not_sent(due, "down", START + WEEK)
    (due,) = store.due_exports(START + WEEK)
    store.sent(due, "/out", START + WEEK, masked={"email": 2})


def scrape(store, **options):
    collector = StoreCollector(store, clock=lambda: START + WEEK + LAG, **options)
    return generate_latest(collector).decode()


def samples(text, name):
    """Labels and value of each sample of this name, ``monitor`` left out."""
    return {
        tuple(value for label, value in sorted(s.labels.items()) if label != "monitor"): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name == name
    }


EXPECTED = """\
drift_monitor_build_info{version="VERSION"} 1.0
drift_monitor_store_up 1.0
drift_monitor_info{monitor="sales",owner="nobody",pages=""} 1.0
drift_monitor_info{monitor="support",owner="Team Support",pages="https://drift.example.org"} 1.0
drift_monitor_period_seconds{monitor="sales"} 604800.0
drift_monitor_period_seconds{monitor="support"} 604800.0
drift_monitor_limit_seconds{limit="lag",monitor="support"} 1.2096e+06
drift_monitor_limit_seconds{limit="failing",monitor="support"} 3600.0
drift_monitor_sample_minimum_records{monitor="sales"} 50.0
drift_monitor_sample_minimum_records{monitor="support"} 40.0
drift_monitor_false_alarms_allowed_per_year{monitor="sales"} 1.0
drift_monitor_false_alarms_allowed_per_year{monitor="support"} 2.0
drift_monitor_first_seen_timestamp_seconds{monitor="sales"} 1.7675712e+09
drift_monitor_first_seen_timestamp_seconds{monitor="support"} 1.7675712e+09
drift_monitor_state{monitor="support",state="stable"} 0.0
drift_monitor_state{monitor="support",state="watch"} 0.0
drift_monitor_state{monitor="support",state="drifted"} 1.0
drift_monitor_state{monitor="support",state="recovering"} 0.0
drift_monitor_state{monitor="support",state="insufficient"} 0.0
drift_monitor_state{monitor="support",state="failed"} 0.0
drift_monitor_drift{cause="class balance",monitor="support"} 0.0
drift_monitor_drift{cause="content",monitor="support"} 1.0
drift_monitor_findings{kind="class mix",monitor="support"} 0.0
drift_monitor_findings{kind="embedder",monitor="support"} 0.0
drift_monitor_findings{kind="new topic",monitor="support"} 0.0
drift_monitor_findings{kind="pipeline",monitor="support"} 0.0
drift_monitor_findings{kind="unseen content",monitor="support"} 0.0
drift_monitor_findings{kind="wording or format",monitor="support"} 0.0
drift_monitor_run_start_timestamp_seconds{monitor="support"} 1.7675712e+09
drift_monitor_run_finish_timestamp_seconds{monitor="support"} 1.767571290000005e+09
drift_monitor_last_success_timestamp_seconds{monitor="support"} 1.767571290000005e+09
drift_monitor_window_end_timestamp_seconds{monitor="support"} 1.768176e+09
drift_monitor_watermark_timestamp_seconds{monitor="support"} 1.768176e+09
drift_monitor_watermark_lag_seconds{monitor="support"} 7200.0
drift_monitor_drifted_since_timestamp_seconds{monitor="support"} 1.768176e+09
drift_monitor_run_step_seconds{monitor="support",step="sample"} 1.5
drift_monitor_run_step_seconds{monitor="support",step="embed"} 20.25
drift_monitor_runs_total{monitor="sales",status="done"} 0.0
drift_monitor_runs_total{monitor="sales",status="failed"} 0.0
drift_monitor_runs_total{monitor="sales",status="abandoned"} 1.0
drift_monitor_runs_total{monitor="support",status="done"} 1.0
drift_monitor_runs_total{monitor="support",status="failed"} 1.0
drift_monitor_runs_total{monitor="support",status="abandoned"} 0.0
drift_monitor_runs_in_progress{monitor="sales"} 1.0
drift_monitor_runs_in_progress{monitor="support"} 0.0
drift_monitor_records{kind="population",monitor="support"} 1e+10
drift_monitor_records{kind="sampled",monitor="support"} 2000.0
drift_monitor_records{kind="repeats",monitor="support"} 7.0
drift_monitor_records{kind="empty",monitor="support"} 5.0
drift_monitor_records{kind="overlong",monitor="support"} 3.0
drift_monitor_records{kind="outside",monitor="support"} 1.0
drift_monitor_rejected_records{monitor="support",reason="wrong type"} 2.0
drift_monitor_rejected_records{monitor="support",reason="naive time"} 1.0
drift_monitor_embedded_records{monitor="support",source="model"} 2000.0
drift_monitor_embedded_records{monitor="support",source="cache"} 0.0
drift_monitor_rows{data="reference",monitor="support",segment=""} 1500.0
drift_monitor_rows{data="current",monitor="support",segment=""} 2000.0
drift_monitor_rows{data="reference",monitor="support",segment="country=DE"} 300.0
drift_monitor_rows{data="current",monitor="support",segment="country=DE"} 400.0
drift_monitor_effect{detector="mmd",monitor="support",segment="",subject="embeddings"} 0.125
drift_monitor_effect{detector="mmd",monitor="support",segment="country=DE",subject="embeddings"} 0.5
drift_monitor_effect{detector="class_balance",monitor="support",segment="",subject="class:refund"} 0.1
drift_monitor_effect_low{detector="mmd",monitor="support",segment="",subject="embeddings"} 0.0625
drift_monitor_effect_low{detector="mmd",monitor="support",segment="country=DE",subject="embeddings"} 0.25
drift_monitor_effect_low{detector="class_balance",monitor="support",segment="",subject="class:refund"} 0.05
drift_monitor_effect_high{detector="mmd",monitor="support",segment="",subject="embeddings"} 0.25
drift_monitor_effect_high{detector="mmd",monitor="support",segment="country=DE",subject="embeddings"} 0.75
drift_monitor_effect_high{detector="class_balance",monitor="support",segment="",subject="class:refund"} 0.15
drift_monitor_p_value{detector="mmd",monitor="support",segment="",subject="embeddings"} 0.001
drift_monitor_p_value{detector="mmd",monitor="support",segment="country=DE",subject="embeddings"} 0.002
drift_monitor_detectable_ratio{detector="mmd",monitor="support",segment=""} 0.0625
drift_monitor_evidence{monitor="support"} 512.0
drift_monitor_evidence_limit{monitor="support"} 365.25
drift_monitor_tolerance_ratio{monitor="support"} 0.02
drift_monitor_martingale{monitor="support"} 31.5
drift_monitor_false_alarms_expected{monitor="support"} 0.25
drift_monitor_alarms{monitor="support"} 1.0
drift_monitor_alarm_start_timestamp_seconds{monitor="support"} 1.768176e+09
drift_monitor_calibrated_level_ratio{bound="measured",data="reference",monitor="support"} 0.05
drift_monitor_calibrated_level_ratio{bound="low",data="reference",monitor="support"} 0.025
drift_monitor_calibrated_level_ratio{bound="high",data="reference",monitor="support"} 0.125
drift_monitor_calibrated_timestamp_seconds{monitor="support"} 1.7675712e+09
drift_monitor_suggested_tolerance_ratio{monitor="support"} 0.03125
drift_monitor_class_share_ratio{class="refund",data="reference",monitor="support"} 0.125
drift_monitor_class_share_ratio{class="refund",data="current",monitor="support"} 0.25
drift_monitor_class_share_low_ratio{class="refund",monitor="support"} 0.071479212752109
drift_monitor_class_share_high_ratio{class="refund",monitor="support"} 0.5907245696898311
drift_monitor_classes{change="new",monitor="support"} 0.0
drift_monitor_classes{change="vanished",monitor="support"} 0.0
drift_monitor_candidates{monitor="support"} 2.0
drift_monitor_labelled_candidates{monitor="sales"} 0.0
drift_monitor_labelled_candidates{monitor="support"} 1.0
drift_monitor_expected_gain_ratio{bound="value",monitor="support"} 0.25
drift_monitor_expected_gain_ratio{bound="low",monitor="support"} 0.125
drift_monitor_expected_gain_ratio{bound="high",monitor="support"} 0.5
drift_monitor_expected_negative_flips_ratio{bound="value",monitor="support"} 0.0
drift_monitor_expected_negative_flips_ratio{bound="low",monitor="support"} 0.0
drift_monitor_expected_negative_flips_ratio{bound="high",monitor="support"} 0.125
drift_monitor_verification_timestamp_seconds{monitor="support"} 1.767571208e+09
drift_monitor_verification_verdict{monitor="support",verdict="passed"} 0.0
drift_monitor_verification_verdict{monitor="support",verdict="failed"} 1.0
drift_monitor_verification_verdict{monitor="support",verdict="not shown"} 0.0
drift_monitor_verified_accuracy_ratio{model="old",monitor="support",set="protected"} 0.8
drift_monitor_verified_accuracy_ratio{model="new",monitor="support",set="protected"} 0.86
drift_monitor_verified_accuracy_ratio{model="old",monitor="support",set="drifted"} 0.8
drift_monitor_verified_accuracy_ratio{model="new",monitor="support",set="drifted"} 0.86
drift_monitor_verified_gain_ratio{bound="value",monitor="support",set="protected"} 0.06
drift_monitor_verified_gain_ratio{bound="low",monitor="support",set="protected"} 0.0
drift_monitor_verified_gain_ratio{bound="high",monitor="support",set="protected"} 0.125
drift_monitor_verified_gain_ratio{bound="value",monitor="support",set="drifted"} 0.06
drift_monitor_verified_gain_ratio{bound="low",monitor="support",set="drifted"} 0.0
drift_monitor_verified_gain_ratio{bound="high",monitor="support",set="drifted"} 0.125
drift_monitor_negative_flips_ratio{bound="value",monitor="support",set="protected"} 0.025
drift_monitor_negative_flips_ratio{bound="low",monitor="support",set="protected"} 0.0
drift_monitor_negative_flips_ratio{bound="high",monitor="support",set="protected"} 0.0625
drift_monitor_negative_flips_ratio{bound="value",monitor="support",set="drifted"} 0.025
drift_monitor_negative_flips_ratio{bound="low",monitor="support",set="drifted"} 0.0
drift_monitor_negative_flips_ratio{bound="high",monitor="support",set="drifted"} 0.0625
drift_monitor_positive_flips_ratio{bound="value",monitor="support",set="protected"} 0.4
drift_monitor_positive_flips_ratio{bound="low",monitor="support",set="protected"} 0.25
drift_monitor_positive_flips_ratio{bound="high",monitor="support",set="protected"} 0.5
drift_monitor_positive_flips_ratio{bound="value",monitor="support",set="drifted"} 0.4
drift_monitor_positive_flips_ratio{bound="low",monitor="support",set="drifted"} 0.25
drift_monitor_positive_flips_ratio{bound="high",monitor="support",set="drifted"} 0.5
drift_monitor_negative_flips_budget_ratio{monitor="support"} 0.01
drift_monitor_model_info{model="support-v2",monitor="support"} 1.0
drift_monitor_model_live_timestamp_seconds{monitor="support"} 1.7676576e+09
drift_monitor_refresh_labels{monitor="support"} 0.0
drift_monitor_refresh_accuracy_ratio{bound="value",monitor="support",period="since"} 0.0
drift_monitor_refresh_accuracy_ratio{bound="low",monitor="support",period="since"} 0.0
drift_monitor_refresh_accuracy_ratio{bound="high",monitor="support",period="since"} 0.8532536836904248
drift_monitor_production_accuracy_ratio{bound="value",monitor="support"} 0.0
drift_monitor_production_accuracy_ratio{bound="low",monitor="support"} 0.0
drift_monitor_production_accuracy_ratio{bound="high",monitor="support"} 0.8532536836904248
drift_monitor_production_accuracy_records{monitor="support"} 1.0
drift_monitor_tickets{destination="file",monitor="support",status="pending"} 1.0
drift_monitor_exports{destination="files",monitor="support",status="sent"} 1.0
drift_monitor_outbox_oldest_timestamp_seconds{destination="file",kind="ticket",monitor="support"} 1.767571290000005e+09
drift_monitor_publish_failures_total{destination="files",kind="export",monitor="support"} 0.0
drift_monitor_publish_failures_total{destination="file",kind="ticket",monitor="support"} 1.0
drift_monitor_redactions_total{channel="export",destination="files",kind="email",monitor="support"} 2.0
drift_monitor_reference_info{fingerprint="0123456789ab",monitor="support",version="3"} 1.0
drift_monitor_reference_created_timestamp_seconds{monitor="support"} 1.7669664e+09
drift_monitor_run_info{embedder="all-MiniLM-L6-v2@abc",monitor="support",reference_version="3",settings="ssssssssssssssss"} 1.0
""".replace("VERSION", __version__)


def test_the_exposition_is_exactly_this(store):
    play(store)
    lines = scrape(store, terms=TERMS).splitlines(keepends=True)
    assert "".join(line for line in lines if not line.startswith("#")) == EXPECTED
    shown = {line.split("{")[0].split(" ")[0] for line in EXPECTED.splitlines()}
    assert [line for line in lines if line.startswith("#")] == [
        line
        for metric in METRICS
        if metric.name in shown
        for line in (f"# HELP {metric.name} {metric.help}\n", f"# TYPE {metric.name} {metric.kind}\n")
    ]
    assert {metric.name for metric in METRICS} - shown == {
        f"drift_monitor_{state}_since_timestamp_seconds" for state in ("failing", "insufficient")
    } | {
        "drift_monitor_ticket_open_since_timestamp_seconds",
        "drift_monitor_silenced_until_timestamp_seconds",
        "drift_monitor_refresh_recovery_seconds",
    }


def test_another_process_shows_the_same_after_a_restart(store, database_url):
    play(store)
    with Store.open(database_url) as other:
        assert scrape(other) == scrape(store)


def test_the_table_keeps_the_naming_rules():
    for metric in METRICS:
        assert re.fullmatch(r"drift_monitor_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        assert not {"id", "text", "record"} & set(metric.labels)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_promtool_has_no_complaint(store, promtool):
    play(store)
    done = subprocess.run([promtool, "check", "metrics"], input=render(store), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_counters_never_fall(store):
    claim = store.claim("support", week(0), "a", START, LEASE)
    seen = [samples(scrape(store), "drift_monitor_runs_total")]

    def look():
        seen.append(samples(scrape(store), "drift_monitor_runs_total"))

    claim = store.claim("support", week(0), "b", START + LEASE, LEASE)
    look()
    store.save(claim, failed(claim))
    look()
    claim = store.claim("support", week(0), "c", START, LEASE, retry_failed=True)
    look()
    store.save(claim, calm(claim))
    look()
    assert [tuple(one[status,] for status in ("done", "failed", "abandoned")) for one in seen] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 1),
        (0, 1, 1),
        (1, 1, 1),
    ]


def test_a_failed_run_shows_its_state_and_no_stale_effects(store):
    for number, make in enumerate([finished, failed]):
        claim = store.claim("support", week(number), "a", START, LEASE)
        store.save(claim, make(claim))
    text = scrape(store)
    assert samples(text, "drift_monitor_state")["failed",] == 1
    assert samples(text, "drift_monitor_effect") == {}
    assert samples(text, "drift_monitor_watermark_lag_seconds") == {(): LAG.total_seconds()}


def test_monitors_that_left_the_settings_can_be_left_out(store):
    play(store)
    assert 'monitor="sales"' not in scrape(store, terms={"support": TERMS["support"]})
    assert 'monitor="sales"' in scrape(store, terms=TERMS)


def class_measurement(name, reference, current, **changes):
    detail = {"share_reference": reference, "share_current": current}
    effect = current - reference
    made = Measurement("class_balance", f"class:{name}", effect, effect, effect, None, 100, 100, detail=detail)
    return replace(made, **changes)


def with_measurements(store, *measurements):
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, finished(claim, measurements=measurements))


def test_classes_beyond_the_largest_become_other(store):
    shares = {"a": (0.5, 0.25), "b": (0.25, 0.125), "c": (0.0, 0.5), "d": (0.125, 0.0), "e": (0.125, 0.125)}
    with_measurements(store, *(class_measurement(name, *both) for name, both in shares.items()))
    text = scrape(store, top_classes=2)
    assert samples(text, "drift_monitor_class_share_ratio") == {
        ("a", "current"): 0.25,
        ("a", "reference"): 0.5,
        ("c", "current"): 0.5,
        ("c", "reference"): 0.0,
        ("other", "current"): 0.25,
        ("other", "reference"): 0.5,
    }
    assert samples(text, "drift_monitor_effect") == {
        ("class_balance", "", "class:a"): -0.25,
        ("class_balance", "", "class:c"): 0.5,
        # The most striking of b, d and e, where none is tested: the largest effect.
        ("class_balance", "", "class:other"): -0.125,
    }


def test_segments_and_subjects_beyond_the_first_become_other_and_the_most_significant_speaks_for_them(store):
    def one(segment, rows, p, effect, subject="embeddings"):
        return Measurement("mmd", subject, effect, effect, effect, p, rows, rows, segment=segment)

    with_measurements(
        store,
        one("", 900, 0.5, 0.0),
        one("country=DE", 500, 0.5, 0.1),
        one("country=FR", 300, 0.04, 0.2),
        one("country=IT", 70, 0.01, 0.3),
        one("country=PT", 30, None, 9.0),
        one("", 900, 0.2, 0.4, subject="direction 1"),
        one("", 900, 0.3, 0.5, subject="direction 2"),
    )
    text = scrape(store, top_segments=2, top_classes=1)
    assert samples(text, "drift_monitor_p_value") == {
        ("mmd", "", "embeddings"): 0.5,
        ("mmd", "country=DE", "embeddings"): 0.5,
        ("mmd", "country=FR", "embeddings"): 0.04,
        ("mmd", "other", "embeddings"): 0.01,
        ("mmd", "", "other"): 0.2,
    }
    assert samples(text, "drift_monitor_effect")["mmd", "other", "embeddings"] == 0.3


def test_the_number_of_series_has_a_limit_and_names_a_length(store, promtool):
    names = [f'{"x" * 200}{n}\n"\\' for n in range(300)]
    measurements = [class_measurement(name, 1 / 300, 1 / 300) for name in names]
    measurements += [
        class_measurement(name, 0, 0, segment=f"{segment}={'y' * 100}") for segment in range(30) for name in names
    ]
    with_measurements(store, *measurements)
    text = scrape(store)
    assert len(samples(text, "drift_monitor_class_share_ratio")) <= 2 * 21
    assert len(samples(text, "drift_monitor_effect")) <= 21 * 22
    assert max(len(value) for line in text.splitlines() for value in re.findall(r'"((?:[^"\\]|\\.)*)"', line)) <= 90
    assert sum(samples(text, "drift_monitor_class_share_ratio").values()) == pytest.approx(2)
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_since_when_it_fails_lacks_records_or_waits_for_labels(store):
    def since(name):
        return samples(scrape(store), f"drift_monitor_{name}_timestamp_seconds")

    def save(number, make, **changes):
        claim = store.claim("support", week(number), "a", START, LEASE, retry_failed=True)
        run = make(claim)
        asked = tickets(run) if make is finished else ()
        store.save(claim, replace(run, **changes), tickets=asked)

    few = Decision(State.INSUFFICIENT, ("Too few.",))
    save(0, calm)
    save(1, calm, decision=few)
    save(2, calm, decision=few)
    assert since("insufficient_since") == {(): week(1).end.timestamp()}
    save(3, failed)
    save(4, failed)
    assert since("failing_since") == {(): week(3).end.timestamp()}
    assert since("insufficient_since") == since("drifted_since") == {}
    alarm = Decision(
        State.DRIFTED, ("It drifted.",), causes=("content",), evidence={"alarm_since": week(5).end.timestamp()}
    )
    save(5, finished, decision=alarm)
    assert since("drifted_since") == {(): week(5).end.timestamp()}
    assert since("failing_since") == since("ticket_open_since") == {}
    assert set(since("outbox_oldest")) == {("file", "ticket")}
    (due,) = store.due_tickets(START + WEEK)
    open_ticket(store, due, "/t/1", START + WEEK)
    assert since("ticket_open_since") == {("file",): (START + WEEK).timestamp()}
    assert since("outbox_oldest") == {}
    claim = store.claim("support", week(6), "a", START, LEASE)
    over = wish(store.run("support", week(5).start), open=False, over_at=week(6).end)
    store.save(claim, calm(claim), tickets=[("file", over)])
    assert since("ticket_open_since") == since("drifted_since") == {}


def test_until_when_nobody_wants_to_hear_of_drift(store):
    store.register_monitor("support", settings="s", period=WEEK, now=START)
    for key, until in (("", START + WEEK), ("episode", START + 2 * WEEK)):
        store.silence(Silence("support", until, "kim", "known", START, key))
    assert samples(scrape(store), "drift_monitor_silenced_until_timestamp_seconds") == {
        (): (START + 2 * WEEK).timestamp()
    }


def test_a_run_that_fails_or_lacks_records_ends_no_drift(store):
    alarm = Decision(
        State.DRIFTED, ("It drifted.",), causes=("content",), evidence={"evidence": 600.0, "alarm_since": 1.0}
    )
    few = Decision(State.INSUFFICIENT, ("Too few.",))
    for number, make, changes in ((0, finished, {"decision": alarm}), (1, failed, {}), (2, calm, {"decision": few})):
        claim = store.claim("support", week(number), "a", START, LEASE)
        store.save(claim, replace(make(claim), **changes))
        text = scrape(store)
        assert samples(text, "drift_monitor_drift") == {("content",): 1, ("class balance",): 0}
        assert samples(text, "drift_monitor_evidence") == {(): 600.0}
    claim = store.claim("support", week(3), "a", START, LEASE)
    store.save(claim, calm(claim))
    assert samples(scrape(store), "drift_monitor_drift") == {("content",): 0, ("class balance",): 0}


def test_classes_that_came_and_went_are_counted(store):
    shares = {"new": (0.0, 0.05), "rare": (0.0, 0.04), "gone": (0.1, 0.0), "seldom": (0.09, 0.0), "stays": (0.81, 0.91)}
    with_measurements(store, *(class_measurement(name, *both) for name, both in shares.items()))
    text = scrape(store, top_classes=1)
    assert samples(text, "drift_monitor_classes") == {("new",): 1, ("vanished",): 1}
    assert samples(text, "drift_monitor_class_share_low_ratio")["stays",] == pytest.approx(0.8377, abs=1e-4)
    assert samples(text, "drift_monitor_class_share_high_ratio")["stays",] == pytest.approx(0.9519, abs=1e-4)


def test_intervals_of_shares_are_wilsons():
    for share, rows in ((0.0, 10), (0.25, 8), (0.5, 1_000), (1.0, 3)):
        found = stats.binomtest(round(share * rows), rows).proportion_ci(method="wilson")
        assert interval(share, rows) == pytest.approx((found.low, found.high))
    assert interval(0.0, 0) == (0.0, 1.0)


def test_openmetrics_leads_from_counts_to_runs(store):
    play(store)
    body, content_type = Exposition(StoreCollector(store, terms=TERMS)).answer(
        "application/openmetrics-text; version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    (line,) = [one for one in body.decode().splitlines() if " # {" in one]
    (run,) = store.latest_runs()
    assert line.startswith('drift_monitor_runs_total{monitor="support",status="done"} 1.0 # {run_id="' + run.id)
    assert list(openmetrics_families(body.decode()))
    body, content_type = Exposition(StoreCollector(store, terms=TERMS)).answer("text/plain")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert LAGS.sub(b"", body) == LAGS.sub(b"", render(store, terms=TERMS))


def test_what_is_kept_between_scrapes_changes_no_answer(store):
    play(store)
    exposition = Exposition(StoreCollector(store, terms=TERMS))
    formats = ("text/plain", "application/openmetrics-text; version=1.0.0", "text/plain")
    for number in range(1, 4):
        for accept in formats:
            kept, _ = exposition.answer(accept)
            new, _ = Exposition(StoreCollector(store, terms=TERMS)).answer(accept)
            assert LAGS.sub(b"", kept) == LAGS.sub(b"", new)
        assert LAGS.sub(b"", kept) == LAGS.sub(b"", render(store, terms=TERMS))
        claim = store.claim("support", week(number), "a", START, LEASE)
        store.save(claim, (failed if number == 2 else finished)(claim))


def test_names_that_need_escapes_are_written_as_the_library_writes_them(tmp_path):
    strange = ['say "no"', "C:\\new\\table", "two\nlines", "\U0001f642 %s {x}", "\\"]
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        store.register_monitor("support", settings="s", period=WEEK, now=START)
        store.now = lambda: START + WEEK
        claim = store.claim("support", week(0), "a", START, LEASE)
        sizes = (1e-12, 123_456_789.0, 0.0, -2.5, 1e22)
        found = [
            Measurement("mmd", "embeddings", size, size, size, 0.5, 10, 10, f"channel={name}")
            for name, size in zip(strange, sizes, strict=True)
        ]
        store.save(claim, replace(finished(claim), measurements=tuple(found)))
        exposition = Exposition(StoreCollector(store, terms=TERMS))
        assert exposition.answer("")[0] == render(store, terms=TERMS)
        registry = CollectorRegistry()
        registry.register(StoreCollector(store, terms=TERMS))
        body, _ = exposition.answer("application/openmetrics-text; version=1.0.0")
        assert body == generate_openmetrics(registry)
        shown = samples(render(store, terms=TERMS).decode(), "drift_monitor_effect")
        assert f"channel={strange[3]}" in {name for labels in shown for name in labels}


def test_a_text_file_is_whole_or_not_at_all(store, tmp_path):
    play(store)
    folder = tmp_path / "textfiles"
    folder.mkdir()
    write_textfile(store, folder / "drift.prom", TERMS)
    assert samples((folder / "drift.prom").read_text(), "drift_monitor_info") == {
        ("Team Support", PAGES): 1,
        ("nobody", ""): 1,
    }
    assert [path.name for path in folder.iterdir()] == ["drift.prom"]
    with pytest.raises(PublishError, match=r"must end in \.prom"):
        write_textfile(store, tmp_path / "drift.txt")
    with pytest.raises(PublishError, match="cannot be written: No such file or directory"):
        write_textfile(store, tmp_path / "gone" / "drift.prom")


@pytest.mark.parametrize("url", ["postgresql://user@127.0.0.1:PORT/db", "sqlite:///no/such/folder/monitor.db"])
def test_a_dead_store_is_a_zero_and_not_an_error(url):
    with Store.open(url.replace("PORT", str(free_port()))) as store:
        lines = [line for line in render(store).decode().splitlines() if not line.startswith("#")]
    assert lines == [f'drift_monitor_build_info{{version="{__version__}"}} 1.0', "drift_monitor_store_up 0.0"]


def test_an_empty_database_is_not_up_and_an_upgraded_one_is(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        assert samples(render(store).decode(), "drift_monitor_store_up") == {(): 0}
        store.upgrade()
        assert samples(render(store).decode(), "drift_monitor_store_up") == {(): 1}


@pytest.fixture
def page(store):
    """A small server that exposes the store; gives its address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            body = render(store)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(url, query):
    """Value by labels of an instant query, as soon as there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
            found = json.load(answer)["data"]["result"]
        if found:
            return [(one["metric"], float(one["value"][1])) for one in found]
        time.sleep(0.1)
    return []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_real_prometheus_scrapes_and_answers(store, page, prometheus_server):
    play(store)
    url = prometheus_server(page)
    drifted = ask(url, 'drift_monitor_state{state="drifted"} == 1')
    assert [(labels["monitor"], value) for labels, value in drifted] == [("support", 1.0)]
    assert ask(url, "sum by (monitor) (drift_monitor_runs_total)") == [
        ({"monitor": "sales"}, 1.0),
        ({"monitor": "support"}, 2.0),
    ]
    assert ask(url, f'up{{instance="{page}"}}')[0][1] == 1.0
