"""The demo: its corpus is what it claims to be, and the monitor says what the script says."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from rich.console import Console

from monitor.demo import story
from monitor.demo.play import Play
from monitor.demo.story import JUNK, NEW_TOPIC, VOICE, WEEKS, reference_messages, traffic, window_of
from monitor.errors import ConfigError

EVERYDAY = {name: texts for name, texts in story._corpus().items() if name not in {NEW_TOPIC, JUNK, VOICE}}


def test_the_corpus_is_large_and_every_message_is_distinct():
    texts = [text for lines in EVERYDAY.values() for text in lines]
    everything = [text.casefold() for lines in story._corpus().values() for text in lines]
    assert len(EVERYDAY) >= 12
    assert len(texts) >= 2_400
    assert len(set(everything)) == len(everything)
    assert all(text == text.strip() and text for text in everything)


def test_messages_are_no_templates_with_slots():
    for name, lines in story._corpus().items():
        openings = Counter(tuple(text.casefold().split()[:5]) for text in lines if len(text.split()) > 5)
        assert max(openings.values()) <= 3, name
        lengths = [len(text.split()) for text in lines]
        assert min(lengths) <= 12, name
        assert max(lengths) >= 40, name


def test_reference_and_traffic_share_no_message():
    learnt = {message.text for message in reference_messages()}
    served = [message for week in traffic() for message in week]
    assert learnt.isdisjoint(message.text for message in served)
    assert len({message.id for message in served}) == len(served)
    assert {message.source for message in reference_messages()} == set(EVERYDAY)


def test_the_story_has_its_chapters():
    chapters = [week.chapter for week in WEEKS]
    assert len(WEEKS) >= 14
    assert [name for n, name in enumerate(chapters) if not n or chapters[n - 1] != name] == [
        "calm",
        "holiday returns",
        "calm",
        "lamp recall and junk",
        "labels added",
        "voice channel opens",
    ]
    for n, week in enumerate(traffic()):
        assert all(window_of(n).start <= message.observed_at < window_of(n).end for message in week)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files that are not the demo's; name an empty or new folder"):
        Play(tmp_path, Console(file=io.StringIO()))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.model
def test_the_verdicts_are_those_of_the_script(performance):
    """All sixteen weeks, the real model, every command in its own process."""
    told = json.loads((performance.parent / "said.json").read_text())
    said = told["said"]
    assert told["as_scripted"], said
    assert "support-desk: class balance and content drift since 2025-12-22" in said
    assert "- New topic: About " in said
    assert "0 are junk." in said
    first, second = sorted((performance / "tickets").glob("*.md"))
    assert "\nState: closed\n" in first.read_text(encoding="utf-8")
    assert "\nState: open\n" in second.read_text(encoding="utf-8")
