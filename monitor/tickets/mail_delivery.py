"""Hands a message to a mail server: encrypted by default, bounded in time, and clear about whether trying again can help."""

from __future__ import annotations

import io
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from smtplib import (
    SMTP,
    SMTP_SSL,
    SMTPException,
    SMTPNotSupportedError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from time import monotonic
from typing import Any, Literal

from monitor.documents.wording import one_line
from monitor.errors import PublishError

__all__ = ["MailServer", "Security"]

Security = Literal["starttls", "tls", "none"]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_MOST_READ = 1_000_000
_MOST_WORDS = 200
_RETRY = "drift-monitor tickets --retry"
_TO_CORRECT = {
    "reach it": "host and port",
    "begin encryption": "security and port",
    "log in": "user and password",
    "hand in the mail": "what it wants of sender, recipients and size",
}


class _Timed(io.RawIOBase):
    """A socket's answers, cut off at a moment, however slowly they drip."""

    def __init__(self, line: Any, left: Callable[[], float]) -> None:
        self._line, self._left, self._room = line, left, _MOST_READ

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._line.settimeout(self._left())
        count: int = self._line.recv_into(buffer)
        self._room -= count
        if self._room < 0:
            raise ConnectionAbortedError("it does not stop talking")
        return count


class _Timely(SMTP):
    """An SMTP client whose every step ends with its time."""

    def __init__(self, ends: float, host: str, port: int, **options: Any) -> None:
        self._ends = ends
        super().__init__(host, port, **options)

    def _left(self) -> float:
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = io.BufferedReader(_Timed(self.sock, self._left))
        return super().getreply()

    def send(self, s: Any) -> None:
        if self.sock is not None:
            try:
                self.sock.settimeout(self._left())
            except TimeoutError:
                self.close()
                raise
        super().send(s)


class _TimelyTls(_Timely, SMTP_SSL):
    pass


class MailServer:
    """Where mail is handed in.

    security  ``starttls`` (port 587), ``tls`` from the first byte (465) or ``none`` (25)
    ca_file   certificates to trust besides the system's, in PEM form
    user, password  to log in, empty for a server that asks for none
    total     seconds for one message, everything included; ``connect`` of them for the connection

    ``ValueError`` when ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        security: Security = "starttls",
        ca_file: str = "",
        user: str = "",
        password: str = "",
        total: float = 60.0,
        connect: float = 10.0,
    ) -> None:
        self._host, self._port, self._security = host, port or _PORTS[security], security
        self._user, self._password = user, password
        self._total, self._connect = total, min(connect, total)
        self._context = ssl.create_default_context()
        if ca_file:
            try:
                self._context.load_verify_locations(cafile=ca_file)
            except OSError as error:  # of which ssl.SSLError is one
                raise ValueError(f"ca_file {ca_file} cannot be read as certificates in PEM form") from error

    def __str__(self) -> str:
        return f"mail server {self._host}:{self._port}"

    def send(
        self, make: Callable[[int | None], EmailMessage], sender: str, recipients: tuple[str, ...]
    ) -> Mapping[str, int]:
        """Send what ``make`` gives for the longest message in bytes that the server takes (``None`` when it does not say).

        The answer is the status of each recipient it refused while it took others. Else ``PublishError``.
        """
        doing = "reach it"
        smtp: SMTP | None = None
        try:
            smtp = self._connected()
            smtp.ehlo_or_helo_if_needed()
            if self._security == "starttls":
                doing = "begin encryption"
                smtp.starttls(context=self._context)
                smtp.ehlo()
            if self._user:
                doing = "log in"
                smtp.login(self._user, self._password)
            doing = "hand in the mail"
            limit = smtp.esmtp_features.get("size", "")
            message = make(int(limit) if limit.isdecimal() and int(limit) else None)
            refused = smtp.send_message(message, sender, recipients)
        except (SMTPException, OSError) as error:
            what, permanent = _meaning(error, doing)
            step = f", then {_RETRY}" if permanent else "; it is tried again later by itself"
            raise PublishError(f"{self}: could not {doing}: {what}{step}", permanent=permanent) from None
        finally:
            if smtp is not None:
                # It has the message or has not; how it says goodbye changes nothing.
                with suppress(SMTPException, OSError):
                    smtp.quit()
                smtp.close()
        return {recipient: code for recipient, (code, _) in refused.items()}

    def _connected(self) -> SMTP:
        ends = monotonic() + self._total
        if self._security == "tls":
            return _TimelyTls(ends, self._host, self._port, timeout=self._connect, context=self._context)
        return _Timely(ends, self._host, self._port, timeout=self._connect)


def _meaning(error: Exception, doing: str) -> tuple[str, bool]:
    """What happened, what to do about it when a person must, and whether one must."""
    if isinstance(error, SMTPResponseException | SMTPRecipientsRefused):
        return _refusal(error, doing)
    if _timed_out(error):
        return "it did not answer in time", False
    match error:
        case SMTPNotSupportedError():
            return f"{str(error).rstrip('.')}; choose another server or security", True
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); name its authority by ca_file", True
        case ssl.SSLError():
            what = f"no encrypted connection came about ({error.reason}); are port and security right?"
        case SMTPServerDisconnected() | ConnectionResetError() | BrokenPipeError():
            what = "it cut the connection"
        case SMTPException():
            what = "it does not answer as a mail server does; is the port right?"
        case _:
            what = f"it cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
    return what, False


def _refusal(error: SMTPResponseException | SMTPRecipientsRefused, doing: str) -> tuple[str, bool]:
    if isinstance(error, SMTPRecipientsRefused):
        # One that is only put off may be taken the next time.
        code, said = min(error.recipients.values())
        step = "; correct the addresses" if code >= 500 else ""
        return f"it refused every recipient, one with {code}{_words(said)}{step}", code >= 500
    permanent = error.smtp_code >= 500
    step = f"; correct {_TO_CORRECT[doing]}" if permanent else ""
    return f"it answered {error.smtp_code}{_safe_words(error, doing)}{step}", permanent


def _safe_words(error: SMTPResponseException, doing: str) -> str:
    """The server's words, but none said after it saw a password or the text."""
    known = doing in ("reach it", "begin encryption") or isinstance(error, SMTPSenderRefused)
    said = _words(error.smtp_error)
    return said if known else said[:1] + " ".join(re.findall(r"^ (\d\.\d{1,3}\.\d{1,3})\b", said))


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    flat = one_line(text).strip()[:_MOST_WORDS]
    return f" {flat}" if flat else ""


def _timed_out(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, TimeoutError) or _timed_out(error.__context__))
