"""Plain text and HTML for mails: no text can become markup, nothing is lost, nothing is fetched or run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from example_tickets import BODY, NASTY, REPORT_LINK
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor.documents.html import html, html_page
from monitor.documents.plain import plain
from monitor.documents.wording import one_line
from monitor.values import Bullets, Heading, Paragraph, Preformatted, Span, Steps, Table

TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(codec=None, categories=["Cs", "Cc", "Cf", "Zl", "Zs", "Lo"])),
    st.lists(
        st.sampled_from(
            ["<b>", "</td>", "&lt;", "'", '" onload="x', "-->", "<!--", "\n", "\r\n\r\n", "- ", "漢字", "x"]
        )
    ).map("".join),
)
SPANS = st.builds(Span, TEXTS, st.sampled_from(["plain", "bold", "code"]), st.one_of(st.just(""), TEXTS))
WORDS = st.lists(SPANS, min_size=1, max_size=3).map(tuple)


class Read(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self.elements.append((f"/{tag}", ()))

    def handle_data(self, data):
        self.said.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_pi = unknown_decl = handle_comment


def document(first, second, text):
    table = Table((text, "b"), ((first, second), (second, first)), frozenset({1}), left_out=2)
    return (Heading(text), Paragraph(first), Bullets((first, second)), Steps((second,)), table, Preformatted(text))


def harmless(words):
    return tuple(Span("x" if one_line(span.text).strip() else "", span.style) for span in words)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, TEXTS)
def test_no_text_becomes_markup_in_html(first, second, text):
    unlinked = [tuple(Span(span.text, span.style) for span in words) for words in (first, second)]
    made, tame = Read(html(document(*unlinked, text))), Read(html(document(harmless(first), harmless(second), "x")))
    assert made.elements == tame.elements
    said = "".join(made.said)
    for span in (*first, *second):
        assert one_line(span.text).strip() in said
    assert "\u202e" not in said
    said.encode()


@given(WORDS)
def test_only_addresses_of_the_web_and_mail_become_links(words):
    read = Read(html((Paragraph(words),)))
    assert {tag for tag, _ in read.elements} <= {"p", "/p", "a", "/a", "code", "/code", "strong", "/strong"}
    assert all(attributes in ((), ("href", "rel"), ("style",)) for _, attributes in read.elements)
    assert all(re.match(r"(?i)(https?|mailto):", link) for link in read.links)


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", " javascript:x", "java\nscript:x", "data:text/html,x", "/srv/a", "[://"]
)
def test_other_addresses_are_words(href):
    read = Read(html((Paragraph((Span("here", href=href),)),)))
    assert read.links == []
    assert f"here ({one_line(href).strip().replace(' ', '%20')})" in "".join(read.said)


def test_html_fetches_and_runs_nothing():
    page = html_page(NASTY, BODY)
    read = Read(page)
    assert read.links == [REPORT_LINK]
    assert not {"script", "style", "link", "img", "iframe", "form"} & {tag for tag, _ in read.elements}
    assert not re.search(r"url\(|@import|color:\s*(#0|black|white)|background", page)
    attributes = {name for _, names in read.elements for name in names}
    assert attributes <= {"lang", "charset", "name", "content", "style", "href", "rel"}


@given(TEXTS, TEXTS)
def test_no_text_of_a_cell_becomes_a_block_in_plain_text(first, second):
    def made(one, other):
        table = Table(("Name", "Text"), (((Span("r1"),), (Span(one),)), ((Span("r2"),), (Span(other),))))
        return plain((Paragraph((Span("Begin"),)), table, Paragraph((Span("End"),))))

    text = made(first, second)
    tops = [line.split(" ")[0] for line in text.split("\n") if line and not line.startswith(" ")]
    assert set(tops) <= {"Begin", "Name", "----", "r1", "r2", "End", "Name:", "Text:"}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    text.encode()


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(30, 100))
def test_plain_text_loses_no_letter_and_stays_narrow(items, width):
    text = plain((Bullets(tuple(items)),), width)
    whole = "".join(one_line(span.text) for words in items for span in words if not span.href)
    bare = plain((Bullets(tuple(tuple(span for span in words if not span.href) for words in items)),), width)
    assert re.sub(r"[\s-]", "", bare) == re.sub(r"[\s-]", "", whole)
    for line in text.split("\n"):
        words = line.split()
        assert cell_len(line) <= width or len(words) <= 2, "only a word that is too long alone"


def test_plain_text_reads_well():
    assert plain(BODY) == (
        "Content has drifted; sure. See the report\n"
        f"<{REPORT_LINK}>\n"
        "\n"
        "Since:  2026-01-05\n"
        "Größe:  12 %\n"
        "\n"
        "What to label and add\n"
        "---------------------\n"
        "\n"
        + "\n".join(
            f"#:       {n}\n"
            f"Record:  r{n}\n"
            "Text:    <script>alert('x')</script> **b** | \"q\" {title} \\ evil @all #1 Bcc:\n"
            f"         thief@example.org ✓ {n}\n"
            for n in range(1, 4)
        )
        + "\n"
        "- one\n"
        "- two\n"
        "\n"
        "1. Label\n"
        "2. Retrain\n"
        "\n"
        "    ▁▂▃█\n"
        "    ..!!\n"
    )


def test_narrow_tables_stand_in_columns_numbers_to_the_right():
    rows = (((Span("漢字"),), (Span("9"),)), ((Span("b"),), (Span("10.5"),)))
    assert plain((Table(("Word", "Share"), rows, frozenset({1}), left_out=1),)) == (
        "Word  Share\n----  -----\n漢字      9\nb      10.5\n\n1 more row is left out here.\n"
    )


def test_letters_that_steer_go():
    steering = "a\tb\x00\u202e\u2028c\x1b[31m\r\nd"
    assert (
        plain((Paragraph((Span(steering),)), Preformatted(steering))) == "a b c[31m d\n\n    a   b\n    c[31m\n    d\n"
    )
    assert html((Preformatted(steering),)).partition(">")[2] == "a   b\nc[31m\nd</pre>\n"
    assert "👩‍🚀 שלום" in plain((Paragraph((Span("👩‍🚀 שלום"),)),))
