"""One drift, one ticket, in every service: the whole episode through the store, and ten publishers at once."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from episode import play, reference
from forked import Forked, in_processes
from publish_worker import publish_and_die
from shop import DAY, FIRST, desk, open_shop, raw_settings, window
from tracker_github import GitHub
from tracker_gitlab import GitLab
from tracker_jira import Jira, JiraDataCenter
from trackers import TOKEN

from monitor.config import parse
from monitor.pipeline import publish_pending, run_window
from monitor.store import DeliveryStatus, Store
from monitor.wiring import wire


@pytest.fixture(params=[GitHub, GitLab, Jira, JiraDataCenter], ids=lambda made: made.name)
def tracker(request):
    with request.param() as started:
        yield started
        assert started.violations == []


def test_a_service_is_told_the_whole_episode_once(tracker, tmp_path):
    _, store, shop = open_shop(tmp_path)
    support = replace(
        shop,
        name="support",
        load_reference=reference,
        tickets={"tracker": tracker.backend()},
        exports={},
        reopen=timedelta(days=14),
    )
    stood = []
    for at, (_, step, at_desk) in enumerate(play(store, support)):
        if at % 2 == 0 and step.by_hand == "close":
            tracker.close(1)
        if at % 2:
            publish_pending({"support": support}, at_desk)
            stood.append((tracker.count(), tracker.count() > 0 and tracker.is_open(1)))
    assert stood[0] == (0, False)
    assert {count for count, _ in stood[1:]} == {1}
    # Closed by hand in the fifth week, back in the eighth, over in the last.
    assert [is_open for _, is_open in stood[1:]] == [True] * 3 + [False] * 3 + [True] * 3 + [False]
    said = tracker.comments(1)
    assert len(said) == 3
    for words, comment in zip(
        ("Class balance has drifted too", "The drift is back", "The drift is over"), said, strict=True
    ):
        assert words in str(comment)
    assert "kim@shop.example" not in str(tracker.body(1)) + str(said)
    (ticket,) = store.tickets("support")
    assert (ticket.status, ticket.over, ticket.failures) == (DeliveryStatus.SENT, True, 0)
    store.close()


def tracked(folder, database_url, tracker):
    """Settings of a shop with tickets in GitHub; the token lies in a file."""
    part = {"kind": "github", "repository": "acme/robots", "token_file": f"{folder}/token", "url": tracker.url}
    return raw_settings(folder, database_url, tickets=[part], exports=[])


def publish(folder, database_url, url, barrier, number, results):
    """Publish what is due, at the same moment as others."""

    settings = parse(tracked(folder, database_url, SimpleNamespace(url=url)))
    with Store.open(database_url) as store:
        monitor = wire(settings, settings.monitors[0], store)
        barrier.wait(60)
        results.put(publish_pending({"shop": monitor}, desk(store, worker=f"worker-{number}")))


def test_ten_publishers_at_once_open_one_ticket(tmp_path, database_url):
    with GitHub() as github:
        github.clock = FIRST + 30 * DAY
        (tmp_path / "token").write_text(TOKEN)
        _, store, monitor = open_shop(tmp_path, database_url, **_only(tracked(tmp_path, database_url, github)))
        run_window(monitor, window(2), desk(store))
        sent = in_processes(10, publish, tmp_path, database_url, github.url)
        assert (sum(sent), github.count(), github.violations) == (1, 1, [])
        (ticket,) = store.tickets("shop")
        assert (ticket.status, ticket.attempts) == (DeliveryStatus.SENT, 1)
        store.close()


def _only(settings):
    (monitor,) = settings["monitors"]
    return {name: monitor[name] for name in ("tickets", "exports")}


@pytest.mark.parametrize("deadly", ["mark", "keep"])
def test_killed_between_opening_and_marking(tmp_path, deadly):
    database_url = f"sqlite:///{tmp_path}/monitor.db"
    with GitHub() as github:
        github.clock = FIRST + 30 * DAY
        (tmp_path / "token").write_text(TOKEN)
        _, store, monitor = open_shop(tmp_path, database_url, **_only(tracked(tmp_path, database_url, github)))
        run_window(monitor, window(2), desk(store))
        raw = tracked(tmp_path, database_url, github)
        status, _, told = Forked(publish_and_die, raw, database_url, deadly).end()
        assert status == -signal.SIGKILL, told
        assert github.count() == 1
        (ticket,) = store.tickets("shop")
        assert (ticket.status, ticket.location != "") == (DeliveryStatus.PENDING, deadly == "mark")
        later = desk(store, at=FIRST + 30 * DAY + timedelta(hours=1))
        assert publish_pending({"shop": monitor}, later) == 1
        assert (github.count(), github.comments(1), github.violations) == (1, [], [])
        (ticket,) = store.tickets("shop")
        assert (ticket.status, ticket.attempts) == (DeliveryStatus.SENT, 2)
        store.close()
