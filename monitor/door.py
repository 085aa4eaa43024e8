"""Who may read the pages, and the headers that every answer carries."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import math
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.attempts import Attempts
from monitor.errors import ConfigError
from monitor.pages import POLICY, problem_page

__all__ = ["HEADERS", "Door", "check_certificate", "end_of_certificate", "hosts_served", "open_to_others", "users_of"]

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Of every answer."""


class Door:
    """ASGI middleware: adds safe headers to every answer and, when there are users, asks who it is (RFC 7617).

    users        digests of ``user:password``; empty lets everyone in
    open_to_all  paths that nobody is asked for
    hosts        names by which the pages may be asked for, ``None`` for any; see :func:`hosts_served`
    clock        seconds that never go back: who guesses wrong five times waits before the next try, see :class:`Attempts`
    """

    def __init__(
        self,
        app: ASGIApp,
        users: Sequence[bytes],
        open_to_all: Collection[str],
        clock: Callable[[], float] = time.monotonic,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._app = app
        self._attempts = Attempts(clock)
        self._users = tuple(users)
        self._open = frozenset(open_to_all)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = None
        if scope["path"] in self._open:
            pass
        elif self._hosts is not None and _name(Headers(scope=scope).get("host", "")) not in self._hosts:
            page = problem_page("Not served by this name", "The setting serve.address says by which name it is.")
            refused = HTMLResponse(page, status_code=421)
        elif self._users:
            refused = self._refused(Headers(scope=scope).get("authorization"), (scope.get("client") or ("",))[0])
        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, authorization: str | None, client: str) -> HTMLResponse | None:
        """Why this client is not let in; ``None`` when it is. A browser's first request gives no name, and is no attempt."""
        wait = 0.0 if authorization is None else self._attempts.wait(client)
        if wait > 0:
            page = problem_page("Too many wrong passwords", f"Try again in {math.ceil(wait)} seconds.")
            return HTMLResponse(page, status_code=429, headers={"Retry-After": str(math.ceil(wait))})
        if authorization is not None and self._knows(authorization):
            self._attempts.succeeded(client)
            return None
        if authorization is not None:
            self._attempts.failed(client)
        page = problem_page("Who are you?", "These pages ask for a user and a password.")
        asked = {"WWW-Authenticate": 'Basic realm="drift-monitor", charset="UTF-8"'}
        return HTMLResponse(page, status_code=401, headers=asked)

    def _knows(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        try:
            told = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        digest = hashlib.sha256(told).digest()
        # All of them, each in constant time: how long it takes tells nothing.
        matches = [hmac.compare_digest(digest, known) for known in self._users]
        return kind.lower() == "basic" and any(matches)


def _name(host: str) -> str:
    """A Host header without its port."""
    with contextlib.suppress(ValueError):
        return (urlsplit(f"//{host}").hostname or "") if "/" not in host else ""
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_served(host: str, address: str) -> frozenset[str] | None:
    """The names by which pages on this ``serve.host`` may be asked for; ``None`` for any, when it is not loopback.

    Pages on loopback ask nobody who they are, and any site that a browser visits may have its own name lead there: such a request
    names the site. ``address`` is that of ``serve.address``, empty for none.
    """
    if not _is_loopback(host):
        return None
    return frozenset({"localhost", "127.0.0.1", "::1", host, _name(urlsplit(address).netloc)} - {""})


def open_to_others(host: str, *, users: bool, tls: bool) -> str:
    """What to see to before others than this machine are served; empty when there is nothing."""
    missing = [setting for setting, there in (("serve.auth_file", users), ("serve.tls_certificate", tls)) if not there]
    if _is_loopback(host) or not missing:
        return ""
    who = (
        "reads the pages without being asked who they are"
        if not users
        else "sends the password for all on the way to read"
    )
    return f"serve.host {host}: whoever reaches it {who}; set {' and '.join(missing)}, or see to it in front of the service"


def _content(setting: str, path: str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read ({type(error).__name__})") from error
    if not content.strip():
        raise ConfigError(f"{setting}: {path} is empty")
    return content


def users_of(path: str) -> tuple[bytes, ...]:
    """Digests of the ``user:password`` lines of a file; blank lines are left out.

    :class:`ConfigError` when it is missing, empty, no UTF-8, or a line lacks a user or a password.
    """
    try:
        lines = _content("serve.auth_file", path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"serve.auth_file: {path} is not UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        user, _, password = line.partition(":")
        if line.strip() and not (user.strip() and password):
            raise ConfigError(f"serve.auth_file: {path} line {number}: wanted user:password")
    return tuple(hashlib.sha256(line.encode()).digest() for line in lines if line.strip())


def check_certificate(certificate: str, key: str) -> None:
    """:class:`ConfigError` unless both files are there and belong together."""
    _content("serve.tls_certificate", certificate)
    _content("serve.tls_key", key)
    try:
        # A passphrase would be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(
            f"serve.tls_certificate, serve.tls_key: {certificate} and {key} are no PEM certificate with its key, "
            f"without a passphrase ({getattr(error, 'reason', None) or type(error).__name__})"
        ) from error


def end_of_certificate(certificate: str, key: str) -> datetime:
    """Until when the certificate is valid; :class:`ConfigError` when it is not, or not yet.

    It is looked at as a client does: in a handshake, here in memory, with itself as all there is to trust.
    """
    check_certificate(certificate, key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    inbox, outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(inbox, outbox, server_side=True),
        client.wrap_bio(outbox, inbox),
    )
    try:
        for _ in range(4):
            for end in ends:
                _go_on(end)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
        raise ConfigError(f"serve.tls_certificate: {certificate} is not valid now ({reason}); renew it") from error
    told = (ends[1].getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told)), UTC)


def _go_on(end: ssl.SSLObject) -> None:
    """As far as this end can until the other one has the next word."""
    with contextlib.suppress(ssl.SSLWantReadError):
        end.do_handshake()
