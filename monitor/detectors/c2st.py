"""Classifier two-sample test: how well reference and window can be told apart, over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.detectors.permutation import at_least
from monitor.detectors.pooled import Limits, each_pooled
from monitor.detectors.ranks import RankStratum, delta_variance
from monitor.detectors.ruler import DEAD
from monitor.detectors.sides import Sides
from monitor.values import Dataset, FloatArray, Measurement, Reference, Vectors

__all__ = ["C2stDetector", "domain_scores", "fisher"]


def domain_scores(train: Vectors, current: npt.NDArray[np.bool_], rows: Vectors) -> FloatArray:
    """How much each row looks like the window, by a linear discriminant trained on other rows.

    Both sides weigh the same. The pooled covariance is shrunk towards a multiple of the identity by d / (n + d), the more
    the fewer rows there are.

    Parameters
    ----------
    train : (n, d) float32
    current : (n,) whether a training row is the window's; at least one of either
    rows : (k, d) float32

    Returns
    -------
    (k,) float64, rounded so that equal rows stay ties
    """
    live = train.std(axis=0, dtype=np.float64) >= DEAD
    if not live.any():
        return np.zeros(len(rows))
    kept = train[:, live].astype(np.float64)
    means = kept[~current].mean(axis=0), kept[current].mean(axis=0)
    centred = kept - np.where(current[:, None], means[1], means[0])
    n, d = kept.shape
    covariance = centred.T @ centred / n
    shrink = d / (n + d)
    level = max(float(np.trace(covariance)) / d, DEAD**2)
    direction = np.linalg.solve((1 - shrink) * covariance + shrink * level * np.eye(d), means[1] - means[0])
    length = float(np.linalg.norm(direction))
    return np.round(rows[:, live].astype(np.float64) @ (direction / length if length > 0 else direction), 6)


def _folds(sides: Sides, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fold of each block, each side spread evenly."""
    folds = [rng.permutation(np.arange(blocks.count) % count) for blocks in (sides.reference, sides.current)]
    return np.concatenate(folds)


def fisher(p_values: Sequence[float]) -> float:
    """One p-value from several, each uniform or larger given those before it. Fisher, 1925.

    Returns
    -------
    in (0, 1]
    """
    return float(np.clip(stats.chi2.sf(-2 * np.log(p_values).sum(), 2 * len(p_values)), 1e-300, 1.0))


class C2stDetector:
    """Domain classifier, as subject ``domain``: the effect is its held-out AUC - 0.5, in [-0.5, 0.5].

    The AUC is that of a linear discriminant, cross-fitted by blocks: each fold is scored by what the other folds taught.
    Scores of one fold depend on the labels of the others, so exchanging all of them at once would not be a valid test.
    The p-value goes forward instead: each fold but the first is scored by what the folds before it taught, its blocks are
    exchanged, and the p-values, each exact whatever came before, are joined by Fisher's method.

    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017. A number people understand; as an alarm it
    finds less than MMD.

    folds         at least 2
    permutations  exchanges drawn in each fold
    max_rows      rows used on each side at most, drawn by ``rng``
    minimum       rows needed on each side
    segments      values of each segment field at most
    """

    def __init__(
        self,
        folds: int = 5,
        permutations: int = 999,
        max_rows: int = 2_000,
        minimum: int = 20,
        segments: int = 20,
    ) -> None:
        at_least(folds=(folds, 2))
        self._folds = folds
        self._limits = Limits(permutations, permutations, max_rows, minimum, segments, blocks=folds)

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: the classifier learns from both sides."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        return [
            self._measurement(one.vectors, one.sides, one.segment, rng)
            for one in each_pooled(reference, current, self._limits, rng)
        ]

    def _measurement(self, vectors: Vectors, sides: Sides, segment: str, rng: np.random.Generator) -> Measurement:
        n, m = len(sides.reference.codes), len(sides.current.codes)
        ours = np.arange(n + m) >= n
        folds = _folds(sides, self._folds, rng)[sides.codes]
        scores = np.empty(n + m)
        for fold in range(self._folds):
            test = folds == fold
            scores[test] = _within_fold(domain_scores(vectors[~test], ours[~test], vectors[test]))
        pooled = RankStratum(scores[:n], scores[n:], sides, np.arange(sides.count))
        effect = pooled.observed / 2
        margin = 1.96 * np.sqrt(delta_variance(scores[:n], scores[n:], sides)) / 2
        p = self._p_value(vectors, ours, folds, sides, rng) if sides.testable else None
        low, high = max(-0.5, effect - margin), min(0.5, effect + margin)
        detail = {"auc": effect + 0.5} | dict(sides.detail)
        return Measurement("c2st", "domain", effect, float(low), float(high), p, n, m, segment, detail)

    def _p_value(
        self,
        vectors: Vectors,
        ours: npt.NDArray[np.bool_],
        folds: npt.NDArray[np.int64],
        sides: Sides,
        rng: np.random.Generator,
    ) -> float:
        n, p_values = len(sides.reference.codes), []
        for fold in range(1, self._folds):
            before, test = folds < fold, folds == fold
            scores = domain_scores(vectors[before], ours[before], vectors[test])
            pieces = sides.among(test[:n], test[n:])
            k = int(test[:n].sum())
            stratum = RankStratum(scores[:k], scores[k:], pieces, np.arange(pieces.count))
            p_values.append(pieces.exchanged(stratum.delta, rng, self._limits.permutations))
        return fisher(p_values)


def _within_fold(scores: FloatArray) -> FloatArray:
    """Ranks in (0, 1): scores of different folds come from different classifiers."""
    return np.asarray((stats.rankdata(scores) - 0.5) / len(scores))
