"""Uncertainty sampling: the records whose class the model is least sure of. Blind on topics it has never seen, drawn to junk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection import NotApplicable
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import best_first, open_rows
from monitor.values import FloatArray

__all__ = [
    "EntropyStrategy",
    "LeastConfidenceStrategy",
    "MarginStrategy",
    "chances_of",
    "entropy",
    "least_confidence",
    "margin",
]


def margin(chances: FloatArray) -> FloatArray:
    """One minus the lead of the likeliest class over the next: 1 - (p1 - p2).

    Scheffer, Decomain & Wrobel, "Active hidden Markov models for information extraction", IDA 2001.

    Parameters
    ----------
    chances : (n, C) float64, rows of sum 1

    Returns
    -------
    (n,) float64 in [0, 1]; 0 where there is one class only
    """
    if chances.shape[1] < 2:
        return np.zeros(len(chances))
    top = np.partition(chances, -2, axis=1)
    return np.asarray(1.0 - (top[:, -1] - top[:, -2]))


def least_confidence(chances: FloatArray) -> FloatArray:
    """One minus the chance of the likeliest class (Lewis & Gale, "A sequential algorithm for training text classifiers", SIGIR 1994).

    Parameters
    ----------
    chances : (n, C) float64, rows of sum 1

    Returns
    -------
    (n,) float64 in [0, 1 - 1/C]
    """
    return np.asarray(1.0 - chances.max(axis=1)) if chances.shape[1] else np.zeros(len(chances))


def entropy(chances: FloatArray) -> FloatArray:
    """Shannon entropy of the class chances over its maximum: - sum p log p / log C.

    Parameters
    ----------
    chances : (n, C) float64, rows of sum 1

    Returns
    -------
    (n,) float64 in [0, 1]; 0 where there is one class only
    """
    if chances.shape[1] < 2:
        return np.zeros(len(chances))
    logs = np.log(chances, out=np.zeros_like(chances), where=chances > 0)
    return np.asarray(-(chances * logs).sum(axis=1) / np.log(chances.shape[1]))


def chances_of(pool: Pool) -> FloatArray:
    """Class chances of each record of the pool, (n, C); :class:`NotApplicable` where there are none."""
    if pool.chances is None:
        raise NotApplicable(
            "there are no class chances: neither do all records carry probabilities, nor do the training records "
            "carry labels of two classes to fit a classifier on"
        )
    return pool.chances


class MarginStrategy:
    """Margin sampling: the smallest lead of the likeliest class over the next first."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        return best_first(margin(chances_of(pool)), open_rows(pool, taken), count)


class LeastConfidenceStrategy:
    """Least confidence: the smallest chance of the likeliest class first."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        return best_first(least_confidence(chances_of(pool)), open_rows(pool, taken), count)


class EntropyStrategy:
    """Entropy sampling: the most evenly spread class chances first."""

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        return best_first(entropy(chances_of(pool)), open_rows(pool, taken), count)
