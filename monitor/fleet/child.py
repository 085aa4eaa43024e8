"""A child process as its parent sees it: what it does, since when, when it was last heard of, how much memory it has."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from monitor.fleet.worker import work
from monitor.settings import Settings
from monitor.store import Claim
from monitor.values import Window

__all__ = ["KEPT_PAGES", "Child", "memory_here"]

# Forking would copy locks that the web server's threads hold.
_SPAWN = multiprocessing.get_context("spawn")
KEPT_PAGES = {"MALLOC_TRIM_THRESHOLD_": str(128 * 2**20), "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20)}
"""Runs make and drop large arrays; glibc then gives pages back and asks for them again, at a tenth of a run's time."""
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_here() -> int:
    """Bytes of memory that this machine, or the container we are in, has."""
    found = [int(psutil.virtual_memory().total)]
    for name in _CONTAINER:
        path = Path(name)
        text = path.read_text().strip() if path.exists() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found)


class Child:
    """A child process at work on one task at a time.

    since, heard  seconds that never go back: when it began its run or its task, or to wait for one, and when it last said something
    known        monitors it has run windows of, ``None`` for what was sent
    """

    def __init__(self, settings: Settings, name: str, level: int, held: int, now: float) -> None:
        self.name = name
        self.task: Mapping[str, Any] | None = None
        self.claim: Claim | None = None
        self.since = self.heard = now
        self.known: set[str | None] = set()
        for variable, value in KEPT_PAGES.items():
            os.environ.setdefault(variable, value)
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=work, args=(theirs, settings, name, level, held), name=name)
        self.process.start()
        theirs.close()

    @property
    def monitor(self) -> str | None:
        """The monitor it runs a window of."""
        return None if self.task is None else self.task.get("monitor")

    @property
    def waits_for(self) -> Sequence[Connection | int]:
        """What becomes ready when it says something or dies."""
        return (self.pipe, self.process.sentinel)

    def give(self, task: Mapping[str, Any], now: float) -> None:
        """Have it do this; it must have nothing to do."""
        self.task, self.claim = task, None
        self.since = self.heard = now
        self.known.add(self.monitor)
        self.tell(task)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send it a message; one that is dead hears nothing."""
        try:
            self.pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            return

    def said(self, now: float) -> Mapping[str, Any] | None:
        """The word with which it ended its task, if it has."""
        try:
            while self.pipe.poll():
                message: Mapping[str, Any] = json.loads(self.pipe.recv_bytes())
                self.heard = now
                if message["say"] == "claim":
                    self.claim, self.since = _claim(message), now
                elif message["say"] != "step":
                    self.task, self.claim, self.since = None, None, now
                    return message
        except (EOFError, OSError):
            return None
        return None

    def memory(self) -> int:
        """Bytes it has in memory."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self, *, kill: bool = False, wait: float = 0.0) -> int | None:
        """End it, at once or at its next step within ``wait`` seconds; its exit status, ``None`` while it goes on."""
        if kill:
            self.process.kill()
            self.process.join()
        else:
            self.tell({"do": "stop"})
            self.process.join(wait)
        return self.process.exitcode

    def close(self) -> None:
        """Let go of what a dead one leaves behind."""
        self.pipe.close()
        self.process.close()


def _claim(message: Mapping[str, Any]) -> Claim:
    start, end, begun, until = map(datetime.fromisoformat, (*message["window"], *message["times"]))
    window = Window(start, end)
    return Claim(message["run_id"], message["monitor"], window, message["attempt"], message["worker"], begun, until)
