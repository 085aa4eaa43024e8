"""The script: which messages reach the desk in which week, and what the monitor should say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from importlib.resources import files

import numpy as np

from monitor.values import Window

__all__ = [
    "FIRST_WEEK",
    "JUNK",
    "NEW_TOPIC",
    "VOICE",
    "WEEKS",
    "Message",
    "Week",
    "reference_messages",
    "traffic",
    "window_of",
]

FIRST_WEEK = datetime(2025, 11, 10, tzinfo=UTC)
NEW_TOPIC = "smart_lamp_recall"
JUNK = "junk"
VOICE = "order_status_voice"
_ABSENT = {NEW_TOPIC, JUNK, VOICE}
_REFERENCE_SHARE = 0.36
_SEED = 20251110


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the desk; ``intent`` is what a person would say it is about, ``None`` for junk."""

    id: str
    text: str
    intent: str | None
    source: str
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Week:
    """One scripted week: how many everyday messages, what is turned up, what is new, and the verdict it should get."""

    chapter: str
    everyday: int = 76
    turned_up: Mapping[str, float] = field(default_factory=dict)
    new: Mapping[str, int] = field(default_factory=dict)
    expect: frozenset[str] = frozenset({"stable", "watch"})
    cause: str | None = None


_QUIET = ("invoice_request", "membership", "change_address", "cancel_order", "discount_code", "stock_availability")
_SWING = {"return_item": 3.6, "refund_status": 3.6, "wrong_item": 3.6} | dict.fromkeys(_QUIET, 0.3)
_DRIFTED = frozenset({"drifted"})

WEEKS: tuple[Week, ...] = (
    *(Week("calm") for _ in range(6)),
    *(Week("holiday returns", 100, turned_up=_SWING, expect=_DRIFTED, cause="class balance") for _ in range(2)),
    Week("calm", expect=frozenset({"stable", "watch", "recovering"})),
    Week("lamp recall and junk", 72, new={NEW_TOPIC: 36, JUNK: 12}, expect=_DRIFTED, cause="content"),
    Week("lamp recall and junk", 72, new={NEW_TOPIC: 44, JUNK: 14}, expect=_DRIFTED, cause="content"),
    Week("lamp recall and junk", 72, new={NEW_TOPIC: 40, JUNK: 12}, expect=_DRIFTED, cause="content"),
    Week("labels added", new={NEW_TOPIC: 9}),
    Week("labels added", new={NEW_TOPIC: 8}),
    Week("voice channel opens", 68, new={VOICE: 72, NEW_TOPIC: 9}, expect=_DRIFTED, cause="content"),
    Week("voice channel opens", 68, new={VOICE: 76, NEW_TOPIC: 8}, expect=_DRIFTED, cause="content"),
)


def window_of(week: int) -> Window:
    """The window of a week, counted from 0."""
    start = FIRST_WEEK + timedelta(weeks=week)
    return Window(start, start + timedelta(weeks=1))


def _corpus() -> dict[str, list[str]]:
    folder = files("monitor.demo") / "corpus"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return {name.removesuffix(".txt"): (folder / name).read_text(encoding="utf-8").splitlines() for name in names}


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _in_reference(text: str) -> bool:
    return _hash(text) < _REFERENCE_SHARE * 2.0**64


def _id(prefix: str, text: str) -> str:
    return f"{prefix}-{_hash('id ' + text):016x}"


def reference_messages() -> list[Message]:
    """The training data: about a third of the everyday messages, none of which reaches the desk again."""
    return [
        Message(_id("train", text), text, intent, intent, FIRST_WEEK - timedelta(days=30))
        for intent, texts in _corpus().items()
        if intent not in _ABSENT
        for text in texts
        if _in_reference(text)
    ]


def traffic() -> list[list[Message]]:
    """The messages of every week. Everyday intents come in their usual shares, with the luck of the draw."""
    rng = np.random.default_rng(_SEED)
    corpus = _corpus()
    waiting = {
        name: [text for text in sorted(texts, key=_hash) if name in _ABSENT or not _in_reference(text)]
        for name, texts in corpus.items()
    }
    usual = {name: sum(map(_in_reference, texts)) for name, texts in corpus.items() if name not in _ABSENT}
    return [_messages(week, _counts(script, usual, rng), waiting, rng) for week, script in enumerate(WEEKS)]


def _counts(script: Week, usual: Mapping[str, int], rng: np.random.Generator) -> dict[str, int]:
    names = list(usual)
    share = np.array([usual[name] * script.turned_up.get(name, 1.0) for name in names])
    drawn = rng.multinomial(script.everyday, share / share.sum())
    return {**dict(zip(names, drawn.tolist(), strict=True)), **script.new}


def _messages(
    week: int, counts: Mapping[str, int], waiting: Mapping[str, list[str]], rng: np.random.Generator
) -> list[Message]:
    window = window_of(week)
    made = []
    for source, count in counts.items():
        if count > len(waiting[source]):
            raise ValueError(f"week {week + 1} wants {count} messages of {source}, {len(waiting[source])} are left")
        intent = None if source == JUNK else source.replace("_voice", "")
        for _ in range(count):
            text = waiting[source].pop()
            moment = window.start + timedelta(seconds=int(rng.integers(0, 7 * 86400)))
            made.append(Message(_id("msg", text), text, intent, source, moment))
    return sorted(made, key=lambda message: message.observed_at)
