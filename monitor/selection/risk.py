"""What one added record would break: its influence on the margins of protected records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, softmax

from monitor.selection.heads import Head, Labels
from monitor.values import FloatArray, Vectors

__all__ = ["Influence", "expected_risk", "influence_on", "label_risk"]

_BLOCK = 256
_SOFTNESS = 0.6
_LEAST_CURVATURE = 0.05

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Influence:
    """What one step of a refit does to the margins of m protected records.

    head       the head in service, C classes
    inverse    (d + 1, m) float64: inverse curvature of the training loss times the protected records, intercept last
    curvature  (d + 1, d + 1) float64, the inverse curvature itself
    truth      (m,) int64, place of each record's class in the head
    margins    (C + 1, m) float64: logit of the true class less that of each class; the last row is for a class that the
               head does not know, which counts as having the mean logit
    """

    head: Head
    inverse: FloatArray
    curvature: FloatArray
    truth: Places
    margins: FloatArray


def influence_on(
    head: Head, train: Vectors, protected: Vectors, labels: Sequence[str | None] | Labels, penalty: float = 0.1
) -> Influence:
    """Prepare :func:`label_risk` for the protected records whose class the head knows; the others are left out.

    M = sum over train of s(x) phi phi' + penalty I, with s(x) = (1 - sum_y p_y(x)^2) / 2 and phi = [x, 1].

    Parameters
    ----------
    head : the classifier in service
    train : (n, d) float32, what it was fitted on
    protected, labels : (m, d) float32 and (m,), ``None`` where unlabelled
    penalty : 1 / C of the logistic regression, > 0

    Raises
    ------
    ValueError
        for vectors that hold NaN or infinity
    """
    for vectors, what in ((train, "training"), (protected, "protected")):
        _refuse_broken(vectors, what)
    places = {name: i for i, name in enumerate(head.classes)}
    known = np.array([label in places for label in labels], dtype=bool)
    kept = _with_intercept(protected[known])
    truth = np.array([places[label] for label in labels if label in places], dtype=np.int64)
    phi = _with_intercept(train)
    weight = _curvature(_chances(head, train))
    loss = (phi * weight[:, None]).T @ phi + penalty * np.eye(phi.shape[1])
    factor = cho_factor(loss)
    logits = head.logits(protected[known])
    right = logits[np.arange(len(truth)), truth]
    margins = right - np.vstack([logits.T, logits.mean(axis=1)])
    inverse = cho_solve(factor, kept.T) if len(kept) else np.zeros((phi.shape[1], 0))
    return Influence(head, inverse, cho_solve(factor, np.eye(phi.shape[1])), truth, margins)


def label_risk(influence: Influence, vectors: Vectors, labels: Sequence[str] | Labels) -> FloatArray:
    """Share of the protected records that each record alone is expected to break when added under its label.

    risk(x, y) = 1/m sum over j with c_j != y of max(0, sigma((d - m_jy) / 0.6) - sigma(-m_jy / 0.6)), where
    d = a_jx (1 - p_y(x) + p_cj(x)) and a_jx = phi_j' M^-1 phi_x / (1 + max(s(x), 0.05) phi_x' M^-1 phi_x).
    Influence functions: Koh & Liang, "Understanding black-box predictions via influence functions", ICML 2017.

    Parameters
    ----------
    vectors : (n, d) float32
    labels : (n,), any; one that the head does not know is a new class

    Returns
    -------
    (n,) float64 in [0, 1]; 0 where no protected record has a known class
    """
    places = {name: i for i, name in enumerate(influence.head.classes)}
    new = len(influence.head.classes)
    return _risk(influence, vectors, np.array([places.get(label, new) for label in labels], dtype=np.int64)[:, None])[
        :, 0
    ]


def expected_risk(influence: Influence, vectors: Vectors, unlike: FloatArray) -> FloatArray:
    """The same before labels are known: a weak indication, not to choose by.

    u risk(x, new class) + (1 - u) [q1 risk(x, y1) + q2 risk(x, y2)], y1 and y2 the head's two likeliest classes with
    chances q scaled to sum one.

    Parameters
    ----------
    vectors : (n, d) float32
    unlike : (n,) float64 in [0, 1], u: the chance that the record is of a class that the head does not know

    Returns
    -------
    (n,) float64 in [0, 1]
    """
    chances = _chances(influence.head, vectors)
    top = np.argsort(-chances, axis=1, kind="stable")[:, :2]
    q = np.take_along_axis(chances, top, axis=1)
    new = np.full((len(vectors), 1), len(influence.head.classes))
    found = _risk(influence, vectors, np.hstack([top, new]))
    among = (found[:, :-1] * q).sum(axis=1) / q.sum(axis=1)
    return np.asarray(unlike * found[:, -1] + (1.0 - unlike) * among)


def _risk(influence: Influence, vectors: Vectors, places: Places) -> FloatArray:
    """(n, k) risk of each row under each of its k candidate classes."""
    _refuse_broken(vectors, "candidate")
    risk = np.zeros(places.shape)
    count = len(influence.truth)
    if not count:
        return risk
    margins = (influence.margins / _SOFTNESS).astype(np.float32)
    before = expit(-margins)
    before[influence.truth, np.arange(count)] = np.inf  # a label of the record's own class breaks nothing
    inverse = influence.inverse.astype(np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        chances = _chances(influence.head, vectors[rows])
        phi = _with_intercept(vectors[rows])
        leverage = np.einsum("ij,jk,ik->i", phi, influence.curvature, phi, optimize=True)
        step = 1.0 / (_SOFTNESS * (1.0 + np.maximum(_curvature(chances), _LEAST_CURVATURE) * leverage))
        pull = (phi * step[:, None]).astype(np.float32) @ inverse
        padded = np.hstack([chances, np.zeros((len(phi), 1))]).astype(np.float32)
        theirs = padded[:, influence.truth]
        for k, place in enumerate(places[rows].T):
            own = 1.0 - padded[np.arange(len(phi)), place]
            after = expit(pull * (own[:, None] + theirs) - margins[place])
            risk[rows, k] = np.maximum(after - before[place], 0.0).sum(axis=1)
    return risk / count


def _chances(head: Head, vectors: Vectors) -> FloatArray:
    return np.asarray(softmax(head.logits(vectors), axis=1))


def _curvature(chances: FloatArray) -> FloatArray:
    return np.asarray((1.0 - (chances**2).sum(axis=1)) / 2.0)


def _with_intercept(vectors: Vectors) -> FloatArray:
    return np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])


def _refuse_broken(vectors: Vectors, what: str) -> None:
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        raise ValueError(f"{broken} of {len(vectors)} {what} vectors hold NaN or infinity; embed these records again")
