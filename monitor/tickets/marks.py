"""How our tickets and comments are known again: marks that Markdown does not show, titles that every service takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

from monitor.documents.wording import one_line
from monitor.values import Note

__all__ = ["fingerprint", "kept_below", "note_mark", "notes_marked", "same_text", "ticket_mark", "title_within"]


def ticket_mark(key: str) -> str:
    """The mark at the end of our part of a ticket; what follows it is people's."""
    return f"<!-- drift-monitor ticket {quote(key, safe='')} -->"


def note_mark(key: str) -> str:
    """The mark at the end of a comment."""
    return f"<!-- drift-monitor note {quote(key, safe='')} -->"


def notes_marked(notes: Iterable[Note], texts: Iterable[str]) -> frozenset[str]:
    """Keys of those notes that end one of these comments."""
    marks = {note_mark(note.key): note.key for note in notes}
    last = (text.rstrip().rpartition("\n")[2] for text in texts)
    return frozenset(marks[line] for line in last if line in marks)


def kept_below(body: str, key: str) -> str:
    """What people wrote below our part."""
    return body.rpartition(ticket_mark(key))[2] if ticket_mark(key) in body else ""


def same_text(one: str, other: str) -> bool:
    """Whether two texts differ in nothing but the line ends that a browser's form makes."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def title_within(title: str, most: int) -> str:
    """The title on one line, whole words of it, at most ``most`` characters; it mentions nobody."""
    flat = re.sub("@", "@\u200d", one_line(title).strip())
    return flat if len(flat) <= most else flat[: most - 1].rsplit(" ", 1)[0] + "…"


def fingerprint(text: str) -> str:
    """Sixteen hexadecimal digits that stand for a key or a text where length is limited."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
