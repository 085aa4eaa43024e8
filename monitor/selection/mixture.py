"""A batch from several strategies: each its share of the budget, and some records drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.selection import NotApplicable, Strategy
from monitor.selection.pool import Answers, Pool, pool_of
from monitor.selection.random_share import RandomStrategy
from monitor.values import Dataset, Reference

__all__ = ["RANDOM", "Mixture", "Picked", "Share"]

RANDOM = "random"
"""What the random share is called among strategies."""


@dataclass(frozen=True, slots=True)
class Share:
    """A named strategy and its part of the budget; parts are taken relative to each other."""

    name: str
    strategy: Strategy
    part: float = 1.0

    def __post_init__(self) -> None:
        if not self.part > 0:
            raise ValueError(f"the share of {self.name} is {self.part}; give a number above 0")


@dataclass(frozen=True, slots=True)
class Picked:
    """Rows of a pool, best first, each with the name of the strategy that chose it, and why some strategies chose none."""

    rows: tuple[tuple[int, str], ...]
    notes: tuple[str, ...] = ()


class Mixture:
    """What fills a batch: ``first`` until labels of the same drift have come in, ``later`` from then on.

    random_share    part of the batch that is drawn uniformly and marked so, in [0, 1]
    near_duplicate  records with this cosine or more count as one, in (0, 1]
    bandwidth       of the kernel that finds new traffic, in units of cosine, > 0
    """

    def __init__(
        self,
        first: Sequence[Share],
        later: Sequence[Share],
        random_share: float = 0.1,
        near_duplicate: float = 0.97,
        bandwidth: float = 0.1,
    ) -> None:
        if not 0 <= random_share <= 1:
            raise ValueError(f"random_share is {random_share}; give a share from 0 to 1, for example 0.1")
        if not 0 < near_duplicate <= 1:
            raise ValueError(f"near_duplicate is {near_duplicate}; give a cosine above 0 and up to 1, for example 0.97")
        if not bandwidth > 0:
            raise ValueError(f"bandwidth is {bandwidth}; give a cosine difference above 0, for example 0.1")
        self._shares = tuple(first), tuple(later)
        self._random_share, self._near_duplicate, self._bandwidth = random_share, near_duplicate, bandwidth

    def pool(
        self, reference: Reference, current: Dataset, rng: np.random.Generator, answers: Answers | None = None
    ) -> Pool:
        """The window's records with all that strategies want to know of them."""
        return pool_of(reference, current, self._near_duplicate, self._bandwidth, answers, rng)

    def pick(self, pool: Pool, budget: int, rng: np.random.Generator) -> Picked:
        """At most ``budget`` rows: each strategy's share, best first and in turns, then the random ones.

        Random ones are drawn first, from the whole window, so that they stay a sample of it, and the strategies know of them. What
        one strategy cannot use goes to the others. Random ones are a share of what is chosen, not of what was allowed: at least
        one, so that a calm window still tells.
        """
        if budget < 1 or not len(pool.rows):
            return Picked(())
        whole = round(self._random_share * budget)
        drawn = RandomStrategy().pick(pool, whole, np.zeros(0, dtype=np.int64), rng)
        chosen, notes = self._by_shares(pool, budget - whole, drawn, rng)
        if 0 < self._random_share < 1:
            each = self._random_share / (1 - self._random_share)
            if (count := max(1, round(len(chosen) * each))) < len(drawn):
                chosen, notes = self._by_shares(pool, budget - whole, drawn[:count], rng)
            drawn = drawn[: max(1, round(len(chosen) * each))]
        kept = ((row, name) for row, name in chosen if row not in drawn)
        return Picked((*kept, *((row, RANDOM) for row in drawn)), tuple(notes))

    def _by_shares(
        self, pool: Pool, budget: int, drawn: Sequence[int], rng: np.random.Generator
    ) -> tuple[list[tuple[int, str]], list[str]]:
        shares = list(self._shares[pool.answers is not None])
        found: dict[str, list[int]] = {share.name: [] for share in shares}
        notes: list[str] = []
        taken, last = list(drawn), len(drawn) + budget
        while shares and len(taken) < last:
            for share, count in zip(shares, _counts([s.part for s in shares], last - len(taken)), strict=True):
                try:
                    rows = share.strategy.pick(pool, count, np.array(taken, dtype=np.int64), rng) if count else []
                except NotApplicable as error:
                    notes.append(f"{share.name} chose nothing: {error}")
                    rows = []
                found[share.name] += rows
                taken += rows
                if len(rows) < count:
                    shares = [other for other in shares if other is not share]
        return _in_turns(found), notes


def _counts(parts: Sequence[float], budget: int) -> list[int]:
    """Whole numbers in these proportions that sum to the budget; what rounding leaves goes to the largest remainders."""
    wanted = np.array(parts) / sum(parts) * budget
    counts = np.floor(wanted).astype(int)
    for place in np.argsort(counts - wanted, kind="stable")[: budget - counts.sum()]:
        counts[place] += 1
    return [int(count) for count in counts]


def _in_turns(found: dict[str, list[int]]) -> list[tuple[int, str]]:
    """Each strategy's rows spread evenly over the batch, its best first."""
    placed = [
        ((place + 0.5) / len(rows), order, row, name)
        for order, (name, rows) in enumerate(found.items())
        for place, row in enumerate(rows)
    ]
    return [(row, name) for _, _, row, name in sorted(placed)]
