"""The schema's version: which one this release needs, which one a database has, and the way there."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.errors import StoreError
from monitor.store.database import Database

__all__ = ["NEEDED", "check", "describe", "upgrade", "version_of"]

NEEDED = "0009"
"""Revision of the newest migration; a test holds it against ``monitor/migrations``."""

_LOCK = 6_283_185_307_179
"""PostgreSQL advisory lock that processes upgrading at the same time queue up at; any number will do, if it never changes."""


def version_of(connection: Connection) -> str | None:
    """The revision of this database, ``None`` for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_newer(version: str | None, name: str) -> None:
    if version is not None and version > NEEDED:
        raise StoreError(
            f"database {name} has schema {version}, made by a newer drift-monitor; this one knows {NEEDED}: "
            "install the newer version"
        )


def check(database: Database) -> None:
    """Raise unless the database has the schema this release needs."""
    with database.read() as connection:
        version = version_of(connection)
    _refuse_newer(version, database.name)
    if version != NEEDED:
        has = f"has schema {version}" if version else "is empty"
        raise StoreError(f"database {database.name} {has}, this release needs {NEEDED}; run drift-monitor db upgrade")


def describe(database: Database) -> str:
    """Where the database is and how far its schema, without making or changing anything."""
    if database.file is not None and not database.file.exists():
        return f"{database.name}, not there yet; made at the first run"
    with database.read() as connection:
        version = version_of(connection)
    _refuse_newer(version, database.name)
    if version is None:
        return f"{database.name}, empty; filled at the first run"
    return f"{database.name}, schema {version}" + (
        "" if version == NEEDED else f", upgraded to {NEEDED} at the next run"
    )


def upgrade(database: Database) -> None:
    """Bring the schema to :data:`NEEDED`. Processes that do this at the same time wait for the first one."""
    with database.read() as connection:
        if version_of(connection) == NEEDED:
            return
    with database.write() as connection:
        if database.kind == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        version = version_of(connection)
        _refuse_newer(version, database.name)
        if version != NEEDED:
            _migrate(connection)


def _migrate(connection: Connection) -> None:
    # Slow to import, and needed only here.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "monitor:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
