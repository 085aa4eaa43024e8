"""Forgetting: texts and vectors older than the settings allow, in the store and in the embedding cache."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from monitor.embedders.cache import forget_vectors
from monitor.errors import MonitorError
from monitor.logs import fields
from monitor.settings import Settings
from monitor.store import Store

__all__ = ["EVERY", "forget_in_time", "forget_old"]

EVERY = timedelta(hours=1)
"""How often a service looks."""

_AT_ONCE = 200
_ROUNDS = 25
_WITHOUT_END = 1_000_000_000
_log = logging.getLogger("monitor.retention")


def forget_old(settings: Settings, store: Store, now: datetime, *, dry_run: bool = False) -> Mapping[str, int]:
    """Forget what is older than ``privacy.retention``; what that was, by place.

    200 runs in a transaction and 5,000 runs in all, oldest or not; the next call goes on. Any number of processes may do this at once.
    """
    kept_for = settings.privacy.retention
    found: Counter[str] = Counter()
    if kept_for is None:
        return found
    before = now - kept_for
    for _ in range(_ROUNDS):
        some = store.forget(before, _WITHOUT_END if dry_run else _AT_ONCE, dry_run=dry_run)
        found.update(some)
        if not some or dry_run:
            break
    if settings.cache is not None:
        found["cached vectors"] += forget_vectors(settings.cache, before, dry_run=dry_run)
    return +found


def forget_in_time(settings: Settings, store: Store, now: datetime) -> None:
    """As :func:`forget_old`; a failure costs no run: it is logged and the next time tries again."""
    try:
        found = forget_old(settings, store, now)
    except MonitorError as error:
        _log.error("nothing forgotten", extra=fields(error=str(error)))
        return
    if found:
        _log.info("forgotten", extra=fields(**dict(found)))
