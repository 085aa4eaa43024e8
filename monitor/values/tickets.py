"""A ticket: what it should say and be, and how it was last left in its service."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.values.documents import Document
from monitor.values.records import Window

__all__ = ["Draft", "Known", "Note"]


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
    """

    location: str = ""
    open: bool | None = None
    by_hand: bool = False
    told: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
