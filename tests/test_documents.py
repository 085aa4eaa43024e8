"""No text of a record becomes markup: what a parser of each markup reads is what was written."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tracker_jira import adf_schema

from monitor.documents.adf import adf
from monitor.documents.fitting import fitted
from monitor.documents.markdown import markdown
from monitor.documents.wiki import wiki
from monitor.documents.wording import one_line
from monitor.values import Bullets, Document, Heading, Paragraph, Preformatted, Span, Steps, Table

MARKUP = st.sampled_from(
    [
        "**",
        "__",
        "`",
        "```",
        "|",
        "||",
        "\\",
        "\\\\",
        "[x](http://y.z)",
        "![i](j)",
        "<b>",
        "<!-- -->",
        "&amp;",
        "&#42;",
        "# ",
        "## ",
        "- ",
        "* ",
        "+ ",
        "1. ",
        "1) ",
        "> ",
        "---",
        "===",
        "~~",
        "~",
        "@you",
        "#1",
        "!1",
        "%1",
        "$1",
        "/close",
        "{code}",
        "{noformat}",
        "h1. ",
        "bq. ",
        "{color:red}",
        "[~admin]",
        "[a|b]",
        "!i.png!",
        "??",
        "(/)",
        ":)",
        "----",
        "http://a.b/c",
        "www.a.b",
        "mailto:a@b.c",
        "\n",
        "\n\n",
        "\t",
        " ",
        ":---:",
        "$$",
        "{{",
        "}}",
        "^",
        "_a_",
        "*a*",
    ]
)
ANY_TEXT = st.lists(MARKUP | st.text(max_size=5), max_size=8).map("".join)
TEXT = ANY_TEXT.filter(lambda text: one_line(text).strip())
# The first draw of a text reads Unicode's tables, which on a busy machine takes its time.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(calm, max_examples=100)


@cache
def parser() -> MarkdownIt:
    """As GitHub and GitLab read: CommonMark with tables, strikethrough and addresses that become links."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shown(text: str) -> str:
    """What a reader should see of a text."""
    return " ".join(one_line(text).split()).replace("\u200d", "")


def read(inline: Any) -> str:
    kinds = {child.type for child in inline.children}
    assert kinds <= {"text", "text_special"}, f"{inline.content!r} became {kinds}"
    return "".join(child.content for child in inline.children).replace("\u200d", "")


@few
@given(TEXT)
def test_markdown_shows_what_was_written(text):
    document: Document = (
        Heading(text),
        Paragraph((Span(text),)),
        Bullets(((Span(text),), (Span("after"),))),
        Steps(((Span(text),),)),
        Table((text, "b"), (((Span(text),), (Span("x"),)), ((Span(text),), (Span("y"),)))),
    )
    tokens = parser().parse(markdown(document))
    inlines = [token for token in tokens if token.type == "inline"]
    wanted = shown(text)
    assert [read(token).strip() for token in inlines] == [
        wanted,
        *(wanted, wanted, "after", wanted, wanted),
        *("b", wanted, "x", wanted, "y"),
    ]
    opened = [token.type for token in tokens if token.type.endswith("_open")]
    assert opened.count("tr_open") == 3
    assert opened.count("list_item_open") == 3
    assert not {"html_block", "fence", "code_block", "blockquote_open", "hr"} & {token.type for token in tokens}


@few
@given(TEXT)
@example("see @admin, #12, !3, $4 and %5 of ~bug &7 http://a.b and www.a.b")
def test_markdown_neither_mentions_nor_links(text):
    line = markdown((Paragraph((Span(text),)),))
    rendered = "".join(child.content for child in parser().parse(line)[1].children)
    assert not re.search(r"@\w|#\d|://|\bwww\.", rendered)
    assert not re.search(r"(?<!\\)[!$~&]\w|(?<!\\)%[\w\"]", line)
    assert not re.match(r"\s*/", line)


@few
@given(st.text(max_size=40) | ANY_TEXT)
def test_markdown_keeps_code_in_its_place(text):
    spans = (Span("before "), Span(text, "code"), Span(" after"))
    tokens = parser().parse(markdown((Table(("a", "b"), ((spans, (Span("x"),)),)), Preformatted(text))))
    assert sum(token.type == "td_open" for token in tokens) == 2
    assert tokens[-1].type == "fence"
    (cell,) = [t for t in tokens if t.type == "inline" and t.content.startswith("before")]
    assert {child.type for child in cell.children} <= {"text", "code_inline"}


# Whatever has a meaning in Jira's notation, and may therefore stand in no text that is no entity.
NOTATION = re.compile(r"[\\*_+^~{}\[\]()|!?@<>]|--|^\s*[-#]\s|^\s*(h[1-6]|bq)\.|:\S|&(?!#\d+;)")


@few
@given(TEXT)
def test_wiki_markup_shows_what_was_written(text):
    lines = wiki((Paragraph((Span(text),)), Heading(text), Bullets(((Span(text),),)))).split("\n\n")
    assert len(lines) == 3
    for line, start in zip(lines, ("", "h2. ", "* "), strict=True):
        assert line.startswith(start)
        inner = line.removeprefix(start).rstrip("\n")
        assert not NOTATION.search(inner), inner
        assert " ".join(html.unescape(inner).split()).replace("\u200d", "") == shown(text)


@few
@given(TEXT)
def test_wiki_tables_keep_their_cells(text):
    row = ((Span(text),), (Span(text, "code"),), (Span(text, "bold"),), (Span(text, href="https://a.b/c|d]e"),))
    lines = wiki((Table((text, "b", "c", "d"), (row, row)),)).strip().split("\n")
    assert len(lines) == 3
    assert lines[0].count("||") == 5
    for line in lines[1:]:
        cells = re.sub(r"\[[^\[\]|]*\|https://a\.b/c%7Cd%5De\]", "LINK", line)
        assert cells.count("|") == 5
        assert cells.endswith("|LINK|")


@few
@given(ANY_TEXT)
def test_wiki_keeps_what_is_preformatted_inside(text):
    found = wiki((Preformatted(text), Paragraph((Span("after"),))))
    assert found.count("{noformat}") == 2
    assert found.endswith("{noformat}\n\nafter\n")


@settings(calm, max_examples=8)  # the schema is a slow one
@given(ANY_TEXT, st.sampled_from(["plain", "bold", "code"]), st.sampled_from(["", "https://a.b/?c=d", "javascript:x"]))
def test_adf_is_valid_and_shows_what_was_written(text, style, href):
    span = Span(text, style, href)
    words = (Span("a "), span, Span("\udc80"))
    body = adf(
        (
            *(Heading(text), Paragraph(words), Bullets((words,)), Steps((words, ())), Bullets(())),
            *(Table(("", ""), ((words, words),), left_out=3), Table((text, "b"), ()), Table(("", ""), ())),
            *(Preformatted(text), Paragraph(())),
        )
    )
    adf_schema().validate(body)
    json.dumps(body, ensure_ascii=False).encode()
    nodes = body["content"][1]["content"]
    assert "".join(node["text"] for node in nodes) == f"a {one_line(text)}\ufffd"
    assert not any("javascript" in json.dumps(mark) for node in nodes for mark in node.get("marks", ()))


@pytest.mark.parametrize(
    "render", [markdown, wiki, lambda body: json.dumps(adf(body))], ids=["markdown", "wiki", "adf"]
)
def test_a_shortened_table_says_so_in_every_markup(render):
    table = Table(("text",), (((Span("x"),),),), left_out=2)
    assert "2 more rows are left out here." in render((table,))
    assert "1 more row is left out here." in render((Table(("text",), (), left_out=1),))


@settings(calm, max_examples=40)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=3),
    st.integers(300, 20_000),
    st.sampled_from([markdown, wiki, lambda body: json.dumps(adf(body))]),
)
def test_fitting_reaches_the_limit_and_cuts_no_text(sizes, limit, render):
    sentences = [f"Sentence number {number} ends here." for number in range(500)]
    tables = [
        block
        for at, size in enumerate(sizes)
        for block in (
            Heading(f"Table {at}"),
            Table(("n", "text"), tuple(((Span(str(n)),), (Span(sentences[n]),)) for n in range(size))),
        )
    ]
    document: Document = (Paragraph((Span("What happened."),)), *tables)
    short = fitted(document, lambda body: len(render(body)) <= limit)
    text = render(short)
    assert len(text) <= limit
    assert "What happened." in text
    # Every sentence that began also ends.
    assert text.count("Sentence number") == len(re.findall(r"Sentence number \d+ ends here\.", text))
    for before, after in zip(document, short, strict=False):
        if isinstance(before, Table) and isinstance(after, Table):
            assert len(after.rows) + after.left_out == len(before.rows)
            assert after.rows == before.rows[: len(after.rows)]
    # One row more in each table would not have fitted.
    rows = max((len(block.rows) for block in short if isinstance(block, Table)), default=0)
    if len(short) == len(document) and short != document:
        more = tuple(
            Table(old.header, old.rows[: rows + 1], left_out=max(0, len(old.rows) - rows - 1))
            if isinstance(old, Table)
            else old
            for old in document
        )
        assert len(render(more)) > limit
