"""Embeddings of both sides pooled, segment by segment: what tests on vectors have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.detectors.blocks import blocks_of
from monitor.detectors.permutation import at_least
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.detectors.sides import Sides, drawn
from monitor.values import Dataset, Reference, Vectors

__all__ = ["Limits", "Pooled", "each_pooled"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a detector's options allow; ``ValueError`` names the option that is too small.

    permutations, refined  exchanges drawn; ``refined`` when fewer than 30 reach the observed value
    max_rows, segments     rows on each side, and values of each segment field, at most
    minimum, blocks        rows and blocks on each side, at least
    """

    permutations: int
    refined: int
    max_rows: int
    minimum: int
    segments: int
    blocks: int = 2

    def __post_init__(self) -> None:
        at_least(permutations=(self.permutations, 19), minimum=(self.minimum, 2), segments=(self.segments, 0))
        at_least(refined=(self.refined, self.permutations), max_rows=(self.max_rows, self.minimum))


@dataclass(frozen=True, slots=True)
class Pooled:
    """Vectors of one segment, reference rows first, with the blocks of both sides."""

    segment: str
    vectors: Vectors
    sides: Sides


def each_pooled(reference: Reference, current: Dataset, limits: Limits, rng: np.random.Generator) -> Iterator[Pooled]:
    """All traffic, then each segment, thinned to equal weights and to ``max_rows``; those with too few blocks are left out.

    ``ComparisonError`` when the sides cannot be compared at all.
    """
    everything = reference.everything
    check_comparable(everything, current, limits.minimum)
    theirs, ours = equalised(everything, rng), equalised(current, rng)
    every = Sides(blocks_of(theirs), blocks_of(ours))
    for segment, x, y in each_segment(theirs, ours, limits.minimum, limits.segments):
        left, right = drawn(x, limits.max_rows, rng), drawn(y, limits.max_rows, rng)
        sides = every.among(left, right)
        if min(sides.reference.count, sides.current.count) >= limits.blocks:
            yield Pooled(segment, np.concatenate([theirs.vectors[left], ours.vectors[right]]), sides)
