"""Whether a refresh keeps the owner's budget of negative flips."""

from __future__ import annotations

from scipy import stats

from monitor.selection.flips import needed, upper_bound
from monitor.values import Comparison, Verdict

__all__ = ["judge", "lower_bound"]


def lower_bound(flips: int, right: int, sure: float = 0.95) -> float:
    """One-sided Jeffreys bound of the rate from below: the ``1 - sure`` quantile of Beta(flips + 1/2, right - flips + 1/2)."""
    return float(stats.beta.ppf(1 - sure, flips + 0.5, right - flips + 0.5)) if flips else 0.0


def judge(protected: Comparison | None, budget: float, missing: int = 0) -> Verdict:
    """Pass or fail on the protected set.

    ``passed``  the one-sided 95 % bound of the negative flip rate is no more than the budget
    ``failed``  the rate that was seen is over it, on records enough to tell (:func:`monitor.selection.flips.needed`, about
    5 / budget that the old model has right), or its one-sided 95 % bound from below is
    ``not shown``  the rest: too few records, or too near the budget

    With just enough records, a refresh that breaks a third of what is allowed fails in three cases of a hundred at most, one
    that breaks twice as much in nine of ten or more.

    Parameters
    ----------
    protected : ``None`` when no protected record could be compared
    budget : negative flip rate allowed, in (0, 1)
    missing : protected records without a new prediction; where all of them could be flips, more than the budget leaves,
        nothing is shown to be kept
    """
    if protected is None or not protected.old_right:
        return Verdict.NOT_SHOWN
    flips, right = protected.negative, protected.old_right
    over = flips / right > budget
    if over and (right >= needed(budget) or lower_bound(flips, right) > budget):
        return Verdict.FAILED
    kept = upper_bound(flips, right, 0.95) <= budget and (flips + missing) <= budget * (right + missing)
    return Verdict.PASSED if kept else Verdict.NOT_SHOWN
