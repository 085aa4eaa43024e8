"""Confident learning: which labels a calibrated classifier contradicts with confidence (Northcutt, Jiang & Chuang, JAIR 70, 2021)."""

from __future__ import annotations

import numpy as np

from monitor.quality.chances import Places
from monitor.values import FloatArray

__all__ = ["confident_places", "normalised_margin", "thresholds"]


def thresholds(chances: FloatArray, labels: Places) -> FloatArray:
    """Per class, the mean chance of it among rows labelled with it, (C,); that of all rows where a class has none."""
    own = chances[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=chances.shape[1])
    sums = np.bincount(labels, weights=own, minlength=chances.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1), own.mean() if len(own) else 1.0)


def confident_places(chances: FloatArray, bars: FloatArray) -> Places:
    """The likeliest class of those whose threshold a row reaches, (n,); -1 where it reaches none.

    Counted against the labels given they are the confident joint; what lies off its diagonal are its label errors.
    """
    among = np.where(chances >= bars, chances, -1.0)
    return np.where(among.max(axis=1) >= 0.0, among.argmax(axis=1), -1).astype(np.int64)


def normalised_margin(chances: FloatArray, given: Places) -> FloatArray:
    """Chance of the given label less that of the likeliest other, (n,) in [-1, 1]; the lowest is the likeliest error."""
    others = chances.copy()
    others[np.arange(len(given)), given] = -1.0
    return np.asarray(chances[np.arange(len(given)), given] - others.max(axis=1))
