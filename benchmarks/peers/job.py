"""One measured test in a process of its own: a job as JSON on standard input, what it cost as JSON on standard output.

A job: {"x": file, "y": file, "permutations": B, ...}; the files are .npy of (n, d) and (m, d) float32. The answer: CPU seconds of ``fit`` and
``test``, peak memory above what was resident with the data loaded, and what the test found. Imported by every
runner, whatever its environment holds: the standard library and numpy alone.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Job = Mapping[str, Any]
_WARM = 400


def _memory(which: str) -> float:
    """MB; ``VmRSS`` what is resident, ``VmHWM`` its highest since the last reset."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(which + r":\s+(\d+)", status.read_text())
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the highest so far stays: the data were loaded by then, so the difference is a lower bound


def cpu_seconds() -> float:
    """CPU seconds so far, of all threads and of processes that were started and have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What ``call`` returns, its CPU seconds (all threads, and processes it starts), and its peak memory in MB above what was resident."""
    _forget_peak()
    before, start = _memory("VmRSS"), cpu_seconds()
    found = call()
    spent = cpu_seconds() - start
    return found, spent, max(0.0, _memory("VmHWM") - before)


def answer(fit: Callable[[Any, Job], Any], test: Callable[[Any, Any, Job], Any]) -> None:
    """Read the job, warm up on a few rows, run ``test(fit(x, job), y, job)`` measured, write the answer."""
    warnings.filterwarnings("ignore")
    job = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # progress bars and notices go elsewhere
    x, y = (np.load(job[side]) for side in ("x", "y"))
    test(fit(x[:_WARM], job), y[:_WARM], {**job, "permutations": 2})
    fitted, fit_seconds, fit_peak = measured(lambda: fit(x, job))
    found, seconds, peak = measured(lambda: test(fitted, y, job))
    result = {"fit_cpu_seconds": fit_seconds, "cpu_seconds": seconds, "peak_mb": max(peak, fit_peak), "found": found}
    os.write(out, json.dumps(result).encode())
