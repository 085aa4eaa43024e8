"""What a database says when it fails, in words that say what to do. Never a statement, a parameter or a password."""

from __future__ import annotations

from sqlalchemy import exc

from monitor.errors import StoreError, StoreUnavailable

__all__ = ["translate"]

_SQLITE = {
    "SQLITE_CANTOPEN": "the file cannot be opened; check that its folder exists and may be written",
    "SQLITE_READONLY": "the file is read-only; check its owner and mode and those of its folder",
    "SQLITE_BUSY": "another process held the file locked for too long; use PostgreSQL for many writers",
    "SQLITE_LOCKED": "another process held the file locked for too long; use PostgreSQL for many writers",
    "SQLITE_FULL": "the disk is full; free space and run again, nothing of this step was kept",
    "SQLITE_IOERR": "the disk gave an error; check its health and whether it is full",
    "SQLITE_NOTADB": "the file is not a SQLite database; check the path",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
}
_POSTGRES = {
    "28": "user name or password is wrong; check the URL and the password",
    "3D000": "the database does not exist; create it or correct the URL",
    "42501": "the user lacks a right on the tables; grant it",
    "25006": "the server is read-only, a standby perhaps; give the URL of the primary",
    "53100": "the server's disk is full; free space and run again, nothing of this step was kept",
    "53300": "the server has no connection left; raise max_connections or run fewer replicas",
    "55P03": "a lock was not to be had in time; run again",
    "40": "another process was in the way; run again",
    "57014": "a statement took too long and was cancelled; see what else the server is busy with, then run again",
    "57": "the server is shutting down or cancelled the statement; run again",
    "25P03": "the connection was idle in the middle of a change for too long and was cut; run again",
    "08": "the connection was lost; check that the server runs",
}
# What a standby says to a transaction that is to write, before it has come to that.
_POSTGRES["0A000"] = _POSTGRES["25006"]
_AWAY = ("08", "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "25P03", "25006", "0A000", "53300", "55P03")
"""States in which the same again, on a new connection perhaps, can succeed."""
# libpq gives no code when the connection itself fails, only English text.
_CONNECTING = {
    "password authentication failed": _POSTGRES["28"],
    "no password supplied": _POSTGRES["28"],
    "does not exist": "the database or the user does not exist; create it or correct the URL",
    "no pg_hba.conf entry": "the server does not admit this user from here; see its pg_hba.conf",
    "timeout expired": "the server did not answer in time; check host, port and firewall",
    "starting up": "the server is starting; run again in a moment",
    "too many clients": _POSTGRES["53300"],
    "session is read-only": _POSTGRES["25006"],
    "server is in hot standby mode": _POSTGRES["25006"],
}
_NO_SCHEMA = "it lacks a table or column; run drift-monitor db upgrade"
_UNREACHABLE = "it cannot be reached; check that the server runs, host and port"


def translate(error: exc.SQLAlchemyError, url: str, *, committing: bool = False) -> Exception:
    """The exception to raise instead; ``url`` must not hold a password.

    ``committing`` when it came in answer to a COMMIT, or instead of one.
    """
    origin = error.orig if isinstance(error, exc.StatementError) else None
    # A value that a column type refused: our own words, which SQLAlchemy has wrapped.
    if isinstance(origin, ValueError) and not isinstance(error, exc.DBAPIError):
        return origin
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable(f"database {url}: every connection of this process is in use; try again")
    if origin is None:
        return StoreError(f"database {url}: {type(error).__name__}")
    lost = isinstance(error, exc.OperationalError | exc.InterfaceError)
    words = f"database {url}: {_words(origin, lost=lost)}"
    if not _passes(origin, lost=lost):
        return StoreError(words)
    # A server that names a conflict has not made the change.
    refused = str(getattr(origin, "sqlstate", None)).startswith("40")
    return StoreUnavailable(words, in_doubt=committing and not refused)


def _passes(origin: BaseException, *, lost: bool) -> bool:
    """Whether it may be over in a moment. SQLite has waited by itself already."""
    if hasattr(origin, "sqlite_errorname"):
        return False
    state = getattr(origin, "sqlstate", None)
    if state is not None:
        return bool(state.startswith(_AWAY))
    words = _words(origin, lost=lost)
    return lost and words not in {_POSTGRES["28"], _CONNECTING["does not exist"], _CONNECTING["no pg_hba.conf entry"]}


def _words(origin: BaseException, *, lost: bool) -> str:
    sqlite = getattr(origin, "sqlite_errorname", None)
    if sqlite is not None:
        if "no such table" in str(origin) or "no such column" in str(origin):
            return _NO_SCHEMA
        # Extended names look like SQLITE_IOERR_WRITE.
        return next((words for name, words in _SQLITE.items() if sqlite.startswith(name)), f"it refused ({sqlite})")
    state = getattr(origin, "sqlstate", None)
    if state is not None:
        if state in {"42P01", "42703"}:
            return _NO_SCHEMA
        named = _POSTGRES.get(state) or _POSTGRES.get(state[:2])
        return named or f"it refused ({type(origin).__name__}, SQLSTATE {state})"
    if not lost:
        return f"it refused ({type(origin).__name__})"
    text = str(origin)
    return next((words for sign, words in _CONNECTING.items() if sign in text), _UNREACHABLE)
