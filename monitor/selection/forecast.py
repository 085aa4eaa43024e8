"""What a batch of candidates is expected to do: before labels from what is known of the records, after them from the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.selection.advice import Findings, advise
from monitor.selection.drift_mass import kernel_block, luck
from monitor.selection.flips import parts, rate_interval
from monitor.selection.gain_curve import GainCurve, drift_weights, gain_curve
from monitor.selection.garbling import garbling
from monitor.selection.gate import BONUSES, Calibration, IncumbentGate
from monitor.selection.heads import Head, Labels, fit_head
from monitor.selection.pool import Pool
from monitor.selection.verdict import Verdict, judge_heads
from monitor.values import Advice, Estimate, FloatArray

__all__ = ["Forecast", "forecast"]

_LUCK = 0.95
_UNLIKE = 0.5
_GUESSED_CLASS = "\0new"
_LIKE = 0.5


@dataclass(frozen=True)
class Forecast:
    """What is to be expected of refreshing with a batch.

    new      share of the window's records whose surroundings hold more new traffic than 95 % of calm ones show by luck
    junk     share of the batch that is none of the model's business
    gain     change of accuracy on the new traffic; ``None`` when nobody can tell
    plain    flips of a plain refit on part B of the protected set; ``None`` without labels there
    guarded  the same through ``gate``
    curve    what labels have bought and would buy; ``None`` before there are enough
    """

    new: float
    junk: Estimate | None = None
    gain: Estimate | None = None
    plain: Verdict | None = None
    guarded: Verdict | None = None
    gate: IncumbentGate | None = None
    curve: GainCurve | None = None
    advice: tuple[Advice, ...] = ()

    @cached_property
    def bonus(self) -> float | None:
        """The bonus that keeps the budget on part A; ``None`` when none does."""
        return float(self.gate.bonus_) if self.gate is not None and self.gate.kept_ else None


def forecast(pool: Pool, chosen: Sequence[int], budget: float, rng: np.random.Generator) -> Forecast:
    """What refreshing would do: with the answers in hand, or before there are any with labels guessed for the chosen rows.

    Guesses are the model's classes for rows of a known kind and one new class for each group of rows unlike all the reference; they show
    about how much a batch like this moves the model, which is an indication and no promise.

    Parameters
    ----------
    budget : negative flip rate allowed, in (0, 1)
    """
    excess = pool.mass.excess
    by_luck = luck(*pool.reference, len(pool.window), pool.mass.typical, pool.bandwidth, rng, _LUCK)
    new = float((excess > by_luck).mean()) if len(excess) else 0.0
    writing = garbling((pool.train, pool.protected), pool.window, rng)
    told = pool.answers is not None and bool(pool.answers.useful.any())
    refit = pool.head if told else _guessed(pool, chosen)
    plain = guarded = gate = None
    labels = pool.protected.column("label")
    known = np.array([label is not None for label in labels], dtype=bool)
    right = 0
    if pool.old_head is not None and known.any():
        first, second = (mask & known for mask in parts(pool.protected))
        kept = pool.protected.take(second)
        right = int((pool.old_head.predict(kept.vectors) == labels[second]).sum())
        if refit is not None:
            plain = judge_heads(pool.old_head, refit, kept)
            gate = _gate(pool, pool.old_head, refit, first, labels, budget)
            guarded = judge_heads(pool.old_head, refit, kept, gate)
    curve = _curve(pool, np.where(excess > by_luck, excess, 0.0), rng) if told else None
    found = Findings(
        budget,
        right,
        new,
        writing,
        curve,
        _unseen(pool),
        plain if told else None,
        guarded if told else None,
        float(gate.bonus_) if told and gate is not None and gate.kept_ else None,
    )
    gain = curve.so_far if curve is not None else _expected_gain(pool, chosen, by_luck)
    return Forecast(new, _junk(pool, chosen), gain, plain, guarded, gate, curve, advise(found))


def _unseen(pool: Pool) -> float:
    """Share of the useful answers that name classes of which no training record is."""
    if pool.answers is None or not pool.answers.useful.any():
        return 0.0
    known = set(pool.train.column("label"))
    return float(np.mean([label not in known for label in pool.answers.data.column("label")[pool.answers.useful]]))


def _gate(pool: Pool, old: Head, new: Head, first: np.ndarray, labels: Labels, budget: float) -> IncumbentGate:
    some = pool.protected.vectors[first]
    if not len(some):
        return IncumbentGate(bonus=BONUSES[-1], bandwidth=pool.bandwidth).fit(pool.train.vectors, pool.vectors)
    calibration = Calibration(
        some, labels[first], old.log_chances(some), new.log_chances(some), old.classes, new.classes
    )
    return IncumbentGate(budget=budget, bandwidth=pool.bandwidth).fit(pool.train.vectors, pool.vectors, calibration)


def _guessed(pool: Pool, chosen: Sequence[int]) -> Head | None:
    """The head after labels as they will probably come."""
    if pool.old_head is None or not len(chosen):
        return None
    rows = np.asarray(chosen, dtype=np.int64)
    guesses = pool.old_head.predict(pool.vectors[rows])
    strange = np.flatnonzero(pool.mass.unlike[rows] >= _UNLIKE)
    for place, group in zip(strange, _groups(pool.vectors[rows[strange]]), strict=True):
        guesses[place] = f"{_GUESSED_CLASS} {group}"
    vectors, labels = pool.known
    return fit_head(
        np.concatenate([vectors, pool.vectors[rows]]), np.concatenate([labels, guesses]), start=pool.old_head
    )


def _groups(vectors: np.ndarray) -> list[int]:
    """Leaders in order: each row joins the first group whose leader is like it."""
    leaders: list[int] = []
    found = []
    for row in range(len(vectors)):
        like = [i for i, leader in enumerate(leaders) if float(vectors[row] @ vectors[leader]) >= _LIKE]
        if not like:
            leaders.append(row)
        found.append(like[0] if like else len(leaders) - 1)
    return found


def _expected_gain(pool: Pool, chosen: Sequence[int], by_luck: float) -> Estimate | None:
    """Of the new traffic, what the model probably has wrong and a chosen row is near: before labels, no interval is known but all of it."""
    new = np.where(pool.mass.excess > by_luck, pool.mass.excess, 0.0) * pool.window.weights
    if new.sum() <= 0 or not len(chosen):
        return None
    wrong = np.maximum(np.nan_to_num(pool.doubt, nan=1.0), pool.mass.unlike)
    reach = kernel_block(pool.vectors, pool.vectors[np.asarray(chosen)], pool.bandwidth).max(axis=1)
    most = float(new @ wrong / new.sum())
    return Estimate(float(new @ (wrong * reach) / new.sum()), 0.0, most)


def _curve(pool: Pool, excess: FloatArray, rng: np.random.Generator) -> GainCurve | None:
    if pool.old_head is None or pool.answers is None:
        return None
    data, useful = pool.answers.data, pool.answers.useful
    labels = data.column("label")
    given = np.array([label is not None for label in pool.train.column("label")], dtype=bool)
    weights = drift_weights(data.vectors, pool.vectors, excess, useful)
    return gain_curve(
        (pool.train.vectors[given], pool.train.column("label")[given]),
        (data.vectors[useful], labels[useful]),
        weights[useful],
        pool.old_head,
        rng,
    )


def _junk(pool: Pool, chosen: Sequence[int]) -> Estimate | None:
    """Share of the answers that were junk; before answers, how many of the chosen stand alone, unlike all that is known.

    Alone is who has less than half the company that a record of the reference typically has, and the more so the less it has.
    """
    if pool.answers is not None and len(pool.answers.data):
        answered = sum(label is not None for label in pool.answers.data.column("label"))
        return rate_interval(answered - int(pool.answers.useful.sum()), answered)
    if not len(chosen):
        return None
    rows = np.asarray(chosen)
    alone = np.clip(1.0 - 2.0 * pool.mass.shrink[rows], 0.0, 1.0) * (pool.mass.far[rows] > 0.9)
    return rate_interval(round(float(alone.sum())), len(rows))
