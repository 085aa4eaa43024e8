"""The demo's sixteen weeks, watched by a real Prometheus with the rules and an Alertmanager with the example's routes."""

from __future__ import annotations

import io
import json
import re
import sys
import time
import urllib.request
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import pytest
from conftest import tool
from live_alertmanager import alertmanager, mailbox, wait_for
from live_prometheus import exposed
from rich.console import Console
from test_alerts_live import watching

from monitor.cli import main
from monitor.config import load
from monitor.demo.play import Play
from monitor.demo.story import WEEKS, window_of
from monitor.metrics import render
from monitor.store import Store
from monitor.values import State
from monitor.wiring import terms_of

LIMITS = ("lag", "failing", "insufficient", "drift", "reference_age", "ticket_wait", "outbox_wait")


class Watched(Play):
    """Plays week by week in this process, and has each week looked at."""

    def __init__(self, folder, look):
        super().__init__(folder, Console(file=io.StringIO(), width=160))
        self._look = look

    def _settings(self):
        told = super()._settings()
        # The weeks lie in the past: what only the clock tells shall not come.
        told["monitors"][0] |= {"owner": "search", "limits": dict.fromkeys(LIMITS, "36500d")}
        return told

    def _backfill(self, weeks):
        for week in weeks:
            super()._backfill(range(week, week + 1))
            self._look(week)

    def _drift_monitor(self, *words, quiet=False):
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
            patch.setattr(sys, "argv", ["drift-monitor", *words, "-c", str(self._config)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert not ended.value.code, said.getvalue()
        return said.getvalue()


class Watch:
    """What Alertmanager says after each week."""

    def __init__(self, folder, url, got):
        self._folder, self._url, self._got = folder, url, got
        self.verdicts, self.messages = [], []

    def __call__(self, week):
        with Store.open(f"sqlite:///{self._folder / 'demo' / 'drift-monitor.db'}") as store:
            decision = store.run("support-desk", window_of(week).start).decision
        self.verdicts.append(decision)
        firing = {_ALERTS[cause] for cause in decision.causes} if decision.state is State.DRIFTED else set()
        before = sum(map(len, self.messages))
        wait_for(lambda: self._seen(window_of(week).end.timestamp()), "the week is not scraped")
        wait_for(lambda: self._drift_alerts() == firing, self._got)
        # Time for a message too many.
        time.sleep(3)
        self.messages.append(self._got[before:])

    def _drift_alerts(self):
        """Those of which the last message says that they fire."""
        state = {}
        for path, _, body in list(self._got):
            if path == "/hook":
                for one in body["alerts"]:
                    state[one["labels"]["alertname"]] = one["status"]
        return {name for name, status in state.items() if status == "firing" and name in _ALERTS.values()}

    def _seen(self, end):
        query = f"drift_monitor_window_end_timestamp_seconds=={end}"
        with urllib.request.urlopen(f"{self._url}/api/v1/query?query={query}", timeout=30) as answer:
            return json.load(answer)["data"]["result"]


_ALERTS = {"content": "DriftMonitorSemanticDrift", "class balance": "DriftMonitorClassBalanceDrift"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")

    def metrics():
        path = folder / "demo" / "drift-monitor.db"
        if not path.exists():
            return b""
        with Store.open(f"sqlite:///{path}") as store:
            return render(store, terms=terms_of(load(folder / "demo" / "drift-monitor.yaml")))

    with ExitStack() as stack:
        box, got = stack.enter_context(mailbox())
        managed = stack.enter_context(alertmanager(tool("prometheus-alertmanager"), folder / "alertmanager", box))
        page = stack.enter_context(exposed(metrics))
        url = stack.enter_context(
            watching(tool("prometheus"), folder / "prometheus", page, manager=managed, keep=False)
        )
        watch = Watch(folder, url, got)
        Watched(folder / "demo", watch).perform()
        yield watch


def alerts_of(messages, status):
    return [one for path, _, body in messages if path == "/hook" for one in body["alerts"] if one["status"] == status]


@pytest.mark.model
def test_alerts_come_in_the_drift_weeks_and_at_no_other_time(told):
    assert len(told.messages) == len(WEEKS)
    for week, (script, verdict, messages) in enumerate(zip(WEEKS, told.verdicts, told.messages, strict=True)):
        firing = {one["labels"]["alertname"] for one in alerts_of(messages, "firing")}
        if script.cause is None:
            assert not firing, (week, firing)
        elif WEEKS[week - 1].cause is None:
            assert _ALERTS[script.cause] in firing, (week, verdict)
    for week in range(6):
        assert not told.messages[week]


@pytest.mark.model
def test_they_resolve_after_recovery(told):
    for week in (8, 12):
        assert WEEKS[week - 1].cause is not None
        resolved = {one["labels"]["alertname"] for one in alerts_of(told.messages[week], "resolved")}
        assert _ALERTS[WEEKS[week - 1].cause] in resolved


@pytest.mark.model
def test_the_message_has_numbers_and_links(told):
    week = next(n for n, script in enumerate(WEEKS) if script.cause == "content")
    (one,) = [
        one
        for one in alerts_of(told.messages[week], "firing")
        if one["labels"]["alertname"] == "DriftMonitorSemanticDrift"
    ][:1]
    assert one["labels"].items() >= {"monitor": "support-desk", "owner": "search", "severity": "warning"}.items()
    assert one["annotations"]["summary"] == "support-desk: traffic holds content the model was not trained on"
    assert re.fullmatch(
        r"The newest window of support-desk speaks of something else than the accepted past\. Evidence: [0-9.]+[kMGT]?, an alarm takes "
        r"[0-9.]+\. Share of the traffic that changed, by 95 % interval at least: [0-9.]+%; tolerated: 2%\. "
        r"Records proposed for labelling: [0-9]+\.",
        one["annotations"]["description"],
    )
    anchor = one["annotations"]["runbook_url"].partition("/docs/runbooks.md#")[2]
    assert (
        f"## {one['labels']['alertname']}\n"
        in (Path(__file__).resolve().parents[1] / "docs" / "runbooks.md").read_text()
    )
    assert anchor == one["labels"]["alertname"].lower()
    assert "/graph?" in one["generatorURL"]
