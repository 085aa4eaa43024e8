"""Shares of classes, predicted and true: reference against window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.class_table import OTHER, Classes, ClassTable, random_counts, tabulated, variation_interval
from monitor.detectors.permutation import at_least, corrected, permutation_test
from monitor.detectors.proportions import chi_square, newcombe, root_differences
from monitor.detectors.segments import Rows, check_comparable, each_segment, equalised
from monitor.detectors.sides import Sides, among
from monitor.values import Dataset, FloatArray, Measurement, Reference

__all__ = ["ClassBalanceDetector", "adjusted_p_values"]

_NAMED_IN_SEGMENTS = 5
_ADJUSTED = 999


class ClassBalanceDetector:
    """Chi-square test of classes: subjects ``classes`` (predicted), ``true classes``, and ``class:<name>`` for each share.

    Classes are the predicted ones, true labels where there is no prediction. Predictions for reference rows should come
    from a model that was not trained on them (out-of-fold, or held out); true labels serve for a model that is mostly
    right. Without classes on both sides there are no measurements. ``true classes`` compares true labels, when
    ``minimum`` rows of the window have them; labels that were chosen rather than drawn at random speak for themselves only.

    The effect is the total variation distance, the share of traffic that changed class, without what
    sampling alone would show. It reads in the same unit whatever the number of rows and their ratio, which Cramér's V
    does not. The p-value exchanges whole blocks, exact however rare a class is, and is missing with fewer than 20 blocks on
    a side; where both subjects are tested, Holm's method corrects them for each other. Unequal weights thin the rows.

    ``class:<name>`` measures the difference of shares with Newcombe's interval, widened by the design effect of the
    blocks. ``detail`` holds both shares, ``new`` or ``vanished`` = 1.0 where one of them is 0, and ``p_adjusted``, the
    p-value corrected for looking at all classes (Westfall and Young); ``p_value`` is missing because ``classes`` is the
    test. In segments the five that moved most are shown.

    permutations  random exchanges drawn at most; a tenth of them when that settles it
    minimum       rows with a class needed on each side
    classes       classes shown by name, first those whose ``p_adjusted`` is at most 0.05, then those with the largest
                  share on either side; all are tested
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
        blocks = blocks_of(theirs), blocks_of(ours)
        predicted, true = (theirs.classes, ours.classes), (theirs.column("label"), ours.column("label"))
        found: list[Measurement] = []
        for segment, x, y in each_segment(theirs, ours, self._minimum, self._segments):
            names, a, b = _tables(predicted, blocks, x, y)
            tested: list[Measurement] = []
            if min(a.rows, b.rows) >= self._minimum:
                tested.append(self._balance("classes", a, b, segment, rng))
            _, c, d = _tables(true, blocks, x, y)
            if min(c.rows, d.rows) >= self._minimum and _predicted(ours, y):
                tested.append(self._balance("true classes", c, d, segment, rng))
            found += corrected(tested)
            if tested and tested[0].subject == "classes":
                found += self._shares(names, a, b, segment, rng)
        return found

    def _balance(
        self, subject: str, a: ClassTable, b: ClassTable, segment: str, rng: np.random.Generator
    ) -> Measurement:
        effect, low, high = variation_interval(a, b, rng)
        before, now = a.totals > 0, b.totals > 0
        detail = {"new": float((~before & now).sum()), "vanished": float((before & ~now).sum())}
        detail |= Sides(a.blocks, b.blocks).detail
        p = self.p_value(a, b, rng)
        return Measurement("class_balance", subject, effect, low, high, p, a.rows, b.rows, segment, detail)

    def p_value(self, a: ClassTable, b: ClassTable, rng: np.random.Generator) -> float | None:
        """Permutation p-value of two tables over the same classes; ``None`` with fewer than 20 blocks on a side."""
        if not Sides(a.blocks, b.blocks).testable:
            return None
        totals = a.totals + b.totals
        if len(totals) == 1:
            return 1.0
        observed = float(chi_square(b.totals, totals))

        def draw(count: int) -> FloatArray:
            return chi_square(random_counts(a, b, count, rng), totals)

        first = max(19, self._permutations // 10)
        return permutation_test(observed, draw, first, self._permutations, tolerance=1e-9 * observed)

    def _shares(
        self, names: Sequence[str], a: ClassTable, b: ClassTable, segment: str, rng: np.random.Generator
    ) -> list[Measurement]:
        adjusted = adjusted_p_values(a, b, rng)
        largest = np.maximum(a.totals / a.rows, b.totals / b.rows)
        moved = np.zeros(len(names)) if adjusted is None else (adjusted <= 0.05).astype(float)
        order = sorted(range(len(names)), key=lambda i: (names[i] == OTHER, -moved[i], -largest[i], names[i]))
        kept = sorted(order[: self._classes], key=lambda i: (names[i] == OTHER, names[i]))
        groups = np.full(len(names), len(kept))
        groups[kept] = np.arange(len(kept))
        effects = a.effects, b.effects
        shown = [_share(names[i], a, b, i, effects, segment) for i in kept]
        if adjusted is not None:
            shown = [_with(m, p_adjusted=float(adjusted[i])) for m, i in zip(shown, kept, strict=True)]
        if len(kept) < len(names):
            a, b = a.grouped(groups), b.grouped(groups)
            shown.append(_share(OTHER, a, b, len(kept), (a.effects, b.effects), segment))
        if segment:
            shown = sorted(shown, key=lambda m: (-abs(m.effect), m.subject))[:_NAMED_IN_SEGMENTS]
        return shown


def _predicted(data: Dataset, rows: Rows) -> bool:
    return bool(data.take(rows).records.column("predicted").null_count < len(rows))


def _tables(
    classes: tuple[Classes, Classes], blocks: tuple[Blocks, Blocks], x: Rows, y: Rows
) -> tuple[list[str], ClassTable, ClassTable]:
    return tabulated(classes[0][x], among(blocks[0], x), classes[1][y], among(blocks[1], y))


def adjusted_p_values(
    a: ClassTable, b: ClassTable, rng: np.random.Generator, permutations: int = _ADJUSTED
) -> FloatArray | None:
    """p-value of each class, corrected for all classes; ``None`` with fewer than 20 blocks on a side.

    Single-step maximum over classes under the same exchanges (Westfall and Young, "Resampling-based multiple testing",
    1993): the chance that any class that has not moved falls to u or below is at most u when none has moved.

    Returns
    -------
    (k,) float64 in (0, 1]
    """
    if not Sides(a.blocks, b.blocks).testable:
        return None
    totals = a.totals + b.totals
    observed = np.abs(root_differences(b.totals, totals))
    largest = np.abs(root_differences(random_counts(a, b, permutations, rng), totals)).max(axis=1)
    reached = (largest[:, None] >= observed - 1e-12).sum(axis=0)
    return np.asarray((reached + 1) / (permutations + 1))


def _share(
    name: str, a: ClassTable, b: ClassTable, column: int, effects: tuple[FloatArray, FloatArray], segment: str
) -> Measurement:
    n, m = a.rows, b.rows
    before, now = int(a.totals[column]), int(b.totals[column])
    widened = float(effects[0][column]), float(effects[1][column])
    blocks = None if a.independent and b.independent else (a.blocks.count, b.blocks.count)
    low, high = newcombe(before, n, now, m, widened, blocks)
    detail = {"share_reference": before / n, "share_current": now / m}
    if not before or not now:
        detail["vanished" if before else "new"] = 1.0
    return Measurement("class_balance", f"class:{name}", now / m - before / n, low, high, None, n, m, segment, detail)


def _with(measurement: Measurement, **numbers: float) -> Measurement:
    return replace(measurement, detail={**measurement.detail, **numbers})
