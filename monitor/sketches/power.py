"""The smallest share of a new kind of input that a look on block sums would have found."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from monitor.detectors.kinds import evenly, kinds_of
from monitor.detectors.min_p import critical_level
from monitor.detectors.power import Alternatives, alternatives, share_found
from monitor.sketches.features import novelty_rank, novelty_score
from monitor.sketches.plan import FOURIER_WIDTH, SCORE_UNIT, Plan
from monitor.values import FloatArray

__all__ = ["detectable_share", "kinds"]

_OF_A_KIND = 40


@lru_cache(maxsize=8)
def kinds(plan: Plan) -> Alternatives:
    """How much each statistic of a look moves with kinds of the reference's content, as if they were new."""
    ruler = plan.ruler
    rows = np.zeros((len(ruler.rows), len(ruler.live)), dtype=np.float32)
    rows[:, ruler.live] = ruler.rows
    found = alternatives(rows, ruler, 1.0 / ruler.median)
    nearness = rows @ plan.directions[:, FOURIER_WIDTH:] - plan.half_norms
    centre = nearness.argmax(axis=1)
    sizes = np.maximum(np.bincount(centre, minlength=nearness.shape[1]), 1)
    usual = float(np.square(np.log1p(-novelty_rank(plan, plan.knots))).mean())
    for place, kind in enumerate(kinds_of(rows)):
        # Centres that stand for rows of this kind would not be there.
        mine = np.bincount(centre[kind], minlength=len(sizes)) / sizes >= 0.5
        if mine.all():
            continue
        far = -nearness[kind[evenly(len(kind), _OF_A_KIND)]][:, ~mine].max(axis=1)
        score = novelty_score(novelty_rank(plan, far.astype(np.float64)))
        found.lifts[3, place], found.inside[3, place] = score.mean() - usual, score.std()
    return found


def detectable_share(
    plan: Plan, null: FloatArray, spreads: FloatArray, sizes: tuple[float, float], level: float = 0.05
) -> float:
    """Smallest share of a new kind that a look would have found with 80 % power at ``level``; 1 when none is.

    Parameters
    ----------
    null : (B, 4) statistics of random choices, each in any unit
    spreads : (4,) standard deviation under no difference of MMD² of each kernel and of the difference of mean novelty scores, in
        fixed-point units
    sizes : records accepted before, and now
    """
    scale = np.where(spreads > 0, spreads, np.inf)[:, None] / np.array([1.0, 1.0, 1.0, SCORE_UNIT])[:, None]
    deviation = null.std(axis=0)
    drawn = ((null - null.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)).T
    against = kinds(plan)
    standardised = Alternatives(against.lifts / scale, against.across / scale, against.inside / scale, against.shift)
    critical = np.quantile(drawn, 1.0 - critical_level(drawn, level), axis=1)
    return share_found(drawn, critical, standardised, sizes)
