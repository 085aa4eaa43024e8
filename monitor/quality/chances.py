"""What a classifier that has not learned a record's label says of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from monitor.selection.heads import Head, Labels, fit_head
from monitor.values import FloatArray, Vectors

__all__ = ["OutOfSample", "Places", "likelihoods", "out_of_sample", "sharpness"]

Places = npt.NDArray[np.int64]

_FOLDS = 5
_NEVER = -30.0
_TEMPERATURES = np.geomspace(0.2, 4.0, 31)
RATES = np.concatenate([[0.0], np.geomspace(1e-4, 0.9, 60)])
"""Shares of wrong labels among which the likeliest is sought."""


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """Logits of models that have not learned the row's own label.

    classes    of reference and batch, in order of name
    batch      (n, C) float64, and the places of the labels given, (n,) int64
    reference  (m, C) float64, and the places of its labels, (m,) int64
    """

    classes: tuple[str, ...]
    batch: FloatArray
    given: Places
    reference: FloatArray
    trusted: Places


def out_of_sample(
    vectors: Vectors, labels: Labels, reference: Vectors, trusted: Labels, rng: np.random.Generator
) -> OutOfSample:
    """Five-fold cross-validation in which the batch teaches only the classes that the reference lacks.

    If a batch's labels of known classes were learned too, an error made alike on half of a class would become what the class looks
    like, and would not be seen: on BANKING77 the area under the precision-recall curve then falls from 1 to below 0.8.

    Parameters
    ----------
    vectors, reference : (n, d) and (m, d) float32, rows of length one
    labels, trusted : (n,) and (m,) object, none missing
    """
    classes = tuple(sorted(set(labels.tolist()) | set(trusted.tolist())))
    place = {name: i for i, name in enumerate(classes)}
    given, known = (np.array([place[name] for name in side], dtype=np.int64) for side in (labels, trusted))
    new = ~np.isin(given, known)
    fold, trusted_fold = rng.permutation(len(given)) % _FOLDS, rng.permutation(len(known)) % _FOLDS
    both, said = np.concatenate([reference, vectors[new]]), np.concatenate([trusted, labels[new]])
    head = fit_head(both, said)
    batch, held_out = np.full((len(given), len(classes)), _NEVER), np.full((len(known), len(classes)), _NEVER)
    _fill(batch, ~new, head, vectors, place)
    for k in range(_FOLDS):
        left = np.concatenate([trusted_fold != k, fold[new] != k])
        part = fit_head(both[left], said[left], start=head)
        _fill(batch, new & (fold == k), part, vectors, place)
        _fill(held_out, trusted_fold == k, part, reference, place)
    return OutOfSample(classes, batch, given, held_out, known)


def _fill(into: FloatArray, rows: npt.NDArray[np.bool_], head: Head, vectors: Vectors, place: dict[str, int]) -> None:
    if rows.any():
        columns = np.array([place[name] for name in head.classes])
        into[np.ix_(np.flatnonzero(rows), columns)] = head.logits(vectors[rows])


def likelihoods(logits: FloatArray, given: Places, temperature: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chance of each class, (n, C), of the given label if it is right, (n,), and if it is wrong, (n,).

    A wrong label is any other class, each as likely. Of a label whose class no model has learned both are as likely.
    """
    chances = np.exp(log_softmax(logits / temperature, axis=1))
    right = chances[np.arange(len(given)), given]
    wrong = (1.0 - right) / max(logits.shape[1] - 1, 1)
    known = logits[np.arange(len(given)), given] > _NEVER
    return chances, np.where(known, right, 1.0), np.where(known, wrong, 1.0)


def sharpness(logits: FloatArray, given: Places, least: float = 0.0) -> tuple[float, float]:
    """Temperature of at least ``least`` and share of wrong labels under which the labels are likeliest together.

    Sought together, since wrong labels make a model look too sure and a model that is too sure makes labels look wrong. What is
    drifted is known less well, which is the temperature's to say.
    """
    best = (-np.inf, 1.0, 0.0)
    for temperature in _TEMPERATURES[min(least, _TEMPERATURES[-1]) <= _TEMPERATURES]:
        _, right, wrong = likelihoods(logits, given, float(temperature))
        found = np.log(np.outer(1.0 - RATES, right) + np.outer(RATES, wrong) + 1e-300).sum(axis=1)
        if found.max() > best[0]:
            best = (float(found.max()), float(temperature), float(RATES[found.argmax()]))
    return best[1], best[2]
