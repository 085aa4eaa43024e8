"""A fleet of monitors over fast synthetic traffic, for benchmarks that play many windows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

TOPICS = {
    "parcel": "parcel late van driver tracking street courier deliver depot doorstep porch neighbour",
    "refund": "refund money bank card charged paid transfer account statement cents invoice credit",
    "lamp": "lamp bulb shade light switch bright cable socket flicker glow dim bracket",
}
NEW = "boat harbour sail anchor wave mast deck rope tide captain hull rudder"
ROWS = 60


def messages(rng: np.random.Generator, words: str, count: int) -> list[str]:
    known = words.split()
    return [" ".join(rng.choice(known, size=int(rng.integers(4, 9)))) for _ in range(count)]


def training(rows: int = 900) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    made = [(topic, text) for topic, words in TOPICS.items() for text in messages(rng, words, rows // len(TOPICS))]
    return [{"id": f"t{n}", "text": text, "label": topic} for n, (topic, text) in enumerate(made)]


def traffic(start: datetime, new: int = 0, rows: int = ROWS) -> list[dict[str, Any]]:
    """One window's records, the same each time it is asked for; ``new`` of them about what the reference does not know."""
    seed = int(start.timestamp())
    rng = np.random.default_rng([seed, new])
    plan = [(topic, words) for topic, words in TOPICS.items() for _ in range((rows - new) // len(TOPICS))]
    plan += [("refund", NEW)] * new
    stamp = (start + timedelta(seconds=1)).isoformat()
    return [
        {"id": f"{seed}-{n}", "text": messages(rng, words, 1)[0], "timestamp": stamp, "predicted": topic, "confidence": 0.9}
        for n, (topic, words) in enumerate(plan)
    ]  # fmt: skip


def calm(start: datetime | None, end: datetime | None) -> list[dict[str, Any]]:
    """Source without drift; without a window the training data."""
    return training() if start is None else traffic(start)


def many(start: datetime | None, end: datetime | None) -> list[dict[str, Any]]:
    """Source without drift, of 2,000 records a window."""
    return training(2_000) if start is None else traffic(start, rows=2_001)


def waves(start: datetime | None, end: datetime | None) -> list[dict[str, Any]]:
    """Source that drifts for 12 windows of ten minutes in every 200; small, so that many can be played."""
    if start is None:
        return training()
    return traffic(start, new=18 if int(start.timestamp()) // 600 % 200 >= 188 else 0, rows=42)


def monitor(name: str, call: str, every: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of one monitor that needs no model."""
    return {
        "name": name,
        "source": {"kind": "python", "call": f"fleet_world:{call}"},
        "fields": {"predicted": "predicted", "confidence": "confidence"},
        "schedule": {"every": every},
        "sample": {"size": ROWS},
        "embedder": {"kind": "hashing", "dimension": 64},
        "reference": {
            "train": {"kind": "python", "call": f"fleet_world:{call}"},
            "fields": {"timestamp": None, "label": "label"},
        },
        "policy": {"minimum_sample": 30, "keep": 64},
        "selection": {"budget": 10},
        **more,
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL of our own on loopback, durable as usual; its URL and the process id of its postmaster."""
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if os.geteuid() == 0 else []
    folder = tempfile.mkdtemp(prefix="pg")
    if user:
        shutil.chown(folder, "postgres")
    port = free_port()
    start = ["initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run([*user, *start], check=True, capture_output=True)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [*user, "pg_ctl", "-D", f"{folder}/data", "-w", "-t", "60", "-l", f"{folder}/log"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True)
    try:
        first = subprocess.run(
            [*user, "cat", f"{folder}/data/postmaster.pid"], check=True, capture_output=True, text=True
        )
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", int(first.stdout.split()[0])
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def floor_to(moment: datetime, length: timedelta) -> datetime:
    """The last whole ``length`` before, in UTC."""
    seconds = length.total_seconds()
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)
