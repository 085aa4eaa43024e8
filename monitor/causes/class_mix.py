"""Class mix: the predicted classes come in other shares than in the reference."""

from __future__ import annotations

import numpy as np

from monitor.causes.phrases import gain, percent
from monitor.causes.shares import Change, share_change
from monitor.causes.sides import FEWEST, Side, Sides
from monitor.detectors.blocks import Blocks
from monitor.detectors.class_table import random_counts, tabulated, variation_interval
from monitor.detectors.proportions import chi_square
from monitor.values import Cause

__all__ = ["class_mix"]

_LEVEL = 0.01
_PERMUTATIONS = 999


def _blocks(side: Side) -> Blocks:
    _, codes = np.unique(side.codes, return_inverse=True)
    return Blocks(codes.astype(np.int64), int(codes.max(initial=-1)) + 1, "field")


def _moved_most(reference: Side, current: Side, names: list[str]) -> tuple[str, Change] | None:
    """The class whose share moved most on the first halves, and by how much on the second."""
    best, top = "", 0.0
    theirs, ours = reference.classes[reference.first], current.classes[current.first]
    if min(len(theirs), len(ours)) < 1:
        return None
    for name in names:
        p, q = float((theirs == name).mean()), float((ours == name).mean())
        spread = np.sqrt((p * (1 - p) + 1 / len(theirs)) / len(theirs) + (q * (1 - q) + 1 / len(ours)) / len(ours))
        if abs(q - p) / spread > top:
            best, top = name, abs(q - p) / spread
    held, held_ours = ~reference.first, ~current.first
    if not best or min(held.sum(), held_ours.sum()) < 1:
        return None
    change = share_change(
        reference.classes[held] == best,
        reference.codes[held],
        current.classes[held_ours] == best,
        current.codes[held_ours],
    )
    return best, change


def class_mix(sides: Sides, within: bool, rng: np.random.Generator) -> Cause | None:
    """The cause; ``None`` without classes, with one class, or when shares are as chance would have them.

    Parameters
    ----------
    within : whether records of the same class changed as well
    """
    reference, current = sides.reference, sides.current
    names, theirs, ours = tabulated(reference.classes, _blocks(reference), current.classes, _blocks(current))
    if len(names) < 2 or min(theirs.blocks.count, ours.blocks.count) < FEWEST:
        return None
    totals = theirs.totals + ours.totals
    drawn = chi_square(random_counts(theirs, ours, _PERMUTATIONS, rng), totals)
    observed = float(chi_square(ours.totals, totals))
    p_value = float(np.sum(drawn >= observed - 1e-9 * (1 + observed)) + 1) / (_PERMUTATIONS + 1)
    if p_value > _LEVEL:
        return None
    share, low, high = variation_interval(theirs, ours, rng)
    evidence = {"share": share, "low": low, "high": high, "p_value": p_value, "classes": float(len(names))}
    moved = _moved_most(reference, current, names)
    told = ""
    if moved is not None:
        evidence |= {"largest_reference": moved[1].reference, "largest_current": moved[1].current}
        evidence |= {"largest_low": moved[1].low, "largest_high": moved[1].high}
        told = f" The class that moved most went {gain(moved[1])}."
    inside = "" if within else " Within the classes nothing else was found to have changed."
    sentence = (
        f"The mix of predicted classes changed: about {percent(share)} ({percent(low)} to {percent(high)}) of the traffic is in "
        f"other classes than before.{told}{inside}"
    )
    return Cause("class mix", sentence, evidence)
