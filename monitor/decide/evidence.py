"""Evidence that may be looked at after every window: p-values turned into e-values, and e-values added up over time.

An e-value is a bet against "nothing has changed" at fair odds: at most 1 on average when nothing has, so that a large one is
rare however often one looks.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["bet_on", "e_bh", "shiryaev_roberts"]

_POWERS = (0.2, 0.5)


def bet_on(p: float) -> float:
    """The e-value of a p-value: half of the stake on tiny ones, half on small ones.

    The mean of the calibrators ``κ p^(κ-1)`` with κ = 0.2 and 0.5 (Vovk and Wang, "E-values: calibration, combination and
    applications", Ann. Statist. 49, 2021): the first makes one look at a plain change enough, the second gathers small ones.

    Parameters
    ----------
    p : in (0, 1], uniform or larger when nothing has changed

    Returns
    -------
    > 0, at most 1 on average over such p; falls as p grows, to 0.35 at 1
    """
    if not 0 < p <= 1:
        raise ValueError(f"a p-value of {p} is not in (0, 1]")
    return float(sum(power * p ** (power - 1.0) for power in _POWERS)) / len(_POWERS)


def shiryaev_roberts(before: float, e: float, looks: int = 1) -> float:
    """The evidence that something has changed at some time up to now, one e-value later.

    The sum, over every look at which the change may have come, of the product of the e-values since: ``(before + looks) e``.
    When nothing changes it is at most the number of looks on average, so that the first time it reaches L comes no sooner
    than after L looks on average, whatever the traffic is like (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric
    framework for sequential change detection", New England J. Stat. Data Sci. 2, 2024).

    Parameters
    ----------
    before : >= 0, 0 at the start
    e : e-value of what came since
    looks : how many looks it spans
    """
    return (before + looks) * e


def e_bh(shares: Mapping[str, float]) -> tuple[str, ...]:
    """What is named as changed among much that was looked at, the most certain first.

    Of weighted e-values over their common limit, the largest r such that r of them are at least 1/r (Wang and Ramdas, "False
    discovery rate control with e-values", J. R. Stat. Soc. B 84, 2022, for weights that sum to 1). Holds under any
    dependence. When their sum reaches 1 and no r does, the largest is named: the sum is proof that one of them is real.

    Parameters
    ----------
    shares : weight times e-value over the limit, by name

    Returns
    -------
    names; empty when the sum is below 1
    """
    if sum(shares.values()) < 1.0:
        return ()
    order = sorted(shares, key=lambda name: (-shares[name], name))
    sure = [r for r in range(1, len(order) + 1) if shares[order[r - 1]] * r >= 1.0]
    return tuple(order[: max(sure, default=1)])
