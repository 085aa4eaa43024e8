"""The monitors that a worker has wired, as many of those used last as may stay in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from monitor.pipeline import Monitor
from monitor.settings import Settings
from monitor.store import Store
from monitor.wiring import Shared, wire

__all__ = ["Held"]

_FITTED = 3
"""How many times its own size a reference takes with what is fitted to it."""
_EACH = 4 * 2**20
"""Bytes that a monitor takes besides, however small its reference: sums of blocks, kernels, directions."""


class Held(Mapping[str, Monitor]):
    """Every monitor of the settings by name, wired when it is asked for.

    most  bytes of references, and of what is fitted to them, that stay in memory
    """

    def __init__(self, settings: Settings, store: Store, most: int) -> None:
        self._settings, self._store, self._most, self._shared = settings, store, most, Shared()
        self._known = {one.name: one for one in settings.monitors}
        self._made: OrderedDict[str, Monitor] = OrderedDict()

    def __getitem__(self, name: str) -> Monitor:
        if name not in self._made:
            self._made[name] = wire(self._settings, self._known[name], self._store, self._shared)
        self._made.move_to_end(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Those whose reference is in memory."""
        return tuple(self._shared.loaded)

    def trim(self) -> None:
        """Drop those used longest ago, down to what may be held; the last one stays."""
        sizes = self._shared.loaded
        while len(self._made) > 1 and sum(size * _FITTED + _EACH for size in sizes.values()) > self._most:
            name, _ = self._made.popitem(last=False)
            sizes.pop(name, None)
