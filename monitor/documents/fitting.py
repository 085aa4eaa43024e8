"""Makes a document fit a service's limit: tables lose rows from their ends, then sections go whole; no sentence is ever cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitor.values import Document, Heading, Paragraph, Span, Table

__all__ = ["fitted"]

_REST = Paragraph((Span("Sections that did not fit are in the report."),))


def fitted(document: Document, fits: Callable[[Document], bool]) -> Document:
    """The document with as many rows of its tables as fit, the same number at most in each; the rest is counted below them.

    ``fits`` renders and measures. When a document without a row is still too long, sections are left out from the end.
    """
    if fits(document):
        return document
    most = max((len(block.rows) for block in document if isinstance(block, Table)), default=0)
    low, high = 0, most  # low rows may fit, high do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_shortened(document, middle)) else (low, middle)
    short = _shortened(document, low)
    while not fits(short) and len(short) > 1:
        short = _without_last_section(short)
    return short


def _shortened(document: Document, rows: int) -> Document:
    return tuple(
        replace(block, rows=block.rows[:rows], left_out=block.left_out + len(block.rows) - rows)
        if isinstance(block, Table) and len(block.rows) > rows
        else block
        for block in document
    )


def _without_last_section(document: Document) -> Document:
    kept = document[:-1] if document[-1:] == (_REST,) else document
    start = max((at for at, block in enumerate(kept) if isinstance(block, Heading)), default=0)
    # A document's first block stays, whatever it is.
    return (*kept[: start or len(kept) - 1], _REST) if len(kept) > 1 else kept
