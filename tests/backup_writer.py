"""Saves some thirty runs a second, each with measurements and candidates, and says the number of each: backup_writer.py URL."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from run_examples import LEASE, START, finished, week

from monitor.store import Store

with Store.open(sys.argv[1]) as store:
    number = 0
    while True:
        claim = store.claim("busy", week(number), "writer", START, LEASE)
        store.save(claim, finished(claim))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1
        time.sleep(0.02)
