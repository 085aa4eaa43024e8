"""People without Prometheus: told once of drift and its end, of silence and of verdicts again, and not too often."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from conftest import free_port
from live_alertmanager import mailbox
from run_examples import LEASE, START, WEEK, calm, failed, finished, week
from shop import desk, open_shop, window

from monitor.errors import PublishError
from monitor.news import BLIND, DRIFT, OVER, SEES, news
from monitor.notifiers.apprise import AppriseNotifier
from monitor.pipeline import publish_pending, run_window
from monitor.secrets import Secret
from monitor.testing import check_notifier
from monitor.values import Decision, Notice, State

QUIET = timedelta(hours=1)


def decided(state, alarm=0.0, causes=()):
    return Decision(state, (f"It is {state}.",), causes=causes, evidence={"alarm_since": alarm})


CALM, ON = decided(State.STABLE), decided(State.DRIFTED, 5.0, ("content",))
OFF, OUT, FEW = decided(State.RECOVERING, 5.0), decided(State.FAILED), decided(State.INSUFFICIENT)


def told(store, number, decision, before, *, alarm=False, since=None, pages=""):
    claim = store.claim("support", week(number), "a", START, LEASE)
    store.save(claim, finished(claim))
    return news(replace(finished(claim), decision=decision), since, before, QUIET, pages, alarm=alarm)


def test_only_changes_are_news(store):
    def event(*given, **more):
        found = told(store, event.number, *given, **more)
        event.number += 1
        return None if found is None else found.event

    event.number = 0
    start = week(0).start
    assert event(CALM, None) is None
    assert event(CALM, State.STABLE) is None
    assert event(ON, State.STABLE, since=start) == DRIFT
    assert event(OFF, State.DRIFTED, alarm=True) is None
    assert event(CALM, State.RECOVERING, alarm=True) == OVER
    assert event(OUT, State.STABLE) == BLIND
    assert event(FEW, State.FAILED) is None
    assert event(CALM, State.INSUFFICIENT) == SEES
    assert event(CALM, State.FAILED, alarm=True) == OVER, "the drift was over when verdicts came again"


def test_drift_that_goes_on_has_one_key_and_another_cause_another(store):
    first, second, other = (
        told(store, number, decision, State.DRIFTED, alarm=True, since=week(0).start)
        for number, decision in enumerate([ON, ON, decided(State.DRIFTED, 5.0, ("class balance",))])
    )
    assert first.key == second.key != other.key
    assert first.title == "support: content drift since 2026-01-05"
    assert first.body.splitlines()[0] == "It is drifted."
    assert first.body.endswith("More: drift-monitor report --monitor support --window 2026-01-05T00:00:00+00:00")


def test_a_message_leads_to_the_report_where_the_pages_are_known(store):
    pages = "https://drift.example.org"
    found = told(store, 0, ON, State.STABLE, since=week(0).start, pages=pages)
    (run,) = store.runs("support", limit=1)
    assert found.body.splitlines()[-1] == f"More: {pages}/runs/{run.id}"


def notice(key, event=DRIFT, quiet=QUIET):
    return Notice(key, "support", event, "title", "body", week(0), quiet)


def save(store, number, note, make=calm, at=START):
    claim = store.claim("support", week(number), "a", START, LEASE)
    store.save(claim, replace(make(claim), finished_at=at), notices={"chat": note})


def test_no_second_message_on_one_event_within_the_pause(store):
    save(store, 0, notice("1"))
    save(store, 1, notice("1"), at=START + 3 * QUIET)  # the same again
    save(store, 2, notice("2"), at=START + QUIET / 2)  # too soon
    save(store, 3, notice("3", OVER), at=START + QUIET / 2)  # another event
    save(store, 4, notice("4"), at=START + QUIET)
    assert [one.key for one in reversed(store.notices())] == ["1", "3", "4"]
    due = store.due_notices(START + WEEK)
    assert [(one.wish.key, one.wish.event, one.wish.title, one.wish.body) for one in due] == [
        ("1", DRIFT, "title", "body"),
        ("3", OVER, "title", "body"),
        ("4", DRIFT, "title", "body"),
    ]
    assert store.due_notices(START + WEEK) == [], "leased"
    store.sent(due[0], "JSON", START + WEEK)
    store.not_sent(due[1], "down", START + WEEK, permanent=True)
    store.not_sent(due[2], "down", START + WEEK)
    assert [one.status for one in reversed(store.notices())] == ["sent", "parked", "pending"]
    (support,) = store.overview()
    assert support.failures == {("notice", "chat"): 2}
    assert set(support.waiting) == {("notice", "chat")}
    assert store.unpark() == 2


def test_a_failed_run_asks_for_messages_too(store):
    save(store, 0, notice("1", BLIND), make=failed)
    assert [one.key for one in store.notices()] == ["1"]


def test_from_traffic_to_message_and_to_its_end(tmp_path, monkeypatch):
    with mailbox() as (url, got):
        monkeypatch.setenv("CHAT", f"json://{url.removeprefix('http://')}/hook")
        _, store, monitor = open_shop(
            tmp_path,
            days=(0, 60, 60, 0, 0, 0, 0, 0, 0),
            notify=[{"kind": "apprise", "url": "${CHAT}"}],
            notify_pause="0s",
        )
        monitor = replace(monitor, pages="https://drift.example.org")
        states = []
        for day in range(9):
            states.append(run_window(monitor, window(day), desk(store)).decision.state)
            publish_pending({"shop": monitor}, desk(store))
        (drifted,) = [run for run in store.runs("shop") if run.window == window(states.index(State.DRIFTED))]
        store.close()
    assert got[0][2]["message"].endswith(f"More: https://drift.example.org/runs/{drifted.id}")
    titles = [body["title"] for _, _, body in got]
    assert State.DRIFTED in states[1:3]
    assert titles[0].startswith("shop: ")
    assert "drift since" in titles[0]
    assert len(titles) == len(set(titles)) == 1 + (State.STABLE in states[3:])
    assert titles[-1].startswith("shop: the drift is over since ") == (State.STABLE in states[3:])
    assert got[0][2]["type"] == "warning"


def test_the_notifier_keeps_the_contract():
    with mailbox() as (url, got):
        check_notifier(AppriseNotifier(Secret(f"json://{url.removeprefix('http://')}/hook")), notice("1"))
    assert [body["type"] for _, _, body in got] == ["warning", "success", "failure", "info", "warning"]


def test_a_place_that_does_not_answer_is_tried_again_and_says_no_secret(caplog):
    caplog.set_level(logging.DEBUG)
    teller = AppriseNotifier(Secret(f"json://user:right-horse@127.0.0.1:{free_port()}/hook"))
    with pytest.raises(PublishError, match="JSON did not take the message; is it up") as caught:
        teller.send(notice("1"))
    assert not caught.value.permanent
    assert "right-horse" not in caplog.text + str(caught.value)


def test_a_wrong_address_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="no address that Apprise knows") as caught:
        AppriseNotifier(Secret("slak://right-horse"))
    assert "right-horse" not in str(caught.value)
