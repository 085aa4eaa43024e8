"""What is kept of a run's records to draw them again later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["EXTENT", "Group", "Picture"]

EXTENT = 10_000
"""Places are whole numbers from 0 to this on both axes."""


@dataclass(frozen=True, slots=True)
class Group:
    """Records of both sides that lie near each other.

    terms      words that tell it from all other records; each is held by at least three
    top_class  the class most of its records have, ``None`` without classes
    reference  share of the reference's records, ``current`` of the window's
    low, high  95 % interval of the difference, current less reference, of this group by itself
    sure       whether it changed at 95 % over all groups together
    new        share of its records of the window that lie in the drifted region
    examples   rows of the picture: those of the window nearest to its middle
    """

    terms: tuple[str, ...]
    top_class: str | None
    reference: float
    current: float
    low: float
    high: float
    sure: bool
    new: float
    examples: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """Records of the reference and of a window on a map: near on it means near in embedding space.

    places      (n, 2) int16 in 0 to :data:`EXTENT`
    current     (n,) bool, whether a record is the window's
    group       (n,) uint8, which of ``groups`` it belongs to
    excess      (n,) uint8, per cent of the traffic around a record of the window that is new; 0 for the reference
    floor       from this excess on, in per cent, a record lies in the drifted region
    ids         record ids, cut to 100 characters
    classes     (n,) int16, which of ``names`` the model predicted, or the label; -1 for none
    texts       redacted excerpts by row, of those records of which they may be kept
    candidates  rank by row
    groups      the groups, most grown first
    of          records that the reference and the window were drawn from
    masked      how much of the excerpts was masked, by kind
    """

    places: npt.NDArray[np.int16]
    current: npt.NDArray[np.bool_]
    group: npt.NDArray[np.uint8]
    excess: npt.NDArray[np.uint8]
    floor: int
    ids: tuple[str, ...]
    classes: npt.NDArray[np.int16]
    names: tuple[str, ...]
    groups: tuple[Group, ...]
    of: tuple[int, int]
    texts: Mapping[int, str] = field(default_factory=dict)
    candidates: Mapping[int, int] = field(default_factory=dict)
    masked: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def drifted(self) -> npt.NDArray[np.bool_]:
        """Records of the window in the drifted region, (n,) bool."""
        return np.asarray(self.current & (self.excess >= self.floor))
