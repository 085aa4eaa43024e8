"""How many labels of a batch are wrong, and which: draws from the posterior, with a share of errors of its own for each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.quality.chances import Places
from monitor.values import FloatArray

__all__ = ["Draws", "drawn"]

_BURN_IN, _KEPT = 200, 1_000
_STRENGTH = 10.0
"""Labels' worth of belief that a class errs as often as the batch does."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Posterior draws of which labels are wrong.

    weights  (s, n) float32: 0 where the label is right in this draw, else what the error counts
    wrong    (n,) float64, chance that the label is wrong
    """

    weights: npt.NDArray[np.float32]
    wrong: FloatArray


def drawn(
    right: FloatArray,
    wrong: FloatArray,
    given: Places,
    suggested: Places,
    severity: tuple[FloatArray, float],
    known: FloatArray,
    rng: np.random.Generator,
) -> Draws:
    """Gibbs sampling of labels' states and the shares of errors, overall and by class.

    A label's evidence is the ratio of its likelihoods. Before it, a label is believed to be wrong as often as labels that say the
    same are (one class is named too often) and as often as records of the class it would then be are called something else (one
    class is not recognised): the mean of both. Shares of classes scatter around the batch's as a beta distribution worth ten
    labels; the batch's share has Jeffreys' prior.

    Parameters
    ----------
    right, wrong : (n,) float64, likelihood of each label if it is right and if it is wrong
    given, suggested : (n,) class of each label, and the class it would be if it is wrong
    severity : chance that an error in a row is a minor one, (n,), and what a minor error counts
    known : (n,) float64: NaN, or what the error that a person found there counts, 0 for none
    """
    n, classes = len(right), int(max(given.max(), suggested.max())) + 1
    sizes = np.bincount(given, minlength=classes).astype(np.float64)
    free = np.isnan(known)
    state = np.where(free, wrong > right, known > 0)
    minor, least = severity
    weights, mean = np.zeros((_KEPT, n), dtype=np.float32), np.zeros(n)
    for step in range(_BURN_IN + _KEPT):
        total = state.sum()
        overall = rng.beta(0.5 + total, 0.5 + n - total)
        named = np.bincount(given, weights=state, minlength=classes)
        missed = np.bincount(suggested, weights=state, minlength=classes)
        before = _STRENGTH * overall + 1e-9, _STRENGTH * (1.0 - overall) + 1e-9
        by_name = rng.beta(before[0] + named, before[1] + sizes - named)
        by_truth = rng.beta(before[0] + missed, before[1] + sizes - named)
        rates = 0.5 * (by_name[given] + by_truth[suggested])
        chance = np.where(free, rates * wrong / ((1.0 - rates) * right + rates * wrong + 1e-300), known > 0)
        state = rng.random(n) < chance
        if step >= _BURN_IN:
            counts = np.where(rng.random(n) < minor, least, 1.0)
            weights[step - _BURN_IN] = np.where(free, state * counts, known)
            mean += chance / _KEPT
    return Draws(weights, mean)
