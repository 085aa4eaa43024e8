"""A batch of candidates, and what is to be expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.selection.clusters import named_clusters
from monitor.selection.flips import parts
from monitor.selection.forecast import forecast
from monitor.selection.mixture import Mixture
from monitor.selection.pool import Pool
from monitor.selection.proposals import candidates
from monitor.selection.risk import expected_risk, influence_on
from monitor.values import Candidate, FloatArray, Refresh

__all__ = ["propose"]


def propose(
    mixture: Mixture, pool: Pool, budget: int, negative_flips: float, rng: np.random.Generator
) -> tuple[tuple[Candidate, ...], Refresh]:
    """At most ``budget`` candidates, best first, and what they are for.

    Parameters
    ----------
    negative_flips : share of what the model has right that a refresh may break, in (0, 1)
    """
    picked = mixture.pick(pool, budget, rng)
    rows = [row for row, _ in picked.rows]
    found = candidates(pool, picked.rows)
    risks, clusters = _risks(pool, rows), named_clusters(pool, rows)
    found = tuple(
        replace(one, risk=risk, cluster=cluster) for one, risk, cluster in zip(found, risks, clusters, strict=True)
    )
    expected = forecast(pool, rows, negative_flips, rng)
    answers = 0 if pool.answers is None else len(pool.answers.data)
    return found, Refresh(
        round=1 + (answers > 0),
        budget=budget,
        answers=answers,
        covered=min(1.0, sum(candidate.gain for candidate in found)),
        flips_budget=negative_flips,
        junk=expected.junk,
        gain=expected.gain,
        flips=None if expected.plain is None else expected.plain.predicted,
        guarded=None if expected.guarded is None else expected.guarded.predicted,
        bonus=expected.bonus,
        advice=expected.advice,
        notes=picked.notes,
    )


def _risks(pool: Pool, rows: Sequence[int]) -> list[float] | list[None]:
    """What each row alone would probably break of part A: an indication, before its label is known."""
    head = pool.old_head
    labels = pool.protected.column("label")
    first = parts(pool.protected)[0] & np.array([label is not None for label in labels], dtype=bool)
    if head is None or not first.any() or not rows:
        return [None] * len(rows)
    influence = influence_on(head, pool.train.vectors, pool.protected.vectors[first], labels[first])
    places = np.asarray(rows)
    found: FloatArray = expected_risk(influence, pool.vectors[places], pool.mass.unlike[places])
    return [float(risk) for risk in found]
