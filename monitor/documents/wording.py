"""What every markup does alike: characters that nobody should meet go, and a table says what it leaves out."""

from __future__ import annotations

import re

from monitor.values import Table

__all__ = ["left_out", "one_line", "visible"]

# Controls, halves of characters, and marks that turn the direction of what follows, or end it too early.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ufeff]")
_HALF = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """The text without characters that no service stores, or that would change how others are shown."""
    return _UNSEEN.sub("", _HALF.sub("\ufffd", text))


def one_line(text: str) -> str:
    """Words parted by single spaces; a space at an edge stays, for it parts spans."""
    flat = " ".join(visible(text).split())
    if not flat:
        return " " if text else ""
    return (" " if text[:1].isspace() else "") + flat + (" " if text[-1:].isspace() else "")


def left_out(table: Table) -> str:
    """The sentence below a shortened table, or nothing."""
    if not table.left_out:
        return ""
    return f"{table.left_out} more {'row is' if table.left_out == 1 else 'rows are'} left out here."
