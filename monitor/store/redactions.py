"""How much was masked on its way to each destination, ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from monitor.store.tables import redactions

__all__ = ["add", "of_monitors"]

_t = redactions


def add(connection: Connection, monitor: str, channel: str, destination: str, masked: Mapping[str, int]) -> None:
    """Add to the counts of a destination; ``channel`` is ``ticket``, ``export``, ``notice`` or ``report``."""
    made = postgresql.insert(_t) if connection.dialect.name == "postgresql" else sqlite.insert(_t)
    # In one order everywhere, so that two processes never wait for each other.
    for kind, number in sorted(masked.items()):
        row = {"monitor": monitor, "channel": channel, "destination": destination, "kind": kind, "number": number}
        more = {"number": _t.c.number + number}
        connection.execute(made.values(row).on_conflict_do_update(index_elements=list(_t.primary_key), set_=more))


def of_monitors(connection: Connection) -> dict[str, dict[tuple[str, str, str], int]]:
    """Counts by monitor and (channel, destination, kind)."""
    found: dict[str, dict[tuple[str, str, str], int]] = defaultdict(dict)
    for row in connection.execute(sa.select(_t)):
        found[row.monitor][row.channel, row.destination, row.kind] = row.number
    return found
