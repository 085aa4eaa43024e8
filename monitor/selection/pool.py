"""The window as a pool to choose from: in the order of ids, near-duplicates found, drift mass, needs and chances known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from monitor.errors import ComparisonError
from monitor.selection.drift_mass import EXACT, DriftMass, drift_mass, label_need
from monitor.selection.heads import Head, fit_head, temperature
from monitor.selection.near_duplicates import representatives
from monitor.values import Dataset, FloatArray, Reference, Vectors

__all__ = ["Answers", "Pool", "Rows", "pool_of"]

Rows = npt.NDArray[np.int64]

_SHORTLIST = 8_000


@dataclass(frozen=True, slots=True)
class Answers:
    """Labels that have come in for earlier candidates of the same drift.

    data  records with ``label``, none of them in the reference
    junk  labels that mean: none of the model's business
    """

    data: Dataset
    junk: frozenset[str] = frozenset()

    @property
    def useful(self) -> npt.NDArray[np.bool_]:
        """Which rows carry a label that the model should learn, (n,) bool."""
        return np.array(
            [label is not None and label not in self.junk for label in self.data.column("label")], dtype=bool
        )


@dataclass(frozen=True)
class Pool:
    """Records of a window in the order of their ids, those that are already answered left out.

    train, protected  the reference's two parts, each in the order of ids
    answers           labels of earlier candidates, in the order of ids; ``None`` in the first round
    leaders           (n,) int64, the row that stands for each row
    bandwidth         of the kernel, in units of cosine
    """

    window: Dataset
    train: Dataset
    protected: Dataset
    answers: Answers | None
    leaders: Rows
    mass: DriftMass
    bandwidth: float

    @property
    def vectors(self) -> Vectors:
        """(n, d) float32, rows of length one."""
        return self.window.vectors

    @cached_property
    def reference(self) -> tuple[Vectors, FloatArray]:
        """Vectors of training and protected records together, (m, d), and their weights, (m,)."""
        parts = self.train, self.protected
        return np.concatenate([part.vectors for part in parts]), np.concatenate([part.weights for part in parts])

    @cached_property
    def rows(self) -> Rows:
        """The rows that may be proposed: one of each group of near-duplicates."""
        return np.unique(self.leaders)

    def duplicates(self, row: int) -> int:
        """Rows that this one stands for, itself not counted."""
        return int((self.leaders == row).sum()) - 1

    @cached_property
    def need(self) -> FloatArray:
        """What a label of each record is worth for the new traffic, (n,) in [0, 1]."""
        return label_need(self.mass.excess, self.doubt, self.mass.unlike)

    @cached_property
    def doubt(self) -> FloatArray:
        """One minus the chance of the likeliest class; by the given confidence where there are no chances, else NaN, (n,)."""
        if self.chances is not None:
            return np.asarray(1.0 - self.chances.max(axis=1))
        return np.asarray(1.0 - self.window.column("confidence").astype(np.float64))  # None becomes NaN

    @cached_property
    def known(self) -> tuple[Vectors, npt.NDArray[np.object_]]:
        """All that a refreshed model would learn from: training records with a label, and useful answers."""
        labels = self.train.column("label")
        given = np.array([label is not None for label in labels], dtype=bool)
        vectors, found = self.train.vectors[given], labels[given]
        if self.answers is not None:
            useful, data = self.answers.useful, self.answers.data
            vectors = np.concatenate([vectors, data.vectors[useful]])
            found = np.concatenate([found, data.column("label")[useful]])
        return vectors, found

    @cached_property
    def old_head(self) -> Head | None:
        """Fitted on the training records; ``None`` when they carry labels of fewer than two classes."""
        labels = self.train.column("label")
        given = np.array([label is not None for label in labels], dtype=bool)
        if len(set(labels[given])) < 2:
            return None
        return fit_head(self.train.vectors[given], labels[given])

    @cached_property
    def head(self) -> Head | None:
        """Fitted on all that is :attr:`known`: the old head until answers have come in."""
        if self.answers is None or not self.answers.useful.any():
            return self.old_head
        vectors, labels = self.known
        return fit_head(vectors, labels, start=self.old_head) if len(set(labels)) > 1 else None

    @cached_property
    def chances(self) -> FloatArray | None:
        """Class probabilities of each record, (n, C).

        The model's own, where every record carries them and no answers have come in; else those of the head, at the
        temperature that fits the protected records. ``None`` where there is neither.
        """
        own = None if self.answers is not None else given_chances(self.window)
        if own is not None or self.head is None:
            return own
        labels = self.protected.column("label")
        return np.exp(self.head.log_chances(self.vectors, temperature(self.head, self.protected.vectors, labels)))


def given_chances(data: Dataset) -> FloatArray | None:
    """The records' own class probabilities, (n, C) scaled to sum 1; ``None`` unless all have some."""
    maps: Sequence[Sequence[tuple[str, float]] | None] = data.records.column("probabilities").to_pylist()
    if not maps or any(not one for one in maps):
        return None
    names = {name: i for i, name in enumerate(sorted({name for one in maps for name, _ in one or ()}))}
    chances = np.zeros((len(maps), len(names)))
    for row, one in zip(chances, maps, strict=True):
        for name, chance in one or ():
            row[names[name]] = chance
    chances = np.clip(np.nan_to_num(chances), 0.0, None)
    total = chances.sum(axis=1, keepdims=True)
    return None if (total <= 0).any() else np.asarray(chances / total)


def pool_of(
    reference: Reference,
    current: Dataset,
    near_duplicate: float,
    bandwidth: float,
    answers: Answers | None = None,
    rng: np.random.Generator | None = None,
) -> Pool:
    """The window as a pool; ``ComparisonError`` when it cannot be compared with the reference.

    Of more than 10,000 records, 8,000 whose labels are most worth having stay, and 2,000 drawn by ``rng`` that stand for the rest.
    """
    _check_comparable(reference, current, answers)
    rng = np.random.default_rng(0) if rng is None else rng
    window, train, protected = _by_id(current), _by_id(reference.train), _by_id(reference.protected)
    if not len(window):
        window = replace(window, vectors=train.vectors[:0])
    if answers is not None:
        answers = Answers(_by_id(answers.data), answers.junk)
        answered = set(answers.data.ids)
        window = window.take(np.array([record not in answered for record in window.ids], dtype=bool))
    vectors = np.concatenate([train.vectors, protected.vectors])
    weights = np.concatenate([train.weights, protected.weights])
    mass = drift_mass(window.vectors, window.weights, vectors, weights, bandwidth, rng)
    if len(window) > EXACT:
        window, mass = _shortlisted(window, mass, rng)
    leaders = representatives(window.vectors, near_duplicate)
    return Pool(window, train, protected, answers, leaders, mass, bandwidth)


def _shortlisted(window: Dataset, mass: DriftMass, rng: np.random.Generator) -> tuple[Dataset, DriftMass]:
    order = np.argsort(-(mass.excess * mass.shrink), kind="stable")
    rest = rng.choice(order[_SHORTLIST:], EXACT - _SHORTLIST, replace=False)
    weights = window.weights.copy()
    weights[rest] *= weights[order[_SHORTLIST:]].sum() / max(weights[rest].sum(), 1e-12)
    kept = np.sort(np.concatenate([order[:_SHORTLIST], rest]))
    thinned = Dataset(window.records, window.vectors, weights, window.embedder).take(kept)
    return thinned, DriftMass(mass.in_window[kept], mass.in_reference[kept], mass.typical, mass.far[kept])


def _by_id(data: Dataset) -> Dataset:
    """Each id once, in order, so that no choice depends on the order in which rows came."""
    first = np.unique(np.array(data.ids, dtype=object), return_index=True)[1]
    return data.take(first)


def _check_comparable(reference: Reference, current: Dataset, answers: Answers | None) -> None:
    known = reference.train.vectors.shape[1]
    sides = [(reference.train, "train"), (reference.protected, "protected"), (current, "window")]
    sides += [] if answers is None else [(answers.data, "labelled")]
    for data, side in sides:
        dimensions = data.vectors.shape[1]
        if len(data) and (known != dimensions or reference.embedder != data.embedder):
            raise ComparisonError(
                f"{side} vectors of {data.embedder} ({dimensions} dimensions) cannot be compared with the reference's of "
                f"{reference.embedder} ({known} dimensions); use one embedder for both"
            )
        broken = int((~np.isfinite(data.vectors).all(axis=1)).sum())
        if broken:
            raise ComparisonError(
                f"{broken} of {len(data)} {side} vectors hold NaN or infinity; embed these records again"
            )
