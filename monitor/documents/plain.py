"""Plain text for mails and terminals, as wide as a screen of old: tables stand in columns, or row by row when they are wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from monitor.documents.wording import left_out, one_line, visible
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words

__all__ = ["plain"]

_WIDTH = 78
_LONGEST_NAME = 24
_GAP = "  "


def plain(document: Document, width: int = _WIDTH) -> str:
    """The document, ending with a line end, in lines of at most ``width`` columns; only addresses and preformatted lines are longer.

    Text of a record begins no line at the left edge other than in a paragraph, and never a block of its own.
    """
    return "\n\n".join("\n".join(_block(block, width)) for block in document) + "\n"


def _block(block: object, width: int) -> list[str]:
    match block:
        case Heading(text):
            lines = _wrapped(one_line(text).strip(), width)
            return [*lines, "-" * max(map(cell_len, lines))]
        case Paragraph(words):
            return _wrapped(_words(words), width)
        case Bullets(items):
            return [line for item in items for line in _hung("- ", _words(item), width)]
        case Steps(items):
            marks = [f"{number}. " for number in range(1, len(items) + 1)]
            return [line for mark, item in zip(marks, items, strict=True) for line in _hung(mark, _words(item), width)]
        case Table():
            return [*_table(block, width), *(["", left_out(block)] if block.left_out else [])]
        case Preformatted(text):
            return [f"    {visible(line)}".rstrip() for line in text.rstrip().expandtabs(4).splitlines()]
    raise TypeError(f"no block of a document: {type(block).__name__}")


def _words(words: Words) -> str:
    return " ".join("".join(_span(span) for span in words).split())


def _span(span: Span) -> str:
    said = one_line(span.text)
    if not span.href:
        return said
    href = one_line(span.href).strip().replace(" ", "%20")
    return f"<{href}>" if said.strip() in ("", href) else f"{said.rstrip()} <{href}>{said[len(said.rstrip()) :]}"


def _table(table: Table, width: int) -> list[str]:
    header = [one_line(name).strip() for name in table.header]
    rows = [[_words(cell) for cell in row] for row in table.rows]
    if not any(header):
        return [line for name, *values in rows for line in _pairs([(name, " ".join(values))], width, _names(rows))]
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        ruler = ["-" * size for size in widths]
        return [_aligned(cells, widths, table.numbers) for cells in (header, ruler, *rows)]
    names = min(_LONGEST_NAME, max(map(cell_len, header)))
    blocks = (_pairs([pair for pair in zip(header, row, strict=True) if pair[1]], width, names) for row in rows)
    return [line for lines in blocks for line in ("", *lines)][1:]


def _names(rows: Sequence[Sequence[str]]) -> int:
    return max((size for row in rows if (size := cell_len(row[0])) <= _LONGEST_NAME), default=0)


def _aligned(cells: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> str:
    placed = [
        " " * (size - cell_len(cell)) + cell if at in numbers else set_cell_size(cell, size)
        for at, (cell, size) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(placed).rstrip()


def _pairs(pairs: Sequence[tuple[str, str]], width: int, size: int) -> list[str]:
    """``name: value`` with the values below each other; a long name has a line of its own."""
    lines: list[str] = []
    for name, value in pairs:
        if cell_len(name) <= size:
            lines += _hung(set_cell_size(f"{name}:", size + 1) + _GAP, value, width)
        else:
            lines += [*_hung("", f"{name}:", width), *_hung(" " * (size + 1) + _GAP, value, width)]
    return lines


def _hung(mark: str, text: str, width: int) -> list[str]:
    """The text behind a mark, its further lines below its first."""
    indent = cell_len(mark)
    first, *rest = _wrapped(text, max(20, width - indent))
    return [(mark + first).rstrip(), *(" " * indent + line for line in rest)]


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in _fitting(text.split(), width):
        joined = f"{line} {word}" if line else word
        if line and cell_len(joined) > width:
            lines.append(line)
            line = word
        else:
            line = joined
    return [*lines, line]


def _fitting(words: Sequence[str], width: int) -> Iterator[str]:
    """Scripts without spaces are parted anywhere; a long word of one, such as an address, stays whole."""
    for word in words:
        if cell_len(word) <= width or cell_len(word) < 1.5 * len(word):
            yield word
        else:
            yield from chop_cells(word, width)
