"""Selection: what to label next. Each strategy is one file with one class; see :class:`Strategy`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from monitor.values import Candidate, Dataset, Reference

__all__ = ["Strategy"]


class Strategy(Protocol):
    """Ranks records of the window by what their labels would be worth."""

    def select(
        self, reference: Reference, current: Dataset, budget: int, rng: np.random.Generator
    ) -> Sequence[Candidate]:
        """At most ``budget`` candidates, best first, ranks 1, 2, ...; fewer when the window offers no more.

        No record and no near-duplicate of a chosen record is proposed twice.
        """
        ...
