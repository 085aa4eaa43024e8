"""Publishes what is due and kills itself with SIGKILL before a named moment."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

from shop import DAY, FIRST

from monitor.config import parse
from monitor.desk import Desk
from monitor.pipeline import publish_pending
from monitor.store import Store
from monitor.wiring import wire


def publish_and_die(raw: dict[str, Any], url: str, deadly: str) -> None:
    settings = parse(raw)
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
