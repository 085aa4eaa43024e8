"""Riding out a database that is away for a moment: a whole transaction is done again, later each time, for a bounded time."""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from monitor.errors import StoreUnavailable
from monitor.logs import fields
from monitor.store.database import Database

__all__ = ["Patience", "patient"]

_FIRST, _LONGEST = 0.05, 5.0
_log = logging.getLogger("monitor.store")


class Patience:
    """How long one change or question is tried again, in all; ``hurry`` ends every wait, those under way too."""

    def __init__(self, longest: timedelta) -> None:
        self.longest = longest.total_seconds()
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """Try nothing again from now on."""
        self._hurried.set()

    def pause(self, seconds: float) -> bool:
        """Wait that long; false when there is no waiting any more."""
        return not self._hurried.wait(seconds)


class _Patient(Protocol):
    _database: Database
    _patience: Patience


Made = TypeVar("Made")


def patient(*, but: Collection[str]) -> Callable[[type[Made]], type[Made]]:
    """Have every public method of a class, each a transaction, ride out a database that is away; those in ``but`` do not."""

    def made(cls: type[Made]) -> type[Made]:
        for name, method in list(vars(cls).items()):
            if callable(method) and not name.startswith("_") and name not in but:
                setattr(cls, name, _patient(method))
        return cls

    return made


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def again(self: _Patient, *args: Any, **kwargs: Any) -> Any:
        end, pause = time.monotonic() + self._patience.longest, _FIRST
        away = False
        try:
            while True:
                try:
                    made = method(self, *args, **kwargs)
                except StoreUnavailable as error:
                    left = end - time.monotonic()
                    # Replicas that lost the same server should not come back at one moment.
                    if left <= 0 or not self._patience.pause(min(pause * random.uniform(0.5, 1.0), left)):  # noqa: S311
                        raise
                    if not away and pause > 1.0:
                        away = True
                        _log.warning("database away", extra=fields(error=str(error), patience=round(left)))
                    self._database.in_doubt = self._database.in_doubt or error.in_doubt
                    self._database.anew()
                    pause = min(2 * pause, _LONGEST)
                else:
                    if away:
                        _log.info("database back", extra=fields())
                    return made
        finally:
            self._database.in_doubt = False

    return again
