"""Who may be called: a list of hosts, held against the address that a connection really leads to.

Python tells of every name it looks up and every socket it connects (PEP 578), whichever library does it. While something is sent
within :func:`only`, what the list does not hold is refused there, before a byte leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from monitor.errors import PublishError

__all__ = ["NotAdmitted", "Reach", "only", "refuse_behind_proxy"]

_Address = IPv4Address | IPv6Address
_TRANSLATED = ip_network("64:ff9b::/96")
# Clouds hand out their machines' credentials here; 169.254.0.0/16 and fe80::/10 are refused as link-local.
_CREDENTIALS = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_HEARD = frozenset({"socket.getaddrinfo", "socket.connect", "socket.sendto", "socket.sendmsg"})


class NotAdmitted(PermissionError):
    """The address a name leads to is none that may be called."""


class Reach:
    """Hosts that may be called.

    allow  names (``tracker.example.org``), all names below one (``*.example.org``), addresses and networks (``10.0.0.0/8``)

    A name leads anywhere but to loopback, link-local and the addresses at which clouds give out credentials: whoever answers for
    the name could send us there. Such an address must be in the list itself. ``ValueError`` when an entry is none of these.
    """

    def __init__(self, allow: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._below: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allow:
            self._add(entry)

    def _add(self, entry: str) -> None:
        with suppress(ValueError):
            self._networks.append(ip_network(entry.strip("[]"), strict=False))
            return
        name = _plain(entry.removeprefix("*."))
        labels = name.split(".")
        if not all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels) or (
            labels[-1].isdecimal()
        ):
            raise ValueError(f"{entry!r} is no host name, *.name, address or network such as 10.0.0.0/8")
        (self._below if entry.startswith("*.") else self._names).add(name)

    def names(self, host: str) -> bool:
        """Whether the list holds the name, or the address when that is what stands there."""
        address = _address(host)
        if address is not None:
            return self._holds(address)
        name = _plain(host)
        return name in self._names or any(name.endswith(f".{one}") for one in self._below)

    def admits(self, host: str, address: str) -> bool:
        """Whether this address may be connected to, after ``host`` was looked up."""
        found = _address(address)
        if found is None:  # a name that nobody looked up yet: where it leads is not known
            return False
        return self._holds(found) or (_address(host) is None and _ordinary(found) and self.names(host))

    def _holds(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _plain(name: str) -> str:
    with suppress(UnicodeError):
        name = name.encode("idna").decode() if not name.isascii() else name
    return name.rstrip(".").lower()


def _address(text: str) -> _Address | None:
    """The address; the IPv4 one inside an IPv6 one where there is one, for that is where it leads."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour
        return IPv4Address(int(found) & 0xFFFF_FFFF) if found in _TRANSLATED else inside or found
    return found


def _ordinary(address: _Address) -> bool:
    odd = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not odd and address not in _CREDENTIALS


class _Sending:
    """What happens while one thing is sent."""

    def __init__(self, reach: Reach) -> None:
        self.reach, self.looked_up, self.refused = reach, "", ""

    def look_up(self, host: object) -> None:
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        self.looked_up = host if isinstance(host, str) else ""

    def connect(self, address: object) -> None:
        if not (isinstance(address, tuple) and address and isinstance(address[0], str)):
            return  # a socket of this machine's files
        if self.reach.admits(self.looked_up, address[0]):
            self.refused = ""
            return
        host = self.looked_up or address[0]
        leads = f", which leads to {address[0]}," if host != address[0] else ""
        self.refused = f"{host}{leads} is none of the hosts that may be called; add it to network.allow if it should be"
        raise NotAdmitted(self.refused)


_current: ContextVar[_Sending | None] = ContextVar("sending", default=None)


def _hear(
    event: str,
    arguments: tuple[Any, ...],
    heard: frozenset[str] = _HEARD,
    now: Callable[[], _Sending | None] = _current.get,
) -> None:
    # Bound above: when Python ends, a hook outlives the names of its module.
    if event in heard:
        sending = now()
        if sending is None:
            return
        if event == "socket.getaddrinfo":
            sending.look_up(arguments[0])
        else:
            sending.connect(arguments[1])


@cache
def _listen() -> None:
    sys.addaudithook(_hear)


@contextmanager
def only(reach: Reach | None) -> Iterator[None]:
    """Within this context, in this thread, only these hosts are connected to; ``None`` for all.

    ``PublishError``, permanent, when something else was called for, whatever the library in between made of the refusal.
    """
    if reach is None:
        yield
        return
    _listen()
    sending = _Sending(reach)
    before = _current.set(sending)
    try:
        yield
    except PublishError as error:
        if error.permanent or not sending.refused:
            raise
    except Exception:
        if not sending.refused:
            raise
    finally:
        _current.reset(before)
    if sending.refused:
        raise PublishError(f"{sending.refused}, then drift-monitor tickets --retry", permanent=True)


def refuse_behind_proxy(url: str) -> None:
    """``NotAdmitted`` when a proxy, of which the connection would show the address, would be asked for a host not in the list."""
    sending, parts = _current.get(), urlsplit(url)
    host = parts.hostname or ""
    if sending is None or not getproxies().get(parts.scheme) or proxy_bypass(host) or sending.reach.names(host):
        return
    sending.refused = f"{host} is none of the hosts that may be called; add it to network.allow if it should be"
    raise NotAdmitted(sending.refused)
