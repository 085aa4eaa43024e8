"""A ticket: what it should say and be, and how it was last left in its service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from monitor.values.documents import Document
from monitor.values.records import Window

__all__ = ["Draft", "Known", "Living", "Note", "Said", "Silence", "TicketWish"]


@dataclass(frozen=True, slots=True)
class Note:
    """A comment below a ticket. ``key`` is the idempotency key: one key, one comment in each ticket.

    lasting  written below a ticket that a person has closed, too
    """

    key: str
    body: Document
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket as it should be now. ``key`` is the idempotency key: one key, one ticket, whatever crashes.

    window  where the drift was first seen
    open    whether the drift goes on
    notes   comments so far, oldest first
    report  the newest run's HTML report, empty when there is none
    """

    key: str
    monitor: str
    title: str
    body: Document
    window: Window
    open: bool = True
    notes: tuple[Note, ...] = ()
    report: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a ticket between two looks at it.

    location  where it is, empty before it was opened
    open      how it was left; ``None`` before it was opened
    by_hand   a person has closed it, or taken it away
    told      keys of the comments that were written
    labels    those that a person had given it at the last look and that ask for something
    shown     the run that its body shows
    """

    location: str = ""
    open: bool | None = None
    by_hand: bool = False
    told: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a comment is to say, in finished sentences without production text."""

    key: str
    sentences: tuple[str, ...]
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class TicketWish:
    """What a run asks of the ticket of a drift episode. Its body is made when it is sent, of the run that it shows.

    key       of the episode
    since     start of its first drifted window
    run_id    the run it shows: the newest that drifted
    open      whether the episode goes on
    standing  how it stands at the newest window, a finished sentence
    causes    what has drifted in this episode
    over_at   end of the window that ended it
    notes     comments that this run adds
    """

    key: str
    monitor: str
    title: str
    since: datetime
    run_id: str
    open: bool = True
    standing: str = ""
    causes: tuple[str, ...] = ()
    over_at: datetime | None = None
    notes: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Living:
    """An episode of drift with its tickets, as the store remembers it.

    told_run  the run that the last comment, or the opening, told of
    known     how each ticket was left, by destination
    """

    key: str
    monitor: str
    title: str
    since: datetime
    run_id: str
    told_run: str
    open: bool
    causes: tuple[str, ...]
    over_at: datetime | None
    known: Mapping[str, Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody wants to hear of this monitor's drift until then. ``key`` is that of the ticket it was said on, empty for none."""

    monitor: str
    until: datetime
    by: str
    reason: str
    said_at: datetime
    key: str = ""
