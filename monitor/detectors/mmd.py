"""Embeddings of reference and window compared: four components over all rows, and within predicted classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detectors.blocks import FEWEST, Blocks, blocks_of
from monitor.detectors.core4 import look, measurement, shares
from monitor.detectors.kernels import gaussian_kernel, median_squared_distance
from monitor.detectors.permutation import at_least, corrected
from monitor.detectors.prepared import FITTED, Prepared, bandwidth_rows, drawn_blocks, prepare, side_of
from monitor.detectors.segments import check_comparable, each_segment, equalised, ordered
from monitor.detectors.strata import compare
from monitor.detectors.within_classes import Stratum, class_strata
from monitor.values import Dataset, Measurement, Reference, Vectors

__all__ = ["MmdDetector", "mmd2_unbiased"]

_ENOUGH_HELD_OUT = 1_000
_HELD = 2
_MOST_WITHIN = 2_000
_MARGIN = 1.96
_LEVEL = 0.05
_CAUGHT = 1.64 + 0.84
"""Standard errors that are found with 80 % power at level 5 %; the jackknife's are on the large side, and so is what rests on them."""


def mmd2_unbiased(x: Vectors, y: Vectors, gamma: float) -> float:
    """Unbiased squared maximum mean discrepancy of two samples under the Gaussian kernel.

    Gretton et al., "A kernel two-sample test", JMLR 13, 2012, equation 3.

    Parameters
    ----------
    x, y : (n, d) and (m, d) float32, n and m >= 2
    gamma : inverse squared length of the kernel, > 0

    Returns
    -------
    in (-2, 2]; 0 on average when both come from one distribution, so it can be negative
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"unbiased MMD needs 2 rows on each side, not {n} and {m}")
    xx, yy = gaussian_kernel(x, x, gamma), gaussian_kernel(y, y, gamma)
    np.fill_diagonal(xx, 0.0)
    np.fill_diagonal(yy, 0.0)
    cross = gaussian_kernel(x, y, gamma).mean(dtype=np.float64)
    within = xx.sum(dtype=np.float64) / (n * (n - 1)) + yy.sum(dtype=np.float64) / (m * (m - 1))
    return float(within - 2.0 * cross)


class MmdDetector:
    """Embeddings by core-4 and a permutation over blocks, as subjects ``embeddings`` and ``embeddings within classes``.

    ``embeddings`` compares the reference's test part, three quarters of it, with the window: Gaussian kernels with bandwidths 1 and 4 over the median squared
    distance, the difference of means in whitened coordinates (wording, format), and the rank of each row's distance to the
    ruler, the other quarter (unseen content). One p-value tests all four: the smallest of theirs, calibrated by the same permutations. A
    reference of fewer than 200 rows is tested whole, by the Gaussian kernels alone. The effect is the unbiased MMD² of the first.

    ``embeddings within classes`` compares rows of one predicted class with rows of the same class and permutes within
    classes: a window that merely holds more of one class leaves it alone. The two p-values are Holm-corrected for each other.

    What is permuted are blocks (:func:`~monitor.detectors.blocks.blocks_of`). With fewer than 20 on a side there is an
    effect and no p-value; ``detail`` holds ``blocks_reference`` and ``blocks_current``.

    Predictions on rows the model was trained on are too good, and bound its classes a little differently than in
    production. Out-of-fold predictions avoid that; with 1,000 protected rows that carry a prediction, those rows alone
    are the reference within classes. With fewer, all rows with a prediction or a label are: the rows win more power
    than their bias, measured to be on the safe side, costs.

    The interval is the effect ± 1.96 standard errors of a jackknife over units of blocks. Unequal weights thin the rows, see
    :func:`~monitor.detectors.segments.equalised`.

    detail  ``rbf1``, ``rbf4``, ``whitened``, ``novelty``: effect of each component, and ``z_rbf1`` ... the same in standard deviations under no
            difference; ``standardised``, the main one of them; ``share``, ``share_low``, ``share_high``: the share of
            traffic from one foreign cluster that would explain the effect; ``detectable_share``, ``detectable_shift``: what this window
            would have caught with 80 % power at level 5 % (:func:`~monitor.detectors.power.detectable`), a kind being like the reference's classes where it has some

    permutations  labellings drawn for a p-value; 299 when they are clear, ``refined`` when fewer than 30 reach the
                  observed value
    max_rows      rows used on each side at most, in whole blocks
    minimum       rows needed on each side
    segments      values of each segment field at most
    """

    def __init__(
        self,
        permutations: int = 999,
        refined: int = 9_999,
        max_rows: int = 5_000,
        minimum: int = 20,
        segments: int = 20,
    ) -> None:
        at_least(permutations=(permutations, 19), minimum=(minimum, 2), segments=(segments, 0))
        at_least(refined=(refined, permutations), max_rows=(max_rows, minimum))
        self._counts = permutations, refined
        self._max_rows, self._minimum, self._segments = max_rows, minimum, segments
        self._held: tuple[tuple[Reference, _Known], ...] = ()

    def fit(self, reference: Dataset) -> Mapping[str, float]:
        """The kernel's bandwidth, from the ruler."""
        data = ordered(reference)
        chosen = bandwidth_rows(data, blocks_of(data))
        return {FITTED: median_squared_distance(data.vectors if chosen is None else data.vectors[chosen])}

    def measure(self, reference: Reference, current: Dataset, rng: np.random.Generator) -> Sequence[Measurement]:
        """See :class:`monitor.detectors.Detector`."""
        known = self._known(reference, current)
        ours = equalised(current, rng)
        blocks = blocks_of(ours)
        found = self._overall(known, ours, blocks, rng)
        for segment, one in self._within(known, ours, blocks, rng).items():
            if segment in found:
                found[segment].append(one)
        return [m for tested in found.values() for m in corrected(tested)]

    def _known(self, reference: Reference, current: Dataset) -> _Known:
        """The reference made ready; the last two are remembered, as looks at one reference follow each other."""
        for held, known in self._held:
            if held is reference:
                check_comparable(known.some, current, self._minimum)
                return known
        everything = reference.everything
        check_comparable(everything, current, self._minimum)
        honest = _with_honest_classes(reference, everything)
        honest = equalised(honest, np.random.default_rng(len(honest)))
        known = _Known(
            prepare(everything, reference.fitted, self._max_rows),
            honest,
            blocks_of(honest),
            any(name is not None for name in honest.classes),
            everything.take(np.arange(self._minimum)),
        )
        self._held = ((reference, known), *self._held)[:_HELD]
        return known

    def _overall(
        self, known: _Known, ours: Dataset, blocks: Blocks, rng: np.random.Generator
    ) -> dict[str, list[Measurement]]:
        prepared, found = known.prepared, {}
        # Beside a test within classes Holm's correction halves the level.
        level = _LEVEL / 2 if known.classed else _LEVEL
        drawn = drawn_blocks(blocks, self._max_rows, rng)
        ours = ours if len(drawn) == len(ours) else ours.take(drawn)
        current = side_of(ours, blocks.of(drawn), prepared.gamma, prepared.ruler)
        for segment, x, y in each_segment(prepared.test.data, ours, self._minimum, self._segments):
            counts = prepared.test.blocks.of(x).count, current.blocks.of(y).count
            if min(counts) >= 2:
                one = look(prepared, segment, x, current, y, self._counts, rng)
                found[segment] = [measurement(one, prepared, segment, x, y, counts, level)]
        return found

    def _within(self, known: _Known, ours: Dataset, blocks: Blocks, rng: np.random.Generator) -> dict[str, Measurement]:
        theirs, prepared = known.honest, known.prepared
        found: dict[str, Measurement] = {}
        if not known.classed:
            return found
        most = min(self._max_rows, _MOST_WITHIN)
        for segment, x, y in each_segment(theirs, ours, self._minimum, self._segments):
            a, b = known.blocks.of(x), blocks.of(y)
            left, right = drawn_blocks(a, most, rng), drawn_blocks(b, most, rng)
            strata = class_strata(theirs.take(x[left]), a.of(left), ours.take(y[right]), b.of(right), prepared.gamma)
            if strata:
                found[segment] = self._stratified(strata, prepared, segment, (a.count, b.count), rng)
        return found

    def _stratified(
        self,
        strata: Sequence[Stratum],
        prepared: Prepared,
        segment: str,
        blocks: tuple[int, int],
        rng: np.random.Generator,
    ) -> Measurement:
        effect, error, p = compare(strata, self._counts[0], rng, self._counts[1])
        n, m = np.sum([s.sizes for s in strata], axis=0).tolist()
        low, high = effect - _MARGIN * error, effect + _MARGIN * error
        content = float(prepared.alternatives.content[0])
        detail = shares(effect, low, high, content)
        detail |= {"blocks_reference": float(blocks[0]), "blocks_current": float(blocks[1])}
        tested = p if min(blocks) >= FEWEST else None
        if tested is not None and content > 0:
            detail["detectable_share"] = min(1.0, float(np.sqrt(_CAUGHT * error / content)))
        return Measurement("mmd", "embeddings within classes", effect, low, high, tested, n, m, segment, detail)


@dataclass(frozen=True, slots=True)
class _Known:
    """A reference made ready; ``honest`` are the rows compared within classes, ``classed`` when any has a class, ``some`` a few rows to check windows by."""

    prepared: Prepared
    honest: Dataset
    blocks: Blocks
    classed: bool
    some: Dataset


def _with_honest_classes(reference: Reference, everything: Dataset) -> Dataset:
    held_out = reference.protected.records.column("predicted").is_valid().to_numpy(zero_copy_only=False)
    return reference.protected.take(held_out) if held_out.sum() >= _ENOUGH_HELD_OUT else everything
