"""Mail servers of the loopback: one that takes mail as real ones do, one that misbehaves by a script."""

from __future__ import annotations

import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from conftest import free_port, missing

USER, PASSWORD = "drift", "right horse"


def certificates(folder: Path) -> tuple[str, ssl.SSLContext]:
    """An authority of our own, as a PEM file, and the context of a server on 127.0.0.1 that it vouches for."""

    def openssl(*words: str) -> None:
        try:
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
        except FileNotFoundError:
            missing("no openssl")

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=mail", "-keyout", "mail.key", "-out", "mail.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nkeyUsage=digitalSignature\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "mail.csr", *signed, "-out", "mail.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail.pem", folder / "mail.key")
    return str(folder / "ca.pem"), context


class Mailbox:
    """What a mail server got: envelopes and messages as read by the standard library; some recipients are unknown to it."""

    def __init__(self, refused: Mapping[str, str]) -> None:
        self.refused = refused
        self.envelopes: list[Envelope] = []

    @property
    def messages(self) -> list[EmailMessage]:
        return [BytesParser(policy=default).parsebytes(one.original_content) for one in self.envelopes]

    @property
    def kept(self) -> dict[str, EmailMessage]:
        """As a mailbox that keeps one mail of each message id."""
        return {str(message["Message-ID"]): message for message in self.messages}

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the same
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 taken"


def _login(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None,
    *,
    implicit: bool = False,
    login: bool = False,
    refused: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[tuple[int, Mailbox]]:
    """A mail server: its port and its mailbox. With ``tls`` it wants STARTTLS, or TLS at once when ``implicit``."""
    box = Mailbox(refused or {})
    if login:
        options |= {"authenticator": _login, "auth_required": True, "auth_require_tls": not implicit}
    if tls and not implicit:
        options |= {"tls_context": tls, "require_starttls": True}
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), ssl_context=tls if implicit else None, ready_timeout=20, **options
    )
    server.start()
    try:
        yield server.port, box
    finally:
        server.stop()


@contextmanager
def scripted(answers: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    """A server that answers each command by the script, else as is usual: its port, and the commands it got.

    ``cut`` cuts the connection, ``drip`` sends a byte now and then for ever, ``silent`` nothing, ``endless`` never stops. ``HELLO`` is its
    greeting, ``CONTENT`` the answer to a whole message.
    """
    usual = {"HELLO": "220 here", "EHLO": "250-here\r\n250 AUTH PLAIN LOGIN", "DATA": "354 go", "QUIT": "221 bye"}
    script, got, stop = {**usual, **answers}, [], threading.Event()

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the other side had enough
                self._talk()

        def _talk(self) -> None:
            if not self._say("HELLO"):
                return
            while line := self.rfile.readline().decode().strip():
                got.append(line)
                command = line.split()[0].upper()
                if not self._say(command):
                    return
                if command == "QUIT":
                    return
                if command == "DATA" and script["DATA"].startswith("354"):
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    got.append("CONTENT")
                    if not self._say("CONTENT"):
                        return

        def _say(self, command: str) -> bool:
            words = script.get(command, "250 OK")
            if words == "silent":
                stop.wait(20)
            while words in ("drip", "endless") and not stop.is_set():
                self.wfile.write(b"2" if words == "drip" else b"250-more\r\n" * 10_000)
                self.wfile.flush()
                if words == "drip":
                    time.sleep(0.02)
            if words in ("cut", "silent"):
                return False
            self.wfile.write(words.encode() + b"\r\n")
            return True

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Talk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], got
        finally:
            stop.set()
            server.shutdown()
            thread.join()
