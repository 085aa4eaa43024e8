"""What an answer that is no success means: whether and when to try again, and the service's own words, made safe to show."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

__all__ = ["is_limit", "is_permanent", "next_step", "phrase", "texts_of", "wait_asked", "words_of"]

_TRANSIENT = frozenset({408, 409, 425, 429})
_SHOWN = 200
_QUOTED = 12
_SENT = " [what was sent] "
_LONGEST_WAIT = 24 * 3600.0

_NAMES = ("errorMessages", "message", "error", "errors", "error_description", "detail", "title")
_FIELDS = frozenset({"detail", "title"})
"""Names that may also be those of fields, with what is wrong with them."""

_NEXT = {
    401: "check the token, and that it has not expired",
    403: "give the token the permissions that the documentation lists",
    404: "check the address and the names in the settings, and that the token may see them",
    413: "what was sent is too large for it; raise its limit",
    407: "check the name and password of the proxy",
}


def is_limit(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether this says "too many requests"; GitHub says so with 403, too."""
    if status == 429:
        return True
    spent = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining")) == "0"
    return status == 403 and (spent or "retry-after" in headers or b"rate limit" in body[:2_000].lower())


def is_permanent(status: int, *, limit: bool) -> bool:
    """Whether sending the same again cannot help."""
    return 300 <= status < 500 and status not in _TRANSIENT and not limit


def wait_asked(headers: Mapping[str, str], now: float, *, limit: bool = False) -> float | None:
    """Seconds to wait, by ``Retry-After`` (seconds or a date), else until the rate limit's window ends when it is spent.

    ``now`` is in seconds since 1970; ``None`` when the service names no time. At most a day.
    """
    asked = headers.get("retry-after")
    if asked is not None:
        try:
            return min(max(0.0, Retry(0).parse_retry_after(asked)), _LONGEST_WAIT)
        except (InvalidHeader, OverflowError, ValueError):
            pass
    spent = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining")) == "0"
    reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset"))
    if reset is None or not (spent or limit):
        return None
    end = _moment(reset, now)
    return None if end is None else min(max(0.0, end - now), _LONGEST_WAIT)


def _moment(text: str, now: float) -> float | None:
    """GitHub and GitLab give seconds since 1970, the IETF's draft seconds from now, Jira a date."""
    try:
        number = float(text)
    except ValueError:
        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return number if number > 1e9 else now + number


def phrase(status: int) -> str:
    """The status with its name."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def next_step(status: int, *, permanent: bool, retry: str) -> str:
    """What a person should do."""
    if not permanent:
        return "it is tried again later by itself"
    step = _NEXT.get(status, "correct the address" if status < 400 else "correct what the settings ask of it")
    return f"{step}, then {retry}"


def words_of(body: bytes, sent: Collection[str], secrets: Collection[str]) -> str:
    """The service's own words, shortened, without secrets and without what was sent; empty when it has none for people."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "" if not body.strip() else "(its answer is no JSON; is there a proxy or a login page in between?)"
    text = "; ".join(dict.fromkeys(_messages(found)))
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(_without(text[: 3 * _SHOWN], sent).split())
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", text)
    return text if len(text) <= _SHOWN else text[:_SHOWN].rsplit(" ", 1)[0] + " …"


def _messages(found: Any) -> Iterator[str]:
    """The texts under the names that GitHub, GitLab and Jira give their messages."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, list):
        for one in found:
            yield from _messages(one)
    elif isinstance(found, dict):
        named = [name for name in _NAMES if name in found and (name not in _FIELDS or isinstance(found[name], str))]
        if named:
            for name in named:
                yield from _messages(found[name])
        elif {"field", "code"} <= found.keys():
            yield f"{found['field']}: {found['code']}"
        else:
            for name, texts in found.items():
                # GitLab's "base" is no field.
                yield from (text if name == "base" else f"{name}: {text}" for text in _messages(texts))


def _without(text: str, sent: Collection[str]) -> str:
    """A service may quote what it refuses, and that may be a text of production."""
    shown: list[str] = []
    at = 0
    while at < len(text):
        end = at + _QUOTED
        if end <= len(text) and any(text[at:end] in one for one in sent):
            while end < len(text) and any(text[at : end + 1] in one for one in sent):
                end += 1
            shown.append(_SENT)
            at = end
        else:
            shown.append(text[at])
            at += 1
    return "".join(shown)


def texts_of(data: Any) -> Iterator[str]:
    """Every text among the values of JSON data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from texts_of(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from texts_of(value)
