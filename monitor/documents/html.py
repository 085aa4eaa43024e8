"""HTML that mail programs show as meant, in the dark as well: styles stand at their elements, nothing is fetched, nothing runs."""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

from monitor.documents.wording import left_out, one_line, visible
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table, Words

__all__ = ["html", "html_page"]

# No colour of text or ground is set, so that a dark program's own hold; the grey of lines is seen on both.
_LINE = "border:1px solid #8c8c8c"
_BODY = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;font-size:15px;line-height:1.45"
_WIDE = "max-width:60em;overflow-wrap:anywhere"
_TABLE = "border-collapse:collapse;margin:0.8em 0"
_CELL = f"{_LINE};padding:3px 8px;vertical-align:top"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"
_SCHEMES = frozenset({"http", "https", "mailto"})


def html_page(title: str, document: Document) -> str:
    """A whole page with the document under its title, ending with a line end."""
    name = escape(one_line(title).strip())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f'<title>{name}</title></head>\n<body style="{_BODY}"><div style="{_WIDE}">\n'
        f'<h1 style="font-size:20px">{name}</h1>\n{html(document)}</div></body></html>\n'
    )


def html(document: Document) -> str:
    """The document's elements without a page around them, ending with a line end."""
    return "\n".join(_block(block) for block in document) + "\n"


def _block(block: object) -> str:
    match block:
        case Heading(text):
            return f'<h2 style="font-size:17px;margin:1.2em 0 0.4em">{escape(one_line(text).strip())}</h2>'
        case Paragraph(words):
            return f"<p>{_words(words)}</p>"
        case Bullets(items):
            return _items("ul", items)
        case Steps(items):
            return _items("ol", items)
        case Table():
            return _table(block)
        case Preformatted(text):
            return f'<pre style="{_MONO};overflow:auto">{escape(_lines(text))}</pre>'
    raise TypeError(f"no block of a document: {type(block).__name__}")


def _items(kind: str, items: tuple[Words, ...]) -> str:
    return f"<{kind}>" + "".join(f"<li>{_words(item)}</li>" for item in items) + f"</{kind}>"


def _words(words: Words) -> str:
    return "".join(_span(span) for span in words)


def _span(span: Span) -> str:
    said = one_line(span.text)
    inner = escape(said.strip())
    if span.style == "code" and inner:
        inner = f'<code style="{_MONO}">{inner}</code>'
    elif span.style == "bold" and inner:
        inner = f"<strong>{inner}</strong>"
    if span.href:
        inner = _link(inner, span.href)
    # Spaces at the edges are what parts one span from the next.
    return f"{' ' if said[:1] == ' ' else ''}{inner}{' ' if said[-1:] == ' ' and said.strip() else ''}"


def _lines(text: str) -> str:
    return "\n".join(visible(line) for line in text.rstrip().expandtabs(4).splitlines())


def _link(inner: str, href: str) -> str:
    target = one_line(href).strip().replace(" ", "%20")
    name = escape(target)
    if _scheme(target) not in _SCHEMES:
        # A path on the monitor's own disk is no link, and a script none to follow.
        return f"{inner} ({name})" if inner else name
    return f'<a href="{name}" rel="noopener noreferrer">{inner or name}</a>'


def _scheme(target: str) -> str:
    try:
        return urlsplit(target).scheme
    except ValueError:
        return ""


def _table(table: Table) -> str:
    head = ""
    if any(table.header):
        cells = enumerate(table.header)
        head = (
            "<tr>"
            + "".join(_cell("th", escape(one_line(name).strip()), at in table.numbers) for at, name in cells)
            + "</tr>"
        )
    rows = "".join(
        "<tr>"
        + "".join(_cell("td" if head or at else "th", _words(cell), at in table.numbers) for at, cell in enumerate(row))
        + "</tr>\n"
        for row in table.rows
    )
    below = f"\n<p>{left_out(table)}</p>" if table.left_out else ""
    return f'<table style="{_TABLE}">{head}\n{rows}</table>{below}'


def _cell(kind: str, inner: str, number: bool) -> str:
    side = "right" if number else "left"
    return f'<{kind} style="{_CELL};text-align:{side}">{inner}</{kind}>'
