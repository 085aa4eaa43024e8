"""Runs one window of a shop and kills itself with SIGKILL before a named step."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from shop import raw_settings, window

from monitor.config import parse
from monitor.desk import Desk
from monitor.pipeline import publish_pending, run_window
from monitor.store import Store
from monitor.wiring import wire


def work(folder: Path, url: str, deadly: str, at: datetime) -> None:
    """``deadly`` names the step; ``stop:STEP`` stands still there instead, with SIGSTOP, the first time.

    A file ``clock`` in the folder says the time to all workers, as a database does.
    """
    settings = parse(raw_settings(folder, url))
    store = Store.open(settings.store.url)
    monitor = wire(settings, settings.monitors[0], store)
    how, _, where = deadly.rpartition(":")

    def step(name: str) -> None:
        nonlocal where
        if name == where:
            where = "" if how else where
            os.kill(os.getpid(), signal.SIGSTOP if how else signal.SIGKILL)

    shared = folder / "clock"

    def clock() -> datetime:
        return datetime.fromisoformat(shared.read_text(encoding="utf-8")) if shared.exists() else at

    desk = Desk(store, clock, f"worker-{os.getpid()}", timedelta(minutes=1), step=step)
    run = run_window(monitor, window(2), desk)
    sys.stdout.write(f"{'ran' if run else 'left'}\n")
    sys.stdout.flush()
    publish_pending({"shop": monitor}, desk)
