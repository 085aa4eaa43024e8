"""Embeddings of both sides pooled, segment by segment: what tests on vectors have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.detectors.blocks import blocks_of
from monitor.detectors.segments import check_comparable, each_segment, equalised
from monitor.detectors.sides import Sides, drawn
from monitor.values import Dataset, Reference, Vectors

__all__ = ["Limits", "Pooled", "each_pooled"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows on each side, and values of each segment field, at most; rows and blocks on each side, at least."""

    max_rows: int
    segments: int
    minimum: int
    blocks: int = 2


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
