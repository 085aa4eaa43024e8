"""The gated incumbent bonus: at serving time, keep the old model's answer unless the new one is surer or the text is new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from monitor.errors import ArtifactError
from monitor.selection.drift_mass import excess_mass, kernel_mean
from monitor.selection.flips import negative_flips, upper_bound
from monitor.selection.heads import Labels
from monitor.values import FloatArray, Vectors

__all__ = ["BONUSES", "Calibration", "IncumbentGate", "choose_bonus", "with_bonus"]

BONUSES = (0.4, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Bonuses to choose from, in units of log-probability. None is below 0.4, which costs half a hundredth of the gain and takes a third of
the flips away (docs/decisions/0007)."""

_LEAST = np.log(1e-12)
_POWER, _SURENESS, _AGAINST_NEW = 4, 0.5, 0.5
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Protected records to choose the bonus on: part A of :func:`~monitor.selection.flips.parts`.

    vectors                (n, d) float32
    labels                 (n,) object, none missing
    old_chances, new_chances  (n, C) and (n, D) log-probabilities of the two models
    old_classes, new_classes  names of their columns
    """

    vectors: Vectors
    labels: Labels
    old_chances: FloatArray
    new_chances: FloatArray
    old_classes: Sequence[str]
    new_classes: Sequence[str]


def with_bonus(
    old_chances: FloatArray,
    new_chances: FloatArray,
    old_classes: Sequence[str],
    new_classes: Sequence[str],
    excess: FloatArray,
    bonus: float,
) -> Labels:
    """Argmax over y of log p_new(y|x) - bonus k(y) (1 - g(x))^4 p_old(y_old|x)^(1/2) 1{y != y_old(x)}.

    Every answer but the old one is held back, where traffic is as it was and the more so the surer the old model is; k is 1, and
    1/2 for classes that the old model does not know, against which its answer says less. Raising the bonus lowers all others
    against the old answer. So what was right before and is still right stays right: negative flips never become more with the
    bonus, and from some bonus on there are none where g(x) < 1. Most mended records go with them, which is the price. A class that the new
    model does not know cannot be answered. A log-probability below that of 1e-12 counts as that. The training-free form of
    gated fusion: Lai et al., arXiv 2302.02080, 2023.

    Parameters
    ----------
    old_chances, new_chances : (n, C) and (n, D) log-probabilities
    old_classes, new_classes : names of their columns
    excess : (n,) float64 in [0, 1], g(x), share of the traffic around each row that is new
    bonus : >= 0, in units of log-probability

    Returns
    -------
    (n,) object, classes of the new model

    Raises
    ------
    ValueError
        when rows or classes do not fit together, or a number is NaN
    """
    n = len(excess)
    for chances, classes, which in ((old_chances, old_classes, "old"), (new_chances, new_classes, "new")):
        if chances.shape != (n, len(classes)):
            raise ValueError(
                f"log-probabilities of the {which} model have shape {chances.shape}, not ({n}, {len(classes)}): "
                "give one row a query and one column a class"
            )
        broken = int(np.isnan(chances).any(axis=1).sum())
        if broken:
            raise ValueError(f"{broken} of {n} rows of the {which} model's log-probabilities hold NaN")
        if not classes:
            raise ValueError(f"the {which} model has no classes")
    places = {name: i for i, name in enumerate(new_classes)}
    column = np.array([places.get(name, -1) for name in old_classes])[old_chances.argmax(axis=1)]
    scores = np.maximum(new_chances, _LEAST).astype(np.float64)
    sureness = np.exp(np.minimum(old_chances.max(axis=1), 0.0)) ** _SURENESS
    held_back = bonus * (1.0 - excess) ** _POWER * sureness
    known = set(old_classes)
    weight = np.array([1.0 if name in known else _AGAINST_NEW for name in new_classes])
    rows = np.flatnonzero(column >= 0)
    incumbent = scores[rows, column[rows]]
    scores[rows] -= held_back[rows, None] * weight
    scores[rows, column[rows]] = incumbent
    answers: Labels = np.array(list(new_classes), dtype=object)[scores.argmax(axis=1)]
    return answers


def choose_bonus(flips: Sequence[int], right: int, budget: float, bonuses: Sequence[float] = BONUSES) -> float | None:
    """The smallest bonus whose upper 90 % Jeffreys bound of the negative flip rate is within the budget.

    Parameters
    ----------
    flips : negative flips under each of ``bonuses``
    right : records that the old model had right

    Returns
    -------
    ``None`` when no bonus does, or nothing was right
    """
    kept = [b for b, count in zip(bonuses, flips, strict=True) if right and upper_bound(count, right) <= budget]
    return min(kept, default=None)


class IncumbentGate(BaseEstimator):  # type: ignore[misc]
    """Serves a refreshed model so that it breaks little of what the old one had right.

    Fit it at each refresh with the new model: it remembers which traffic was new then.

    Parameters
    ----------
    bonus : in units of log-probability; ``None`` to choose it on the calibration records
    budget : negative flip rate allowed, in (0, 1)
    bandwidth : h > 0 of the kernel exp((cos - 1) / h)
    stored : vectors kept of reference and production together; 1,000 do for a small service
    seed : of the draw when there are more

    Attributes
    ----------
    reference_, production_ : (m, d) float32, the vectors kept
    typical_ : median density of reference rows among the others
    bonus_ : what is served; the largest there is when none keeps the budget
    kept_ : whether the bonus keeps the budget on the calibration records; ``None`` when it was given, not chosen
    flips_, right_ : negative flips under each of :data:`BONUSES`, and records that were right
    n_features_in_ : d
    """

    def __init__(
        self,
        bonus: float | None = None,
        budget: float = 0.01,
        bandwidth: float = 0.1,
        stored: int = 10_000,
        seed: int = 0,
    ) -> None:
        self.bonus = bonus
        self.budget = budget
        self.bandwidth = bandwidth
        self.stored = stored
        self.seed = seed

    def fit(self, reference: Vectors, production: Vectors, calibration: Calibration | None = None) -> Self:
        """Remember what the old traffic and the new look like, and choose the bonus.

        Parameters
        ----------
        reference : (m, d) unit vectors of the training records, not of the protected ones: those are to be judged like any query
        production : (n, d) unit vectors of the window that the refresh answers
        calibration : needed unless ``bonus`` is given

        Raises
        ------
        ValueError
            for wrong parameters, and for vectors that differ in dimensions or hold NaN
        """
        if not self.bandwidth > 0:
            raise ValueError(f"bandwidth is {self.bandwidth}; give a cosine difference above 0, for example 0.1")
        if self.bonus is None and calibration is None:
            raise ValueError("without calibration records no bonus can be chosen; give some, or the bonus itself")
        if self.bonus is not None and not self.bonus >= 0:
            raise ValueError(f"bonus is {self.bonus}; give a log-probability of 0 or more, for example 0.5")
        rng = np.random.default_rng(self.seed)
        room = _room(len(reference), len(production), self.stored)
        self.n_features_in_ = reference.shape[1]
        self.reference_, self.production_ = (
            _drawn(self._checked(vectors), count, rng)
            for vectors, count in zip((reference, production), room, strict=True)
        )
        among = kernel_mean(self.reference_, self.reference_, self.bandwidth, leave_one_out=True)
        tiny = float(np.finfo(np.float32).tiny)
        self.typical_ = max(float(np.median(among)) if len(among) else 0.0, tiny)
        self.flips_: tuple[int, ...] = ()
        self.right_ = 0
        self.kept_: bool | None = None
        self.bonus_ = 0.0 if self.bonus is None else float(self.bonus)
        if calibration is not None:
            self._choose(calibration)
        return self

    def excess(self, vectors: Vectors) -> FloatArray:
        """g(x): share of the traffic around each query that is new, (n,) float64 in [0, 1]."""
        check_is_fitted(self)
        vectors = self._checked(vectors)
        explained = kernel_mean(vectors, self.reference_, self.bandwidth)
        return excess_mass(explained, kernel_mean(vectors, self.production_, self.bandwidth), self.typical_)

    def predict(
        self,
        vectors: Vectors,
        old_chances: FloatArray,
        new_chances: FloatArray,
        old_classes: Sequence[str],
        new_classes: Sequence[str],
    ) -> Labels:
        """Classes to answer with, (n,) object; see :func:`with_bonus`."""
        return with_bonus(old_chances, new_chances, old_classes, new_classes, self.excess(vectors), self.bonus_)

    def save(self, stream: BinaryIO) -> None:
        """Write to a binary file, without pickle."""
        check_is_fitted(self)
        header = {
            "format": _FORMAT,
            "params": self.get_params(),
            "fitted": {name: getattr(self, name) for name in ("typical_", "bonus_", "kept_", "right_", "flips_")},
        }
        written = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
        np.savez(stream, header=written, reference=self.reference_, production=self.production_)

    @classmethod
    def load(cls, stream: BinaryIO) -> IncumbentGate:
        """Read what :meth:`save` wrote; ``ArtifactError`` for anything else."""
        try:
            with np.load(stream, allow_pickle=False) as found:
                header: dict[str, Any] = json.loads(found["header"].tobytes())
                if header["format"] != _FORMAT:
                    raise ArtifactError(
                        f"a gate of format {header['format']} cannot be read; this version reads {_FORMAT}"
                    )
                gate = cls(**header["params"])
                gate.reference_, gate.production_ = found["reference"], found["production"]
                gate.n_features_in_ = gate.reference_.shape[1]
                for name, value in header["fitted"].items():
                    setattr(gate, name, tuple(value) if isinstance(value, list) else value)
                gate._checked(gate.production_)
        except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError) as error:
            raise ArtifactError(
                f"this file does not hold a gate ({type(error).__name__}); save one with IncumbentGate.save"
            ) from error
        return gate

    def _choose(self, calibration: Calibration) -> None:
        c = calibration
        excess = self.excess(c.vectors)
        chances = c.old_chances, c.new_chances, c.old_classes, c.new_classes
        old = np.array(list(c.old_classes), dtype=object)[c.old_chances.argmax(axis=1)]
        self.right_ = int((old == c.labels).sum())
        self.flips_ = tuple(
            int(negative_flips(c.labels, old, with_bonus(*chances, excess, bonus)).sum()) for bonus in BONUSES
        )
        if self.bonus is None:
            found = choose_bonus(self.flips_, self.right_, self.budget)
            self.kept_, self.bonus_ = found is not None, BONUSES[-1] if found is None else found

    def _checked(self, vectors: npt.ArrayLike) -> Vectors:
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features_in_:
            raise ValueError(f"vectors have shape {rows.shape}, not (n, {self.n_features_in_}); use one embedder")
        broken = int((~np.isfinite(rows).all(axis=1)).sum())
        if broken:
            raise ValueError(f"{broken} of {len(rows)} vectors hold NaN or infinity; embed these records again")
        return rows


def _room(reference: int, production: int, stored: int) -> tuple[int, int]:
    """Rows to keep of each side: all that fit, else half and half, and what one side leaves goes to the other."""
    if stored < 2:
        raise ValueError(f"stored is {stored}; give the number of vectors to keep, at least 2, for example 10000")
    half = stored // 2
    first = min(reference, max(half, stored - production))
    return first, min(production, stored - first)


def _drawn(rows: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    return rows if count >= len(rows) else rows[np.sort(rng.choice(len(rows), count, replace=False))]
