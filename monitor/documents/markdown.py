"""Markdown as GitHub, GitLab and most others read it."""

from __future__ import annotations

import re

from monitor.documents.wording import left_out, one_line, visible
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words

__all__ = ["escaped", "markdown"]

# An underscore inside a word, as in class names, is no markup.
_MARKUP = re.compile(r"([\\`*{}\[\]<>|#~&!$]|%(?=[\w\"])|(?<!\w)_|_(?!\w))")
# A slash in front is a command to GitLab.
_LINE_START = re.compile(r"^(/|[-+=](?=[-+=\s]|$))|^(\d{1,9})([.)])(?=\s|$)")
# What services turn into mentions, references and links by themselves; a joiner inside stops them.
_MENTIONS = re.compile(r"(@|\\#|:(?=//)|\bwww(?=\.))")
_JOINER = "\u200d"


def escaped(text: str) -> str:
    """Words without markup of their own, on one line; a zero-width joiner keeps mentions, references and addresses from linking."""
    flat = _MARKUP.sub(r"\\\1", one_line(text).strip())
    flat = _LINE_START.sub(r"\2\\\1\3", flat)
    return _MENTIONS.sub(rf"\1{_JOINER}", flat)


def markdown(document: Document) -> str:
    """The document, ending with a line end."""
    return "\n\n".join(_block(block) for block in document) + "\n"


def _block(block: object) -> str:
    match block:
        case Heading(text):
            return f"## {escaped(text)}"
        case Paragraph(words):
            return _words(words)
        case Bullets(items):
            return "\n".join(f"- {_words(item)}" for item in items)
        case Steps(items):
            return "\n".join(f"{number}. {_words(item)}" for number, item in enumerate(items, 1))
        case Table():
            return _table(block)
        case Preformatted(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
            return f"{fence}text\n{visible(text).rstrip()}\n{fence}"
    raise TypeError(f"no block of a document: {type(block).__name__}")


def _words(words: Words) -> str:
    return "".join(_span(span) for span in words)


def _span(span: Span) -> str:
    text = one_line(span.text)
    bare = text.strip()
    if not bare:
        return text
    inner = _edges(text, escaped(bare))
    if span.style == "code":
        # Nothing is escaped inside code; a bar would still end a cell.
        inner = f"`{bare.replace('`', chr(39)).replace('|', '/')}`"
    elif span.style == "bold":
        inner = f"**{inner.strip()}**"
    if not span.href:
        return inner
    href = span.href.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("\n", "")
    return f"[{inner.strip()}](<{href}>)"


def _edges(text: str, inner: str) -> str:
    """Spaces at the edges are what parts one span from the next."""
    return (" " if text[:1].isspace() else "") + inner + (" " if text[-1:].isspace() else "")


def _table(table: Table) -> str:
    ruler = ["---:" if at in table.numbers else "---" for at in range(len(table.header))]
    lines = [[escaped(name) for name in table.header], ruler, *([_words(cell) for cell in row] for row in table.rows)]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{text}\n\n{left_out(table)}" if table.left_out else text
