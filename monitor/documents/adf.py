"""Atlassian Document Format, version 1, as Jira Cloud's REST API v3 takes it: a tree, so that no text can be markup."""

from __future__ import annotations

from typing import Any

from monitor.documents.wording import left_out, one_line, visible
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words

__all__ = ["adf"]

Node = dict[str, Any]


def adf(document: Document) -> Node:
    """The document as a ``doc`` node."""
    return {"version": 1, "type": "doc", "content": [node for block in document for node in _nodes(block)]}


def _nodes(block: object) -> list[Node]:
    match block:
        case Heading(text):
            return [{"type": "heading", "attrs": {"level": 2}, "content": _texts((Span(text),))}]
        case Paragraph(words):
            return [_paragraph(words)]
        case Bullets(items):
            return [_items("bulletList", items)] if items else []
        case Steps(items):
            return [_items("orderedList", items)] if items else []
        case Table():
            return _table(block)
        case Preformatted(text):
            shown = visible(text).rstrip()
            return [{"type": "codeBlock", "content": [{"type": "text", "text": shown}] if shown else []}]
    raise TypeError(f"no block of a document: {type(block).__name__}")


def _paragraph(words: Words) -> Node:
    return {"type": "paragraph", "content": _texts(words)}


def _items(kind: str, items: tuple[Words, ...]) -> Node:
    return {"type": kind, "content": [{"type": "listItem", "content": [_paragraph(item)]} for item in items]}


def _table(table: Table) -> list[Node]:
    rows: list[Node] = []
    if any(table.header):
        rows.append(_row("tableHeader", tuple((Span(name, "bold"),) for name in table.header)))
    rows += [_row("tableCell", row) for row in table.rows]
    found: list[Node] = [{"type": "table", "content": rows}] if rows else []
    if table.left_out:
        found.append(_paragraph((Span(left_out(table)),)))
    return found


def _row(kind: str, cells: tuple[Words, ...]) -> Node:
    return {"type": "tableRow", "content": [{"type": kind, "content": [_paragraph(cell)]} for cell in cells]}


def _texts(words: Words) -> list[Node]:
    """Text nodes; the format allows no empty ones."""
    return [_text(span) for span in words if one_line(span.text)]


def _text(span: Span) -> Node:
    marks: list[Node] = []
    if span.style != "plain":
        marks.append({"type": "strong" if span.style == "bold" else "code"})
    if span.href.startswith(("https://", "http://")):
        marks.append({"type": "link", "attrs": {"href": visible(span.href)}})
    node: Node = {"type": "text", "text": one_line(span.text)}
    return {**node, "marks": marks} if marks else node
