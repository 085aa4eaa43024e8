"""How PostgreSQL is connected to, so that no server, network or stopped process is waited for without end."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

if TYPE_CHECKING:
    import psycopg

__all__ = ["apart", "bound", "hosts_apart", "unhurried"]

STATEMENT_SECONDS = 120
"""The server cancels a statement after this long."""
ANSWER_SECONDS = 150
"""The client gives a connection up when a statement has no answer after this long: what lies between may be dead, but silent."""
IDLE_SECONDS = 60
"""The server cuts a connection that holds a transaction open and says nothing: its process was stopped, and others want its locks."""
_CONNECTING: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds that sent bytes may stay unacknowledged.
    "tcp_user_timeout": 30_000,
    "application_name": "drift-monitor",
}
_SEVERAL = re.compile(
    r"(?P<before>[^:/?#]+://(?:[^/?#]*@)?)(?P<hosts>[^/?#@,]+(?:,[^/?#@,]+)+)(?P<after>[/?#].*)?", re.DOTALL
)


def hosts_apart(url: str) -> str:
    """``postgresql://user@one:5432,two:5433/name``, as libpq writes several hosts, in the way SQLAlchemy reads them."""
    match = _SEVERAL.fullmatch(url)
    if match is None or not url.startswith("postgres"):
        return url
    rest = match["after"] or ""
    hosts = "&".join(f"host={host}" for host in match["hosts"].split(","))
    return f"{match['before']}{rest}{'&' if '?' in rest else '?'}{hosts}"


def apart(url: URL) -> dict[str, Any]:
    """What to connect with besides the URL; what the URL says itself counts."""
    return {name: value for name, value in _CONNECTING.items() if name not in url.query}


def bound(engine: Engine) -> None:
    """Have every connection of this engine wait for a bounded time."""
    bounded = _bounded()

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, words: Any, options: Any) -> Any:
        return bounded.connect(*words, **options)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        # Not as start-up options, which poolers refuse. Kept by a transaction's rollback only when set outside of one.
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        connection.autocommit = False

    @sa.event.listens_for(engine, "checkin")
    def hurry(connection: Any, record: Any) -> None:
        if connection is not None:
            connection.hurried = True


def unhurried(connection: Connection) -> None:
    """Let statements of this transaction take as long as they need; for changes of the schema."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    driver: Any = connection.connection.driver_connection
    driver.hurried = False


def _bounded() -> type[psycopg.Connection[Any]]:
    """The driver's connection, with an end to each wait."""
    import psycopg  # noqa: PLC0415 - an extra

    class Bounded(psycopg.Connection[Any]):
        hurried = True

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            return (
                super().wait(self._until(gen), *args, **kwargs) if self.hurried else super().wait(gen, *args, **kwargs)
            )

        def _until(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            end = time.monotonic() + ANSWER_SECONDS
            try:
                wanted = next(gen)
                while True:
                    # The driver looks in ten times a second, ready or not.
                    ready = yield wanted
                    if not ready and time.monotonic() > end:
                        self.pgconn.finish()
                        raise psycopg.OperationalError("timeout expired")
                    wanted = gen.send(ready)
            except StopIteration as done:
                return done.value

    return Bounded
