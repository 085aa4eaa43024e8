"""Jira's wiki markup, as Data Center's REST API v2 takes it; every character that could be markup is a numeric entity."""

from __future__ import annotations

import re

from monitor.documents.wording import left_out, one_line, visible
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words

__all__ = ["escaped", "wiki"]

# A colon begins addresses and smileys where something follows it at once; a hyphen is text between letters and digits.
_MARKUP = re.compile(r"[\\*_+^~{}\[\]()|!?@&#<>]|:(?=\S)|(?<![^\W_])-|-(?![^\W_])")
_BLOCK = re.compile(r"^(\s*(?:h[1-6]|bq))\.")
_IN_ADDRESS = re.compile(r"[\s|\[\]{}\\^<>\"]")


def escaped(text: str) -> str:
    """Words without markup of their own, on one line. A backslash would not do: before a backslash it breaks the line."""
    return _BLOCK.sub(r"\1&#46;", _MARKUP.sub(lambda found: f"&#{ord(found[0])};", one_line(text)))


def wiki(document: Document) -> str:
    """The document, ending with a line end."""
    return "\n\n".join(_block(block) for block in document) + "\n"


def _block(block: object) -> str:
    match block:
        case Heading(text):
            return f"h2. {escaped(text).strip()}"
        case Paragraph(words):
            return _words(words)
        case Bullets(items):
            return "\n".join(f"* {_words(item)}" for item in items)
        case Steps(items):
            return "\n".join(f"# {_words(item)}" for item in items)
        case Table():
            return _table(block)
        case Preformatted(text):
            inner = visible(text).rstrip().replace("{noformat", "{\u200dnoformat")
            return f"{{noformat}}\n{inner}\n{{noformat}}"
    raise TypeError(f"no block of a document: {type(block).__name__}")


def _words(words: Words) -> str:
    # Two spans together may begin a block where neither does.
    return _BLOCK.sub(r"\1&#46;", "".join(_span(span) for span in words))


def _span(span: Span) -> str:
    inner = escaped(span.text)
    if inner.strip() and span.style != "plain":
        left, right = ("{{", "}}") if span.style == "code" else ("*", "*")
        inner = inner.replace(inner.strip(), f"{left}{inner.strip()}{right}", 1)
    if not span.href.startswith(("https://", "http://")):
        return inner
    href = _IN_ADDRESS.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), visible(span.href))
    return f"[{escaped(span.text).strip() or escaped(href)}|{href}]"


def _table(table: Table) -> str:
    lines = [f"||{'||'.join(_cell(escaped(name)) for name in table.header)}||"] if any(table.header) else []
    lines += [f"|{'|'.join(_cell(_words(cell)) for cell in row)}|" for row in table.rows]
    text = "\n".join(lines)
    return f"{text}\n\n{left_out(table)}" if table.left_out else text


def _cell(text: str) -> str:
    return text.strip() or " "
