"""What of a private text may be shown: links, addresses and numbers masked, and no more than its beginning."""

from __future__ import annotations

import re

__all__ = ["redacted"]

_EXCERPT = 160
_REDACTIONS = (
    (re.compile(r"(?i)\b(?:https?://|www\.)\S+"), "[link]"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "[email]"),
    (re.compile(r"(?<!\w)\+?\d[\d ()/.-]{6,}\d"), "[number]"),
    (re.compile(r"(?<![\w-])(?=[\w-]*\d{3})[\w-]+"), "[number]"),
)


def redacted(text: str) -> str:
    """The first 160 characters on one line, links, addresses and numbers masked. It may still hold markup."""
    flat = " ".join(text[: 4 * _EXCERPT].split())
    for pattern, mask in _REDACTIONS:
        flat = pattern.sub(mask, flat)
    return flat if len(flat) <= _EXCERPT else flat[:_EXCERPT].rsplit(" ", 1)[0] + " …"
