"""Drift, news, a person who closes, the drift's end and return: every word of the ticket as it was read aloud once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from episode import SCRIPT, Step, play, reference
from shop import open_shop

from monitor.desk import Monitor
from monitor.documents.adf import adf
from monitor.documents.html import html
from monitor.documents.plain import plain
from monitor.documents.wiki import wiki
from monitor.publish import publish_pending
from monitor.store import Store
from monitor.tickets import Seen
from monitor.tickets.file import FileTickets
from monitor.values import Document, Draft, Note, State

GOLDEN = Path(__file__).parent / "golden" / "episode"


def hold_against(path: Path, text: str) -> None:
    """Compare with what was read before; GOLDEN=write writes it anew, to be read."""
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} says something else; GOLDEN=write, and read it"


@pytest.fixture
def monitor(tmp_path):
    _, store, shop = open_shop(tmp_path)
    tickets = {"file": FileTickets(str(tmp_path / "tickets"))}
    week = timedelta(days=7)
    yield (
        store,
        replace(
            shop, name="support", load_reference=reference, tickets=tickets, exports={}, reopen=2 * week, allowed=1.0
        ),
    )
    store.close()


class Recorded(FileTickets):
    """Keeps what it was given, for other markups to say."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.said: list[tuple[str, Document]] = []

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002
        super().update(seen, draft, open=open)
        self.said.append((f"{draft.title} [{'open' if open else 'closed'}]", draft.body))

    def comment(self, seen: Seen, note: Note) -> None:
        super().comment(seen, note)
        self.said.append((f"comment {note.key}", note.body))


def play_all(store: Store, support: Monitor, folder: Path) -> Iterator[tuple[int, Step, str]]:
    """The week's number, its step, and the ticket's file after it."""
    for at, (number, step, desk) in enumerate(play(store, support)):
        if at % 2 == 0:
            if step.by_hand == "close":
                (path,) = folder.glob("*.md")
                path.write_text(path.read_text().replace("State: open", "State: closed", 1))
            continue
        publish_pending({"support": support}, desk)
        found = [path.read_text() for path in folder.glob("*.md")]
        assert len(found) == (number > 0), "one ticket in all"
        yield number, step, "".join(found)


def test_a_ticket_tells_the_whole_episode(monitor, tmp_path):
    store, support = monitor
    before = ""
    for number, step, text in play_all(store, support, tmp_path / "tickets"):
        if number:
            assert text != before
            hold_against(GOLDEN / f"week-{number:02}-{step.state}.md", text)
            before = text
    (ticket,) = store.tickets("support")
    assert (ticket.over, ticket.by_hand, ticket.attempts) == (True, False, 1)
    assert [step.state for step in SCRIPT].count(State.DRIFTED) == 5


MARKUPS = {
    "adf.json": lambda document: json.dumps(adf(document), ensure_ascii=False),
    "wiki.txt": wiki,
    "plain.txt": plain,
    "letter.html": html,
}


def test_every_markup_says_the_same(monitor, tmp_path):
    store, support = monitor
    recorded = Recorded(str(tmp_path / "tickets"))
    for _ in play_all(store, replace(support, tickets={"file": recorded}), tmp_path / "tickets"):
        pass
    assert [title for title, _ in recorded.said if title.startswith("comment")] == [
        "comment 2026-01-26T00:00:00+00:00 changed",
        "comment 2026-02-23T00:00:00+00:00 back",
        "comment 2026-03-16T00:00:00+00:00 over",
    ]
    # The first body, the last, and what was commented between; every body is in the files above.
    told = [recorded.said[0], *(one for one in recorded.said if one[0].startswith("comment")), recorded.said[-1]]
    for name, said in MARKUPS.items():
        text = "".join(f"===== {title}\n\n{said(document).rstrip()}\n\n" for title, document in told)
        hold_against(GOLDEN / name, text)
