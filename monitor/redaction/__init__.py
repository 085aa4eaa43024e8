"""What of a private text may be shown: addresses, numbers, keys and the user's own patterns masked, and counted by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import re2

from monitor.redaction.recognisers import KINDS, Kind, spans_of
from monitor.values import Candidate

__all__ = ["KINDS", "REGIONS", "Kind", "Redactor", "Texts", "redacted", "texts_as"]

Texts = Literal["redacted", "ids", "whole"]
"""How texts go to a destination: masked, not at all, or as they are."""

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IN")
"""Countries whose phone numbers are known without their country code."""

_EXCERPT = 160
_NAME = re.compile(r"[a-z][a-z_-]{0,30}")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Masks what it finds as ``[kind]``.

    kinds     what is looked for besides the user's patterns
    patterns  the user's, by name, in RE2's syntax: it takes time linear in the text, whatever the pattern
    regions   countries whose phone numbers count without a country code

    ``ValueError`` for a pattern that cannot be compiled or matches nothing at all everywhere, and for a name that cannot be a mask.
    """

    kinds: Sequence[Kind] = KINDS
    patterns: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[str] = REGIONS
    _compiled: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", {name: _compile(name, one) for name, one in self.patterns.items()})

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The whole text masked, and how much was, by kind."""
        found: Counter[str] = Counter()
        for name, pattern in self._compiled.items():
            text = _masked(text, [one.span() for one in pattern.finditer(text)], name, found)
        for kind in KINDS:
            if kind in self.kinds:
                text = _masked(text, spans_of(text, kind, self.regions), kind, found)
        return text, found

    def excerpt(self, text: str) -> tuple[str, Counter[str]]:
        """The first 160 characters on one line, masked, and how much of them was. It may still hold markup."""
        start = text[: 4 * _EXCERPT]
        if len(start) < len(text) and not text[len(start)].isspace():
            # Half a word could be half an address, which nothing recognises.
            start = start.rsplit(None, 1)[0] if len(start.split(None, 1)) > 1 else start
        shown, _ = self.redact(" ".join(start.split()))
        if len(shown) > _EXCERPT:
            shown = shown[:_EXCERPT].rsplit(" ", 1)[0] + " …"
        return shown, self._counted(shown)

    def _counted(self, shown: str) -> Counter[str]:
        names = {*self.kinds, *self.patterns}
        return Counter(name for name in re.findall(r"\[([a-z_-]+)\]", shown) if name in names)


def _compile(name: str, pattern: str) -> Any:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a mask; use up to 31 small letters, _ and -")
    options = re2.Options()
    options.log_errors = False
    try:
        made = re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(
            f"pattern {name}: {told}; patterns are RE2's, which knows no look-around and no back-references"
        ) from None
    if made.search(""):
        raise ValueError(f"pattern {name} matches the empty text; make it ask for at least one character")
    return made


def _masked(text: str, spans: Iterable[tuple[int, int]], kind: str, found: Counter[str]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], f"[{kind}]"]
        at = end
        found[kind] += 1
    return "".join([*parts, text[at:]]) if at else text


_USUAL = Redactor()


def redacted(text: str, redactor: Redactor = _USUAL) -> str:
    """The first 160 characters on one line, masked. It may still hold markup."""
    return redactor.excerpt(text)[0]


def texts_as(
    candidates: Sequence[Candidate], texts: Texts, redactor: Redactor = _USUAL
) -> tuple[tuple[Candidate, ...], Counter[str]]:
    """Candidates as they may go to a destination, and what was masked by kind, ``withheld`` for texts left out.

    Texts are masked over their whole length, and so are the words of groups; vectors, from which a text can be guessed, go only with whole texts.
    """
    counts: Counter[str] = Counter()
    if texts == "whole":
        return tuple(candidates), counts
    if texts == "ids":
        counts["withheld"] = sum(one.text is not None for one in candidates)
        return tuple(replace(one, text=None, cluster=None, vector=None) for one in candidates), +counts
    shown = []
    for one in candidates:
        text, found = (None, Counter[str]()) if one.text is None else redactor.redact(one.text)
        counts += found
        cluster = None if one.cluster is None else redactor.redact(one.cluster)[0]
        shown.append(replace(one, text=text, cluster=cluster, vector=None))
    return tuple(shown), counts
