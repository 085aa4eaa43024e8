"""Gives the monitors their turns: wakes them when a window is due, hands turns to child processes, stops those that go too far.

One thread does it all; triggers only ring its bell. What is due is found in the store, so a trigger that was missed loses nothing.
"""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from monitor.errors import ClaimLost, MonitorError
from monitor.fleet.child import Child, memory_here
from monitor.fleet.turns import Turns
from monitor.logs import fields, unforeseen
from monitor.pipeline import Desk, fail_window
from monitor.settings import MonitorSettings, Settings
from monitor.store import Store
from monitor.wiring import wire

__all__ = ["Conductor"]

_log = logging.getLogger("monitor.fleet")
_POST = "post"
_LOOK = 0.5
"""Seconds between two looks at what the children take."""
_IDLE = 300.0
"""Seconds after which a child that has nothing to do is ended, and its memory given back."""
_GROWN = 0.8
"""Share of the memory it may have that a child is replaced at, between two turns."""
_HELD = 4
"""One part in so many of it may stay taken by references between two turns."""
_START = 180.0
"""Seconds until a child must have claimed a window, or found none."""
_SILENT = 900.0
"""Seconds without a step after which sending counts as stuck."""
_GRACE = 20.0
"""Seconds that children have to end their steps when the service stops."""
_MOST_JITTER = 60.0


class Conductor:
    """Runs every monitor's windows and sends what they ask for, until :meth:`stop`.

    worker  who this service is; its children are ``WORKER/1``, ``WORKER/2``, ...
    """

    def __init__(self, settings: Settings, store: Store, *, worker: str) -> None:
        # It has others to look after while the database is away.
        self._settings, self._store, self._worker = settings, store.without_patience(), worker
        self._monitors = {one.name: one for one in settings.monitors}
        self._turns = Turns(settings.serve.workers)
        self._children: list[Child] = []
        self._made = 0
        self._post = True
        self._stopping = False
        self._woken: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._bell, self._rope = Pipe(duplex=False)
        self._memory = memory_here() * 3 // 4 // settings.serve.workers
        self._scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
        for one in settings.monitors:
            # A part that cannot be made is said now, not at its first window.
            wire(settings, one, store)

    def stop(self) -> None:
        """Ask the runs that are under way to end at their next step; what is being saved is saved."""
        self._stopping = True
        self._ring()

    def run(self) -> None:
        """Conduct until :meth:`stop`; every child has ended when this returns."""
        now = self._store.now()
        for one in self._settings.monitors:
            length = one.schedule.tiling.length
            self._store.register_monitor(one.name, settings=one.fingerprint(), period=length, now=now)
            self._wake_at(one.name, 0.0)
        poll = max(self._settings.serve.poll.total_seconds(), 1)
        self._scheduler.add_job(self._woken_by, "interval", [_POST], seconds=poll, max_instances=1, coalesce=True)
        self._scheduler.start()
        try:
            while not self._stopping:
                self._round()
        finally:
            self._scheduler.shutdown(wait=False)
            self._end_all()

    def _round(self) -> None:
        """Hear what was said, see who went too far, and give turns to those who may go."""
        try:
            self._hear()
            self._watch()
            self._give()
            if not self._stopping:
                busy = any(child.task is not None for child in self._children)
                wait([self._bell, *(one for child in self._children for one in child.waits_for)], _LOOK if busy else 5)
        except MonitorError as error:
            _log.error("fleet", extra=fields(error=str(error)))
            time.sleep(_LOOK)
        except Exception as error:  # noqa: BLE001 - nothing that one monitor does may end the others
            _log.error("fleet", extra=fields(error=unforeseen(error, _log)))
            time.sleep(_LOOK)

    # --- who wants a turn --------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        self._rope.send_bytes(b".")

    def _woken_by(self, name: str) -> None:
        self._woken.put(name)
        self._ring()

    def _wake_at(self, name: str, seconds: float) -> None:
        """Wake the monitor in so many seconds, and a little later by chance, so that not all want a turn at once."""
        spread = min(self._monitors[name].schedule.tiling.length.total_seconds() / 10, _MOST_JITTER)
        at = max(seconds, 0.0) + (random.uniform(0, spread) if seconds > 0 else 0.0)  # noqa: S311 - jitter
        self._scheduler.add_job(
            self._woken_by,
            "date",
            [name],
            run_date=datetime.now(UTC) + timedelta(seconds=at),
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
        )

    def _hear(self) -> None:
        while self._bell.poll():
            self._bell.recv_bytes()
        while not self._woken.empty():
            name = self._woken.get()
            if name == _POST:
                self._post = True
                for left in self._store.left_behind(self._store.now()):
                    if left in self._monitors:
                        self._turns.wake(left)
            else:
                self._turns.wake(name)
        now = time.monotonic()
        for child in tuple(self._children):
            task = child.task
            word = child.said(now)
            if word is not None and task is not None:
                self._ended(task, word, now)
            elif not child.process.is_alive():
                self._died(child, now)

    def _ended(self, task: Mapping[str, Any], word: Mapping[str, Any], now: float) -> None:
        if task["do"] == _POST:
            return
        name = task["monitor"]
        self._turns.end(name, now)
        if word["say"] == "turn" and word["ran"]:
            self._post = True
        if word["say"] == "turn" and word["more"]:
            self._turns.wake(name)
        elif word["say"] != "stopped":
            self._wake_at(name, word.get("wait", self._settings.serve.poll.total_seconds()))

    # --- who goes too far --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        now = time.monotonic()
        for child in tuple(self._children):
            if child.task is None:
                self._rest(child, now)
            elif child.monitor is None:
                if now - child.heard > _SILENT:
                    self._kill(child, "sending took longer than it may", now)
            else:
                self._limit(child, self._monitors[child.monitor], now)

    def _rest(self, child: Child, now: float) -> None:
        grown = child.memory() > self._memory * _GROWN
        if now - child.since > _IDLE or grown:
            child.end()
            # Not given a task any more; it is reaped when it is gone.
            child.task = {"do": "stop"}

    def _limit(self, child: Child, one: MonitorSettings, now: float) -> None:
        # A child that is just made has a window to claim yet.
        allowed = max(one.run.timeout.total_seconds(), 0.0 if child.claim is not None else _START)
        if now - child.since > allowed:
            self._kill(child, f"the run was stopped: it took longer than {allowed:g} s (run.timeout)", now)
            return
        most = one.run.memory or self._memory
        used = child.memory()
        if used > most:
            self._kill(
                child,
                f"the run was stopped: its process took {used / 2**30:.2f} GiB of memory, {most / 2**30:.2f} are allowed "
                "(run.memory); draw fewer records (sample.size) or allow more",
                now,
            )

    def _kill(self, child: Child, why: str, now: float) -> None:
        child.end(kill=True)
        self._died(child, now, why)

    def _died(self, child: Child, now: float, why: str | None = None) -> None:
        """Reap a child; what it was running stands failed, unless it only was told to end."""
        task, claim, status = child.task, child.claim, child.process.exitcode
        self._children.remove(child)
        child.close()
        if task is None or task["do"] == "stop":
            return
        why = why or f"the run's process died ({_status(status)}), perhaps for want of memory"
        _log.error("process lost", extra=fields(monitor=task.get("monitor"), worker=child.name, error=why))
        if task["do"] == _POST:
            return
        name = task["monitor"]
        self._turns.end(name, now)
        self._wake_at(name, self._settings.serve.poll.total_seconds())
        if claim is not None:
            desk = Desk(self._store, self._store.now, child.name, self._settings.serve.lease)
            try:
                fail_window(wire(self._settings, self._monitors[name], self._store), claim, why, desk)
            except ClaimLost as lost:
                _log.info("claim lost", extra=fields(monitor=name, error=str(lost)))
            self._post = True

    # --- who may go --------------------------------------------------------------------------------------------------

    def _give(self) -> None:
        now = time.monotonic()
        posting = any(child.task is not None and child.task["do"] == _POST for child in self._children)
        if self._post and not posting:
            self._post = False
            self._free(None).give({"do": _POST}, now)
        while (name := self._turns.take(now)) is not None:
            try:
                child = self._free(name)
            except OSError:
                # No more processes for now: it keeps its turn for the next round.
                self._turns.end(name, now)
                self._turns.wake(name)
                raise
            child.give({"do": "turn", "monitor": name}, now)

    def _free(self, name: str | None) -> Child:
        """A child with nothing to do, the one that ran this monitor last if it can be; else a new one."""
        idle = [child for child in self._children if child.task is None]
        known = [child for child in idle if name in child.known]
        if known or idle:
            child = (known or idle)[0]
        else:
            self._made += 1
            level = logging.getLogger().level
            held = self._memory // _HELD
            child = Child(self._settings, f"{self._worker}/{self._made}", level, held, time.monotonic())
            self._children.append(child)
        return child

    def _end_all(self) -> None:
        """Have every child end at its next step, and those that do not, at once; their windows are given back."""
        until = time.monotonic() + _GRACE
        for child in self._children:
            child.end()
        for child in self._children:
            child.process.join(max(until - time.monotonic(), 0.0))
            child.said(time.monotonic())
            if child.process.is_alive():
                child.end(kill=True)
                self._give_back(child)
            child.close()
        self._children.clear()

    def _give_back(self, child: Child) -> None:
        try:
            if child.claim is not None:
                self._store.release(child.claim)
        except MonitorError as error:
            # The lease ends by itself.
            _log.warning("claim kept", extra=fields(monitor=child.monitor, error=str(error)))


def _status(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"signal {-exitcode}"
    return f"status {exitcode}"
