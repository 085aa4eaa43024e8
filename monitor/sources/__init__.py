"""Sources: where records come from. Each is one file with one class; see :class:`Source`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from monitor.values import Batch, Window

__all__ = ["Source"]


class Source(Protocol):
    """Reads records, translating the user's columns to those of :func:`monitor.values.record_schema`."""

    def read(self, window: Window | None) -> Iterator[Batch]:
        """Stream the records whose time lies in ``window``; ``None`` streams all of them, dated or not.

        Memory stays constant however long the stream is. A record that cannot be used is counted in
        ``Batch.rejected`` by reason; only a source that cannot be read at all raises ``SourceError``.
        """
        ...
