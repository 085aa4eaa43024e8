"""Change: whether the current window looks like any choice of blocks from all that was accepted before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from monitor.sketches.effects import (
    Effect,
    class_effect,
    class_moves,
    confidence_effect,
    embedding_effect,
    novel_effect,
    null_spread,
)
from monitor.sketches.exchange import Component, Family, centred, staged
from monitor.sketches.plan import Plan
from monitor.sketches.pool import Pool, features, pooled
from monitor.sketches.power import detectable_share
from monitor.sketches.sums import coarsened
from monitor.values import BlockSums, FloatArray, Measurement

__all__ = ["FEWEST", "change", "compare", "measured", "some"]

FEWEST = 20
"""With fewer blocks in all there is no p-value."""

_Z = 1.96
_SURE = 3.0
"""Standard errors that a class must have moved to be named among all."""

_NAMED = 3

_EMBEDDINGS = ("rbf1", "rbf4", "whitened", "novelty")


class _Part:
    """One component of a pool, with what several statistics need of it."""

    def __init__(self, pool: Pool, name: str) -> None:
        self.name, self._current = name, pool.current
        self.sums, self.counts = features(pool, name)

    @cached_property
    def centre(self) -> FloatArray:
        """Centred sums, (G, f)."""
        return centred(self.sums, self.counts)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of its MMD², or of its difference of means, when nothing differs."""
        if self.name != "novelty":
            return null_spread(self.sums, self.counts, self._current, self.centre)
        n, m = float(self.counts[: -self._current].sum()), float(self.counts[-self._current :].sum())
        return float(np.sqrt(np.square(self.centre[:, 0]).sum() / self.counts.sum() * (1.0 / n + 1.0 / m)))

    @property
    def component(self) -> Component:
        """Its statistics under random choices."""
        if self.name == "classes":
            # Chi-square: each count weighs as one over its share of all.
            scaled = self.sums / np.sqrt(np.maximum(self.sums.sum(axis=0), 1.0))
            return Component.quadratic(scaled, self.counts)
        if self.name in {"novelty", "confidence"}:
            return Component.linear(self.sums[:, 0], self.counts, sided=self.name == "novelty")
        return Component.quadratic(self.sums, self.counts, self.centre)


def _shown(names: Sequence[str]) -> str:
    """The component that the effect is measured by."""
    return "rbf4" if names == _EMBEDDINGS else names[0]


def _parts(pool: Pool, names: Sequence[str]) -> tuple[list[Component], list[float], _Part]:
    """The components, the spreads of embeddings' under no difference, and the one that the effect is measured by."""
    components, spreads = [], []
    for name in names:
        part = _Part(pool, name)
        components.append(part.component)
        if names == _EMBEDDINGS:
            spreads.append(part.spread)
        if name == _shown(names):
            # The sums of the others are let go: they are large.
            shown = part
    return components, spreads, shown


def _subjects(pool: Pool) -> dict[str, tuple[str, ...]]:
    """Components of each subject; classes and confidence where both sides have some."""
    found: dict[str, tuple[str, ...]] = {"embeddings": _EMBEDDINGS}
    for name in ("classes", "confidence"):
        _, counts = features(pool, name)
        if min(counts[: -pool.current].sum(), counts[-pool.current :].sum()) >= FEWEST:
            found[name] = (name,)
    return found


def measured(
    pool: Pool, rng: np.random.Generator, permutations: int, refined: int, *, random_ties: bool
) -> list[Measurement]:
    """The measurements that :func:`change` describes, of the last blocks against the others."""
    blocks = len(pool.rows)
    past = blocks - pool.current
    n, m = int(pool.rows[:past].sum()), int(pool.rows[past:].sum())
    counted = {"blocks_past": float(past), "blocks_current": float(pool.current)}
    enough = blocks >= FEWEST and pool.current >= 2 and past >= 2
    found = []
    for subject, names in _subjects(pool).items():
        if enough and permutations:
            size, p = _tested(pool, names, rng, _stages(permutations, refined), random_ties=random_ties)
        else:
            size, p = _effect(pool, _Part(pool, _shown(names))), None
        effect, low, high, detail = size
        found.append(Measurement("change", subject, effect, low, high, p, n, m, pool.segment, detail | counted))
        if subject == "classes" and enough:
            found += _classes_moved(pool, n, m)
    return found


def _tested(
    pool: Pool, names: Sequence[str], rng: np.random.Generator, stages: tuple[int, ...], *, random_ties: bool
) -> tuple[Effect, float]:
    """Effect and p-value, with the z-scores of the components and what the test can find."""
    components, spreads, shown = _parts(pool, names)
    family = Family.of(components, pool.current)
    observed = family.statistics(pool.chosen)[0]
    # The first choices also give the null distribution that effects and z-scores are read against.
    null = family.drawn(stages[0], rng)
    known = [null]

    def draw(out: FloatArray) -> None:
        if known:
            out[:] = known.pop()
        else:
            family.draw(out, rng)

    p = staged(observed, draw, stages, 1.0 - rng.random() if random_ties else 1.0)
    effect, low, high, detail = _effect(pool, shown, spreads)
    if spreads:
        sizes = float(pool.rows[: -pool.current].sum()), float(pool.rows[-pool.current :].sum())
        detail["detectable_share"] = detectable_share(pool.plan, null, np.array(spreads), sizes)
    for name, value, column in zip(names, observed, null.T, strict=True):
        spread = float(column.std())
        detail[f"z_{name}"] = (float(value) - float(column.mean())) / spread if spread > 0 else 0.0
    return (effect, low, high, detail), p


def _classes_moved(pool: Pool, n: int, m: int) -> list[Measurement]:
    """The classes whose share surely moved, the surest first; shown, not tested."""
    counts = pool.sums[:, pool.plan.columns["classes"]]
    before, after, error = class_moves(counts, pool.current)
    moved = after - before
    names = (*pool.plan.classes, "other classes")
    order = np.argsort(-np.abs(moved) / error, kind="stable")[:_NAMED]
    return [
        Measurement(
            "change",
            f"class:{names[k]}",
            float(moved[k]),
            float(moved[k] - _Z * error[k]),
            float(moved[k] + _Z * error[k]),
            None,
            n,
            m,
            pool.segment,
            {"share_reference": float(before[k]), "share_current": float(after[k])},
        )
        for k in order
        if abs(moved[k]) > _SURE * error[k]
    ]


def _stages(permutations: int, refined: int) -> tuple[int, ...]:
    """E.g. 999, 9,999, 99,999."""
    between = int(np.sqrt((permutations + 1) * (refined + 1))) - 1
    return tuple(sorted({permutations, between, refined})) if refined > permutations else (permutations,)


def _effect(pool: Pool, shown: _Part, spreads: Sequence[float] = ()) -> Effect:
    if shown.name == "classes":
        return class_effect(shown.sums, pool.current)
    if shown.name == "confidence":
        return confidence_effect(shown.sums[:, 0], shown.counts, pool.current)
    known = shown.spread if spreads else None
    topic = embedding_effect(shown.sums, shown.counts, pool.current, pool.plan.share_scale, shown.centre, known)
    novel = novel_effect(pool.sums[:, pool.plan.columns["novel"]][:, 0], pool.rows, pool.current)
    detail = topic[3] | {"topic_share": topic[0], "novel_share": novel[0]}
    # Tight topics show in the first, scattered content in the second: the one that is surer to be large.
    return (*max(topic[:3], novel, key=lambda found: (found[1], found[0])), detail)


def change(
    past: Sequence[BlockSums],
    current: BlockSums,
    plan: Plan,
    rng: np.random.Generator,
    permutations: int = 999,
    refined: int = 99_999,
    most_past: int = 1_000,
) -> list[Measurement]:
    """How the current window's blocks rank among random choices of as many from all blocks, past and current.

    Subjects are ``embeddings`` (smallest rank over four statistics under one set of choices: MMD² of gamma = 1/median and
    4/median, distance of whitened means, mean novelty score), ``classes`` (chi-square) and ``confidence`` (difference of
    means), the last two where at least 20 records on each side have one.

    Without a change blocks are exchangeable, so p is uniform; ties are broken at random, which makes it exactly so, and
    successive p-values of windows tested against all before them independent (Vovk, Petej, Gammerman, "Protected
    probabilistic regression", and "Conformal test martingales", arXiv:2102.10439).

    ``embeddings``: the effect is a share of traffic with a block-jackknife interval, the surer of two: what a new topic
    would have to take to show such an MMD² (``topic_share``), and by how much novel records grew (``novel_share``); ``classes``: total variation distance; ``confidence``: difference of means.
    ``detail``: ``z_...`` of each statistic, ``mmd2``, ``blocks_past``, ``blocks_current`` and ``detectable_share``, the
    smallest share of a new kind of input found with 80 % power at 5 % (:mod:`monitor.sketches.power`).

    Parameters
    ----------
    past : accepted windows before this one, in any order; beyond ``most_past`` blocks a random choice is taken
    permutations, refined : random choices at first, and at most when p is small

    Returns
    -------
    one measurement a subject; ``p_value`` is None with fewer than 20 blocks in all or fewer than 2 on a side. Nothing when
    a side has no blocks. ``ValueError`` when plans or segments differ
    """
    pool = pooled(past, [current], plan, rng, most_past)
    if not pool.current or pool.current == len(pool.rows):
        return []
    return measured(pool, rng, permutations, refined, random_ties=True)


def compare(
    a: Sequence[BlockSums],
    b: Sequence[BlockSums],
    plan: Plan,
    rng: np.random.Generator,
    permutations: int = 999,
    refined: int = 9_999,
    most: int = 1_000,
) -> list[Measurement]:
    """Any two periods: the statistics of :func:`change`, ``b`` against ``a``, with the p-value (b + 1)/(B + 1), ties counted.

    With no ``permutations`` there is no p-value, and no z-score: the sizes of the differences alone, in a small part of the time.
    Long periods are compared by coarser blocks, the same on both sides, at most about ``most`` a side; of more windows
    than that, a random choice. Nothing when a side has no blocks.
    """
    if not sum(len(w.rows) for w in a) or not sum(len(w.rows) for w in b):
        return []
    each = max(1, most // max(len(a), len(b)))
    theirs, ours = ([coarsened(w, each) for w in some(side, most // each, rng)] for side in (a, b))
    found = measured(pooled(theirs, ours, plan, rng, most), rng, permutations, refined, random_ties=False)
    return [replace(one, detector="compare") for one in found]


def some(windows: Sequence[BlockSums], most: int, rng: np.random.Generator) -> list[BlockSums]:
    """The windows in their order; of more than ``most``, a random choice."""
    if len(windows) <= most:
        return list(windows)
    return [windows[i] for i in np.sort(rng.choice(len(windows), most, replace=False))]
