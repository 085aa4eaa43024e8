"""The newest calibration of each monitor."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store.tables import calibrations
from monitor.values import Calibration, Level

__all__ = ["keep", "newest"]

_t = calibrations


def keep(connection: Connection, found: Calibration) -> None:
    """Put it in the place of the former one."""
    connection.execute(sa.delete(_t).where(_t.c.monitor == found.monitor))
    levels = {name: None if one is None else asdict(one) for name, one in _levels(found)}
    row = {name: getattr(found, name) for name in ("monitor", "calibrated_at", "reference_version", "tolerance")}
    connection.execute(sa.insert(_t).values(row | levels))


def _levels(found: Calibration) -> tuple[tuple[str, Level | None], ...]:
    return ("reference", found.reference), ("past", found.past)


def newest(connection: Connection) -> dict[str, Calibration]:
    """By monitor."""
    return {
        row.monitor: Calibration(
            row.monitor,
            row.calibrated_at,
            row.reference_version,
            None if row.reference is None else Level(**row.reference),
            None if row.past is None else Level(**row.past),
            row.tolerance,
        )
        for row in connection.execute(sa.select(_t))
    }
