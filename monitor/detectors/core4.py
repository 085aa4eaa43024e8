"""One look: four ways in which a window can differ, tested by one permutation p-value over blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.detectors.blocks import FEWEST
from monitor.detectors.choices import Choices
from monitor.detectors.min_p import sequential
from monitor.detectors.novelty_ranks import mean_difference
from monitor.detectors.pair_sums import PairSums, together
from monitor.detectors.power import detectable
from monitor.detectors.prepared import Prepared, Rows, Side
from monitor.detectors.units import exchanged
from monitor.values import FloatArray, Measurement

__all__ = ["COMPONENTS", "Look", "look", "measurement", "shares"]

COMPONENTS = ("rbf1", "rbf4", "whitened", "novelty")

_MARGIN = 1.96


@dataclass(frozen=True, slots=True)
class Look:
    """What one comparison found.

    effects    (k,) of each component: unbiased MMD², for novelty the difference of mean rank scores
    drawn      (k, B) the same under random labellings
    error      standard error of the first effect
    p_value    over all components
    """

    effects: FloatArray
    drawn: FloatArray
    error: float
    p_value: float

    @property
    def spreads(self) -> FloatArray:
        """Standard deviation of each component under no difference, (k,)."""
        return np.asarray(self.drawn.std(axis=1))

    @property
    def z(self) -> FloatArray:
        """Each effect, standardised by its labellings; 0 where none differ."""
        away = self.effects - self.drawn.mean(axis=1)
        return np.asarray(np.divide(away, self.spreads, out=np.zeros_like(away), where=self.spreads > 1e-12))


def look(
    prepared: Prepared,
    segment: str,
    x: Rows,
    current: Side,
    y: Rows,
    counts: tuple[int, int],
    rng: np.random.Generator,
) -> Look:
    """Compare rows ``x`` of the test part with rows ``y`` of the window; ``counts``: labellings drawn, and refined."""
    a, b, sums, scores = prepared.pooled(segment, x, current, y, rng)
    rows, own = np.concatenate([a.rows, b.rows]), np.concatenate([a.own, b.own])
    pairs = [PairSums(s, rows, own) for s in sums]
    mmd2 = together(pairs)

    def statistics(labels: Choices) -> FloatArray:
        found = mmd2(labels)
        return found if scores is None else np.vstack([found, mean_difference(scores, rows, labels)])

    observed = statistics(exchanged(a, b, 0, rng))[:, 0]
    p, drawn = sequential(lambda count: statistics(exchanged(a, b, count, rng))[:, 1:], observed, *counts)
    of_window = np.arange(len(rows)) >= len(a)
    error = max(float(np.sqrt(pairs[0].jackknife(of_window))), float(drawn[0].std()))
    return Look(observed, drawn, error, p)


def measurement(
    found: Look, prepared: Prepared, segment: str, x: Rows, y: Rows, blocks: tuple[int, int], level: float = 0.05
) -> Measurement:
    """The look as a measurement of ``embeddings``; without p-value when a side has too few blocks. ``level`` is what the power is stated for."""
    effect, margin = float(found.effects[0]), _MARGIN * found.error
    low, high = effect - margin, effect + margin
    detail = dict(zip(COMPONENTS, found.effects.tolist(), strict=False))
    detail |= dict(zip((f"z_{name}" for name in COMPONENTS), found.z.tolist(), strict=False))
    detail |= {"standardised": float(found.z[0])}
    detail |= shares(effect, low, high, float(prepared.alternatives.content[0]))
    detail |= {"blocks_reference": float(blocks[0]), "blocks_current": float(blocks[1])}
    tested = min(blocks) >= FEWEST
    if tested:
        share, shift = detectable(found.drawn, prepared.alternatives, blocks, level)
        detail["detectable_share"] = share
        if np.isfinite(shift):
            detail["detectable_shift"] = shift
    p = found.p_value if tested else None
    return Measurement("mmd", "embeddings", effect, low, high, p, len(x), len(y), segment, detail)


def shares(effect: float, low: float, high: float, content: float) -> dict[str, float]:
    """The share of traffic from one foreign cluster that would explain the effect, with its interval; empty when nothing is known of clusters."""
    if content <= 0:
        return {}
    named = zip(("share", "share_low", "share_high"), (effect, low, high), strict=True)
    return {name: min(1.0, float(np.sqrt(max(value, 0.0) / content))) for name, value in named}
