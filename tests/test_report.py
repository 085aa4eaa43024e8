"""The ticket's words, and what of a record may stand in them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.documents.markdown import escaped
from monitor.redaction import redacted
from monitor.report import summary_line, ticket_title
from monitor.values import Counts, Decision, Run, RunStatus, State, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Where is my order?", "Where is my order?"),
        ("mail me at kim.lee+x@shop.example please", r"mail me at \[email\] please"),
        ("see https://shop.example/t?id=1 now", r"see \[link\] now"),
        ("call +44 20 7946 0958 today", r"call \[phone\] today"),
        ("order R-118842 and AB-12", r"order \[number\] and AB-12"),
        ("two\nlines\tand   spaces", "two lines and spaces"),
        ("a | b `code` <b>bold</b> *x* #1", "a \\| b \\`code\\` \\<b\\>bold\\</b\\> \\*x\\* \\#\u200d1"),
        ("snake_case and _em_ ph", r"snake_case and \_em\_ ph"),
        ("ping @everyone", "ping @\u200deveryone"),
        ("card 4111 1111 1111 1111", r"card \[card\]"),
    ],
)
def test_excerpts_are_redacted_and_carry_no_markup(text, shown):
    assert escaped(redacted(text)) == shown


def test_long_texts_are_cut_at_a_word():
    shown = redacted("word " * 1_000)
    assert shown.endswith("word …")
    assert len(shown) <= 162


def test_a_megabyte_of_one_word_is_cut_too():
    assert len(redacted("x" * 1_000_000)) <= 162


def test_title_says_what_and_since_when():
    decision = Decision(State.DRIFTED, causes=("content", "class balance"))
    assert (
        ticket_title("support", decision, "2026-01-05") == "support: content and class balance drift since 2026-01-05"
    )


def test_summary_lines():
    run = Run(
        "r",
        "support",
        WINDOW,
        RunStatus.DONE,
        1,
        "w",
        WINDOW.end,
        decision=Decision(State.STABLE, ("All quiet.",)),
        counts=Counts(),
    )
    assert summary_line(run) == "support 2026-01-05 stable: All quiet."
    running = Run("r", "support", WINDOW, RunStatus.RUNNING, 1, "w", WINDOW.end)
    assert summary_line(running) == "support 2026-01-05 running: "
