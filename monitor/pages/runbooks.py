"""The runbooks of the alerts, as they are in the documentation: where the alerts lead."""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from monitor.pages.layout import render

__all__ = ["runbooks_page"]


@cache
def runbooks_page() -> str:
    """Every runbook under a heading whose anchor is the alert's name in small letters."""
    text = resources.files("monitor.pages").joinpath("templates/runbooks.md").read_text(encoding="utf-8")
    reader = MarkdownIt("commonmark", {"html": False})
    found = reader.parse(text)
    for opening, words in pairwise(found):
        if opening.type == "heading_open" and opening.tag == "h2":
            opening.attrSet("id", words.content.lower())
        words.children = _within(words.children)
    return render("runbooks.html", runbooks=reader.renderer.render(found, reader.options, {}))


def _within(words: list[Token] | None) -> list[Token] | None:
    """Without links to other parts of the documentation, which is not served."""
    if words is None:
        return None
    kept, open_links = [], []
    for word in words:
        if word.type == "link_open":
            open_links.append(str(word.attrGet("href")).startswith("#"))
        wanted = open_links[-1] if word.type in ("link_open", "link_close") else True
        if word.type == "link_close":
            open_links.pop()
        if wanted:
            kept.append(word)
    return kept
