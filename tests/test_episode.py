"""Drift, news, a person who closes, the drift's end and return: every word of the ticket as it was read aloud once."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from episode import SCRIPT, play, reference
from shop import open_shop

from monitor.publish import publish_pending
from monitor.tickets.file import FileTickets
from monitor.values import State

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


def test_a_ticket_tells_the_whole_episode(monitor, tmp_path):
    store, support = monitor
    folder = tmp_path / "tickets"
    before = ""
    for at, (number, step, desk) in enumerate(play(store, support)):
        if at % 2 == 0:
            if step.by_hand == "close":
                (path,) = folder.glob("*.md")
                path.write_text(path.read_text().replace("State: open", "State: closed", 1))
            continue
        publish_pending({"support": support}, desk)
        if number == 0:
            assert not folder.exists()
            continue
        (path,) = folder.glob("*.md")
        text = path.read_text()
        assert text != before
        hold_against(GOLDEN / f"week-{number:02}-{step.state}.md", text)
        before = text
    (ticket,) = store.tickets("support")
    assert (ticket.over, ticket.by_hand, ticket.attempts) == (True, False, 1)
    assert [step.state for step in SCRIPT].count(State.DRIFTED) == 5
