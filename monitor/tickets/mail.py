"""Tickets as threads of mail: the first mail opens the ticket, each comment answers it. Mail cannot be changed or read back."""

from __future__ import annotations

import logging
from email.message import EmailMessage
from typing import Annotated

from pydantic import AfterValidator, Field

from monitor.errors import PluginError
from monitor.logs import fields
from monitor.secrets import Secret
from monitor.tickets import Seen
from monitor.tickets.mail_delivery import MailServer, Security
from monitor.tickets.mail_letter import Letter, Parties, address, composed, reply_id, thread_id
from monitor.values import Document, Draft, Note

__all__ = ["EmailTickets"]

_log = logging.getLogger("monitor.tickets.mail")
_ADDRESSED = "mid:"

MailAddress = Annotated[str, AfterValidator(address)]


class EmailTickets:
    """Sends one mail when drift begins and an answer to it for each comment; both tell of its end and its return.

    host, port     the mail server; by default the usual port of ``security``
    sender         address that it comes from, also ``Name <address>``
    to, cc         who gets it
    security       ``starttls``, ``tls`` or ``none``; certificates are always verified
    ca_file        certificates to trust besides the system's, in PEM form
    user, password  to log in; only with encryption
    attach_mb      megabytes of the largest report that is attached; 0 attaches none
    patience       seconds for one mail, everything included
    """

    def __init__(
        self,
        host: str,
        sender: MailAddress,
        to: Annotated[list[MailAddress], Field(min_length=1)],
        cc: list[MailAddress] | None = None,
        port: Annotated[int, Field(ge=1, le=65535)] | None = None,
        security: Security = "starttls",
        ca_file: str = "",
        user: str = "",
        password: Secret | None = None,
        attach_mb: Annotated[float, Field(ge=0, le=50)] = 5.0,
        patience: Annotated[float, Field(gt=0, le=600)] = 60.0,
    ) -> None:
        if bool(user) != bool(password):
            raise PluginError("email: user and password belong together; give both or none")
        if password and security == "none":
            raise PluginError("email: security none would send the password for all to read; choose starttls or tls")
        if not f"{user}{password or ''}".isascii():
            raise PluginError("email: user and password must be ASCII, as logging in to mail servers wants it")
        self._parties = Parties(address(sender), tuple(map(address, to)), tuple(map(address, cc or ())))
        self._most = int(attach_mb * 1e6)
        try:
            self._server = MailServer(
                host, port, security=security, ca_file=ca_file, user=user, password=password or "", total=patience
            )
        except ValueError as error:
            raise PluginError(f"email: {error}") from error

    def find(self, draft: Draft, location: str) -> Seen | None:
        """What was remembered: a mail that is sent cannot be looked at; see :class:`monitor.tickets.Tickets`."""
        return self._seen(draft, location.removeprefix(_ADDRESSED)) if location else None

    def create(self, draft: Draft) -> Seen:
        """Send the first mail. One key has one message id, so that a repeat after a crash is the same mail to who keeps mail."""
        first = thread_id(draft.key, self._parties)
        report = draft.report.encode("utf-8", "backslashreplace")
        self._send(_letter(draft, first, draft.body, report=report))
        return self._seen(draft, first.strip("<>"))

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Nothing: a mail stays as it is, and comments tell what changed, the end and the return included."""

    def comment(self, seen: Seen, note: Note) -> None:
        """Answer the first mail."""
        parent = f"<{seen.number}>"
        self._send(_letter(seen.content, reply_id(parent, note.key, self._parties), note.body, parent))

    def _seen(self, draft: Draft, first: str) -> Seen:
        return Seen(f"{_ADDRESSED}{first}", first, open=None, notes=None, content=draft)

    def _send(self, letter: Letter) -> None:
        small = len(letter.report) <= self._most

        def make(limit: int | None) -> EmailMessage:
            message = composed(letter, self._parties, attach=small)
            if limit is None or not letter.report or len(message.as_bytes()) <= limit:
                return message
            return composed(letter, self._parties, attach=False)

        refused = self._server.send(make, self._parties.from_address, self._parties.all_addresses)
        if refused:
            said = fields(monitor=letter.monitor, to=str(self._server), refused=refused)
            _log.warning("some recipients got no mail; correct their addresses", extra=said)


def _letter(draft: Draft, identity: str, body: Document, parent: str = "", report: bytes = b"") -> Letter:
    # The title may come to name further causes.
    subject = f"{draft.monitor}: drift since {draft.window.start:%Y-%m-%d}"
    return Letter(identity, draft.monitor, draft.key, subject, draft.title, body, parent, report)
