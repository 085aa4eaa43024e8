"""Words for people, before anyone knows in which markup they will be read: a ticket says the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Block", "Bullets", "Document", "Heading", "Paragraph", "Preformatted", "Span", "Steps", "Table", "Words"]

Style = Literal["plain", "bold", "code"]


@dataclass(frozen=True, slots=True)
class Span:
    """Some words in one style. The text is shown as it is: every markup escapes it. With ``href`` it is a link."""

    text: str
    style: Style = "plain"
    href: str = ""


Words = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    words: Words


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list in no order."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """A numbered list."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the most important first, so that it may be shortened from its end.

    header   names of columns; all empty for a table of names and values
    rows     each as long as the header
    numbers  columns that stand to the right
    left_out rows that were left out; every markup says so below the table
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    numbers: frozenset[int] = frozenset()
    left_out: int = 0

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.header):
                raise ValueError(f"row {number} of a table has {len(row)} cells, its header {len(self.header)}")


@dataclass(frozen=True, slots=True)
class Preformatted:
    """Lines in which every character is as wide as the others."""

    text: str


Block = Heading | Paragraph | Bullets | Steps | Table | Preformatted
Document = tuple[Block, ...]
