"""Detectors: how far the window is from the reference. They measure and never judge; see :class:`Detector`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from monitor.values import Dataset, Measurement, Reference

__all__ = ["Detector"]


class Detector(Protocol):
    """Compares one window with the reference. Holds its options and no state."""

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Numbers worth computing once when the reference is built, such as a bandwidth; may be empty."""
        ...

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """Measurements of all traffic and of each segment field both sides carry.

        The inputs are not changed, the same ``rng`` state gives the same answer, and the order of rows does not
        change a statistic. ``ValueError`` names the minimum when there are too few rows overall.
        """
        ...
