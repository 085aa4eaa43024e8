"""Traffic of the fault suite: twenty small shops, made of their names and the time, with waves of a new topic in half of them.

``fault_traffic:m07`` is the source of the monitor ``m07``, ``fault_traffic:training`` what all of them were trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

PERIOD = timedelta(minutes=10)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
RECORDS = 36
TOPICS = {
    "parcel": ["parcel", "late", "van", "driver", "tracking", "street", "courier", "depot", "doorstep", "porch"],
    "refund": ["refund", "money", "bank", "card", "charged", "paid", "transfer", "account", "statement", "cents"],
    "lamp": ["lamp", "bulb", "shade", "light", "switch", "bright", "cable", "socket", "flicker", "glow"],
}
NEW = ["boat", "harbour", "sail", "anchor", "wave", "mast", "deck", "rope", "tide", "captain"]


def name_of(number: int) -> str:
    """Name of a monitor."""
    return f"m{number:02d}"


def waves(number: int, windows: int) -> list[tuple[int, int]]:
    """Stretches of windows, first and one past the last, in which a monitor has a new topic: two, for every other monitor."""
    if number % 2:
        return []
    length, shift = max(windows // 8, 8), (number * 3) % 10
    found = [(windows // 8 + shift, windows // 8 + shift + length)]
    second = (windows // 2 + shift, windows // 2 + shift + length)
    return [*found, second] if windows >= 40 else found


def _sentence(rng: np.random.Generator, words: list[str]) -> str:
    return " ".join(rng.choice(words, size=6))


def training(start: datetime | None, end: datetime | None) -> Iterator[dict[str, Any]]:
    """What the model of every shop was trained on."""
    rng = np.random.default_rng(7)
    for n in range(150):
        topic = list(TOPICS)[n % 3]
        yield {"id": f"t{n}", "text": _sentence(rng, TOPICS[topic]), "label": topic}


def _traffic(number: int, windows: int) -> Callable[[datetime | None, datetime | None], Iterator[dict[str, Any]]]:
    """The source of one monitor, whose waves are placed for so many windows."""

    def records(start: datetime | None, end: datetime | None) -> Iterator[dict[str, Any]]:
        at = start or FIRST
        place = (at - FIRST) // PERIOD
        rng = np.random.default_rng([number, place + 1_000_000])
        new = any(first <= place < last for first, last in waves(number, windows))
        for n in range(RECORDS):
            topic = "boat" if new and n % 2 else list(TOPICS)[n % 3]
            yield {
                "id": f"{name_of(number)}-{place}-{n}",
                "text": _sentence(rng, NEW if topic == "boat" else TOPICS[topic]),
                "timestamp": (at + n * PERIOD / RECORDS).isoformat(),
                "predicted": "refund" if topic == "boat" else topic,
                "confidence": 0.9,
            }

    return records


def __getattr__(name: str) -> Any:
    """``m07_200``: monitor 7 of a suite of 200 windows."""
    number, _, windows = name.removeprefix("m").partition("_")
    if not (name.startswith("m") and number.isdigit() and windows.isdigit()):
        raise AttributeError(name)
    return _traffic(int(number), int(windows))
