"""Change: whether the current window looks like any choice of blocks from all that was accepted before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.sketches.effects import class_effect, confidence_effect, embedding_effect
from monitor.sketches.exchange import Component, Family, staged
from monitor.sketches.plan import COORDINATE_UNIT, FOURIER_UNIT, FOURIER_WIDTH, Plan
from monitor.sketches.sums import coarsened
from monitor.values import BlockSums, FloatArray, Measurement

__all__ = ["FEWEST", "SCALES", "change", "changes", "compare"]

FEWEST = 20
"""With fewer blocks in all there is no p-value."""

SCALES = (1, 4, 16, 64)

_EMBEDDINGS = ("rbf1", "rbf4", "whitened", "novelty")


@dataclass(frozen=True, slots=True)
class _Pool:
    """Blocks of both sides, the current ones last.

    rows  (G,) float64
    sums  (G, f) float64
    """

    plan: Plan
    segment: str
    rows: FloatArray
    sums: FloatArray
    current: int

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.rows) - self.current, len(self.rows))[None]


def _pooled(
    past: Sequence[BlockSums], current: Sequence[BlockSums], plan: Plan, rng: np.random.Generator, most_past: int
) -> _Pool:
    for window in (*past, *current):
        if window.plan != plan.fingerprint or window.sums.shape[1] != plan.width:
            raise ValueError(
                "block sums of another plan cannot be compared: the reference or the features changed since. "
                "Backfill the windows to be compared"
            )
        if window.segment != current[0].segment:
            raise ValueError(
                f"block sums of {window.segment!r} cannot be compared with those of {current[0].segment!r}"
            )
    where = np.concatenate([np.full(len(window.rows), i) for i, window in enumerate(past)] or [np.zeros(0, int)])
    within = np.concatenate([np.arange(len(window.rows)) for window in past] or [np.zeros(0, int)])
    if len(where) > most_past:
        kept = np.sort(rng.choice(len(where), most_past, replace=False))
        where, within = where[kept], within[kept]
    mine = [(window.rows, window.sums) for window in current]
    parts = [(past[i].rows[within[where == i]], past[i].sums[within[where == i]]) for i in np.unique(where)] + mine
    rows = np.concatenate([r for r, _ in parts]).astype(np.float64)
    sums = np.concatenate([s for _, s in parts]).astype(np.float64)
    return _Pool(plan, current[0].segment, rows, sums, sum(len(r) for r, _ in mine))


def _features(pool: _Pool, name: str) -> tuple[FloatArray, FloatArray]:
    """Sums of one component in its own unit, (G, f), and the records that bear on it, (G,)."""
    places, sums = pool.plan.columns, pool.sums
    if name in {"rbf1", "rbf4"}:
        return sums[:, places[name]] / (FOURIER_UNIT * np.sqrt(FOURIER_WIDTH)), pool.rows
    if name == "whitened":
        ruler = pool.plan.ruler
        return sums[:, places["coordinates"]][:, ruler.live] @ (ruler.whitening / COORDINATE_UNIT), pool.rows
    if name == "classes":
        counts = sums[:, places["classes"]]
        counts = counts[:, counts.sum(axis=0) > 0]
        return counts, counts.sum(axis=1)
    if name == "confidence":
        return sums[:, places["confidence"]], sums[:, places["confident"]][:, 0]
    return sums[:, places[name]], pool.rows


def _component(pool: _Pool, name: str) -> Component:
    sums, counts = _features(pool, name)
    if name == "classes":
        # Chi-square: each count weighs as one over its share of all.
        scaled = sums / np.sqrt(np.maximum(sums.sum(axis=0), 1.0))
        return Component.quadratic(scaled, counts)
    if name in {"novelty", "confidence"}:
        return Component.linear(sums[:, 0], counts, sided=name == "novelty")
    return Component.quadratic(sums, counts)


def _subjects(pool: _Pool) -> dict[str, tuple[str, ...]]:
    """Components of each subject; classes and confidence where both sides have some."""
    found: dict[str, tuple[str, ...]] = {"embeddings": _EMBEDDINGS}
    for name in ("classes", "confidence"):
        _, counts = _features(pool, name)
        if min(counts[: -pool.current].sum(), counts[-pool.current :].sum()) >= FEWEST:
            found[name] = (name,)
    return found


def _measured(
    pool: _Pool, rng: np.random.Generator, stages: tuple[int, ...], *, random_ties: bool
) -> list[Measurement]:
    blocks = len(pool.rows)
    past = blocks - pool.current
    n, m = int(pool.rows[:past].sum()), int(pool.rows[past:].sum())
    counted = {"blocks_past": float(past), "blocks_current": float(pool.current)}
    enough = blocks >= FEWEST and pool.current >= 2 and past >= 2
    found = []
    for subject, names in _subjects(pool).items():
        family = Family.of([_component(pool, name) for name in names], pool.current)
        observed = family.statistics(pool.chosen)[0]
        # The first choices also give the null distribution that effects and z-scores are read against.
        null = family.drawn(stages[0], rng) if enough else np.zeros((0, len(names)))
        p = None
        if enough:
            stock = [null]

            def draw(count: int, family: Family = family, stock: list[FloatArray] = stock) -> FloatArray:
                return stock.pop() if stock else family.drawn(count, rng)

            p = staged(observed, draw, stages, 1.0 - rng.random() if random_ties else 1.0)
        effect, low, high, detail = _effect(pool, subject, names, null)
        for name, value, column in zip(names, observed, null.T, strict=True):
            spread = float(column.std()) if len(column) else 0.0
            detail[f"z_{name}"] = (float(value) - float(column.mean())) / spread if spread > 0 else 0.0
        found.append(Measurement("change", subject, effect, low, high, p, n, m, pool.segment, detail | counted))
    return found


def _effect(
    pool: _Pool, subject: str, names: tuple[str, ...], null: FloatArray
) -> tuple[float, float, float, dict[str, float]]:
    sums, counts = _features(pool, "rbf4" if subject == "embeddings" else subject)
    if subject == "embeddings":
        scale = pool.plan.share_scale
        values = null[:, names.index("rbf4")]
        return embedding_effect(sums, counts, pool.current, scale, values)
    if subject == "classes":
        return class_effect(sums, pool.current)
    return confidence_effect(sums[:, 0], counts, pool.current)


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

    ``embeddings``: the effect is the share of traffic that a new topic would have to take to look like this, with a
    block-jackknife interval; ``classes``: total variation distance; ``confidence``: difference of means.
    ``detail``: ``z_...`` of each statistic, ``mmd2``, ``blocks_past``, ``blocks_current`` and ``detectable_share``, the
    smallest share of a new topic found with 80 % power at 5 %.

    Parameters
    ----------
    past : accepted windows before this one, in any order; beyond ``most_past`` blocks a random choice is taken
    permutations, refined : random choices at first, and at most when p is small

    Returns
    -------
    one measurement a subject; ``p_value`` is None with fewer than 20 blocks in all or fewer than 2 on a side. Nothing when
    a side has no blocks. ``ValueError`` when plans or segments differ
    """
    pool = _pooled(past, [current], plan, rng, most_past)
    if not pool.current or pool.current == len(pool.rows):
        return []
    return _measured(pool, rng, _stages(permutations, refined), random_ties=True)


def _stages(permutations: int, refined: int) -> tuple[int, ...]:
    """E.g. 999, 9,999, 99,999."""
    between = int(np.sqrt((permutations + 1) * (refined + 1))) - 1
    return tuple(sorted({permutations, between, refined})) if refined > permutations else (permutations,)


def changes(
    past: Sequence[BlockSums],
    recent: Sequence[BlockSums],
    current: BlockSums,
    plan: Plan,
    position: int,
    rng: np.random.Generator,
    scales: Sequence[int] = SCALES,
    permutations: int = 999,
    refined: int = 99_999,
    most_past: int = 1_000,
) -> list[Measurement]:
    """:func:`change` at every scale that is due: the last s windows together against all windows before them.

    Scale s is due when ``position`` is a multiple of s, so that the windows of one scale do not overlap. Given the
    unordered bag of all blocks up to a look, its last s windows are a uniform choice among them when nothing changed. So
    p is uniform given the bag, and the earlier p-values of the scale depend on the bag's earlier order alone: they are
    independent. Choosing past blocks without looking at them keeps this. P-values of different scales do depend on each
    other; combine their evidence by averaging, not by multiplying.

    At scale s each window is first added up to about 1/s of its blocks: blocks then hold longer stretches of time, which
    is what changes that last must be told apart from.

    Parameters
    ----------
    past, recent : accepted windows before this one in time order, ``recent`` the last of them, best 63 or more
    position : 1 for the first window since the baseline began

    Returns
    -------
    subjects ``embeddings`` at scale 1, ``embeddings over 4 windows`` and so on; nothing for a scale with too few windows
    """
    before = [*past, *recent]
    found = []
    for scale in scales:
        if position % scale or len(before) < scale:
            continue
        split = len(before) - (scale - 1)
        most = max(1, max(len(window.rows) for window in (*before[split:], current)) // scale)
        last = [coarsened(window, most) for window in (*before[split:], current)]
        earlier = _coarse_past(before[:split], most, most_past, rng)
        pool = _pooled(earlier, last, plan, rng, most_past)
        if not earlier or not pool.current:
            continue
        for one in _measured(pool, rng, _stages(permutations, refined), random_ties=True):
            subject = one.subject if scale == 1 else f"{one.subject} over {scale} windows"
            found.append(replace(one, subject=subject))
    return found


def _coarse_past(windows: Sequence[BlockSums], most: int, most_past: int, rng: np.random.Generator) -> list[BlockSums]:
    """Past windows with at most ``most`` blocks each; when that would be far too many, a random choice of windows."""
    enough = 4 * most_past // most + 1
    if len(windows) > enough:
        windows = [windows[i] for i in np.sort(rng.choice(len(windows), enough, replace=False))]
    return [coarsened(window, most) for window in windows]


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

    Beyond ``most`` blocks a side, a random choice of it is compared. Nothing when a side has no blocks.
    """
    if not sum(len(w.rows) for w in a) or not sum(len(w.rows) for w in b):
        return []
    chosen = _pooled([], list(b), plan, rng, most)
    if chosen.current > most:
        kept = np.sort(rng.choice(chosen.current, most, replace=False))
        last = [
            BlockSums(
                plan.fingerprint, chosen.segment, chosen.rows[kept].astype(np.int64), chosen.sums[kept].astype(np.int64)
            )
        ]
    else:
        last = list(b)
    pool = _pooled(a, last, plan, rng, most)
    return [
        replace(one, detector="compare")
        for one in _measured(pool, rng, _stages(permutations, refined), random_ties=False)
    ]
