"""alibi-detect: MMDDriftOnline, which sees one row after the other; its limits come from bootstraps when it is set up.

The job: "run" rows expected without an alarm, "window" rows and "bootstraps"; alibi-detect asks for ten times as many bootstraps as
``run`` and refuses fewer than as many.
"""

from typing import Any

import torch
from alibi_detect.cd import MMDDriftOnline
from job import Job

torch.set_num_threads(1)


def fit(x: Any, job: Job) -> Any:
    return MMDDriftOnline(
        x,
        ert=job["run"],
        window_size=job["window"],
        n_bootstraps=job["bootstraps"],
        backend="pytorch",
        device="cpu",
        verbose=False,
    )


def test(detector: Any, y: Any, _: Job) -> float:
    """0 where a row of the look is an alarm, else 1."""
    return 0.0 if any(detector.predict(row)["data"]["is_drift"] for row in y) else 1.0
