"""Ticket backends: where a refresh ticket is opened. Each is one file with one class; see :class:`Tickets`."""

from __future__ import annotations

from typing import Protocol

from monitor.values import Draft

__all__ = ["Tickets"]


class Tickets(Protocol):
    """Opens tickets in one system."""

    def open(self, draft: Draft) -> str:
        """Open the ticket and return where it is; find it by ``draft.key`` first, so that a repeat opens no second.

        ``PublishError`` says whether trying again can help.
        """
        ...
