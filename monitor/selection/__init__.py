"""Selection: what to label next. Each strategy is one file with one class; see :class:`Strategy`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from monitor.selection.gate import IncumbentGate
from monitor.selection.pool import Answers, Pool, Rows, pool_of

__all__ = ["Answers", "IncumbentGate", "NotApplicable", "Pool", "Rows", "Strategy", "pool_of"]


class NotApplicable(ValueError):
    """A strategy cannot choose among these records: what it needs to know of them is not there. The message says what."""


class Strategy(Protocol):
    """Ranks records of a pool by what their labels would be worth."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """At most ``count`` of ``pool.rows``, best first; fewer when the pool holds no more that is worth a label.

        Parameters
        ----------
        taken : positions that are in the batch already, which are never picked again

        Raises
        ------
        NotApplicable
            when the records lack what this strategy goes by
        """
        ...
