"""On PYTHONPATH: every Python process below is refused all sockets but loopback, and tells what it tried.

``OFFLINE_ATTEMPTS`` names the file of attempts, ``OFFLINE_GUARDED`` one with a line for each process that was guarded.
"""

import ipaddress
import os
import sys

_CALLS = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.bind": 1}
_LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def _note(name, line):
    descriptor = os.open(os.environ[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


def _hear(event, arguments):
    if event in _LOOK_UPS:
        host = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
    elif event in _CALLS and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if host is not None and not _is_loopback(host):
        _note("OFFLINE_ATTEMPTS", f"{event} {host} by {sys.argv}")
        raise PermissionError(f"offline: {event} {host}")


if "OFFLINE_ATTEMPTS" in os.environ:
    _note("OFFLINE_GUARDED", str(os.getpid()))
    sys.addaudithook(_hear)
