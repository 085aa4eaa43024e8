"""HTTP connections that end when a client takes too long to ask or asks what is no HTTP, and a bound on how many there are."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from monitor.door import HEADERS

__all__ = ["Impatient"]


class Impatient(H11Protocol):
    """Closes a connection that has sent no whole request within ``patience`` seconds, or since its last answer.

    Beyond ``most`` connections a new one is closed at once: each takes a file descriptor, which runs need too.
    """

    patience = 30.0
    most = 200
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        self._wait()

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        super().on_response_complete()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP with the headers of every answer, and without breaking into one that is under way."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            said = {"content-type": "text/plain; charset=utf-8", "connection": "close", **HEADERS}
            head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
            self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n{msg}".encode())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self.patience, self._over)

    def _over(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
