"""One mail of a ticket: text, HTML and report in one message, with headers by which programs thread, file and de-duplicate it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime

from monitor.documents.fitting import fitted
from monitor.documents.html import html_page
from monitor.documents.plain import plain
from monitor.documents.wording import one_line
from monitor.values import Document, Heading, Paragraph, Span

__all__ = ["Letter", "Parties", "address", "composed", "reply_id", "thread_id"]

_CLIPPED = 90_000
"""Bytes of HTML; Gmail hides what comes after 102 kB."""
_LONGEST_SUBJECT = 200
_LONGEST_DOMAIN = 60


def _policy_headers() -> HeaderRegistry:
    registry = HeaderRegistry()
    for name in ("in-reply-to", "references"):
        # One message id, which folding must not encode however long; the class becomes a part of the header's own.
        registry.map_to_type(name, MessageIDHeader)  # type: ignore[arg-type]
    return registry


_POLICY = SMTP.clone(header_factory=_policy_headers())


def address(text: str) -> str:
    """One mail address, with or without a name before it; its domain in ASCII. ``ValueError`` for anything else."""
    parsed = _parsed(text)
    return str(Address(parsed.display_name, addr_spec=parsed.addr_spec))


def _parsed(text: str) -> Address:
    if text != one_line(text):
        raise ValueError("a mail address must be one line without control characters")
    wanted = "wanted one mail address, such as drift@example.org or Drift <drift@example.org>"
    try:
        header = SMTP.header_factory("to", text)
    except (MessageError, LookupError) as error:  # the parser falls over some texts that are no addresses
        raise ValueError(wanted) from error
    if header.defects or len(header.addresses) != 1 or not header.addresses[0].domain:
        raise ValueError(wanted)
    found: Address = header.addresses[0]
    try:
        domain = found.domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError("the part behind the @ is no name of a host") from error
    return Address(found.display_name, found.username, domain)


@dataclass(frozen=True, slots=True)
class Parties:
    """Who writes to whom, each as :func:`address` gives it."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()

    @property
    def from_address(self) -> str:
        """The sender's address without a name."""
        return _parsed(self.sender).addr_spec

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """Everyone who is to get it, each once, without names."""
        return tuple(dict.fromkeys(_parsed(one).addr_spec for one in (*self.to, *self.cc)))

    @property
    def domain(self) -> str:
        """The sender's."""
        return _parsed(self.sender).domain


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says.

    id       message id
    subject  the same for all mails of a thread, so that programs which thread by it do so, too
    title    as the ticket's is now
    parent   message id of the mail that it answers, empty for the first
    report   attached when there is one
    """

    id: str
    monitor: str
    key: str
    subject: str
    title: str
    body: Document
    parent: str = ""
    report: bytes = b""


def thread_id(key: str, parties: Parties) -> str:
    """The message id of a ticket's first mail: one key and the same people, one id, whoever sends it and however often."""
    return _message_id(("ticket", key, parties.sender, *sorted(parties.all_addresses)), parties.domain)


def reply_id(parent: str, key: str, parties: Parties) -> str:
    """The message id of a comment in a thread."""
    return _message_id(("comment", parent, key), parties.domain)


def _message_id(parts: Sequence[str], domain: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return f"<{digest}@{domain if len(domain) <= _LONGEST_DOMAIN else 'drift-monitor.invalid'}>"


def composed(letter: Letter, parties: Parties, *, attach: bool = True) -> EmailMessage:
    """The message; with ``attach`` false its report is left out, and the text says so."""
    message = EmailMessage(_POLICY)
    message["From"] = parties.sender
    message["To"] = ", ".join(parties.to)
    if parties.cc:
        message["Cc"] = ", ".join(parties.cc)
    subject = _subject(letter.subject)
    message["Subject"] = f"Re: {subject}" if letter.parent else subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = letter.id
    if letter.parent:
        message["In-Reply-To"] = letter.parent
        message["References"] = letter.parent
    slug = _slug(letter.monitor)
    message["List-Id"] = f"<{slug}.drift-monitor.{parties.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Drift-Monitor"] = slug
    message["X-Drift-Monitor-Key"] = re.sub(r"[^0-9A-Za-z.:-]", "_", letter.key)[:200]
    body = fitted(
        (*letter.body, *_ending(letter, attach=attach)),
        lambda document: len(html_page(letter.title, document).encode()) <= _CLIPPED,
    )
    message.set_content(plain((Heading(letter.title), *body)), cte="quoted-printable")
    message.add_alternative(html_page(letter.title, body), subtype="html", cte="quoted-printable")
    if letter.report and attach:
        message.add_attachment(letter.report, "text", "html", filename="report.html", params={"charset": "utf-8"})
    return message


def _subject(title: str) -> str:
    # What looks like an encoded word would be read as one, and may hold a line end.
    flat = one_line(title).strip().replace("=?", "= ?")
    return flat if len(flat) <= _LONGEST_SUBJECT else f"{flat[:_LONGEST_SUBJECT].rsplit(' ', 1)[0]} …"


def _slug(monitor: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", monitor.lower()).strip("-")[:40]
    return slug if slug == monitor else f"{slug}-{hashlib.sha256(monitor.encode()).hexdigest()[:6]}".lstrip("-")


def _ending(letter: Letter, *, attach: bool) -> Document:
    said = []
    if letter.report and attach:
        said.append("The report of the run is attached, to open in a browser.")
    elif letter.report:
        said.append(f"The report of the run ({len(letter.report) / 1e6:.1f} MB) is too large to be attached.")
    if not letter.parent:
        said.append(
            "This mail stays as it is; further mails in its thread tell how the drift goes on and when it is over."
        )
    return (Paragraph((Span(" ".join(said)),)),) if said else ()
