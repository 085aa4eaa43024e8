"""Waiting for the database when a service starts: it may come up later than the service, or be upgraded by another process."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from monitor.errors import StoreUnavailable
from monitor.logs import fields
from monitor.store import Store

__all__ = ["wait_for_store"]

_log = logging.getLogger("monitor.serve")
_FIRST, _LONGEST = timedelta(seconds=1), timedelta(seconds=15)


def wait_for_store(store: Store, stop: threading.Event, *, first: timedelta = _FIRST) -> bool:
    """Bring the schema up to date, trying again while the database is away; false when ``stop`` was set before it came.

    The log says once what is waited for, and again when that changes. What no waiting heals, such as a wrong password or a
    schema that is too new, is raised as it is.

    Parameters
    ----------
    first : pause after the first try; each further one is twice as long, up to 15 seconds
    """
    pause, told = first, ""
    while not stop.is_set():
        try:
            before = store.upgrade()
            store.check()
        except StoreUnavailable as error:
            if told != (told := str(error)):
                _log.warning("waiting for the database", extra=fields(why=told))
            stop.wait(pause.total_seconds())
            pause = min(2 * pause, _LONGEST)
        else:
            _log.info("database ready", extra=fields(where=store.describe(), before=before or "empty"))
            return True
    return False
