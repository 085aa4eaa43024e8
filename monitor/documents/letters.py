"""Letters that may be shown to people: nothing that steers a terminal or a reader, nothing that breaks a line or a file."""

from __future__ import annotations

import unicodedata

from monitor.values import Table

__all__ = ["left_out", "one_line", "shown"]

# Joiners hold emoji and many scripts together; the other invisible letters can turn the order of what follows around.
_KEPT = frozenset("\u200c\u200d\u00ad")
_NEVER = frozenset({"Cc", "Cf", "Cs"})


def shown(text: str) -> str:
    """The text with tabs as spaces; control, direction and broken letters become ``\N{REPLACEMENT CHARACTER}``, line ends stay."""
    lines = "\n".join(text.expandtabs(4).splitlines())
    return "".join(_letter(letter) for letter in lines)


def one_line(text: str) -> str:
    """The text as :func:`shown`, with one space for every white space."""
    return shown(" ".join(text.split()))


def left_out(table: Table) -> str:
    """The sentence below a table that was shortened."""
    return f"{table.left_out} more {'row is' if table.left_out == 1 else 'rows are'} left out here."


def _letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}"
    if unicodedata.category(letter) in _NEVER and letter not in _KEPT:
        return "\N{REPLACEMENT CHARACTER}"
    return letter
