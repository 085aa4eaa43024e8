"""What goes wrong between us and a tracker: the right repeats, the right words, and never a second ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tracker_github import GitHub
from tracker_gitlab import GitLab
from tracker_jira import Jira, JiraDataCenter
from tracker_webhook import AskedTracker
from trackers import TOKEN, Fault

from monitor.errors import PublishError
from monitor.tickets.living import settle
from monitor.values import Draft, Known, Note, Paragraph, Span, Window

TRACKERS = {
    "github": GitHub,
    "gitlab": GitLab,
    "jira": Jira,
    "jira_data_center": JiraDataCenter,
    "webhook": AskedTracker,
}
PRIVATE = "my parcel to 12 Elm Street never came"
TRIED_AGAIN = "tried again later by itself"
THEN = "then drift-monitor tickets --retry"


@pytest.fixture(params=TRACKERS)
def tracker(request) -> Iterator:
    with TRACKERS[request.param]() as started:
        yield started
        assert started.violations == []


@pytest.fixture(autouse=True)
def slept(monkeypatch) -> list[float]:
    """Seconds that the client would have slept."""
    naps: list[float] = []
    monkeypatch.setattr("monitor.http_client.sleep", naps.append)
    return naps


def draft(**changes) -> Draft:
    window = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
    body = (Paragraph((Span(f"Such as: {PRIVATE}"),)),)
    return replace(Draft("0123456789abcdef", "support", "support: content drift", body, window), **changes)


def settled(tracker, backend, known: Known) -> None:
    """The fault is over: one more look, and there is one ticket, and nothing more to say."""
    tracker.faults.clear()
    known = settle(backend, draft(), known)
    sent = len(tracker.requests)
    assert settle(backend, draft(), known) == known
    assert not any(request.changes for request in tracker.requests[sent:])
    assert tracker.count() == 1


def failing(tracker, backend, draft: Draft, known: Known) -> tuple[PublishError, Known]:
    kept = [known]
    with pytest.raises(PublishError) as caught:
        settle(backend, draft, known, kept.append)
    message = str(caught.value)
    assert message.startswith(tracker.name)
    assert "127.0.0.1" in message
    assert TOKEN not in message
    assert "Elm Street" not in message
    assert message.endswith(THEN if caught.value.permanent else TRIED_AGAIN)
    return caught.value, kept[-1]


@pytest.mark.parametrize(
    ("kind", "permanent", "words"),
    [
        ("401", True, "401 Unauthorized: no luck, .*check the token"),
        ("403", True, "403 Forbidden: no luck, .*permissions that the documentation lists"),
        ("404", True, "404 Not Found: no luck, .*that the token may see them"),
        ("409", False, "409 Conflict: no luck"),
        ("422", True, "422 Unprocessable .*: no luck, .*correct what the settings ask of it"),
        ("500", False, "500 Internal Server Error: no luck"),
        ("502", False, "502 Bad Gateway: no luck"),
        ("503", False, "503 Service Unavailable: no luck"),
        ("cut", False, "the connection broke"),
        ("drip", False, "no whole answer within 0.3 s"),
        ("silence", False, "did not answer in time|no whole answer within 0.3 s"),
        ("wrong JSON", False, "200 with no JSON; is there a proxy or a login page"),
    ],
)
def test_opening_is_never_repeated_blindly(tracker, kind, permanent, words):
    backend = tracker.backend(timeout=0.3 if kind in ("drip", "silence") else 30)
    # What may have been processed, was: the worst case.
    tracker.faults.append(Fault(kind, tracker.opens, times=9, processed=not permanent))
    error, known = failing(tracker, backend, draft(), Known())
    assert error.permanent == permanent
    if kind == "wrong JSON":
        assert "answered 200" in str(error)
    else:
        assert "could not open the ticket: " in str(error)
    assert re.search(words, str(error))
    assert len([request for request in tracker.requests if tracker.opens(request)]) == 1
    assert tracker.count() == (not permanent)
    settled(tracker, tracker.backend(), known)


@pytest.mark.parametrize("kind", ["409", "500", "502", "cut", "drip", "silence", "wrong JSON"])
def test_what_was_not_opened_is_opened_later(tracker, kind):
    backend = tracker.backend(timeout=0.3 if kind in ("drip", "silence") else 30)
    tracker.faults.append(Fault(kind, tracker.opens, times=9))
    _, known = failing(tracker, backend, draft(), Known())
    assert tracker.count() == 0
    settled(tracker, tracker.backend(), known)


@pytest.mark.parametrize(
    ("kind", "tries"),
    [
        *[(kind, 1) for kind in ("401", "403", "404", "422", "drip", "silence", "wrong JSON")],
        *[(kind, 3) for kind in ("409", "500", "502", "cut")],
    ],
)
def test_looking_is_repeated_where_that_may_help(tracker, slept, kind, tries):
    backend = tracker.backend(timeout=0.3 if kind in ("drip", "silence") else 30)
    tracker.faults.append(Fault(kind, lambda request: not request.changes, times=9))
    failing(tracker, backend, draft(), Known())
    assert len(tracker.requests) == tries
    assert len(slept) == tries - 1
    assert all(0 <= nap <= 8 for nap in slept)
    assert tracker.count() == 0
    settled(tracker, tracker.backend(), Known())


@pytest.mark.parametrize("kind", ["500", "502", "cut", "409"])
def test_what_passes_between_two_tries_is_not_even_noticed(tracker, kind):
    tracker.faults.append(Fault(kind, lambda request: not request.changes, times=2))
    assert settle(tracker.backend(), draft(), Known()).open


def test_a_short_wait_that_is_asked_for_is_waited(tracker, slept):
    tracker.faults.append(Fault("429", tracker.opens, headers={"Retry-After": "2"}))
    known = settle(tracker.backend(), draft(), Known())
    assert 2 in slept
    settled(tracker, tracker.backend(), known)


@pytest.mark.parametrize("dated", [False, True], ids=["seconds", "date"])
def test_a_long_wait_is_left_to_the_outbox(tracker, slept, dated):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True) if dated else "600"
    tracker.faults.append(Fault("429", tracker.opens, times=9, headers={"Retry-After": later}))
    backend = tracker.backend()
    error, known = failing(tracker, backend, draft(), Known())
    assert not error.permanent
    assert error.retry_after == pytest.approx(600, abs=30)
    assert slept == []
    # Until then nothing is sent at all.
    before = len(tracker.requests)
    error, known = failing(tracker, backend, draft(), known)
    assert "its rate limit is spent" in str(error)
    assert len(tracker.requests) == before
    settled(tracker, tracker.backend(), known)


@pytest.mark.parametrize("kind", ["500", "cut", "403"])
def test_a_comment_that_arrived_is_not_written_twice(tracker, kind):
    backend = tracker.backend()
    noted = draft(notes=(Note("note-1", draft().body),))
    known = settle(backend, draft(), Known())
    writes = Fault(kind, lambda request: request.changes and request.path.endswith(("comment", "comments", "notes")))
    writes.processed = True
    tracker.faults.append(writes)
    _, known = failing(tracker, backend, noted, known)
    assert settle(backend, noted, known).told == {"note-1"}
    assert len(tracker.comments(1)) == 1


def test_killed_between_opening_and_keeping(tracker):
    def die(known: Known) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settle(tracker.backend(), draft(), Known(), die)
    assert tracker.count() == 1
    settled(tracker, tracker.backend(), Known())


def test_changes_that_fail_are_made_up_for(tracker):
    backend = tracker.backend()
    known = settle(backend, draft(), Known())
    tracker.faults.append(Fault("500", lambda request: request.changes, times=9))
    _, known = failing(tracker, backend, draft(open=False), known)
    assert tracker.is_open(1)
    tracker.faults.clear()
    settle(backend, draft(open=False), known)
    assert not tracker.is_open(1)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{later}"}, 600),
        ({"retry-after": "60"}, 60),
    ],
    ids=["primary", "secondary"],
)
def test_githubs_403_for_too_many_requests_passes(headers, wait):
    later = str(int(datetime.now(UTC).timestamp()) + 600)
    with GitHub() as tracker:
        sent = {name: value.format(later=later) for name, value in headers.items()}
        tracker.faults.append(Fault("403", tracker.opens, times=9, headers=sent))
        error, known = failing(tracker, tracker.backend(), draft(), Known())
        assert not error.permanent
        assert "403 Forbidden, too many requests" in str(error)
        assert error.retry_after == pytest.approx(wait, abs=30)
        settled(tracker, tracker.backend(), known)


@pytest.mark.parametrize(
    "names", [("RateLimit-Remaining", "RateLimit-Reset"), ("X-RateLimit-Remaining", "X-RateLimit-Reset")]
)
def test_a_spent_limit_is_respected_before_it_is_enforced(names, monkeypatch):
    with GitLab() as tracker:
        answer = tracker.answer
        reset = {names[0]: "0", names[1]: str(int(datetime.now(UTC).timestamp()) + 600)}

        def spent(request):
            status, headers, data = answer(request)
            return status, headers | reset, data

        monkeypatch.setattr(tracker, "answer", spent)
        error, _ = failing(tracker, tracker.backend(), draft(), Known())
        assert error.retry_after == pytest.approx(600, abs=30)
        assert len(tracker.requests) == 1


def test_what_a_service_quotes_of_a_body_is_not_told():
    with GitHub() as tracker:
        error, _ = failing(tracker, tracker.backend(assignees=("nobody",)), draft(), Known())
        assert "assignees: invalid" in str(error)
        assert "[what was sent]" in str(error)
