"""Notifiers: who is told directly when a monitor's state changes. Each is one file with one class; see :class:`Notifier`."""

from __future__ import annotations

from typing import Protocol

from monitor.values import Notice

__all__ = ["Notifier"]


class Notifier(Protocol):
    """Sends messages to one place."""

    def send(self, notice: Notice) -> str:
        """Send the message and return where it went; no secret may stand in that.

        ``PublishError`` says whether trying again can help. After a crash the same notice may be sent once more.
        """
        ...
