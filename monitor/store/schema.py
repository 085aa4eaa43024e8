"""The schema's version: which one this release needs, which one a database has, and the way there."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.errors import StoreError, StoreUnavailable
from monitor.store import postgres
from monitor.store.database import Database
from monitor.store.tables import compatibility

__all__ = ["NEEDED", "check", "describe", "upgrade", "version_of"]

NEEDED = "0013"
"""Revision of the newest migration; a test holds it against ``monitor/migrations``."""

_LOCK = 6_283_185_307_179
"""PostgreSQL advisory lock that processes upgrading at the same time queue up at; any number will do, if it never changes."""


def version_of(connection: Connection) -> str | None:
    """The revision of this database, ``None`` for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _is_newer(connection: Connection, version: str | None, name: str) -> bool:
    """Whether a newer release made the schema and left room for this one; :class:`StoreError` when it left none."""
    if version is None or version <= NEEDED:
        return False
    oldest = connection.execute(sa.select(compatibility.c.oldest)).scalar()
    if oldest is None or oldest > NEEDED:
        raise StoreError(
            f"database {name} has schema {version}, made by a newer drift-monitor; this one knows {NEEDED}, and the schema is "
            f"for {oldest or version} and newer: install the newer version"
        )
    return True


def check(database: Database) -> None:
    """Raise unless the database takes changes and has a schema that this release can work on."""
    with database.read() as connection:
        standby = database.is_standby(connection)
        version = version_of(connection)
        enough = version == NEEDED or _is_newer(connection, version, database.name)
        upgrading = not enough and _is_upgrading(connection)
    if standby:
        raise StoreUnavailable(
            f"database {database.name}: the server is read-only, a standby; give the URL of the primary, or of all servers with "
            "target_session_attrs=read-write"
        )
    if upgrading:
        raise StoreUnavailable(
            f"database {database.name}: another process is upgrading the schema from {version or 'nothing'}; wait for it"
        )
    if not enough:
        has = f"has schema {version}" if version else "is empty"
        raise StoreError(f"database {database.name} {has}, this release needs {NEEDED}; run drift-monitor db upgrade")


def _is_upgrading(connection: Connection) -> bool:
    """Whether another process holds the lock; SQLite does not tell."""
    if connection.dialect.name == "sqlite":
        return False
    locks = sa.text(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = :high AND objid = :low "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return connection.execute(locks, {"high": _LOCK >> 32, "low": _LOCK & 0xFFFFFFFF}).first() is not None


def describe(database: Database) -> str:
    """Where the database is and how far its schema, without making or changing anything."""
    if database.file is not None and not database.file.exists():
        return f"{database.name}, not there yet; made at the first run"
    with database.read() as connection:
        version = version_of(connection)
        newer = _is_newer(connection, version, database.name)
    if version is None:
        return f"{database.name}, empty; filled at the first run"
    if newer:
        return f"{database.name}, schema {version} of a newer release, on which this one can work; it knows {NEEDED}"
    return f"{database.name}, schema {version}" + (
        "" if version == NEEDED else f", upgraded to {NEEDED} at the next run"
    )


def upgrade(database: Database) -> str | None:
    """Bring the schema to :data:`NEEDED`; the revision it had. Processes that do this at the same time wait for the first one.

    A newer schema on which this release can work is left as it is.
    """
    with database.read() as connection:
        version = version_of(connection)
        if version == NEEDED or _is_newer(connection, version, database.name):
            return version
    with database.write() as connection:
        if database.kind == "postgresql":
            postgres.unhurried(connection)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            # A change that waits for a table holds up all who come after it; better to give way and try again.
            connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        version = version_of(connection)
        if version != NEEDED and not _is_newer(connection, version, database.name):
            _migrate(connection)
    return version


def _migrate(connection: Connection) -> None:
    # Slow to import, and needed only here.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "monitor:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
