"""Who has guessed wrong lately, and how long they must wait: a bounded memory of failed log-ins."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Attempts"]


@dataclass(slots=True)
class _Failures:
    number: int
    until: float


class Attempts:
    """Failed log-ins by client, the clients that failed last; see :meth:`wait`.

    clock    seconds that never go back
    free     failures without a wait
    longest  wait at most, in seconds; who stays away for ten times as long after it begins anew
    clients  remembered at most; who failed longest ago is forgotten first
    """

    def __init__(
        self, clock: Callable[[], float], *, free: int = 5, longest: float = 60.0, clients: int = 1_000
    ) -> None:
        self._clock, self._free, self._longest, self._most = clock, free, longest, clients
        self._known: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until this client may try again; 0 for at once."""
        found = self._known.get(client)
        return 0.0 if found is None else max(0.0, found.until - self._clock())

    def failed(self, client: str) -> None:
        """Note a wrong user or password: a second after five of them, twice as long after each further one."""
        now, before = self._clock(), self._known.pop(client, None)
        stale = before is None or now - before.until > 10 * self._longest
        number = 1 if before is None or stale else before.number + 1
        beyond = number - self._free
        pause = min(2.0 ** min(beyond, 30), self._longest) if beyond >= 0 else 0.0
        self._known[client] = _Failures(number, now + pause)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def succeeded(self, client: str) -> None:
        """Forget what went wrong before."""
        self._known.pop(client, None)
