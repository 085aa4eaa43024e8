"""Tickets in GitHub, GitLab and both Jiras behave alike, and speak as those services document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tracker_github import GitHub
from tracker_gitlab import GitLab
from tracker_jira import Jira, JiraDataCenter

from monitor.errors import PublishError
from monitor.testing import check_tickets
from monitor.tickets.living import settle
from monitor.values import Draft, Heading, Known, Note, Paragraph, Span, Table, Window

TRACKERS = {"github": GitHub, "gitlab": GitLab, "jira": Jira, "jira_data_center": JiraDataCenter}
SAID = Paragraph((Span("Messages are about refunds now."),))
KEY = "0123456789abcdef"


@pytest.fixture(params=TRACKERS)
def tracker(request) -> Iterator:
    with TRACKERS[request.param]() as started:
        yield started
        assert started.violations == []


def draft(**changes) -> Draft:
    window = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
    return replace(Draft(KEY, "support", "support: content drift since 2026-01-05", (SAID,), window), **changes)


def note(key: str = "note-1", text: str = "A further cause joined.") -> Note:
    return Note(key, (Paragraph((Span(text),)),))


def test_each_keeps_the_contract(tracker):
    check_tickets(tracker.backend(), draft())
    assert tracker.count() == 2


def test_a_life_told_by_the_service(tracker):
    service = tracker.backend()
    known = settle(service, draft(), Known())
    assert known.location.endswith(("/1", "/ML-1"))
    assert "refunds" in tracker.body(1)
    known = settle(service, draft(notes=(note(),)), known)
    assert len(tracker.comments(1)) == 1
    sent = len(tracker.requests)
    assert settle(service, draft(notes=(note(),)), known) == known
    assert not any(request.changes for request in tracker.requests[sent:])  # what is so is not sent again
    known = settle(service, draft(open=False, notes=(note(), note("over", "It is over."))), known)
    assert not tracker.is_open(1)
    known = settle(service, draft(notes=(note(), note("over", "It is over."), note("again", "It is back."))), known)
    assert tracker.is_open(1)
    assert (tracker.count(), len(tracker.comments(1))) == (1, 3)


def test_what_people_do_counts_more(tracker):
    service = tracker.backend()
    known = settle(service, draft(), Known())
    tracker.label(1, "Wont-Fix")
    tracker.close(1)
    changed = draft(body=(SAID, SAID), notes=(note(),))
    known = settle(service, changed, known)
    assert known.by_hand
    assert known.labels == {"wont-fix"}
    assert not tracker.is_open(1)
    assert tracker.comments(1) == []
    assert "Wont-Fix" in tracker.labels(1)


def test_a_deleted_ticket_is_not_opened_again_and_one_out_of_sight_is_not_taken_for_deleted(tracker):
    service = tracker.backend()
    known = settle(service, draft(), Known())
    tracker.hidden = True
    with pytest.raises(PublishError) as caught:
        settle(service, draft(), known)
    assert caught.value.permanent
    tracker.hidden = False
    assert settle(service, draft(), known) == known
    tracker.delete(1)
    assert settle(service, draft(), known).by_hand
    assert tracker.count() == 1


def test_of_several_tickets_the_oldest_counts_and_a_busy_tracker_is_read_to_its_end(tracker):
    service = tracker.backend()
    first = service.create(draft())
    tracker.check = lambda request: None  # shown by the other tests, and slow
    for number in range(103):
        service.create(draft(key=f"{number:032x}"))
    service.create(draft())
    assert service.find(draft(), "").location == first.location


def test_comments_beyond_a_page_are_seen(tracker):
    service = tracker.backend()
    seen = service.create(draft())
    tracker.check = lambda request: None
    for number in range(103):
        service.comment(seen, note(f"n{number}"))
    wanted = draft(notes=tuple(note(f"n{number}") for number in range(104)))
    assert service.find(wanted, seen.location).notes == {f"n{number}" for number in range(103)}


def test_a_body_too_long_loses_rows_and_says_how_many(tracker, monkeypatch):
    if isinstance(tracker, GitLab):
        monkeypatch.setattr("monitor.tickets.gitlab._LONGEST", 65_536)  # a million characters take long to make
    row = ((Span("a refund of the whole order, please, as soon as ever possible"),) * 3,) * 4
    table = Table(("text", "label", "gain", "risk"), (row,) * 200)
    service = tracker.backend()
    known = settle(service, draft(body=(SAID, Heading("Candidates"), table)), Known())
    body = tracker.body(1)
    assert len(body) <= 65_536
    assert "rows are left out here." in body
    assert "refunds" in body
    assert known.open
    service.comment(service.find(draft(), known.location), replace(note(), body=(SAID, table)))
    assert "rows are left out here." in tracker.comments(1)[0]


def test_a_report_is_attached_once_and_replaced_when_it_changed(tracker):
    service = tracker.backend()
    known = settle(service, draft(report="<p>one</p>"), Known())
    settle(service, draft(report="<p>one</p>"), known)
    settle(service, draft(report="<p>two</p>"), known)
    if isinstance(tracker, GitHub):
        return  # it takes no files
    there = tracker.uploads if isinstance(tracker, GitLab) else list(tracker.attached.values())
    assert len(there) == (2 if isinstance(tracker, GitLab) else 1)
    assert b"<p>two</p>" in there[-1]
    assert settle(service, draft(), known).open  # a run without report leaves it


def test_long_titles_lose_whole_words(tracker):
    service = tracker.backend()
    settle(service, draft(title="refunds of @everybody " * 40), Known())
    sent = next(request.json for request in tracker.requests if tracker.opens(request))
    title = sent["fields"]["summary"] if isinstance(tracker, Jira) else sent["title"]
    assert len(title) <= 255
    assert title.endswith(("refunds…", "of…", "everybody…"))
    assert "@everybody" not in title


@pytest.mark.parametrize("tracker", ["github", "gitlab"], indirect=True)
def test_what_people_write_below_our_part_stays(tracker):
    service = tracker.backend()
    known = settle(service, draft(), Known())
    issue = tracker.issues[0]
    field = "body" if "body" in issue else "description"
    issue[field] = issue[field].replace("\n", "\r\n") + "Looked at it, Kim"
    sent = len(tracker.requests)
    settle(service, draft(), known)
    assert not any(request.changes for request in tracker.requests[sent:])
    settle(service, draft(body=(SAID, SAID)), known)
    assert issue[field].endswith("Looked at it, Kim")
    assert issue[field].count("refunds") == 2


def test_commands_of_gitlab_are_words():
    with GitLab() as tracker:
        words = Paragraph((Span("/close this, please"),))
        known = settle(tracker.backend(), draft(body=(words,), notes=(Note("n", (words,)),)), Known())
        assert known.open
        assert tracker.is_open(1)


def test_a_jira_workflow_without_a_way_is_named():
    with Jira() as tracker:
        known = settle(tracker.backend(), draft(), Known())
        tracker.statuses = {"11": ("To Do", "new"), "41": ("Abgelehnt", "done"), "31": ("Erledigt", "done")}
        with pytest.raises(PublishError, match=r"no transition to 'Fertig'; there are: Move to Abgelehnt, Move to Erl"):
            settle(tracker.backend(done="Fertig"), draft(open=False), known)
        settle(tracker.backend(done="erledigt", resolution="Fixed"), draft(open=False), known)
        assert tracker.issues[0]["fields"]["status"]["name"] == "Erledigt"
        assert tracker.issues[0]["moved_with"] == {"resolution": {"name": "Fixed"}}


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("github", {"repository": "robots"}, "owner/name"),
        ("github", {"repository": "a/b", "url": "ftp://x"}, "https://"),
        ("github", {"repository": "a/b", "timeout": 0}, "above 0 and at most 300"),
        ("gitlab", {"project": "/"}, "group/name"),
        ("gitlab", {"project": "a/b", "labels": ["a,b"]}, "comma"),
        ("gitlab", {"project": "a/b", "url": "https://me:pw@gitlab.example"}, "user or password"),
        ("jira", {"url": "https://x.example", "email": "a@b.c", "project": "not a key"}, "project's key"),
        ("jira_data_center", {"url": "https://x.example", "project": "ML", "labels": ["two words"]}, "no spaces"),
    ],
)
def test_wrong_options_are_refused(kind, options, problem):
    from monitor.plugins import factory  # noqa: PLC0415
    from monitor.secrets import Secret  # noqa: PLC0415

    with pytest.raises(ValueError, match=problem):
        factory("tickets", kind)(token=Secret("t"), **options)
