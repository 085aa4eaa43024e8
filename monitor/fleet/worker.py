"""A child process: it takes one task after another from its parent, and ends with it.

Messages are JSON. From the parent ``{"do": "turn", "monitor": NAME}``, ``{"do": "post"}``, ``{"do": "stop"}``; to it
``claim``, ``step``, and at the end of a task one of ``turn``, ``posted``, ``stopped`` and ``failed``.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

from monitor import logs
from monitor.errors import MonitorError
from monitor.fleet.held import Held
from monitor.fleet.turn import take_turn
from monitor.logs import fields, unforeseen
from monitor.pipeline import Desk, Stopped, publish_pending
from monitor.push import push_metrics
from monitor.retention import EVERY, forget_in_time
from monitor.settings import MonitorSettings, Settings
from monitor.store import Claim, Store
from monitor.wiring import open_store

__all__ = ["Worker", "work"]

_log = logging.getLogger("monitor.fleet")
_LAST_WORDS = 5.0
"""Seconds a child may go on after its parent has died; then the lease of what it runs is left to end."""


def work(pipe: Connection, settings: Settings, name: str, level: int, held: int) -> None:
    """The whole life of a child process, which may hold so many bytes of references between two tasks."""
    # A terminal or a supervisor signals all of a group; the parent tells its children itself, between two steps.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logs.set_up(settings.serve.log_format, level)
    with open_store(settings) as store:
        Worker(pipe, settings, store, name, held).run()


class Worker:
    """Does what its parent asks, one thing at a time; asked to stop, it ends what it does before its next step."""

    def __init__(self, pipe: Connection, settings: Settings, store: Store, name: str, held: int) -> None:
        self._pipe, self._settings, self._store = pipe, settings, store
        self._tasks: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._monitors = {one.name: one for one in settings.monitors}
        self._wired = Held(settings, store, held)
        self._forget_at: datetime | None = None
        self._posting = False
        lease = settings.serve.lease
        self._desk = Desk(store, store.now, name, lease, self._claimed, self._step, self._progress)

    def run(self) -> None:
        """Take tasks until the parent says stop or is gone."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        while not self._stopping.is_set():
            task = self._tasks.get()
            if task["do"] != "stop":
                self._tell(self.done(task))
                self._wired.trim()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while not self._stopping.is_set():
                task = json.loads(self._pipe.recv_bytes())
                if task["do"] == "stop":
                    self._stop()
                self._tasks.put(task)
            return
        # The parent is gone: nobody could stop this process if it hung.
        self._stop()
        self._tasks.put({"do": "stop"})
        threading.Timer(_LAST_WORDS, os._exit, [1]).start()

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._store.hurry()

    def _step(self, name: str) -> None:
        if self._stopping.is_set() and name != "save":
            raise Stopped(name)
        if self._posting:
            # A sign of life: how long sending takes is up to others.
            self._tell({"say": "step", "name": name})

    def _progress(self, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise Stopped("embed")

    def _claimed(self, claim: Claim) -> None:
        self._tell(
            {
                "say": "claim",
                "run_id": claim.run_id,
                "monitor": claim.monitor,
                "window": [claim.window.start.isoformat(), claim.window.end.isoformat()],
                "attempt": claim.attempt,
                "worker": claim.worker,
                "times": [claim.started_at.isoformat(), claim.lease_until.isoformat()],
            }
        )

    def done(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Do a task; how it ended."""
        about = task.get("monitor")
        self._posting = about is None
        try:
            return self._turn(self._monitors[task["monitor"]]) if task["do"] == "turn" else self._post()
        except Stopped as stop:
            _log.info("run stopped", extra=fields(monitor=about, before=stop.step))
            return {"say": "stopped"}
        except MonitorError as error:
            _log.error("turn failed", extra=fields(monitor=about, error=str(error)))
        except Exception as error:  # noqa: BLE001 - its message may quote a record, and must end neither this process nor in a log
            _log.error("turn failed", extra=fields(monitor=about, error=unforeseen(error, _log)))
        return {"say": "failed"}

    def _turn(self, one: MonitorSettings) -> dict[str, Any]:
        turn = take_turn(one, self._wired[one.name], self._desk)
        wait = (turn.next_at - self._store.now()).total_seconds()
        return {"say": "turn", "ran": turn.run is not None, "more": turn.more, "wait": wait}

    def _post(self) -> dict[str, Any]:
        """Send what waits to be sent, and forget what is due to be forgotten."""
        sent = publish_pending(self._wired, self._desk)
        push_metrics(self._settings, self._store)
        now = self._store.now()
        if self._settings.privacy.retention is not None and (self._forget_at is None or now >= self._forget_at):
            self._forget_at = now + EVERY
            forget_in_time(self._settings, self._store, now)
        return {"say": "posted", "sent": sent}
