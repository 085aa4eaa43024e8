"""Tickets in any service that takes JSON: each event is a request after a template, signed, with an idempotency key."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from monitor.errors import PluginError, PublishError
from monitor.http_client import Answer, HttpClient
from monitor.secrets import Secret
from monitor.tickets import Seen
from monitor.tickets.marks import fingerprint, note_mark, notes_marked, same_text, ticket_mark
from monitor.tickets.webhook_templates import Event, Find, Request, at, bodies, filled, filled_url
from monitor.tickets.webhook_values import age, label, last_step, text, values
from monitor.values import Draft, Note

__all__ = ["WebhookTickets", "signature"]

_EVENTS: tuple[Event, ...] = ("create", "update", "comment", "close", "reopen")
_DOING = {
    "create": "open the ticket",
    "update": "change the ticket",
    "comment": "comment on the ticket",
    "close": "close the ticket",
    "reopen": "reopen the ticket",
}
_GONE = (404, 410)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body`` in hexadecimal digits."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class _Held:
    """``item`` is the ticket as the service showed it; ``sent`` when it was opened with this draft just now."""

    draft: Draft
    item: Any = None
    sent: bool = False


class WebhookTickets:
    """Sends one request for each event; see docs/tickets-webhook.md.

    url        where requests go; their own addresses are paths below it
    secret     signs every request
    headers    sent with every request, such as a tracker's token
    requests   what is sent at which event instead of the documented payload
    events     those that are sent at all
    number, location  paths in the answer to ``create``
    location_url  where people open a ticket, when the answer does not say: a template such as ``https://host/issues/{number}``
    find       how the service is asked for a ticket, when it can be asked
    hosts      hosts that may be called besides that of ``url``
    longest    characters of the longest text
    ca_file    further certificate authorities, in PEM form
    timeout    seconds for one call with its repeats
    """

    def __init__(
        self,
        url: str,
        secret: Secret | None = None,
        headers: dict[str, Secret] | None = None,
        requests: dict[Event, Request] | None = None,
        events: tuple[Event, ...] = _EVENTS,
        number: str = "number",
        location: str = "location",
        location_url: str = "",
        find: Find | None = None,
        hosts: tuple[str, ...] = (),
        longest: Annotated[int, Field(ge=1_000)] = 60_000,
        ca_file: str = "",
        timeout: Annotated[float, Field(gt=0, le=600)] = 45.0,
    ) -> None:
        self._url, self._secret, self._hosts = url, secret, frozenset(hosts)
        self._options: dict[str, Any] = {
            "headers": dict(headers or {}),
            # Of "Bearer TOKEN" a service may quote the token alone.
            "secrets": [
                word for text in (secret or "", *(headers or {}).values()) for word in (text, *text.split()[1:])
            ],
            "ca_file": ca_file,
            "total": timeout,
        }
        self._requests = {event: (requests or {}).get(event, Request()) for event in events}
        self._number, self._location, self._location_url = number, location, location_url
        self._find, self._longest = find, longest
        if "create" not in self._requests:
            raise PluginError("webhook: events must hold create")
        try:
            self._clients = {_origin(url): HttpClient("webhook", url, **self._options)}
        except ValueError as error:
            raise PluginError(f"webhook: {error}") from error

    @property
    def address(self) -> str:
        """Where it is: if nobody answers there, no other ticket is tried in the same round."""
        return _origin(self._url)

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The ticket as the service shows it, when ``find`` says how; else what was remembered."""
        if self._find is None:
            return _remembered(draft, location) if location else None
        if location and self._find.read:
            return self._read(self._find, draft, location)
        item = self._listed(self._find, draft)
        if item is None:
            return None
        if self._find.read:
            return self._read(
                self._find, draft, self._place(item, self._find.location, draft, at(item, self._find.number))
            )
        return self._seen(self._find, item, draft)

    def create(self, draft: Draft) -> Seen:
        """Open the ticket. It is sent once: a failure after which it may be there is left to the next look."""
        answer = self._send("create", draft, _remembered(draft, ""), draft.key, bodies(draft.body, self._longest))
        data = _json(answer)
        number = at(data, self._number)
        location = self._place(data, self._location, draft, number)
        return Seen(location, text(number) or last_step(location), content=_Held(draft, sent=True))

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Tell how the ticket is to be; ``close`` and ``reopen`` where that changes, as far as the service can be asked."""
        event: Event = "update"
        if not open and seen.open is not False:
            event = "close"
        elif open and seen.open is False:
            event = "reopen"
        body = bodies(draft.body, self._longest)
        if event == "update" and self._is_so(seen, draft, body):
            return
        state = f"{draft.title}\n{draft.body!r}\n{open}\n{[note.key for note in draft.notes]}"
        self._send(event, draft, seen, f"{draft.key}:{event}:{fingerprint(state)}", {**body, "open": open})

    def comment(self, seen: Seen, note: Note) -> None:
        """Write the comment."""
        held: _Held = seen.content
        values = bodies(note.body, self._longest)
        told = {
            "key": note.key,
            "lasting": note.lasting,
            "markdown": values["body_markdown"],
            "document": values["document"],
        }
        more = {**values, "note": told, "note_key": note.key, "mark": note_mark(note.key), "open": held.draft.open}
        self._send("comment", held.draft, seen, f"{held.draft.key}:note:{note.key}", more)

    def _send(self, event: Event, draft: Draft, seen: Seen, identity: str, more: Mapping[str, Any]) -> Answer:
        request = self._requests.get(event)
        if request is None:
            return Answer(204, {}, b"", "webhook")
        identity = quote(identity, safe=":", errors="replace")
        places = {**values(draft, seen.location, seen.number), "event": event, "idempotency_key": identity, **more}
        places["state"] = "open" if places["open"] else "closed"
        data = None if request.method == "DELETE" else filled(request.body, places)
        url = filled_url(request.url, places)
        # The client writes JSON like this, which is what must be signed.
        signed = self._signed(b"" if data is None else json.dumps(data).encode())
        headers = {"Idempotency-Key": identity, "X-Drift-Monitor-Event": event, **signed}
        client, path = self._client(url)
        repeatable = None if event == "create" or request.method == "POST" else True
        return client.call(request.method, path, doing=_DOING[event], json=data, headers=headers, repeatable=repeatable)

    def _signed(self, body: bytes) -> dict[str, str]:
        if self._secret is None:
            return {}
        timestamp = str(int(time()))
        return {
            "X-Drift-Monitor-Timestamp": timestamp,
            "X-Drift-Monitor-Signature": f"sha256={signature(self._secret, timestamp, body)}",
        }

    def _client(self, url: str) -> tuple[HttpClient, str]:
        """Who may be called at this address: the webhook's own place, and hosts that the settings allow."""
        if "://" not in url:
            return self._clients[_origin(self._url)], url
        origin = _origin(url)
        if origin not in self._clients:
            parts, own = urlsplit(url), urlsplit(self._url)
            if parts.hostname not in self._hosts or (own.scheme == "https" != parts.scheme):
                raise PublishError(
                    f"webhook: {parts.hostname} is none of the hosts that may be called; add it to hosts, then "
                    "drift-monitor tickets --retry",
                    permanent=True,
                )
            self._clients[origin] = HttpClient("webhook", origin, **self._options)
        return self._clients[origin], url

    def _listed(self, find: Find, draft: Draft) -> Any:
        found = at(_json(self._get(find.url, draft, "", "look for the ticket")), find.list)
        if not isinstance(found, list):
            raise PublishError(
                f"webhook: what it answers to find has no list at {find.list or 'its top'}; correct find.list, then "
                "drift-monitor tickets --retry",
                permanent=True,
            )
        # Searches may be fuzzy, and another's ticket may quote the key: the oldest that holds it whole is ours.
        ours = [item for item in found if quote(draft.key, safe="") in json.dumps(item, ensure_ascii=False)]
        return min(ours, key=lambda item: age(at(item, find.number)), default=None)

    def _read(self, find: Find, draft: Draft, location: str) -> Seen | None:
        answer = self._get(find.read, draft, location, "read the ticket", accept=_GONE)
        if answer.status in _GONE:
            return None
        item = at(_json(answer), find.item)
        if not isinstance(item, Mapping):
            raise PublishError(
                f"webhook: what it answers to find.read has no ticket at {find.item or 'its top'}; correct find.item, then "
                "drift-monitor tickets --retry",
                permanent=True,
            )
        return self._seen(find, item, draft, location)

    def _get(self, template: str, draft: Draft, location: str, doing: str, accept: tuple[int, ...] = ()) -> Answer:
        url = filled_url(template, values(draft, location, last_step(location)))
        client, path = self._client(url)
        return client.call("GET", path, doing=doing, headers=self._signed(b""), accept=accept)

    def _seen(self, find: Find, item: Any, draft: Draft, location: str = "") -> Seen:
        number, state = at(item, find.number), at(item, find.state) if find.state else None
        is_open = None if state is None else text(state).lower() not in {one.lower() for one in find.closed}
        labels = at(item, find.labels) if find.labels else None
        notes = None
        if find.notes:
            texts = [text(at(one, find.note_text)) for one in at(item, find.notes) or []]
            notes = notes_marked(draft.notes, [one.replace("\r\n", "\n") for one in texts])
        return Seen(
            location or self._place(item, find.location, draft, number),
            text(number) or last_step(location),
            open=is_open,
            labels=frozenset(label(one) for one in (labels if isinstance(labels, list) else [labels]) if one),
            notes=notes,
            content=_Held(draft, item),
        )

    def _place(self, data: Any, path: str, draft: Draft, number: Any) -> str:
        if self._location_url and number is not None:
            return filled_url(self._location_url, {**values(draft), "number": text(number)})
        # A service that says nothing of where it put the ticket has been told, and that is all there is.
        return (text(at(data, path)) if path else "") or f"{_bare(self._url)}#{text(number) or fingerprint(draft.key)}"

    def _is_so(self, seen: Seen, draft: Draft, body: Mapping[str, Any]) -> bool:
        held: _Held = seen.content
        if held.sent and (held.draft.title, held.draft.body) == (draft.title, draft.body):
            return True
        find, item = self._find, held.item
        if find is None or item is None or not find.text:
            return False
        titled = not find.title or text(at(item, find.title)) == draft.title
        there = text(at(item, find.text))
        sent = (f"{body[form]}\n\n{ticket_mark(draft.key)}" for form in ("body_markdown", "body_html", "body_plain"))
        return titled and any(same_text(there, one) for one in sent)


def _remembered(draft: Draft, location: str) -> Seen:
    return Seen(location, last_step(location), open=None, notes=None, content=_Held(draft))


def _json(answer: Answer) -> Any:
    # Some services say "ok" and no more.
    plain = answer.headers.get("content-type", "").startswith("text/plain")
    return {} if plain or not answer.body.strip() else answer.read(object)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _bare(url: str) -> str:
    """Without a query, in which there may be a token."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
