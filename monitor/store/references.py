"""What a monitor is compared with: versions of its reference, and gaps that its owner has accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.errors import StoreError
from monitor.store import rows
from monitor.store.database import insert_missing
from monitor.store.entries import ReferenceVersion
from monitor.store.tables import baselines, reference_versions
from monitor.values import Baseline

__all__ = ["accept", "accepted", "active", "refingerprint", "register", "use", "versions"]

_table = reference_versions


def _version(row: Row[Any]) -> ReferenceVersion:
    return ReferenceVersion(row.monitor, row.version, row.fingerprint, row.uri, row.created_at, row.active)


def register(connection: Connection, entry: ReferenceVersion) -> None:
    """Add a version; the same again changes nothing, another under its number is refused."""
    row = {name: getattr(entry, name) for name in ReferenceVersion.__slots__}
    if insert_missing(connection, _table, row):
        return
    had = connection.execute(
        sa.select(_table).where(_table.c.monitor == entry.monitor, _table.c.version == entry.version)
    ).one()
    if had.fingerprint != entry.fingerprint:
        raise StoreError(
            f"reference version {entry.version} of {entry.monitor} has the fingerprint {had.fingerprint}, "
            f"not {entry.fingerprint}; build a new version instead"
        )


def refingerprint(connection: Connection, monitor: str, version: int, fingerprint: str) -> None:
    """A version from which records were purged holds something else now; runs keep the fingerprint they worked with."""
    this = sa.and_(_table.c.monitor == monitor, _table.c.version == version)
    connection.execute(sa.update(_table).where(this).values(fingerprint=fingerprint))


def use(connection: Connection, monitor: str, version: int) -> None:
    """Compare with this version from now on."""
    # All rows of the monitor in one statement: two processes that switch at once leave one version active, not two.
    changed = connection.execute(
        sa.update(_table).where(_table.c.monitor == monitor).values(active=_table.c.version == version)
    ).rowcount
    known = [one.version for one in versions(connection, monitor)]
    if not changed or version not in known:
        raise StoreError(
            f"{monitor} has no reference version {version}; it has {', '.join(map(str, known)) or 'none'}: "
            "drift-monitor reference build makes one"
        )


def versions(connection: Connection, monitor: str) -> list[ReferenceVersion]:
    """Every version, oldest first."""
    query = sa.select(_table).where(_table.c.monitor == monitor).order_by(_table.c.version)
    return [_version(row) for row in connection.execute(query)]


def active(connection: Connection) -> dict[str, ReferenceVersion]:
    """The version in use, by monitor."""
    return {row.monitor: _version(row) for row in connection.execute(sa.select(_table).where(_table.c.active))}


def accept(connection: Connection, baseline: Baseline) -> None:
    """Add an accepted gap."""
    connection.execute(sa.insert(baselines).values(rows.baseline_row(baseline)))


def accepted(connection: Connection, monitor: str, at: datetime) -> list[Baseline]:
    """Gaps of windows before that moment whose acceptance has not run out by then, oldest first.

    Both ends are in the time of the data, so that a window of the past is judged alike whenever it is run.
    """
    open_ended = baselines.c.until.is_(None)
    query = (
        sa.select(baselines)
        .where(
            baselines.c.monitor == monitor, baselines.c.window_start < at, sa.or_(open_ended, baselines.c.until > at)
        )
        .order_by(baselines.c.accepted_at, baselines.c.id)
    )
    return [rows.baseline_of(row) for row in connection.execute(query)]
