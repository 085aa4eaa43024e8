"""Disagreement with other models whose predictions travel with the records, as segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.selection import NotApplicable
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import best_first, open_rows
from monitor.values import SEGMENT_PREFIX, FloatArray

__all__ = ["EnsembleStrategy", "SecondModelStrategy", "by_need", "differ", "vote_entropy"]

Labels = npt.NDArray[np.object_]


def differ(one: Labels, other: Labels) -> FloatArray:
    """1 where both have a label and the labels differ, else 0, (n,) float64."""
    return np.array([float(a is not None and b is not None and a != b) for a, b in zip(one, other, strict=True)])


def vote_entropy(votes: Sequence[Labels]) -> FloatArray:
    """Entropy of the labels that models give each record, over its maximum log(models).

    Argamon-Engelson & Dagan, "Committee-based sample selection for probabilistic classifiers", JAIR 11, 1999. A missing label is
    no vote.

    Parameters
    ----------
    votes : of each model, (n,) object

    Returns
    -------
    (n,) float64 in [0, 1]; 0 where fewer than two vote
    """
    found = np.zeros(len(votes[0]) if votes else 0)
    for row in range(len(found)):
        given = [model[row] for model in votes if model[row] is not None]
        if len(given) > 1:
            shares = np.array([given.count(label) for label in set(given)]) / len(given)
            found[row] = -(np.sort(shares) * np.log(np.sort(shares))).sum() / np.log(len(votes))
    return found


def by_need(score: FloatArray, pool: Pool, taken: Rows, count: int) -> list[int]:
    """Rows with a score above 0, highest first, among equals those of the greatest need."""
    rows = open_rows(pool, taken)
    ranks = np.unique(np.round(score, 9), return_inverse=True)[1] + np.clip(pool.need, 0.0, 1.0) / 2.0
    return best_first(ranks, rows[score[rows] > 0], count)


def _labels(pool: Pool, name: str) -> Labels:
    name = name.removeprefix(SEGMENT_PREFIX)
    if name not in pool.window.segments:
        raise NotApplicable(
            f"records have no segment {name} with another model's label; they have "
            f"{', '.join(pool.window.segments) or 'none'}"
        )
    labels = pool.window.column(SEGMENT_PREFIX + name)
    if all(label is None for label in labels):
        raise NotApplicable(f"no record of this window has a label in segment {name}")
    return labels


def _predicted(pool: Pool) -> Labels:
    predicted = pool.window.column("predicted")
    if all(label is None for label in predicted):
        raise NotApplicable("no record of this window has a predicted class")
    return predicted


class SecondModelStrategy:
    """Records to which a second model gives another class, those of the greatest need first.

    column  segment with the second model's class, a teacher's or a candidate's
    """

    def __init__(self, column: str) -> None:
        self._column = column

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        return by_need(differ(_predicted(pool), _labels(pool, self._column)), pool, taken, count)


class EnsembleStrategy:
    """Records on which an ensemble is most divided, by vote entropy; the predicted class is a vote too, where there is one.

    columns  segments with the class that each of the other models gives
    """

    def __init__(self, columns: Sequence[str]) -> None:
        if not columns:
            raise ValueError("columns is empty; name the segments with the other models' classes")
        self._columns = tuple(columns)

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        votes = [pool.window.column("predicted"), *(_labels(pool, name) for name in self._columns)]
        return by_need(vote_entropy(votes), pool, taken, count)
