"""Connections that end with their call's time: a server that drips a byte now and then cannot hold anyone."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import suppress
from contextvars import ContextVar
from time import monotonic
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import create_urllib3_context, make_headers

__all__ = ["Deadline", "connections"]


class Deadline:
    """A context in which whatever is sent or read is cut off after ``seconds``, headers and handshakes included."""

    def __init__(self, seconds: float) -> None:
        self._ends = monotonic() + seconds
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.over = False

    def __enter__(self) -> Self:
        self._before = _current.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.reset(self._before)
        self._hold(None)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(0.0, self._ends - monotonic())

    def watch(self, fileno: int) -> None:
        """Cut this socket off when the time is over; it is looked at, not taken."""
        self._hold(socket.socket(fileno=os.dup(fileno)))

    def _hold(self, line: socket.socket | None) -> None:
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = line
            if self.over:
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        if self._line is not None:
            with suppress(OSError):  # closed by the other end in this moment
                self._line.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class _Watched(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        line = super()._new_conn()
        deadline = _current.get()
        if deadline is not None:
            deadline.watch(line.fileno())
        return line

    def request(self, *args: Any, **options: Any) -> None:
        # A connection of an earlier call, too, belongs to this one now.
        deadline = _current.get()
        if deadline is not None and self.sock is not None:
            deadline.watch(self.sock.fileno())
        super().request(*args, **options)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


def connections(url: str, ca_file: str = "") -> PoolManager:
    """Connections to this URL's host, through the proxy that the environment names (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``).

    TLS is verified by the system's authorities and those of ``ca_file``; ``ValueError`` when that cannot be read.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    tls = ca_file or "https" in (parts.scheme, urlsplit(proxy or "").scheme)
    context = _trusting(ca_file) if tls else None
    manager: PoolManager
    if proxy and not proxy_bypass(parts.hostname or ""):
        manager = _through(proxy if "://" in proxy else f"http://{proxy}", context)
    else:
        manager = PoolManager(num_pools=2, maxsize=2, ssl_context=context)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _trusting(ca_file: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_default_certs()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"ca_file {ca_file} cannot be read as certificates in PEM form") from error
    return context


def _through(proxy: str, context: ssl.SSLContext | None) -> ProxyManager:
    parts = urlsplit(proxy)
    headers = None
    if parts.username:
        headers = make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return ProxyManager(bare, proxy_headers=headers, num_pools=2, maxsize=2, ssl_context=context)
