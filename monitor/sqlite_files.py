"""What every SQLite file of ours needs before it is used."""

from __future__ import annotations

import sqlite3
import time

__all__ = ["use_wal"]


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side; kept in the file, so only the first process changes it."""
    for _ in range(100):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # This one statement does not wait for a lock by itself.
            if not str(error.sqlite_errorname).startswith("SQLITE_BUSY"):
                return
            time.sleep(0.05)
        else:
            return
