#!/usr/bin/env python3
"""The container's health check: ends with 0 when /healthz answers on loopback, over HTTP or HTTPS, else with 1.

``DRIFT_MONITOR_PORT`` names the port where the settings have another than 9464.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys


def alive(port: int) -> bool:
    """Whether /healthz says so within 4 seconds a try."""
    # The certificate is made out to the name people use, not to loopback; nothing is sent that it would protect.
    unverified = ssl._create_unverified_context()  # noqa: SLF001
    for connection in (
        http.client.HTTPConnection("127.0.0.1", port, timeout=2),
        http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=unverified),
    ):
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


if __name__ == "__main__":
    sys.exit(0 if alive(int(os.environ.get("DRIFT_MONITOR_PORT", "9464"))) else 1)
