"""A batch of candidates, and what is to be expected of it."""

from __future__ import annotations

import numpy as np

from monitor.selection.mixture import Mixture
from monitor.selection.pool import Pool
from monitor.selection.proposals import candidates
from monitor.values import Candidate, Refresh

__all__ = ["propose"]


def propose(
    mixture: Mixture, pool: Pool, budget: int, negative_flips: float, rng: np.random.Generator
) -> tuple[tuple[Candidate, ...], Refresh]:
    """At most ``budget`` candidates, best first, and what they are for.

    Parameters
    ----------
    negative_flips : share of what the model has right that a refresh may break, in (0, 1)
    """
    picked = mixture.pick(pool, budget, rng)
    found = candidates(pool, picked.rows)
    answers = 0 if pool.answers is None else len(pool.answers.data)
    covered = min(1.0, sum(candidate.gain for candidate in found))
    return found, Refresh(1 + (answers > 0), budget, answers, covered, negative_flips, notes=picked.notes)
