"""What gives a person or a secret away, by kind: shapes found by pattern, numbers held against their check digits.

Phone numbers are told by phonenumbers (Google's libphonenumber), keys of known services by the patterns of detect-secrets.
Both are imported when the first text with something like it comes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args

__all__ = ["KINDS", "Kind", "spans_of"]

Kind = Literal["key", "link", "email", "iban", "card", "ip", "phone", "number"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order they are looked for: what is found first keeps its name."""

Span = tuple[int, int]

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)
_LONG = re.compile(r"[\w+/=.:-]{16}")
_BLOB = re.compile(r"[A-Za-z0-9+/=_.:-]{4096,}")
_SECRET_WORD = re.compile(
    r"(?i)\b(?:pass(?:word|code|phrase|wd)?|pwd|secret|token|api[ _-]?key|access[ _-]?key|pin|cvv|cvc)\b"
    r"(?:\s*[=:]+\s*[\"']?|\s+(?:is|was|are)\s+[\"']?)([^\s\"',;]{3,})"
)
_HARMLESS = frozenset(
    [
        "not",
        "wrong",
        "incorrect",
        "invalid",
        "expired",
        "blocked",
        "locked",
        "lost",
        "forgotten",
        "correct",
        "right",
        "still",
        "always",
        "never",
        "the",
        "that",
        "this",
        "being",
        "been",
        "getting",
        "too",
        "also",
        "now",
        "again",
        "my",
        "your",
        "and",
        "but",
        "when",
        "where",
        "what",
        "reset",
        "required",
        "needed",
        "missing",
        "unknown",
        "rejected",
        "accepted",
        "working",
        "fine",
        "ok",
        "okay",
        "good",
    ]
)
# Of an unknown service: long, with both cases and a digit among the letters, or a long hexadecimal number.
_OPAQUE = re.compile(
    r"(?<![\w+/=-])(?:[0-9a-fA-F]{32,}|(?=[\w+/=-]*\d)(?=[\w+/=-]*[a-z])(?=[\w+/=-]*[A-Z])[\w+/=-]{24,})"
)
# Bounded to the left, or every beginning would be tried to the end.
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,128}@[\w-]+(?:\.[\w-]+)+|[\w.+-]{1,128}@[\w-]+\.[\w.-]+")
_LINK = re.compile(r"(?i)(?:\b[a-z][a-z0-9+.-]{1,30}://|\bwww\.)\S+")
_IBAN = re.compile(r"(?i)(?<![a-z0-9])[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}(?![a-z0-9])")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?i)(?<![\w:.])(?=[0-9a-f:]*:[0-9a-f:]*:)[0-9a-f:]{3,39}(?:\.\d{1,3}){0,3}(?![\w:])")
_PHONE = re.compile(r"(?<!\w)[+(]{0,2}\d[\d ()/.\u2010-\u2015\xa0-]{5,}\d")
_TRIES = 100
"""Numbers of a text that may turn out to be no phones before the rest are left to be masked as numbers."""

_NUMBERS = (re.compile(r"(?<!\w)\+?\d[\d ()/.-]{6,}\d"), re.compile(r"(?<![\w-])(?=[\w-]*\d{3})[\w-]+"))

# Left out: what guesses (entropy, keywords), public IPs and passwords in links, which have their own kind, and what asks the network.
_PLUGINS = [
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
]


@cache
def _service_keys() -> Sequence[re.Pattern[str]]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - a quarter of a second

    classes: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    known = {one.__name__: one for one in classes}
    return [pattern for name in _PLUGINS for pattern in known[name]().denylist]


def _keys(text: str, regions: Sequence[str]) -> Iterator[Span]:
    for found in _PEM.finditer(text):
        yield found.span()
    for found in _SECRET_WORD.finditer(text):
        if found[1].casefold().strip(".!?") not in _HARMLESS:
            yield found.span(1)
    for found in _BLOB.finditer(text):
        yield found.span()
    # Some patterns of services take time with the square of a word's length.
    text = _BLOB.sub(lambda found: " " * len(found[0]), text)
    if _LONG.search(text):
        for pattern in (*_service_keys(), _OPAQUE):
            for found in pattern.finditer(text):
                yield found.span()


def _of(*patterns: re.Pattern[str]) -> Callable[[str, Sequence[str]], Iterator[Span]]:
    def find(text: str, regions: Sequence[str]) -> Iterator[Span]:
        for pattern in patterns:
            for found in pattern.finditer(text):
                yield found.span()

    return find


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def _mod97(iban: str) -> bool:
    """ISO 13616 by ISO/IEC 7064 MOD 97-10."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def _checked(
    pattern: re.Pattern[str], shortest: int, good: Callable[[str], bool]
) -> Callable[[str, Sequence[str]], Iterator[Span]]:
    """The longest beginning of each match that holds against its check digits: what follows may be another number or word."""

    def find(text: str, regions: Sequence[str]) -> Iterator[Span]:
        for found in pattern.finditer(text):
            places = [found.start() + i for i, c in enumerate(found[0]) if c not in " -"]
            for last in range(len(places), shortest - 1, -1):
                end = places[last - 1] + 1
                whole = end == found.end() or not (text[end].isalnum() and text[end - 1].isalnum())
                if whole and good("".join(text[p] for p in places[:last])):
                    yield found.start(), end
                    break

    return find


def _addresses(text: str, regions: Sequence[str]) -> Iterator[Span]:
    for pattern in (_IP4, _IP6):
        for found in pattern.finditer(text):
            shown = found[0].rstrip(".")
            try:
                ipaddress.ip_address(shown)
            except ValueError:
                continue
            if any(c.isalnum() for c in shown):
                yield found.start(), found.start() + len(shown)


def _phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    if not _PHONE.search(text):
        return
    import phonenumbers  # noqa: PLC0415 - only where there is something like a number

    for region in regions or (None,):
        for found in phonenumbers.PhoneNumberMatcher(text, region, max_tries=_TRIES):
            yield found.start, found.end


_FINDERS: Mapping[Kind, Callable[[str, Sequence[str]], Iterator[Span]]] = {
    "key": _keys,
    "email": _of(_EMAIL),
    "link": _of(_LINK),
    "iban": _checked(_IBAN, 15, _mod97),
    "card": _checked(_CARD, 13, _luhn),
    "ip": _addresses,
    "phone": _phones,
    "number": _of(*_NUMBERS),
}
_HINTS: Mapping[Kind, re.Pattern[str]] = {
    "email": re.compile("@"),
    "link": re.compile(r"://|(?i:www\.)"),
    "iban": re.compile(r"\d\d"),
    "card": re.compile(r"\d"),
    "ip": re.compile(r"[.:]\d|::|:[0-9a-fA-F]+:"),
    "phone": re.compile(r"\d"),
    "number": re.compile(r"\d"),
}
"""Without it a text holds none of the kind; cheap to look for."""


def spans_of(text: str, kind: Kind, regions: Sequence[str]) -> list[Span]:
    """Where something of this kind stands, in order, overlaps joined. ``regions``: countries whose national numbers count as phones."""
    hint = _HINTS.get(kind)
    if hint is not None and not hint.search(text):
        return []
    joined: list[Span] = []
    for start, end in sorted(_FINDERS[kind](text, regions)):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
