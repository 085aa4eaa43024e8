"""Accuracy on production by records drawn at random, over several windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from monitor.values import Checked, Estimate
from monitor.verification.paired import share

__all__ = ["newest_windows", "running_accuracy", "weights_of"]


def weights_of(checked: Sequence[Checked]) -> list[float]:
    """How many records of production each stands for: those of its window, shared among the labelled ones of that window."""
    told = Counter(one.window.start for one in checked)
    return [max(one.population, 1) / told[one.window.start] for one in checked]


def running_accuracy(checked: Sequence[Checked], junk: Collection[str] = ()) -> tuple[Estimate | None, int]:
    """Share of the windows' traffic that the model had right, and how many records say so.

    Unbiased for the traffic of these windows, as every record of a window was as likely to be drawn: a Horvitz-Thompson ratio, windows
    weighted by their records, the interval at Kish's effective number. Labels of junk say nothing of accuracy; ``None`` when no other
    is left.
    """
    useful = np.array([one.label not in junk for one in checked], dtype=bool)
    right = np.array([one.label == one.predicted for one in checked], dtype=bool)
    weights = np.array(weights_of(checked), dtype=np.float64)
    return share(right[useful], weights[useful]), int(useful.sum())


def newest_windows(checked: Sequence[Checked], most: int) -> list[Checked]:
    """Those of the ``most`` newest windows that have any."""
    starts = sorted({one.window.start for one in checked})[-most:]
    return [one for one in checked if starts and one.window.start >= starts[0]]
