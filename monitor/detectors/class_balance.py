"""Shares of predicted classes: reference against window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from monitor.detectors.permutation import at_least, permutation_test
from monitor.detectors.proportions import (
    Counted,
    chi_square,
    chi_square_tail,
    newcombe,
    random_tables,
    variation_interval,
)
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.values import Dataset, FloatArray, Measurement, Reference

__all__ = ["OTHER", "ClassBalanceDetector", "counted_classes"]

OTHER = "other classes"
"""Where classes beyond the configured number are counted."""

_NAMED_IN_SEGMENTS = 5


def counted_classes(reference: Dataset, current: Dataset, most: int = 1_000) -> tuple[list[str], Counted, Counted]:
    """Class names in order with their counts on either side; rows without a class do not count.

    Beyond ``most``, the rarest of both sides together are added up as ``OTHER``. Rarest on one side would not do: picking
    classes by what one side shows makes calm sides look different.
    """
    theirs = Counter(c for c in reference.classes if c is not None)
    ours = Counter(c for c in current.classes if c is not None)
    together = theirs + ours
    by_size = sorted(together, key=lambda c: (-together[c], c))
    return _named(theirs, ours, by_size, most)


def _named(
    theirs: Mapping[str, int], ours: Mapping[str, int], order: Sequence[str], most: int
) -> tuple[list[str], Counted, Counted]:
    named, rest = sorted(order[:most]), order[most:]
    rows = [[counts[c] for c in named] for counts in (theirs, ours)]
    if rest:
        rows = [[*row, sum(counts[c] for c in rest)] for row, counts in zip(rows, (theirs, ours), strict=True)]
        named.append(OTHER)
    return named, np.array(rows[0], dtype=np.int64), np.array(rows[1], dtype=np.int64)


class ClassBalanceDetector:
    """Chi-square test of predicted classes, as subject ``classes``, and the share of each, as ``class:<name>``.

    Classes are the predicted ones, true labels where there is no prediction. Predictions for reference rows should come
    from a model that was not trained on them (out-of-fold, or held out); true labels serve for a model that is mostly
    right. Without classes on both sides there are no measurements.

    The effect of ``classes`` is the total variation distance, the share of traffic that changed class, without what
    sampling alone would show. It reads in the same unit whatever the number of rows and their ratio, which Cramér's V
    does not. The p-value is from random tables with the same margins when an expected count is below 5, else
    asymptotic. Unequal weights thin the rows.
    ``class:<name>`` measures the difference of shares with Newcombe's interval and is not tested; in segments the five
    that moved most are shown. ``detail`` holds both shares, and ``new`` or ``vanished`` = 1.0 where one of them is 0.

    permutations  random tables drawn at most; a tenth of them when that settles it
    minimum       rows with a class needed on each side
    classes       classes shown by name, those with the largest share on either side; all are tested
    segments      values of each segment field at most
    """

    def __init__(self, permutations: int = 9_999, minimum: int = 20, classes: int = 50, segments: int = 20) -> None:
        at_least(permutations=(permutations, 19), minimum=(minimum, 2), classes=(classes, 1), segments=(segments, 0))
        self._permutations, self._minimum = permutations, minimum
        self._classes, self._segments = classes, segments

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """Nothing: counting is cheap."""
        return {}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        everything = reference.everything
        check_comparable(everything, current, self._minimum)
        theirs, ours = equalised(everything, rng), equalised(current, rng)
        found: list[Measurement] = []
        for segment, x, y in each_segment(theirs, ours, self._minimum, self._segments):
            names, a, b = counted_classes(theirs.take(x), ours.take(y))
            if min(a.sum(), b.sum()) >= self._minimum:
                found.append(self._balance(a, b, segment, rng))
                found += _shares(names, a, b, self._classes, segment)
        return found

    def _balance(self, a: Counted, b: Counted, segment: str, rng: np.random.Generator) -> Measurement:
        n, m, totals = int(a.sum()), int(b.sum()), a + b
        effect, low, high = variation_interval(a, b, rng)
        detail = {"new": float(((a == 0) & (b > 0)).sum()), "vanished": float(((a > 0) & (b == 0)).sum())}
        p = self._p_value(totals, b, rng)
        return Measurement("class_balance", "classes", effect, low, high, p, n, m, segment, detail)

    def _p_value(self, totals: Counted, current: Counted, rng: np.random.Generator) -> float:
        m, n = int(current.sum()), int(totals.sum() - current.sum())
        observed = float(chi_square(current, totals))
        if len(totals) == 1:
            return 1.0
        if totals.min() * min(m, n) / (m + n) >= 5:
            return chi_square_tail(observed, len(totals))

        def draw(count: int) -> FloatArray:
            return chi_square(random_tables(totals, m, count, rng), totals)

        first = max(19, self._permutations // 10)
        return permutation_test(observed, draw, first, self._permutations, tolerance=1e-9 * observed)


def _shares(names: Sequence[str], a: Counted, b: Counted, most: int, segment: str) -> list[Measurement]:
    n, m = int(a.sum()), int(b.sum())
    theirs, ours = dict(zip(names, a.tolist(), strict=True)), dict(zip(names, b.tolist(), strict=True))
    order = sorted(names, key=lambda c: (c == OTHER, -max(theirs[c] / n, ours[c] / m), c))
    found = []
    for name, before, now in zip(*_named(theirs, ours, order, most), strict=True):
        low, high = newcombe(int(before), n, int(now), m)
        detail = {"share_reference": float(before / n), "share_current": float(now / m)}
        if not before or not now:
            detail["vanished" if before else "new"] = 1.0
        effect = float(now / m - before / n)
        found.append(Measurement("class_balance", f"class:{name}", effect, low, high, None, n, m, segment, detail))
    if segment:
        found = sorted(found, key=lambda measurement: (-abs(measurement.effect), measurement.subject))
        found = found[:_NAMED_IN_SEGMENTS]
    return found
