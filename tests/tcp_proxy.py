"""A TCP proxy that loses connections on demand: cut, silent, refused, or broken when certain bytes pass."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

Loss = Literal["before", "after"]


class Proxy:
    """Passes bytes on between its own port and a server's."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listening.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._passing = threading.Event()
        self._passing.set()
        self._losing: tuple[bytes, Loss] | None = None
        self.lost = 0
        self.accepted = 0
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse from now on, and cut what is there."""
        self._closed = True
        self._passing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def refuse(self) -> None:
        """Cut every connection, those that come as well."""
        self._open.clear()
        self.cut()

    def accept(self) -> None:
        """Let connections through again."""
        self._open.set()
        self._passing.set()

    def silence(self) -> None:
        """Keep connections and pass nothing on, as a dead network does, until :meth:`accept`, which cuts nothing."""
        self._passing.clear()

    def lose(self, sign: bytes, when: Loss) -> None:
        """Cut the next connection whose client says this, before the server hears it or when it has answered; once."""
        self._losing = (sign, when)

    def cut(self) -> int:
        """Break every connection with a reset; how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(pair)
        return len(pairs)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                if not self._open.is_set():
                    raise ConnectionRefusedError
                server = socket.create_connection(self._to, timeout=10)
                server.settimeout(None)
            except OSError:
                _reset((client,))
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            marked = threading.Event()
            for source, sink, asks in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(source, sink, pair, marked, asks), daemon=True).start()

    def _pass_on(
        self,
        source: socket.socket,
        sink: socket.socket,
        pair: tuple[socket.socket, socket.socket],
        marked: threading.Event,
        asks: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65_536):
                self._passing.wait()
                losing = self._losing
                if asks and losing is not None and losing[0] in said:
                    self._losing = None
                    self.lost += 1
                    if losing[1] == "before":
                        break
                    marked.set()
                elif not asks and marked.is_set():
                    break
                sink.sendall(said)
        _reset(pair)
        with self._lock, contextlib.suppress(ValueError):
            self._pairs.remove(pair)


def _reset(pair: tuple[socket.socket, ...]) -> None:
    for one in pair:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A reader in another thread keeps the socket open; this wakes it.
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            one.close()
