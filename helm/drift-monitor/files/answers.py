"""Asks a drift-monitor at the address given whether it is ready and shows metrics; ends with 1 when not."""

import ssl
import sys
import urllib.request

# Whether it answers is asked here, not whose certificate it has: that may be for the name outside of the cluster.
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE

for path, wanted in (("/readyz", "ready"), ("/metrics", "drift_monitor_store_up 1.0")):
    try:
        with urllib.request.urlopen(sys.argv[1] + path, timeout=20, context=UNCHECKED) as answer:
            found = wanted in answer.read().decode()
    except OSError as error:
        sys.exit(f"{path}: {error}")
    if not found:
        sys.exit(f"{path}: no {wanted!r} in the answer")
    sys.stdout.write(f"{path}: {wanted}\n")
