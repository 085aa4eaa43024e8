"""The demo: its corpus is what it claims to be, and the monitor says what the script says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from conftest import offline
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


@pytest.mark.model
def test_the_demo_needs_no_network_and_looks_for_none(performance):
    """All sockets but loopback are refused to it and to every command that it runs; none was asked for."""
    attempts, guarded = performance.parent / "attempts", performance.parent / "guarded"
    assert not attempts.exists(), attempts.read_text()
    commands = json.loads((performance.parent / "said.json").read_text())["said"].count("$ drift-monitor")
    assert len(set(guarded.read_text().split())) > commands >= 6


@pytest.mark.parametrize(
    ("code", "noted"),
    [
        ("import socket; socket.create_connection(('192.0.2.1', 80), 1)", "getaddrinfo 192.0.2.1"),
        ("import socket; socket.getaddrinfo('telemetry.example', 443)", "getaddrinfo telemetry.example"),
        ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "sendto 192.0.2.1"),
        ("import urllib.request as r; r.urlopen('https://huggingface.co')", "getaddrinfo huggingface.co"),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; socket.socket().connect((\"192.0.2.1\", 9))'], check=True)", "connect 192.0.2.1"),
    ],
)  # fmt: skip
def test_what_would_have_been_a_call_is_refused_and_noted(tmp_path, code, noted):
    _, environment = offline(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert noted in (tmp_path / "attempts").read_text()


def test_loopback_is_not_refused(tmp_path):
    _, environment = offline(tmp_path)
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "attempts").exists()
    assert (tmp_path / "guarded").exists()


def test_no_library_is_let_tell_who_uses_it():
    code = "import monitor.embedders.sentence_transformer; from huggingface_hub import constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    bare = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout == "True\n"
