"""Publishes what is due and kills itself with SIGKILL before a named moment: publish_worker.py FOLDER DATABASE GITHUB MOMENT."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent))

from shop import DAY, FIRST
from test_episode_services import tracked

from monitor.config import parse
from monitor.desk import Desk
from monitor.pipeline import publish_pending
from monitor.store import Store
from monitor.wiring import wire

folder, url, github, deadly = sys.argv[1:5]
settings = parse(tracked(Path(folder), url, SimpleNamespace(url=github)))
store = Store.open(url)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def step(name: str) -> None:
    if name == deadly:
        die()


if deadly == "keep":
    # Opened in the service, and not even the location is kept.
    store.keep_ticket = die  # type: ignore[method-assign]
monitor = wire(settings, settings.monitors[0], store)
publish_pending({"shop": monitor}, Desk(store, lambda: FIRST + 30 * DAY, "worker", timedelta(minutes=1), step=step))
