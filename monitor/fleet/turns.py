"""Whose turn it is: first come, first served, in two lanes, so that slow monitors wait for each other and nobody for them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["SLOW", "Turns"]

SLOW = 30.0
"""Seconds after which a turn is slow."""


@dataclass(slots=True)
class _Taken:
    since: float
    slow: bool
    again: bool = False


class Turns:
    """The queue of monitors that want a turn, and the turns that are being taken.

    There are ``places`` for quick turns and as many for slow ones. A turn of more than ``slow`` seconds goes over to the slow
    places as soon as there is one, and its monitor begins there the next time, until a turn of it is quick again.
    """

    def __init__(self, places: int, slow: float = SLOW) -> None:
        self._places, self._limit = places, slow
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._taken: dict[str, _Taken] = {}
        self._slow: set[str] = set()

    @property
    def waiting(self) -> int:
        """Monitors that wait for a place."""
        return len(self._waiting)

    def wake(self, name: str) -> None:
        """The monitor wants a turn; one that has a turn gets another after it, one that waits already keeps its place."""
        if name in self._taken:
            self._taken[name].again = True
        else:
            self._waiting.setdefault(name)

    def take(self, now: float) -> str | None:
        """The monitor that may go now, ``None`` when there is none or no place; ``now`` in seconds that never go back."""
        for one in self._taken.values():
            one.slow = one.slow or (now - one.since > self._limit and self._free(slow=True))
        for name in self._waiting:
            slow = name in self._slow
            if self._free(slow=slow):
                del self._waiting[name]
                self._taken[name] = _Taken(now, slow)
                return name
        return None

    def end(self, name: str, now: float) -> None:
        """The monitor's turn is over."""
        taken = self._taken.pop(name)
        if now - taken.since > self._limit:
            self._slow.add(name)
        else:
            self._slow.discard(name)
        if taken.again:
            self.wake(name)

    def _free(self, *, slow: bool) -> bool:
        return sum(one.slow is slow for one in self._taken.values()) < self._places
