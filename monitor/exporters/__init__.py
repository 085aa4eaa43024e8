"""Exporters: refresh candidates as files for labelling. Each is one file with one class; see :class:`Exporter`."""

from __future__ import annotations

from typing import Protocol

from monitor.values import Export

__all__ = ["Exporter"]


class Exporter(Protocol):
    """Writes a batch of candidates to one place."""

    def write(self, export: Export) -> str:
        """Write the batch whole or not at all and return where it is; the same key overwrites, never appends.

        ``PublishError`` says whether trying again can help.
        """
        ...
