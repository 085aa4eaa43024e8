"""Differences between two sides with intervals that know blocks: shares, means, and the chance that one exceeds the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.detectors.proportions import newcombe
from monitor.values import FloatArray

__all__ = ["Change", "auc_change", "design_effect", "mean_change", "share_change"]

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Change:
    """A number on both sides, and the 95 % interval of current less reference.

    For :func:`auc_change`, ``reference`` is 0.5 and ``current`` the AUC. ``z`` is the difference in standard errors.
    """

    reference: float
    current: float
    low: float
    high: float
    z: float

    @property
    def difference(self) -> float:
        """Current less reference."""
        return self.current - self.reference


def _variance(values: FloatArray, codes: Codes) -> float:
    """Of the mean of ``values``, whole blocks being what is independent."""
    n = len(values)
    _, group = np.unique(codes, return_inverse=True)
    sums = np.bincount(group, weights=values - values.mean())
    blocks = len(sums)
    return float(np.square(sums).sum()) / n**2 * blocks / max(blocks - 1, 1) if n else 0.0


def design_effect(hits: Mask, codes: Codes) -> float:
    """How many times larger blocks make the variance of a share, at least 1.

    Rao and Scott, "A simple method for the analysis of clustered binary data", Biometrics 48, 1992. A share of 0 or 1 says
    nothing about it: then it is taken as large as blocks of equal rows would make it.
    """
    n, share = len(hits), float(hits.mean())
    if share in (0.0, 1.0):
        sizes = np.unique(codes, return_counts=True)[1]
        return float(np.square(sizes).sum() / n)
    return max(1.0, _variance(hits.astype(np.float64), codes) / (share * (1 - share) / n))


def share_change(reference: Mask, reference_codes: Codes, current: Mask, current_codes: Codes) -> Change:
    """Two shares and Newcombe's interval of their difference, counts divided by the design effect of the blocks.

    Parameters
    ----------
    reference, current : (n,) and (m,) bool, n and m at least 1
    reference_codes, current_codes : the block of each row
    """
    effects = design_effect(reference, reference_codes), design_effect(current, current_codes)
    hits, rows = (int(reference.sum()), int(current.sum())), (len(reference), len(current))
    low, high = newcombe(hits[0], rows[0], hits[1], rows[1], effects)
    smoothed = [(h + 0.5) / (n + 1) for h, n in zip(hits, rows, strict=True)]
    error = np.sqrt(sum(s * (1 - s) * e / n for s, e, n in zip(smoothed, effects, rows, strict=True)))
    p, q = hits[0] / rows[0], hits[1] / rows[1]
    return Change(p, q, low, high, float((q - p) / error))


def mean_change(reference: FloatArray, reference_codes: Codes, current: FloatArray, current_codes: Codes) -> Change:
    """Two means and the normal interval of their difference, its variance taken over blocks."""
    error = float(np.sqrt(_variance(reference, reference_codes) + _variance(current, current_codes)))
    p, q = float(reference.mean()), float(current.mean())
    z = (q - p) / error if error > 0 else 0.0
    return Change(p, q, q - p - _Z * error, q - p + _Z * error, z)


def auc_change(reference: FloatArray, reference_codes: Codes, current: FloatArray, current_codes: Codes) -> Change:
    """The chance that a current value exceeds a reference one (AUC, ties half) with its interval over blocks, less 1/2.

    Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.
    """
    n, m = len(reference), len(current)
    ranks = stats.rankdata(np.concatenate([reference, current]))
    above = (ranks[n:] - stats.rankdata(current)) / n
    below = (ranks[:n] - stats.rankdata(reference)) / m
    auc = float(above.mean())
    error = float(np.sqrt(_variance(below, reference_codes) + _variance(above, current_codes)))
    z = (auc - 0.5) / error if error > 0 else (0.0 if auc == 0.5 else np.sign(auc - 0.5) * 1e3)
    return Change(0.5, auc, auc - 0.5 - _Z * error, auc - 0.5 + _Z * error, float(z))
