"""True shares of classes behind the predicted ones, by the classifier's own confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import blocks_of
from monitor.detectors.permutation import at_least
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.detectors.sides import among
from monitor.values import Dataset, FloatArray, Measurement, Reference

__all__ = ["Confusion", "LabelShiftDetector", "on_simplex", "true_shares"]

_RESAMPLES = 300
_NAMED_IN_SEGMENTS = 5


def on_simplex(shares: FloatArray) -> FloatArray:
    """The nearest shares that are at least 0 and sum to 1.

    Duchi et al., "Efficient projections onto the l1-ball for learning in high dimensions", ICML 2008.

    Parameters
    ----------
    shares : (..., k)
    """
    down = -np.sort(-shares, axis=-1)
    excess = (np.cumsum(down, axis=-1) - 1) / np.arange(1, shares.shape[-1] + 1)
    last = np.sum(down > excess, axis=-1, keepdims=True) - 1
    return np.asarray(np.maximum(shares - np.take_along_axis(excess, last, axis=-1), 0.0))


@dataclass(frozen=True, slots=True)
class Confusion:
    """How classes are predicted: ``matrix[i, j]`` is the chance that a record of class j is predicted as i.

    matrix  (k, k) float64, columns sum to 1
    noise   root mean square of the chance errors that so few records put on a singular value, >= 0
    """

    matrix: FloatArray
    noise: float

    @property
    def singular(self) -> FloatArray:
        """Singular values of the matrix, largest first, (k,)."""
        return np.asarray(np.linalg.svd(self.matrix, compute_uv=False))

    @property
    def condition(self) -> float:
        """Largest over smallest singular value."""
        values = self.singular
        return float(values[0] / max(values[-1], 1e-12))

    @property
    def seen(self) -> float:
        """Share of its singular values that stand out of the noise: below one half the predictions say too little."""
        return float((self.singular > 2 * self.noise).mean())

    @property
    def ridge(self) -> float:
        """How much it is regularised: 0 where every singular value stands out of the noise, else the noise squared."""
        return 0.0 if self.seen == 1.0 else max(self.noise**2, 1e-12)


def true_shares(matrix: FloatArray, predicted: FloatArray, towards: FloatArray, ridge: float) -> FloatArray:
    """Shares w of true classes with matrix @ w near the predicted ones, the nearer to ``towards`` the less is known.

    Black-box shift estimation: Lipton, Wang and Smola, "Detecting and correcting for label shift with black box
    predictors", ICML 2018; regularised as in Azizzadenesheli et al., "Regularized learning for domain adaptation under
    label shifts", ICLR 2019.

    Returns
    -------
    (k,) float64, not yet on the simplex
    """
    gap = predicted - matrix @ towards
    squared = matrix.T @ matrix + (ridge + 1e-12) * np.eye(len(towards))
    return np.asarray(towards + np.linalg.solve(squared, matrix.T @ gap))


def _confusion(counts: FloatArray) -> Confusion:
    """From counts (k, k) of predicted by true class; a class without records is taken to be predicted rightly."""
    totals = counts.sum(axis=0)
    matrix = np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(len(totals)))
    variances = (matrix * (1 - matrix)).sum(axis=0) / np.maximum(totals, 1)
    return Confusion(matrix, float(np.sqrt(variances.mean())))


@dataclass(frozen=True, slots=True)
class _Counted:
    """Class codes of rows with their blocks, ready to be resampled."""

    codes: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    count: int

    def times(self, rng: np.random.Generator | None) -> FloatArray:
        """How often each row counts: once, or as its block is drawn."""
        if rng is None:
            return np.ones(len(self.codes))
        return np.bincount(rng.integers(0, self.count, self.count), minlength=self.count)[self.blocks].astype(float)

    def shares(self, k: int, rng: np.random.Generator | None = None) -> FloatArray:
        counts = np.bincount(self.codes, self.times(rng), minlength=k)[:k]
        return np.asarray(counts / counts.sum())


class LabelShiftDetector:
    """True shares of classes in the window without its labels, as subjects ``true shares`` and ``true share:<name>``.

    Black-box shift estimation: the protected set says how each class is predicted, and the shares of true classes
    that explain the window's predictions are solved for. It assumes that a class looks as it did (label shift); new
    content breaks that. Effects are differences from the protected set's true shares, those of ``true shares`` the total
    variation distance. Not tested: ``class_balance`` is the test of the same question, without assumptions.

    Intervals come from resampling the blocks of both sides, and shares are clipped to be shares. Where classes are
    confused so much that some direction of the matrix cannot be told from noise, the solution is held towards the
    reference's shares; where that is so for half of them, the estimate is refused: ``true shares`` then has
    ``refused`` = 1.0 in ``detail``, an interval that says nothing, and no ``true share:`` follows. ``detail`` also
    holds ``condition`` of the matrix, ``regularised`` and ``outside``, the share of window predictions that are of no
    class with ``per_class`` protected records. Nothing is measured where fewer than 2 classes have that many, or without
    predictions in the window.

    per_class  protected records with label and prediction needed of a class
    minimum    rows needed on each side
    classes    classes shown by name, those with the largest share on either side
    segments   values of each segment field at most
    """

    def __init__(self, per_class: int = 10, minimum: int = 20, classes: int = 50, segments: int = 20) -> None:
        at_least(per_class=(per_class, 2), minimum=(minimum, 2), classes=(classes, 1), segments=(segments, 0))
        self._per_class, self._minimum = per_class, minimum
        self._classes, self._segments = classes, segments

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: counting is cheap."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        check_comparable(reference.everything, current, self._minimum)
        theirs, ours = equalised(reference.protected, rng), equalised(current, rng)
        predicted, labels = theirs.column("predicted"), theirs.column("label")
        names = self._names(predicted, labels)
        if len(names) < 2:
            return []
        place = {name: i for i, name in enumerate(names)}
        known = [i for i, (p, y) in enumerate(zip(predicted, labels, strict=True)) if p is not None and y in place]
        if len(known) < self._minimum:
            return []
        k = len(names)
        # A prediction of another class is a further row of the matrix, dropped before solving.
        pairs = np.array([place.get(predicted[i], k) * k + place[labels[i]] for i in known], dtype=np.int64)
        kept = among(blocks_of(theirs), known)
        protected = _Counted(pairs, kept.codes, kept.count)
        window, every = ours.column("predicted"), blocks_of(ours)
        found: list[Measurement] = []
        for segment, _, rows in each_segment(theirs, ours, self._minimum, self._segments):
            inside = np.array([i for i in rows if window[i] in place], dtype=np.int64)
            answered = sum(window[i] is not None for i in rows)
            if len(inside) < self._minimum:
                continue
            blocks = among(every, inside)
            codes = np.array([place[window[i]] for i in inside], dtype=np.int64)
            found += self._estimated(
                names, protected, _Counted(codes, blocks.codes, blocks.count), 1 - len(inside) / answered, segment, rng
            )
        return found

    def _names(self, predicted: npt.NDArray[np.object_], labels: npt.NDArray[np.object_]) -> list[str]:
        both = [y for p, y in zip(predicted, labels, strict=True) if p is not None and y is not None]
        values, counts = np.unique(np.array(both, dtype=str), return_counts=True)
        return [str(v) for v, c in zip(values, counts, strict=True) if c >= self._per_class]

    def _estimated(
        self,
        names: Sequence[str],
        protected: _Counted,
        window: _Counted,
        outside: float,
        segment: str,
        rng: np.random.Generator,
    ) -> list[Measurement]:
        k, n, m = len(names), len(protected.codes), len(window.codes)
        confusion, before = _solved(protected, k, None)
        ridge = confusion.ridge
        detail = {"condition": confusion.condition, "outside": outside, "regularised": float(ridge > 0)}
        if confusion.seen < 0.5:
            detail["refused"] = 1.0
            return [Measurement("label_shift", "true shares", 0.0, 0.0, 1.0, None, n, m, segment, detail)]
        raw = window.shares(k)
        shares = on_simplex(true_shares(confusion.matrix, raw, before, ridge))
        changes = np.empty((_RESAMPLES, k))
        for i in range(_RESAMPLES):
            again, then = _solved(protected, k, rng)
            changes[i] = true_shares(again.matrix, window.shares(k, rng), then, ridge) - then
        errors = changes.std(axis=0)
        effects = shares - before
        apart = np.abs(changes - changes.mean(axis=0)).sum(axis=1) / 2
        distance = float(np.abs(effects).sum() / 2)
        reach = float(np.quantile(apart, 0.95))
        low, high = max(0.0, distance - reach), min(1.0, distance + reach)
        found = [Measurement("label_shift", "true shares", distance, low, high, None, n, m, segment, detail)]
        largest = np.maximum(shares, before)
        for j in sorted(range(k), key=lambda j: (-largest[j], names[j]))[: self._classes]:
            numbers = {"share_reference": before[j], "share_current": shares[j], "share_predicted": raw[j]}
            found.append(_share(names[j], numbers, float(errors[j]), n, m, segment))
        if segment:
            head, *rest = found
            found = [head, *sorted(rest, key=lambda s: (-abs(s.effect), s.subject))[:_NAMED_IN_SEGMENTS]]
        return found


def _share(name: str, numbers: Mapping[str, float], error: float, n: int, m: int, segment: str) -> Measurement:
    detail = {key: float(value) for key, value in numbers.items()}
    before = detail["share_reference"]
    effect = detail["share_current"] - before
    low = min(effect, max(-before, effect - 1.96 * error))
    high = max(effect, min(1 - before, effect + 1.96 * error))
    return Measurement("label_shift", f"true share:{name}", effect, low, high, None, n, m, segment, detail)


def _solved(protected: _Counted, k: int, rng: np.random.Generator | None) -> tuple[Confusion, FloatArray]:
    """Confusion among the kept classes, and true shares of the protected set."""
    counts = np.bincount(protected.codes, protected.times(rng), minlength=(k + 1) * k)
    inside = counts.reshape(k + 1, k)[:k].astype(np.float64)
    totals = inside.sum(axis=0)
    return _confusion(inside), np.asarray(totals / totals.sum())
