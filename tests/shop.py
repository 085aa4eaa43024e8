"""A small shop whose messages need no model: settings, training data and days of traffic, calm or with a new topic."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor.config import parse
from monitor.desk import Desk, Monitor
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Window
from monitor.wiring import build_reference, open_shelf, wire

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
TOPICS = {
    "parcel": [
        "parcel",
        "late",
        "van",
        "driver",
        "tracking",
        "street",
        "courier",
        "deliver",
        "depot",
        "doorstep",
        "porch",
        "neighbour",
    ],
    "refund": [
        "refund",
        "money",
        "bank",
        "card",
        "charged",
        "paid",
        "transfer",
        "account",
        "statement",
        "cents",
        "invoice",
        "credit",
    ],
    "lamp": [
        "lamp",
        "bulb",
        "shade",
        "light",
        "switch",
        "bright",
        "cable",
        "socket",
        "flicker",
        "glow",
        "dim",
        "bracket",
    ],
}
NEW = {
    "boat": ["boat", "harbour", "sail", "anchor", "wave", "mast", "deck", "rope", "tide", "captain", "hull", "rudder"]
}


def messages(rng: np.random.Generator, topic: str, count: int) -> list[str]:
    words = (TOPICS | NEW)[topic]
    return [" ".join(rng.choice(words, size=int(rng.integers(4, 9)))) for _ in range(count)]


def rows_of(day: int, calm: int = 120, new: int = 0, seed: int = 0) -> list[dict[str, object]]:
    """One day of traffic; the model calls the new topic a refund."""
    rng = np.random.default_rng([seed, day, calm, new])
    made = []
    plan = [(topic, topic) for topic in TOPICS for _ in range(calm // len(TOPICS))] + [("boat", "refund")] * new
    for n, (topic, predicted) in enumerate(plan):
        moment = FIRST + day * DAY + timedelta(seconds=int(rng.integers(0, 86_400)))
        made.append(
            {
                "id": f"d{day}-{n}",
                "text": messages(rng, topic, 1)[0],
                "timestamp": moment.isoformat(),
                "predicted": predicted,
                "confidence": 0.9,
            }
        )
    return made


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def window(day: int) -> Window:
    return Window(FIRST + day * DAY, FIRST + (day + 1) * DAY)


def raw_settings(folder: Path, database_url: str | None = None, **monitor: object) -> dict[str, object]:
    return {
        "store": database_url or f"sqlite:///{folder}/monitor.db",
        "artifacts": f"{folder}/artifacts",
        "cache": f"{folder}/cache.db",
        "serve": {"port": 0, "poll": "1s", "lease": "60s", "log_format": "json"},
        "monitors": [
            {
                "name": "shop",
                "source": {"kind": "files", "path": f"{folder}/traffic/*.jsonl"},
                "fields": {"predicted": "predicted", "confidence": "confidence"},
                "embedder": {"kind": "hashing", "dimension": 64},
                "reference": {
                    "train": {"kind": "files", "path": f"{folder}/training.jsonl"},
                    "fields": {"timestamp": None, "label": "label"},
                },
                "detectors": [{"kind": "mmd", "permutations": 499}, "ks", "class_balance"],
                "selection": {"budget": 20},
                "tickets": [{"kind": "file", "folder": f"{folder}/tickets"}],
                "exports": [{"kind": "files", "folder": f"{folder}/exports", "formats": ["parquet", "jsonl", "csv"]}],
                **monitor,
            }
        ],
    }


def write_shop(folder: Path, days: tuple[int, ...] = (0, 0, 40)) -> None:
    """Training data, and one file of traffic a day with so many messages of the new topic."""
    rng = np.random.default_rng(7)
    training = [
        {"id": f"t-{topic}-{n}", "text": text, "label": topic}
        for topic in TOPICS
        for n, text in enumerate(messages(rng, topic, 250))
    ]
    write_jsonl(folder / "training.jsonl", training)
    for day, new in enumerate(days):
        write_jsonl(folder / "traffic" / f"{day}.jsonl", rows_of(day, new=new))


def build(settings: Settings, store: Store, *, monitors: int = 1) -> None:
    """Build and use the first reference of the first so many monitors."""
    for one in settings.monitors[:monitors]:
        reference, _ = build_reference(settings, one, now=FIRST)
        entry = open_shelf(settings).save(reference)
        store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
        store.use_reference(one.name, entry.version)


def open_shop(
    folder: Path, database_url: str | None = None, days: tuple[int, ...] = (0, 0, 40), **monitor: object
) -> tuple[Settings, Store, Monitor]:
    """A shop ready to run."""
    write_shop(folder, days)
    settings = parse(raw_settings(folder, database_url, **monitor))
    store = Store.open(settings.store.url)
    store.upgrade()
    build(settings, store)
    return settings, store, wire(settings, settings.monitors[0], store)


def desk(store: Store, *, at: datetime = FIRST + 30 * DAY, worker: str = "test", **more: object) -> Desk:
    return Desk(store, lambda: at, worker, timedelta(minutes=1), **more)  # type: ignore[arg-type]
