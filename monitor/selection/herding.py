"""Kernel herding towards the drift mass, with a random share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection.drift_mass import kernel_block, kernel_mean, luck
from monitor.selection.pool import Pool, pool_of
from monitor.selection.proposals import candidates
from monitor.selection.random_share import drawn
from monitor.values import Candidate, Dataset, FloatArray, Reference, Vectors

__all__ = ["HerdingStrategy", "herd", "target_weights"]

_LUCK = 0.9


def target_weights(need: FloatArray, weights: FloatArray) -> FloatArray:
    """What herding steers towards: t(z) = 0.4 w(z) / sum w + 0.6 w(z) need(z) / sum w need.

    Parameters
    ----------
    need : (n,) float64 in [0, 1]
    weights : (n,) float64 >= 0, how many records each row stands for

    Returns
    -------
    (n,) float64 >= 0, sum 1; proportional to the weights alone where nothing is needed
    """
    traffic, needed = weights / max(weights.sum(), 1e-12), weights * need
    target: FloatArray = 0.4 * traffic + 0.6 * (needed / needed.sum() if needed.sum() > 0 else traffic)
    return target


def herd(
    vectors: Vectors, attraction: FloatArray, shrink: FloatArray, eligible: npt.NDArray[np.int64], count: int, h: float
) -> list[int]:
    """Greedy kernel herding: pick after pick, the row that most reduces what the target still misses.

    Pick s + 1 is argmax of attraction(x) shrink(x) - 0.8 acc(x) / (s + 1), with acc(x) the sum of k(x, picked).
    Chen, Welling & Smola, "Super-samples from kernel herding", UAI 2010.

    Parameters
    ----------
    vectors : (n, d) float32, rows of length one
    attraction : (n,) float64, kernel mean towards the target, less what training data already cover
    shrink : (n,) float64 in [0, 1)
    eligible : positions that may be picked
    count : most picks
    h : bandwidth of the kernel, > 0

    Returns
    -------
    positions, first pick first; ties go to the lower position
    """
    pool, pull = vectors[eligible], (attraction * shrink)[eligible]
    covered, left, picks = np.zeros(len(eligible)), np.ones(len(eligible), dtype=bool), []
    for step in range(min(count, len(eligible))):
        score = np.where(left, pull - 0.8 * covered / (step + 1), -np.inf)
        best = int(score.argmax())
        picks.append(int(eligible[best]))
        left[best] = False
        covered += kernel_block(pool, pool[best : best + 1], h)[:, 0]
    return picks


class HerdingStrategy:
    """Records that stand for traffic the reference does not explain, then a share drawn at random from the rest.

    ``random_share`` of the batch is drawn uniformly; records with a cosine of ``near_duplicate`` or more count as one;
    ``bandwidth`` is the kernel's, in units of cosine. A record is herded only when its excess mass is above what nine
    in ten records of calm traffic show by luck in a window of this size, so the batch ends early when the need is spent.
    """

    def __init__(self, random_share: float = 0.1, near_duplicate: float = 0.97, bandwidth: float = 0.1) -> None:
        if not 0 <= random_share <= 1:
            raise ValueError(f"random_share is {random_share}; give a share from 0 to 1, for example 0.1")
        if not 0 < near_duplicate <= 1:
            raise ValueError(f"near_duplicate is {near_duplicate}; give a cosine above 0 and up to 1, for example 0.97")
        if not bandwidth > 0:
            raise ValueError(f"bandwidth is {bandwidth}; give a cosine difference above 0, for example 0.1")
        self._random_share, self._near_duplicate, self._bandwidth = random_share, near_duplicate, bandwidth

    def select(
        self, reference: Reference, current: Dataset, budget: int, rng: np.random.Generator
    ) -> Sequence[Candidate]:
        """Herded candidates by rank, then random ones; fewer than ``budget`` when the need is spent before."""
        if budget < 1 or not len(current):
            return ()
        pool = pool_of(reference, current, self._near_duplicate, self._bandwidth)
        herded = self._herded(pool, budget - round(self._random_share * budget), rng)
        rest = pool.rows[~np.isin(pool.rows, herded)]
        share = drawn(rest, self._random_count(len(herded), budget), rng)
        return candidates(pool, [*((row, "herding") for row in herded), *share])

    def _herded(self, pool: Pool, count: int, rng: np.random.Generator) -> list[int]:
        h, window, train = self._bandwidth, pool.window, pool.train
        floor = luck(pool.reference, pool.reference_weights, len(window), pool.mass.typical, h, rng, _LUCK)
        excess = pool.mass.excess
        eligible = pool.rows[excess[pool.rows] > floor]
        towards = kernel_mean(window.vectors, window.vectors, h, target_weights(pool.need, window.weights))
        attraction = towards - 0.2 * kernel_mean(window.vectors, train.vectors, h, train.weights)
        return herd(window.vectors, attraction, pool.mass.shrink, eligible, count, h)

    def _random_count(self, herded: int, budget: int) -> int:
        """The share of what is chosen, not of what was allowed; at least one, so that a calm window still tells."""
        whole = round(self._random_share * budget)
        if self._random_share in {0.0, 1.0}:
            return whole
        return min(whole, max(1, round(herded * self._random_share / (1 - self._random_share))))
