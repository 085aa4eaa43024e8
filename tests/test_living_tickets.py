"""A ticket lives as long as its drift: one ticket, kept current, closed on recovery, and a person's word counts more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from monitor.errors import PublishError
from monitor.tickets import Seen
from monitor.tickets.file import FileTickets
from monitor.tickets.living import settle
from monitor.values import Draft, Known, Note, Paragraph, Span, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))


def words(text):
    return (Paragraph((Span(text),)),)


DRAFT = Draft("0123456789abcdef", "shop", "shop: content drift since 2026-01-05", words("Drift."), WINDOW)
CHANGED = Note("2026-01-12 changed", words("Class balance has drifted too."))
OVER = Note("2026-01-19 over", words("It is over."))
VERIFIED = Note("verified", words("Nothing breaks."), lasting=True)


@pytest.fixture
def tickets(tmp_path):
    return FileTickets(str(tmp_path / "tickets"))


def only(tmp_path):
    (path,) = (tmp_path / "tickets").glob("*.md")
    return path


def by_hand(path, was, becomes):
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes))


def test_it_is_opened_once_and_kept_current(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    assert known == Known(str(only(tmp_path)), open=True)
    later = settle(tickets, replace(DRAFT, body=words("Drift goes on."), notes=(CHANGED,)), known)
    assert later == replace(known, told=frozenset({CHANGED.key}))
    text = only(tmp_path).read_text()
    assert "Drift goes on." in text
    assert "Drift.\n" not in text
    assert text.count("Class balance has drifted too.") == 1
    assert settle(tickets, replace(DRAFT, body=words("Drift goes on."), notes=(CHANGED,)), later) == later
    assert only(tmp_path).read_text() == text


def test_it_is_closed_with_a_word_and_reopened_when_the_drift_is_back(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    over = settle(tickets, replace(DRAFT, open=False, notes=(OVER,)), known)
    assert over == Known(known.location, open=False, told=frozenset({OVER.key}))
    assert "State: closed" in only(tmp_path).read_text()
    back = Note("back", words("It is back."))
    again = settle(tickets, replace(DRAFT, notes=(OVER, back)), over)
    assert (again.open, again.location, again.by_hand) == (True, known.location, False)
    text = only(tmp_path).read_text()
    assert "State: open" in text
    assert text.index("It is over.") < text.index("It is back.")


def test_one_that_a_person_closed_stays_closed_for_this_drift_only(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    by_hand(only(tmp_path), "State: open", "State: closed")
    known = settle(tickets, replace(DRAFT, body=words("Still."), notes=(CHANGED,)), known)
    assert (known.open, known.by_hand, known.told) == (False, True, frozenset({CHANGED.key}))
    text = only(tmp_path).read_text()
    assert "State: closed" in text
    assert "Still." in text
    assert "Class balance" not in text
    known = settle(tickets, replace(DRAFT, notes=(CHANGED, VERIFIED)), known)
    assert "Nothing breaks." in only(tmp_path).read_text()
    over = settle(tickets, replace(DRAFT, open=False, notes=(CHANGED, VERIFIED, OVER)), known)
    assert (over.open, over.by_hand) == (False, False)
    assert "It is over." not in only(tmp_path).read_text()
    back = settle(tickets, replace(DRAFT, notes=(CHANGED, VERIFIED, OVER)), over)
    assert back.open is True
    text = only(tmp_path).read_text()
    assert "State: open" in text
    # What a person was spared is not told later.
    assert "It is over." not in text


def test_one_that_a_person_opened_again_is_open(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    by_hand(only(tmp_path), "State: open", "State: closed")
    known = settle(tickets, DRAFT, known)
    by_hand(only(tmp_path), "State: closed", "State: Open")
    known = settle(tickets, replace(DRAFT, notes=(CHANGED,)), known)
    assert (known.open, known.by_hand) == (True, False)
    assert "Class balance" in only(tmp_path).read_text()


def test_one_that_was_taken_away_is_not_opened_a_second_time_until_the_drift_comes_back(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    only(tmp_path).unlink()
    known = settle(tickets, replace(DRAFT, notes=(CHANGED,)), known)
    assert (known.open, known.by_hand) == (False, True)
    assert list((tmp_path / "tickets").iterdir()) == []
    known = settle(tickets, replace(DRAFT, open=False, notes=(CHANGED, OVER)), known)
    assert known == Known(open=False)
    assert settle(tickets, DRAFT, known).location == str(only(tmp_path))


def test_drift_that_was_over_before_its_ticket_could_be_opened_leaves_none(tickets, tmp_path):
    assert settle(tickets, replace(DRAFT, open=False, notes=(OVER,)), Known()) == Known(open=False)
    assert not (tmp_path / "tickets").exists()


def test_labels_that_ask_for_something_are_heard(tickets, tmp_path):
    known = settle(tickets, DRAFT, Known())
    by_hand(only(tmp_path), "Labels:", "Labels: Accepted, nlp wont-fix")
    assert settle(tickets, DRAFT, known).labels == {"accepted", "wont-fix"}
    by_hand(only(tmp_path), "Labels: Accepted, nlp wont-fix", "Labels: nlp")
    assert settle(tickets, DRAFT, known).labels == frozenset()


@dataclass
class Deaf:
    """A service that can only be written to, such as mail."""

    said: list[str] = field(default_factory=list)
    fails: str = ""

    def find(self, draft, location):
        return Seen(location, "", open=None, notes=None) if location else None

    def create(self, draft):
        return self._did("create", Seen("mail", "", open=None, notes=None))

    def update(self, seen, draft, *, open):  # noqa: A002
        self._did(f"update {'open' if open else 'closed'}")

    def comment(self, seen, note):
        self._did(f"comment {note.key}")

    def _did(self, what, seen=None):
        if what == self.fails:
            raise PublishError("down")
        self.said.append(what)
        return seen


def test_a_service_that_cannot_be_read_is_told_everything_once():
    service = Deaf()
    known = settle(service, DRAFT, Known())
    known = settle(service, replace(DRAFT, notes=(CHANGED,)), known)
    known = settle(service, replace(DRAFT, open=False, notes=(CHANGED, OVER)), known)
    assert service.said == [
        "create",
        "update open",
        f"comment {CHANGED.key}",
        "update open",
        f"comment {OVER.key}",
        "update closed",
    ]
    assert known == Known("mail", open=False, told=frozenset({CHANGED.key, OVER.key}))


@pytest.mark.parametrize("fails", [f"comment {CHANGED.key}", f"comment {OVER.key}", "update closed"])
def test_what_failed_in_the_middle_goes_on_where_it_stopped(fails):
    service = Deaf(fails=fails)
    kept = [Known()]
    draft = replace(DRAFT, notes=(CHANGED, OVER))
    first = settle(Deaf(), DRAFT, Known())
    kept.append(first)
    with pytest.raises(PublishError, match="down"):
        settle(service, replace(draft, open=False), first, kept.append)
    service.fails = ""
    settle(service, replace(draft, open=False), kept[-1], kept.append)
    assert service.said == [f"comment {CHANGED.key}", f"comment {OVER.key}", "update closed"]


def test_a_creator_that_dies_before_it_could_say_so_opens_no_second_ticket(tickets, tmp_path):
    tickets.create(DRAFT)
    assert settle(tickets, DRAFT, Known()).location == str(only(tmp_path))
