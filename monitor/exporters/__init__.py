"""Exporters: refresh candidates as files for labelling. Each is one file with one class; see :class:`Exporter`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from monitor.values import Export, Window

__all__ = ["Checked", "Exporter"]


@runtime_checkable
class Checked(Protocol):
    """An exporter whose exports can be told by a checksum."""

    def checksum(self, monitor: str, window: Window) -> str:
        """SHA-256 of the manifest of a run's export as it is there now; empty when there is none to be read."""
        ...


class Exporter(Protocol):
    """Writes a batch of candidates to one place."""

    def write(self, export: Export) -> str:
        """Write the batch whole or not at all and return where it is; the same key overwrites, never appends.

        ``PublishError`` says whether trying again can help.
        """
        ...
