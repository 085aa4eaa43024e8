"""Metrics pushed to a real Pushgateway: the same table, the newest instead of the one before, and nothing that fails a run."""

from __future__ import annotations

import logging
import re
import subprocess
import urllib.request
from dataclasses import replace

import pytest
from conftest import free_port, tool
from live_alertmanager import _answers, mailbox, wait_for
from run_examples import LEASE, START, WEEK, finished, week
from shop import raw_settings

from monitor.config import parse
from monitor.errors import ConfigError
from monitor.metrics import render
from monitor.push import push_metrics
from monitor.store import Store
from monitor.wiring import terms_of

SERIES = re.compile(r"^(drift_monitor_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture
def gateway(tmp_path):
    """A Pushgateway as it runs; gives its address."""
    address = f"127.0.0.1:{free_port()}"
    log = tmp_path / "gateway.log"
    with log.open("wb") as sink:
        command = [tool("prometheus-pushgateway"), f"--web.listen-address={address}"]
        server = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        wait_for(lambda: server.poll() is not None or _answers(f"http://{address}/-/ready"), log)
        assert server.poll() is None, log.read_text()
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def kept(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        store.register_monitor("shop", settings="s", period=WEEK, now=START)
        store.now = lambda: START + WEEK
        claim = store.claim("shop", week(0), "a", START, LEASE)
        store.save(claim, finished(claim))
        yield store


def pushing(tmp_path, address):
    raw = raw_settings(tmp_path)
    raw["serve"]["address"] = "https://drift.example.org"
    return parse(raw | {"metrics": {"pushgateway": address}})


def held(gateway):
    """What the gateway says when it is scraped."""
    with urllib.request.urlopen(f"{gateway}/metrics", timeout=10) as answer:
        return answer.read().decode()


def series(text):
    """Values by name and labels, without the labels of the push itself."""
    found = {}
    for name, labels, value in SERIES.findall(text):
        told = sorted(re.findall(r'(\w+)="((?:[^"\\\\]|\\\\.)*)"', labels))
        found[name, tuple(one for one in told if one[0] not in ("job", "instance"))] = float(value)
    return found


def test_the_gateway_holds_the_table_and_the_newest_only(gateway, kept, tmp_path, promtool):
    settings = pushing(tmp_path, gateway)
    push_metrics(settings, kept)
    text = held(gateway)
    told = series(render(kept, terms=terms_of(settings)).decode())
    assert len(told) > 50
    assert series(text) == told
    assert 'job="drift-monitor"' in text
    assert told[
        "drift_monitor_info", (("monitor", "shop"), ("owner", "nobody"), ("pages", "https://drift.example.org"))
    ]
    ours = "".join(line for line in text.splitlines(keepends=True) if "drift_monitor_" in line)
    linted = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")

    claim = kept.claim("shop", week(1), "a", START + WEEK, LEASE)
    calm = replace(finished(claim), measurements=finished(claim).measurements[:1])
    kept.save(claim, calm)
    push_metrics(settings, kept)
    again = series(held(gateway))
    assert again == series(render(kept, terms=terms_of(settings)).decode())
    assert told.keys() - again.keys(), "what is no longer measured is gone"


def test_a_wrong_address_is_logged_and_fails_nothing(kept, tmp_path, caplog):
    with mailbox() as (elsewhere, _):
        for address, said in (
            (f"http://127.0.0.1:{free_port()}", "Connection refused"),
            ("http://no-such-host.invalid:9091", "metrics.pushgateway does not take the metrics"),
            (elsewhere, "Unsupported method"),
        ):
            caplog.clear()
            with caplog.at_level(logging.WARNING, "monitor.push"):
                push_metrics(pushing(tmp_path, address), kept)
            (line,) = caplog.records
            assert line.getMessage() == "metrics not sent"
            assert said in line.monitor_fields["error"]
            assert "is it running at that address?" in line.monitor_fields["error"]


def test_a_path_that_is_no_gateway_is_told(gateway, kept, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "monitor.push"):
        push_metrics(pushing(tmp_path, f"{gateway}/elsewhere"), kept)
    assert "Not Found" in caplog.records[-1].monitor_fields["error"]
    assert "drift_monitor_" not in held(gateway)


@pytest.mark.parametrize("address", ["127.0.0.1:9091", "http://user:right-horse@127.0.0.1:9091", "ftp://127.0.0.1"])
def test_what_is_no_address_is_refused_by_the_settings(tmp_path, address):
    with pytest.raises(ConfigError, match=r"metrics\.pushgateway") as refused:
        pushing(tmp_path, address)
    assert "right-horse" not in str(refused.value)
