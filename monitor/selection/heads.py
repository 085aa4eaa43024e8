"""The classifier on top of the embeddings, as far as selection needs to know it: multinomial logistic regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import fminbound
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from monitor.values import FloatArray, Vectors

__all__ = ["Head", "fit_head", "temperature"]

_INVERSE_PENALTY = 10.0
_STEPS = 500
_TEMPERATURES = (0.05, 20.0)

Labels = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Head:
    """Multinomial logistic regression.

    classes   in order of name
    weights   (C, d) float64, and ``bias`` (C,)
    """

    classes: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray

    def logits(self, vectors: Vectors) -> FloatArray:
        """(n, C) float64."""
        return np.asarray(vectors.astype(np.float64) @ self.weights.T + self.bias)

    def log_chances(self, vectors: Vectors, temperature: float = 1.0) -> FloatArray:
        """Log-probabilities, (n, C) float64; above 1, ``temperature`` makes them less sure."""
        return np.asarray(log_softmax(self.logits(vectors) / temperature, axis=1))

    def predict(self, vectors: Vectors) -> Labels:
        """The likeliest class of each row, (n,) object."""
        return np.asarray(np.array(self.classes, dtype=object)[self.logits(vectors).argmax(axis=1)])


def fit_head(vectors: Vectors, labels: Labels, weights: FloatArray | None = None, start: Head | None = None) -> Head:
    """Fit by L-BFGS with C = 10 and an unpenalised intercept; the answer is unique, so there is no seed.

    In single precision, which changes weights by a thousandth of what stopping short of convergence does, and takes half the time.

    Parameters
    ----------
    vectors : (n, d) float32
    labels : (n,) object, none missing, at least two classes
    weights : (n,) float64 >= 0, ones unless given
    start : a head of earlier labels to begin from, which only saves time; its classes may be fewer

    Raises
    ------
    ValueError
        for fewer than two classes
    """
    classes = tuple(sorted(set(labels.tolist())))
    if len(classes) < 2:
        raise ValueError(f"a classifier needs labels of two classes; there are {len(classes)} among {len(labels)} rows")
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_STEPS, tol=1e-4, warm_start=True)
    if start is not None and len(classes) > 2:
        before = {name: i for i, name in enumerate(start.classes)}
        order = [before.get(name, -1) for name in classes]
        padded = np.vstack([start.weights, np.zeros(vectors.shape[1])])
        model.coef_, model.intercept_ = padded[order], np.append(start.bias, start.bias.min())[order]
        model.classes_ = np.array(classes, dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors.astype(np.float32), labels.astype(str), sample_weight=weights)
    found, bias = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(classes) == 2:
        half = found[0] / 2.0
        return Head(classes, np.stack([-half, half]), np.array([-1.0, 1.0]) * bias[0] / 2.0)
    return Head(classes, found, bias)


def temperature(head: Head, vectors: Vectors, labels: Labels) -> float:
    """The temperature under which held-out rows are likeliest (Guo et al., "On calibration of modern neural networks", ICML 2017).

    Returns
    -------
    in [0.05, 20]; 1.0 when no row has a class that the head knows
    """
    places = {name: i for i, name in enumerate(head.classes)}
    known = np.array([label in places for label in labels], dtype=bool)
    if not known.any():
        return 1.0
    logits = head.logits(vectors[known])
    truth = np.array([places[label] for label in labels[known]])

    def loss(log_temperature: float) -> float:
        chances = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(chances[np.arange(len(truth)), truth].mean())

    return float(np.exp(fminbound(loss, *np.log(_TEMPERATURES))))
