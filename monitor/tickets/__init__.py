"""Ticket backends: services in which refresh tickets live. Each is one file with one class; see :class:`Tickets`.

A backend only finds, opens, changes and comments; what is to be done with a ticket, the same everywhere, is decided in
:mod:`monitor.tickets.living`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.values import Draft, Note

__all__ = ["Seen", "Tickets"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A ticket as it was found in its service.

    location  where people open it: a URL or a path
    number    what the service calls it
    open      ``None`` when the service cannot tell
    labels    all labels it has, in lower case
    notes     keys of our comments below it; ``None`` when the service cannot tell
    content   what the backend compares a draft with, or needs to change it
    """

    location: str
    number: str
    open: bool | None = True
    labels: frozenset[str] = frozenset()
    notes: frozenset[str] | None = frozenset()
    content: Any = field(default=None, repr=False)


class Tickets(Protocol):
    """One service. Every method may raise ``PublishError``, which says whether trying again can help.

    A backend may have an attribute ``address``: when one there gives no answer, others with the same are not asked in that round.
    """

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The ticket with the draft's key, whatever became of it; ``None`` when there is none, or it was deleted.

        ``location`` is where it was last, empty when it was never seen. The key is looked for in the service itself, so
        that a ticket whose opener died before he could say so is found.
        """
        ...

    def create(self, draft: Draft) -> Seen:
        """Open the ticket, without its notes."""
        ...

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Give it the draft's title and body, and close or reopen it; what is so already is not sent again.

        What people wrote, their labels and assignees stay. Long bodies are made to fit by :mod:`monitor.documents.fitting`.
        """
        ...

    def comment(self, seen: Seen, note: Note) -> None:
        """Write a comment that carries the note's key, so that :meth:`find` sees it."""
        ...
